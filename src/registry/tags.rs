//! The list of tags.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::endpoint::Request;
use super::pages::Pages;
use super::refusal;
use super::repository::Repository;
use crate::error::{Error, Reason, Result};
use crate::reference::Tag;
use crate::store::Store;
use crate::{json, limits};

#[derive(Deserialize)]
struct Page {
    /// Some registries say `null` for none.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// Lists the tags, sorted; what is no tag by the grammar is told and left out.
    pub(super) async fn list_tags(&self) -> Result<Vec<Tag>> {
        let action = format!("list the tags of {}", self.location());
        let mut pages = Pages::new(self.url("tags/list")?, &action, Reason::TooLarge);
        let mut tags = Vec::new();
        while let Some(url) = pages.turn()? {
            let request = Request::new(Method::GET, url, &action).reading(limits::SMALL_BODY);
            let answer = self.endpoint.send(&self.pull(), &request).await?;
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => {
                    let message = format!("there is no repository {}", self.location());
                    return Err(Error::new(Reason::ReferenceNotFound, message));
                }
                _ => return Err(refusal::failure(answer, &action).await.error),
            }
            pages.read(&answer)?;
            let page: Page = json::parse(&answer.bytes(), "a list of tags").map_err(|error| {
                Error::new(Reason::RegistryProtocol, format!("cannot {action}")).because(error)
            })?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|tag| self.tag(tag)),
            );
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    fn tag(&self, text: &str) -> Option<Tag> {
        let tag = text.parse();
        if tag.is_err() {
            let shown: String = text.chars().take(100).collect();
            let note = format!("{} lists {shown:?}, which is not a tag", self.location());
            self.endpoint.progress().note(&note);
        }
        tag.ok()
    }
}
