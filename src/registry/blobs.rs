//! Blobs: looked for, opened, mounted. What is opened is checked by whoever reads it.

use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::endpoint::Request;
use super::refusal;
use super::repository::Repository;
use super::scope::Scope;
use crate::blob::Blob;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::reference::Location;
use crate::store::Store;

/// Blobs up to this size are read when they are opened; bundles and configs are.
const SMALL: u64 = 256 << 10;

impl Repository {
    /// Whether the registry has the blob, with the right size if it says one.
    pub(super) async fn find_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        let action = format!("look for {}", self.blob_name(descriptor));
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let request = Request::new(Method::HEAD, url, &action).following();
        let answer = self.endpoint.send(&self.pull(), &request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer
                .length()
                .is_none_or(|length| length == descriptor.size)),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refusal::failure(answer, &action).await.error),
        }
    }

    /// Opens the blob.
    pub(super) async fn open_blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let what = self.blob_name(descriptor);
        let mut request = self.content_request(descriptor, &format!("fetch {what}"))?;
        // Who opens a small one reads it at once: if that breaks, it can be asked for again here.
        if descriptor.size <= SMALL {
            request = request.gathering(descriptor.size);
        }
        let answer = self.endpoint.send(&self.pull(), &request).await?;
        let answer = self.accept_whole(answer, descriptor, &what).await?;
        Ok(Blob::new(descriptor, what, answer.into_stream()))
    }

    /// Checks that an answer is a whole blob, of the right size if it says one.
    pub(super) async fn accept_whole(
        &self,
        answer: Answer,
        descriptor: &Descriptor,
        what: &str,
    ) -> Result<Answer> {
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let message = format!("there is no {what}");
                return Err(Error::new(Reason::BlobNotFound, message));
            }
            StatusCode::PARTIAL_CONTENT => return Err(partial(&answer, what)),
            _ => {
                let action = format!("fetch {what}");
                return Err(refusal::failure(answer, &action).await.error);
            }
        }
        let multipart = answer
            .media_type()
            .is_some_and(|m| m.starts_with("multipart/"));
        if multipart || answer.field(&CONTENT_RANGE).is_some() {
            return Err(partial(&answer, what));
        }
        if let Some(length) = answer.length().filter(|length| *length != descriptor.size) {
            let message = format!("{what} has {length} bytes, not {}", descriptor.size);
            return Err(Error::new(Reason::SizeMismatch, message));
        }
        self.remember_version(&descriptor.digest, &answer);
        Ok(answer)
    }

    /// Asks the registry to take the blob from another of its repositories; `false` means that it
    /// did not, for whatever reason of its own.
    pub(super) async fn mount(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        let (Location::Registry { host, repository }, Location::Registry { host: ours, .. }) =
            (from, self.location())
        else {
            return Ok(false);
        };
        if host != ours || *repository == self.name {
            return Ok(false);
        }
        let what = self.blob_name(descriptor);
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut()
            .append_pair("mount", &descriptor.digest.to_string())
            .append_pair("from", repository);
        let request = Request::new(Method::POST, url, format!("mount {what}"));
        let scope = Scope::Mount {
            to: self.name.clone(),
            from: repository.clone(),
        };
        let answer = match self.endpoint.send(&scope, &request).await {
            Ok(answer) => answer,
            // Not being let in to the other repository does not forbid to upload to this one.
            Err(error) if is_denial(error.reason()) => return Ok(false),
            Err(error) => return Err(error),
        };
        match answer.status() {
            StatusCode::CREATED => {
                answer.check_digest(&descriptor.digest, &what)?;
                Ok(true)
            }
            StatusCode::ACCEPTED => {
                self.cancel(&request, &answer).await;
                Ok(false)
            }
            status => {
                tracing::debug!(%what, status = status.as_u16(), "not mounted");
                Ok(false)
            }
        }
    }

    /// Returns a blob's name for people.
    pub(super) fn blob_name(&self, descriptor: &Descriptor) -> String {
        format!("the blob {}@{}", self.location(), descriptor.digest)
    }
}

fn is_denial(reason: Reason) -> bool {
    use Reason::{CredentialsWithheld, Forbidden, Unauthorised};
    matches!(reason, CredentialsWithheld | Forbidden | Unauthorised)
}

fn partial(answer: &Answer, what: &str) -> Error {
    let message = format!("{} answers with a part of {what}, unasked", answer.origin());
    Error::new(Reason::RegistryProtocol, message)
}
