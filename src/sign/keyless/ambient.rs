//! Tokens that a CI system gives to its jobs when they ask.

use jiff::Timestamp;
use reqwest::{Method, Url};
use serde::Deserialize;

use super::token::{AUDIENCE, IdentityToken};
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::registry::web::{Question, Web};
use crate::secret::Secret;

/// Where a job of GitHub Actions gets its token
/// ([OIDC reference](https://docs.github.com/en/actions/reference/security/oidc)).
#[derive(Debug, Clone)]
pub struct GithubActions {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub secret: Secret,
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl GithubActions {
    /// Returns a token for Sigstore, which is valid at `now`.
    pub async fn token(&self, web: &Web, now: Timestamp) -> Result<IdentityToken> {
        let refuse = |what: &str| Error::new(Reason::IdentityTokenInvalid, what);
        let mut url = Url::parse(&self.url).map_err(|error| {
            refuse("`ACTIONS_ID_TOKEN_REQUEST_URL` is not an address").because(error)
        })?;
        url.query_pairs_mut().append_pair("audience", AUDIENCE);
        let question = Question {
            method: Method::GET,
            url,
            body: None,
            accept: "application/json",
            bearer: Some(&self.secret),
            hidden: None,
            action: "get an identity token from GitHub Actions",
        };
        let reply = web.ask(&question).await?;
        // The error might quote the token.
        let answer: Answer = json::parse(&reply.body, "the answer")
            .map_err(|_| refuse("GitHub Actions answers without an identity token"))?;
        let token = IdentityToken::parse(Secret::new(answer.value))?;
        token.check_valid_at(now)?;
        Ok(token)
    }
}
