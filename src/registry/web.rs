//! Services that are no registries (certificate authorities, logs, identity providers), asked with
//! the same client: the same proxies and CAs, the same limits, the same patience.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Body, Method, StatusCode, Url};

use super::http::{Authorization, Call, Http};
use super::origin::{Origin, Scheme};
use super::retry::{Backoff, Failure};
use super::{Settings, refusal};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::progress::Progress;
use crate::secret::Secret;

/// As many characters of a secret as tell that it is one.
const TELLING: usize = 16;

/// Asks services.
pub struct Web {
    http: Http,
    progress: Arc<dyn Progress>,
}

/// A question to a service. It may be asked more than once.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The body and its media type.
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// The media type that is wanted.
    pub(crate) accept: &'static str,
    /// A secret to show, whatever its scheme calls it.
    pub(crate) bearer: Option<&'a Secret>,
    /// A secret in the body. Like the other one, no error repeats it.
    pub(crate) hidden: Option<&'a Secret>,
    /// What this is for: it completes "cannot …" in errors.
    pub(crate) action: &'a str,
}

/// What a service answered: that it did what it was asked to, or had done it before.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

impl Web {
    /// Returns a client of services with the CA, proxies, patience and progress of `settings`;
    /// credentials and client certificates are the registries' only.
    pub fn new(settings: &Settings) -> Result<Self> {
        let ca_pem = settings.ca_pem.as_deref();
        Ok(Self {
            http: Http::new(ca_pem, None, settings.patience, settings)?,
            progress: Arc::clone(&settings.progress),
        })
    }

    /// Asks until there is an answer or no hope of one. An answer other than success is an error,
    /// except that something is there already.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Reply> {
        let mut backoff = Backoff::new(self.http.patience().retry);
        loop {
            match self.ask_once(question).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => {
                    backoff
                        .wait(failure, question.action, &*self.progress)
                        .await?
                }
            }
        }
    }

    async fn ask_once(&self, question: &Question<'_>) -> Result<Reply, Failure> {
        let target = Origin::of(&question.url)?;
        check_private(&target)?;
        let authorization = question
            .bearer
            .map(|secret| Authorization::new(&target, &format!("Bearer {}", secret.expose())))
            .transpose()?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(question.accept));
        let body = match &question.body {
            Some((kind, body)) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                Body::from(body.clone())
            }
            None => Body::default(),
        };
        let call = Call {
            method: question.method.clone(),
            url: question.url.clone(),
            headers,
            body,
            authorization: authorization.as_ref(),
            wait: self.http.patience().stall,
        };
        let answer = self.http.exchange(&target, call).await?;
        let status = answer.status();
        if !status.is_success() && status != StatusCode::CONFLICT {
            let failure = refusal::failure(answer, question.action).await;
            return Err(question.conceal(failure));
        }
        let answer = answer.read(limits::SMALL_BODY, question.action).await?;
        Ok(Reply {
            status,
            location: answer.field(&LOCATION).map(str::to_owned),
            body: answer.bytes(),
        })
    }
}

impl Question<'_> {
    /// Leaves out what a service said if it repeats a secret: errors are logged.
    fn conceal(&self, failure: Failure) -> Failure {
        let text = failure.error.to_string();
        // Words are cut off, so that the whole secret may not be there.
        let repeats = |secret: &&Secret| {
            let start: String = secret.expose().chars().take(TELLING).collect();
            !start.is_empty() && text.contains(&start)
        };
        if ![self.bearer, self.hidden].iter().flatten().any(repeats) {
            return failure;
        }
        let message = format!(
            "cannot {}: what the service says is not shown, because it repeats a secret",
            self.action
        );
        Failure {
            error: Error::new(failure.error.reason(), message),
            again: failure.again,
        }
    }
}

/// Refuses to send tokens and to take certificates where others can read and change them.
fn check_private(target: &Origin) -> Result<()> {
    if target.scheme() == Scheme::Https || target.is_loopback() {
        return Ok(());
    }
    let message = format!("{target} is not asked: it does not speak TLS");
    Err(Error::new(Reason::CredentialsWithheld, message).hint("name it by an `https:` address"))
}
