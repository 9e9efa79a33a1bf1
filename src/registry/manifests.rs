//! Manifests and indexes: fetched, hashed, then read; stored, then looked at again.

use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName};
use reqwest::{Method, StatusCode};

use super::answer::Answer;
use super::endpoint::Request;
use super::refusal;
use super::repository::Repository;
use super::retry::Failure;
use crate::backoff::jitter;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::manifest::is_document;
use crate::reference::{Selector, Tag};
use crate::store::{RawDocument, Store};

/// The field in which a registry says that it lists a manifest among its subject's referrers.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The four kinds that can be read.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.oci.image.index.v1+json, \
                        application/vnd.docker.distribution.manifest.v2+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json";

/// How often a manifest is looked for after it was stored: a cache may be behind.
const LOOKS: u32 = 3;

/// Whether caches on the way may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Cached,
    Fresh,
}

/// A manifest or index, and what the registry said about it.
pub(super) struct Fetched {
    pub(super) document: RawDocument,
    /// The strong validator of this version, if the registry has such.
    pub(super) etag: Option<String>,
}

/// What became of a put that had conditions.
pub(super) enum Put {
    Stored,
    /// A condition did not hold (412).
    Unmet,
}

impl Repository {
    /// Fetches what `selector` names.
    pub(super) async fn fetch_manifest(&self, selector: &Selector) -> Result<RawDocument> {
        let mut fetched = self.fetch(selector, Freshness::Cached).await;
        // A cache may have kept other bytes than the registry has (R37); it is asked once more.
        if let (Err(error), Selector::Digest(_)) = (&fetched, selector)
            && error.reason() == Reason::DigestMismatch
        {
            fetched = self.fetch(selector, Freshness::Fresh).await;
        }
        match fetched? {
            Some(fetched) => Ok(fetched.document),
            None => Err(Error::new(
                Reason::ReferenceNotFound,
                format!("there is no manifest {}", self.named(selector)),
            )
            .hint(format!(
                "`modelctl list {}` shows what is there",
                self.location()
            ))),
        }
    }

    /// Fetches what `selector` names, or `None` if the registry clearly says that it has none.
    pub(super) async fn fetch(
        &self,
        selector: &Selector,
        freshness: Freshness,
    ) -> Result<Option<Fetched>> {
        let what = self.named(selector);
        let action = format!("fetch the manifest {what}");
        let url = self.url(&format!("manifests/{selector}"))?;
        let mut request = Request::new(Method::GET, url, &action)
            .field(ACCEPT, ACCEPTED)?
            .following()
            .reading(limits::MANIFEST);
        if freshness == Freshness::Fresh {
            request = request.field(CACHE_CONTROL, "no-cache")?;
        }
        let answer = self.endpoint.send(&self.pull(), &request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(refusal::failure(answer, &action).await.error),
        }
        let media_type = kind(&answer, &what)?;
        let expected = match selector {
            Selector::Digest(digest) => Some(digest),
            Selector::Tag(_) => None,
        };
        // The bytes are hashed before they are read, and what the registry says about them is
        // no more than a cross-check.
        answer.check_digest(
            &Digest::of(&answer.bytes()),
            &format!("the manifest {what}"),
        )?;
        let etag = answer.field(&ETAG).filter(|etag| etag.starts_with('"'));
        Ok(Some(Fetched {
            document: RawDocument::read(answer.bytes(), &media_type, expected, &what)?,
            etag: etag.map(str::to_owned),
        }))
    }

    /// Stores a document, lists it among its subject's referrers, and tags it.
    pub(super) async fn store_manifest(
        &self,
        document: &RawDocument,
        tag: Option<&Tag>,
    ) -> Result<()> {
        let digest = *document.digest();
        let by_digest = Selector::Digest(digest);
        let by_tag = tag.map(|tag| Selector::Tag(tag.clone()));
        let subject = document.document().subject();
        // What a tag names is stored by its digest too, so one put does for both; but a referrer
        // is listed before it is tagged.
        if by_tag.is_none() || subject.is_some() {
            let answer = self.put(&by_digest, document).await?;
            if let Some(subject) = subject {
                let said = answer.field(&OCI_SUBJECT).map(str::parse::<Digest>);
                if !matches!(said, Some(Ok(listed)) if listed == subject.digest) {
                    self.list_among_referrers(subject, document).await?;
                }
            }
        }
        let Some(by_tag) = by_tag else {
            return self.confirm(&by_digest, &digest).await;
        };
        self.put(&by_tag, document).await?;
        self.confirm(&by_tag, &digest).await
    }

