//! Parts of blobs
//! ([distribution-spec, "Pulling blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-blobs);
//! [RFC 9110 §14](https://www.rfc-editor.org/rfc/rfc9110#section-14)).
//!
//! Each part asks the registry again instead of going where the last one was sent: links to a
//! store behind it are signed for minutes only. What is not exactly the part that was asked for is
//! refused here, whatever else it may be.

use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE};

use super::answer::Answer;
use super::endpoint::Request;
use super::repository::Repository;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::store::{Part, check_range};

/// Bytes of an `ETag` that are worth remembering.
const ETAG_BYTES: usize = 256;

impl Repository {
    /// Opens a part of a blob. A proxy that is still fetching the blob itself answers 200 with all
    /// of it (docker-registry does), which is no error.
    pub(super) async fn open_part(
        &self,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<Part> {
        check_range(descriptor, &range)?;
        let what = self.blob_name(descriptor);
        let version = self.version(&descriptor.digest);
        let request = self.part_request(descriptor, &range, version.as_deref())?;
        let answer = self.endpoint.send(&self.pull(), &request).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(wrong(&answer, &what, "says that the part is not there"));
            }
            _ => {
                let answer = self.accept_whole(answer, descriptor, &what).await?;
                return Ok(Part::Whole(answer.into_stream()));
            }
        }
        check_part(&answer, &range, descriptor.size, &what)?;
        if version.is_some_and(|known| etag(&answer).is_some_and(|now| now != known)) {
            return Err(wrong(&answer, &what, "has another version of it by now"));
        }
        self.remember_version(&descriptor.digest, &answer);
        let length = range.end - range.start;
        Ok(Part::exactly(answer.into_stream(), length, what))
    }

    fn part_request(
        &self,
        descriptor: &Descriptor,
        range: &Range<u64>,
        version: Option<&str>,
    ) -> Result<Request> {
        let action = format!("fetch {}", self.blob_name(descriptor));
        let last = range.end.saturating_sub(1);
        let bytes = format!("bytes={}-{last}", range.start);
        let request = self
            .content_request(descriptor, &action)?
            .field(RANGE, &bytes)?;
        match version {
            Some(version) => request.field(IF_RANGE, version),
            None => Ok(request),
        }
    }

    /// Returns the version of a blob that the registry had when it was last asked for it.
    fn version(&self, digest: &Digest) -> Option<String> {
        self.versions.lock().ok()?.get(digest).cloned()
    }

    /// Remembers the version of a blob, if the registry says one.
    pub(super) fn remember_version(&self, digest: &Digest, answer: &Answer) {
        if let (Some(etag), Ok(mut versions)) = (etag(answer), self.versions.lock()) {
            versions.insert(*digest, etag.to_owned());
        }
    }
}

/// Returns the answer's `ETag`, if it is a strong one: only these name exact bytes
/// ([RFC 9110 §8.8.3](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3)).
fn etag(answer: &Answer) -> Option<&str> {
    let etag = answer.field(&ETAG)?.trim();
    let opaque = etag.strip_prefix('"')?.strip_suffix('"')?;
    (etag.len() <= ETAG_BYTES && !opaque.contains('"')).then_some(etag)
}

/// Checks that a 206 is the one part that was asked for.
fn check_part(answer: &Answer, range: &Range<u64>, size: u64, what: &str) -> Result<()> {
    if answer
        .media_type()
        .is_some_and(|media_type| media_type.starts_with("multipart/"))
    {
        return Err(wrong(answer, what, "answers with several parts"));
    }
    let last = range.end.saturating_sub(1);
    let expected = format!("bytes {}-{last}/{size}", range.start);
    let mut said = answer.fields(&CONTENT_RANGE);
    if (said.next(), said.next()) != (Some(Some(&expected)), None) {
        return Err(wrong(answer, what, "answers with another part"));
    }
    match answer.length() {
        Some(length) if length != range.end - range.start => {
            Err(wrong(answer, what, "answers with a part of another length"))
        }
        _ => Ok(()),
    }
}

fn wrong(answer: &Answer, what: &str, how: &str) -> Error {
    let message = format!("asked for a part of {what}, {} {how}", answer.origin());
    Error::new(Reason::RegistryProtocol, message)
}
