//! Uploads: a session, the content, and the digest that closes it
//! ([distribution-spec, "Pushing blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs)).
//!
//! One `PUT` is tried first: every registry takes it, and it is the fastest. Where something on
//! the way limits the size of a request, the content goes in pieces. A broken upload starts over,
//! because registries were seen to keep a session that no longer continues where it says.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RANGE,
};
use reqwest::{Body, Method, StatusCode, Url};

use super::answer::Answer;
use super::endpoint::Request;
use super::feed::{self, Source};
use super::http::Call;
use super::login::{Pass, Renewed};
use super::origin::Origin;
use super::repository::Repository;
use super::retry::{Again, Failure};
use super::{referral, refusal};
use crate::blob::Content;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::Meter;

/// The field by which a registry asks for larger pieces.
const MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// At what rate a registry is supposed to move a blob to where it stays, after it has all of it.
const SETTLING_BYTES_PER_SECOND: u64 = 8 << 20;

/// In how many requests the content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Pieces(u64),
}

impl Way {
    /// Returns what to try when a request was too large: ghcr.io takes 4 MiB at once.
    fn smaller(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Pieces(16 << 20)),
            Self::Pieces(size) if size > 4 << 20 => Some(Self::Pieces(4 << 20)),
            Self::Pieces(_) => None,
        }
    }
}

/// Why an upload did not succeed.
enum Trouble {
    Failed(Failure),
    /// A request had more content than something on the way lets through.
    TooLarge(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Where an upload goes on.
struct Session {
    url: Url,
    min_length: u64,
}

/// One blob on its way to a repository.
struct Upload<'a> {
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    content: &'a dyn Content,
    meter: &'a dyn Meter,
    action: String,
    renewed: bool,
}

impl Repository {
    /// Uploads a blob.
    pub(super) async fn upload(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()> {
        let mut upload = Upload {
            repository: self,
            descriptor,
            content,
            meter,
            action: format!("upload {}", self.blob_name(descriptor)),
            renewed: false,
        };
        let mut way = Way::Whole;
        let mut backoff = self.endpoint.backoff();
        loop {
            match upload.attempt(way).await {
                Ok(()) => return Ok(()),
                Err(Trouble::TooLarge(error)) => way = way.smaller().ok_or(error)?,
                Err(Trouble::Failed(failure)) => {
                    let progress = self.endpoint.progress();
                    backoff.wait(failure, &upload.action, progress).await?;
                }
            }
            meter.reset();
        }
    }

    /// Ends the session that a registry opened instead of mounting; if that fails, the registry
    /// forgets it in time.
    pub(super) async fn cancel(&self, request: &Request, opened: &Answer) {
        let registry = self.endpoint.origin();
        let location = opened.field(&LOCATION).unwrap_or_default();
        let Ok(url) = referral::upload(registry, request.url(), location) else {
            return;
        };
        if Origin::of(&url).ok().as_ref() != Some(registry) {
            return;
        }
        let pass = self.endpoint.pass(&self.push()).await;
        let call = Call {
            method: Method::DELETE,
            url,
            headers: HeaderMap::new(),
            body: Body::default(),
            authorization: pass.as_ref().map(Pass::authorization),
            wait: self.endpoint.stall(),
        };
        if let Err(error) = self.endpoint.exchange(call).await {
            tracing::debug!(%error, "a session was left behind");
        }
    }
}

impl<'a> Upload<'a> {
    async fn attempt(&mut self, way: Way) -> Result<(), Trouble> {
        let session = self.begin().await.map_err(Failure::last)?;
        let mut source = self.open().await.map_err(Failure::last)?;
        match way {
            Way::Whole => self.whole(session, &mut source).await,
            Way::Pieces(size) => self.pieces(session, &mut source, size).await,
        }
    }

    /// Opens a session.
    async fn begin(&self) -> Result<Session> {
        let url = self.repository.url("blobs/uploads/")?;
        let request = Request::new(Method::POST, url, &self.action).field(CONTENT_LENGTH, "0")?;
        let scope = self.repository.push();
        let answer = self.repository.endpoint.send(&scope, &request).await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(refusal::failure(answer, &self.action).await.error);
        }
        let min_length = answer
            .field(&MIN_LENGTH)
            .and_then(|field| field.parse().ok());
        Ok(Session {
            url: self.location(request.url(), &answer)?.ok_or_else(|| {
                let message = format!("cannot {}: the registry does not say where", self.action);
                Error::new(Reason::RegistryProtocol, message)
            })?,
            min_length: min_length.unwrap_or(0),
        })
    }