    /// Puts a document where `selector` says.
    async fn put(&self, selector: &Selector, document: &RawDocument) -> Result<Answer> {
        let request = self.put_request(selector, document)?;
        let answer = self.endpoint.send(&self.push(), &request).await?;
        let taken = self.taken(answer, selector, document).await;
        taken.map_err(|failure| failure.error)
    }

    /// Puts a document where `selector` says, in a single try; `conditions` are fields that make
    /// the registry refuse if something else is there than we think.
    pub(super) async fn put_once(
        &self,
        selector: &Selector,
        document: &RawDocument,
        conditions: &[(HeaderName, String)],
    ) -> Result<Put, Failure> {
        let mut request = self.put_request(selector, document)?;
        for (name, value) in conditions {
            request = request.field(name.clone(), value)?;
        }
        let answer = self.endpoint.attempt(&self.push(), &request).await?;
        if !conditions.is_empty() && answer.status() == StatusCode::PRECONDITION_FAILED {
            return Ok(Put::Unmet);
        }
        self.taken(answer, selector, document).await?;
        Ok(Put::Stored)
    }

    fn put_request(&self, selector: &Selector, document: &RawDocument) -> Result<Request> {
        let action = format!("store the manifest {}", self.named(selector));
        let url = self.url(&format!("manifests/{selector}"))?;
        Ok(Request::new(Method::PUT, url, &action)
            .field(CONTENT_TYPE, &document.descriptor().media_type)?
            .body(document.bytes().clone()))
    }

    /// Judges the answer to a put: 201 by the specification, 200 and 202 from registries older
    /// than it.
    async fn taken(
        &self,
        answer: Answer,
        selector: &Selector,
        document: &RawDocument,
    ) -> Result<Answer, Failure> {
        let what = format!("the manifest {}", self.named(selector));
        if !matches!(answer.status().as_u16(), 200..=202) {
            return Err(refusal::failure(answer, &format!("store {what}")).await);
        }
        answer.check_digest(document.digest(), &what)?;
        Ok(answer)
    }

    /// Looks whether the registry gives back, for `selector`, what it said it had stored.
    async fn confirm(&self, selector: &Selector, digest: &Digest) -> Result<()> {
        let mut found = None;
        for _ in 0..LOOKS {
            found = self.fetch(selector, Freshness::Fresh).await?;
            if matches!(&found, Some(found) if found.document.digest() == digest) {
                return Ok(());
            }
            tokio::time::sleep(jitter(self.endpoint.retry_wait())).await;
        }
        let what = self.named(selector);
        match found {
            None => Err(Error::new(
                Reason::RegistryProtocol,
                format!("the registry took the manifest {what} but does not have it"),
            )),
            Some(found) => Err(Error::new(
                Reason::DigestMismatch,
                format!(
                    "after the push {what} is {}, not {digest}",
                    found.document.digest()
                ),
            )
            .hint("somebody else may have moved the tag at the same time; look and push again")),
        }
    }

    /// Returns a document's name for people.
    pub(super) fn named(&self, selector: &Selector) -> String {
        match selector {
            Selector::Tag(tag) => format!("{}:{tag}", self.location()),
            Selector::Digest(digest) => format!("{}@{digest}", self.location()),
        }
    }
}

/// Returns the answer's media type, which must be one that was asked for.
fn kind(answer: &Answer, what: &str) -> Result<String> {
    let media_type = answer.media_type().unwrap_or_default();
    if is_document(&media_type) {
        return Ok(media_type);
    }
    let shown: String = media_type.chars().take(100).collect();
    // Docker's first schema and foreign artifacts are content that we refuse; a web page, or
    // nothing, is not the protocol.
    let reason = match media_type.starts_with("application/vnd.") {
        true => Reason::ManifestInvalid,
        false => Reason::RegistryProtocol,
    };
    let message = format!("the manifest {what} comes as {shown:?}, not as a manifest or index");
    Err(Error::new(reason, message))
}
