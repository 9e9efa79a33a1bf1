//! Who refers to a manifest: the referrers API, merged with the tag schema
//! ([distribution-spec, "Listing referrers"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers)).
//!
//! "Nobody" is the most dangerous answer there is: it makes a signed artifact look unsigned. It is
//! believed only where the API says so in an index, or where both the API and the tag are answered
//! 404; everything else that is not a list is an error.

use std::collections::HashSet;

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::endpoint::Request;
use super::manifests::Freshness;
use super::pages::Pages;
use super::refusal;
use super::repository::Repository;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::manifest::{Descriptor, Document, media_type};
use crate::store::Store;

impl Repository {
    /// Lists what refers to `subject`, by either way. Registries that have the API but do not say
    /// so when a referrer is pushed (no `OCI-Subject`) make other tools write the tag too, so both
    /// are always read.
    pub(super) async fn list_referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let (by_api, by_tag) = tokio::join!(
            self.referrers_by_api(&subject.digest),
            self.tagged_list(&subject.digest, Freshness::Cached)
        );
        let mut listed = by_api?.unwrap_or_default();
        listed.extend(by_tag?.map(|list| list.index.manifests).unwrap_or_default());
        let mut seen = HashSet::new();
        listed.retain(|entry| seen.insert(entry.digest));
        check_count(listed.len(), &subject.digest)?;
        Ok(listed)
    }

    /// Lists what the referrers API says; `None` if the registry has no such API. The filter by
    /// artifact type is never asked for: what is attached is decided by looking at it.
    pub(super) async fn referrers_by_api(
        &self,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>> {
        let what = format!("the referrers of {}@{subject}", self.location());
        let action = format!("list {what}");
        let first = self.url(&format!("referrers/{subject}"))?;
        let mut pages = Pages::new(first, &action, Reason::TooManyReferrers);
        let mut listed: Option<Vec<Descriptor>> = None;
        while let Some(url) = pages.turn()? {
            let request = Request::new(Method::GET, url, &action)
                .field(ACCEPT, media_type::INDEX)?
                .reading(limits::MANIFEST);
            let answer = self.endpoint.send(&self.pull(), &request).await?;
            match answer.status() {
                StatusCode::OK => {}
                // Only of the first page can it mean that there is no such API.
                StatusCode::NOT_FOUND if listed.is_none() => return Ok(None),
                _ => return Err(refusal::failure(answer, &action).await.error),
            }
            pages.read(&answer)?;
            let entries = listed.get_or_insert_default();
            entries.extend(entries_of(&answer, &what)?);
            check_count(entries.len(), subject)?;
        }
        Ok(listed)
    }
}

/// Reads one page.
fn entries_of(page: &Answer, what: &str) -> Result<Vec<Descriptor>> {
    let outside = |why: &str| Error::new(Reason::RegistryProtocol, format!("{what} {why}"));
    if page.media_type().as_deref() != Some(media_type::INDEX) {
        return Err(outside("do not come as an image index"));
    }
    match Document::parse(&page.bytes(), media_type::INDEX, what)? {
        Document::Index(index) => Ok(index.manifests),
        Document::Manifest(_) => Err(outside("come as a manifest")),
    }
}

/// A flood must not hide the real ones.
pub(super) fn check_count(count: usize, subject: &Digest) -> Result<()> {
    if count <= limits::REFERRERS {
        return Ok(());
    }
    let message = format!(
        "{subject} has more than {} referrers; none was looked at",
        limits::REFERRERS
    );
    Err(Error::new(Reason::TooManyReferrers, message)
        .hint("remove what floods it from the registry"))
}