    /// Returns where an answer to a request for `from` says that the upload goes on.
    fn location(&self, from: &Url, answer: &Answer) -> Result<Option<Url>> {
        let registry = self.repository.endpoint.origin();
        let location = answer.field(&LOCATION);
        location
            .map(|to| referral::upload(registry, from, to))
            .transpose()
    }

    /// Opens the content, which must be as large as was said.
    async fn open(&self) -> Result<Source<'a>> {
        let blob = self.content.open().await?;
        if blob.size() != self.descriptor.size {
            let message = format!(
                "cannot {}: the content has {} bytes, not {}",
                self.action,
                blob.size(),
                self.descriptor.size
            );
            return Err(Error::new(Reason::SizeMismatch, message));
        }
        Ok(Source::new(blob, self.meter))
    }

    async fn whole(&mut self, session: Session, source: &mut Source<'_>) -> Result<(), Trouble> {
        let url = self.closing(session.url);
        let size = self.descriptor.size;
        let answer = self
            .send(Method::PUT, url, octets(size), source, size)
            .await?;
        match answer.status() {
            StatusCode::PAYLOAD_TOO_LARGE if size > 0 => Err(self.too_large(answer).await),
            _ => Ok(self.close(answer).await?),
        }
    }

    async fn pieces(
        &mut self,
        mut session: Session,
        source: &mut Source<'_>,
        size: u64,
    ) -> Result<(), Trouble> {
        let size = size.max(session.min_length);
        let mut sent = 0;
        while sent < self.descriptor.size {
            let length = size.min(self.descriptor.size - sent);
            let end = sent + length - 1;
            let headers = range(octets(length), sent, end);
            let url = session.url.clone();
            let answer = self
                .send(Method::PATCH, url, headers, source, length)
                .await?;
            match answer.status().as_u16() {
                // 202 by the specification, 201 from Amazon ECR, 204 from some.
                201 | 202 | 204 => {}
                413 | 416 if sent == 0 => return Err(self.too_large(answer).await),
                _ => return Err(self.refused(answer).await.into()),
            }
            self.check_range(&answer, end, size)?;
            let next = self
                .location(&session.url, &answer)
                .map_err(Failure::last)?;
            session.url = next.unwrap_or(session.url);
            sent += length;
        }
        let url = self.closing(session.url);
        let answer = self.send(Method::PUT, url, octets(0), source, 0).await?;
        Ok(self.close(answer).await?)
    }

    /// What the registry has must be what was sent; else the rest would come to lie elsewhere.
    /// Amazon ECR goes on telling the end of the first piece, having all of them
    /// ([aws/containers-roadmap#2831](https://github.com/aws/containers-roadmap/issues/2831)), so
    /// an earlier piece's end is borne with: the digest, in the end, decides.
    fn check_range(&self, answer: &Answer, end: u64, piece: u64) -> Result<(), Failure> {
        let Some(range) = answer.field(&RANGE) else {
            return Ok(());
        };
        let range = range.strip_prefix("bytes=").unwrap_or(range);
        let has = range
            .strip_prefix("0-")
            .and_then(|has| has.parse::<u64>().ok());
        let is_earlier = |has: u64| has < end && has.checked_add(1).is_some_and(|n| n % piece == 0);
        if has.is_some_and(|has| has == end || is_earlier(has)) {
            return Ok(());
        }
        let message = format!("cannot {}: the registry lost a part of it", self.action);
        Err(Failure::passing(Error::new(
            Reason::RegistryFailed,
            message,
        )))
    }

    /// Returns the URL that ends an upload.
    fn closing(&self, mut url: Url) -> Url {
        let digest = self.descriptor.digest.to_string();
        url.query_pairs_mut().append_pair("digest", &digest);
        url
    }

    /// Judges the answer to the request that ends an upload.
    async fn close(&self, answer: Answer) -> Result<(), Failure> {
        if answer.status() == StatusCode::CREATED {
            let what = self.repository.blob_name(self.descriptor);
            return Ok(answer.check_digest(&self.descriptor.digest, &what)?);
        }
        Err(self.refused(answer).await)
    }

    async fn too_large(&self, answer: Answer) -> Trouble {
        let failure = refusal::failure(answer, &self.action).await;
        Trouble::TooLarge(failure.error)
    }

    /// An unknown session, or one that does not continue where it should, is begun anew.
    async fn refused(&self, answer: Answer) -> Failure {
        let lost = matches!(answer.status().as_u16(), 404 | 416);
        let failure = refusal::failure(answer, &self.action).await;
        match lost {
            true => Failure::passing(failure.error),
            false => failure,
        }
    }

    /// Sends the next `length` bytes of `source`. Refusals are failures, and a token that has
    /// expired is renewed once for the next attempt.
    async fn send(
        &mut self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        source: &mut Source<'_>,
        length: u64,
    ) -> Result<Answer, Failure> {
        let endpoint = &self.repository.endpoint;
        let scope = self.repository.push();
        let pass = endpoint.pass(&scope).await;
        let (sender, body) = match length {
            0 => (None, Body::default()),
            _ => {
                let (sender, body) = feed::body();
                (Some(sender), body)
            }
        };
        let call = Call {
            method,
            url,
            headers,
            body,
            authorization: pass.as_ref().map(Pass::authorization),
            // The time that the body takes is watched where it is fed.
            wait: Duration::MAX,
        };
        let answer = self.exchange(call, source, sender, length).await?;
        let ours = answer.origin() == endpoint.origin();
        if answer.status() == StatusCode::UNAUTHORIZED && ours && !self.renewed {
            let shown = pass.as_ref();
            let signed_in = endpoint.sign_in(&scope, &answer, shown, &self.action);
            self.renewed = matches!(signed_in.await?, Renewed::New(_));
            let again = Again::After(Duration::ZERO);
            let error = refusal::failure(answer, &self.action).await.error;
            return Err(Failure { error, again });
        }
        endpoint.judge(answer, pass.as_ref(), &self.action).await
    }

    /// Sends and feeds a call at the same time.
    async fn exchange(
        &self,
        call: Call<'_>,
        source: &mut Source<'_>,
        sender: Option<tokio::sync::mpsc::Sender<Bytes>>,
        length: u64,
    ) -> Result<Answer> {
        let endpoint = &self.repository.endpoint;
        let exchange = endpoint.exchange(call);
        tokio::pin!(exchange);
        if let Some(sender) = sender {
            tokio::select! {
                // An answer before the end is a refusal, or the connection broke.
                answer = &mut exchange => return answer,
                fed = source.feed(length, sender, endpoint.stall()) => {
                    fed.map_err(|error| error.at(format!("cannot {}", self.action)))?;
                }
            }
        }
        let settling = Duration::from_secs(self.descriptor.size / SETTLING_BYTES_PER_SECOND);
        let wait = endpoint.stall().saturating_add(settling);
        tokio::time::timeout(wait, exchange).await.map_err(|_| {
            let message = format!("cannot {}: no answer for {} s", self.action, wait.as_secs());
            Error::new(Reason::TimedOut, message)
        })?
    }
}

fn octets(length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, octets);
    headers.insert(CONTENT_LENGTH, length.into());
    headers
}

/// Adds the range of a piece, which the distribution-spec writes without a unit.
fn range(mut headers: HeaderMap, start: u64, end: u64) -> HeaderMap {
    // Two numbers and a hyphen are always a valid field.
    if let Ok(range) = HeaderValue::from_str(&format!("{start}-{end}")) {
        headers.insert(CONTENT_RANGE, range);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_get_smaller_and_end() {
        let mut way = Some(Way::Whole);
        let mut sizes = Vec::new();
        while let Some(Way::Pieces(size)) = way.and_then(Way::smaller) {
            sizes.push(size >> 20);
            way = Some(Way::Pieces(size));
        }
        assert_eq!(sizes, [16, 4]);
    }
}
