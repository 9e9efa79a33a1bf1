//! The list of referrers under a tag, for registries without the referrers API
//! ([distribution-spec, "Referrers tag schema"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema)).
//!
//! The tag is read, changed and written by every tool that attaches something, and most registries
//! have nothing that keeps two of them from undoing each other's work. So a writer here keeps the
//! time between its read and its write as short as it can, and then looks again, several times and
//! for longer than another writer needs, whether its entry is still there.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::manifests::{Freshness, Put};
use super::referrers::check_count;
use super::repair::Repairs;
use super::repository::Repository;
use super::retry::Failure;
use crate::backoff::jitter;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::{Descriptor, Document, Index, media_type};
use crate::reference::{Selector, Tag};
use crate::store::{RawDocument, Store};

/// Writes before giving up against others.
const WRITES: u32 = 8;

/// Looks that must find the entry after it was written.
const CONFIRMATIONS: u32 = 3;

/// The shortest wait between two looks: on a fast network it is the other writer's process, not
/// its packets, that takes time between reading and writing.
const SHORTEST_WAIT: Duration = Duration::from_millis(25);

/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// A list of referrers as it is under its tag.
pub(super) struct TaggedList {
    pub(super) index: Index,
    digest: Digest,
    etag: Option<String>,
}

impl Repository {
    /// Fetches the list of `subject`'s referrers, or `None` if there is clearly no such tag.
    pub(super) async fn tagged_list(
        &self,
        subject: &Digest,
        freshness: Freshness,
    ) -> Result<Option<TaggedList>> {
        let selector = Selector::Tag(Tag::for_referrers(subject));
        let Some(fetched) = self.fetch(&selector, freshness).await? else {
            return Ok(None);
        };
        let digest = *fetched.document.digest();
        let Document::Index(index) = fetched.document.document().clone() else {
            let message = format!("{} is not a list of referrers", self.named(&selector));
            return Err(Error::new(Reason::ManifestInvalid, message)
                .hint("something else was pushed under this tag, which is reserved"));
        };
        Ok(Some(TaggedList {
            index,
            digest,
            etag: fetched.etag,
        }))
    }

    /// Lists `document` among the referrers of `subject`, which the registry did not say it did.
    pub(super) async fn list_among_referrers(
        &self,
        subject: &Descriptor,
        document: &RawDocument,
    ) -> Result<()> {
        let by_api = self.referrers_by_api(&subject.digest).await?;
        let listed = |entry: &Descriptor| entry.digest == *document.digest();
        if by_api.is_some_and(|entries| entries.iter().any(listed)) {
            return Ok(());
        }
        let _alone = self.endpoint.list_writer.lock().await;
        let entry = document.referrer_descriptor();
        Writer::new(self, subject.digest, entry).run().await
    }
}

/// One entry on its way into a list.
struct Writer<'a> {
    repository: &'a Repository,
    subject: Digest,
    entry: Descriptor,
    repairs: Repairs,
    writes: u32,
    /// The longest that a request took: how long others may need between read and write.
    round_trip: Duration,
    conditions: Conditions,
}

/// Whether writes are made to depend on what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Set,
    /// The registry refuses even those that hold.
    Broken,
}

impl<'a> Writer<'a> {
    fn new(repository: &'a Repository, subject: Digest, entry: Descriptor) -> Self {
        Self {
            repository,
            subject,
            entry,
            repairs: Repairs::new(subject),
            writes: 0,
            round_trip: Duration::ZERO,
            conditions: Conditions::Set,
        }
    }

    async fn run(mut self) -> Result<()> {
        let mut backoff = self.repository.endpoint.backoff();
        let mut confirmed = 0;
        let mut refused = None;
        loop {
            let current = self.look().await?;
            if self.is_in(current.as_ref()) {
                if self.writes == 0 || confirmed == CONFIRMATIONS {
                    return Ok(());
                }
                confirmed += 1;
                self.pause().await;
                continue;
            }
            // What is learned takes time, in which the list may change.
            if self
                .repairs
                .learn(self.repository, current.as_ref().map(|c| &c.index))
                .await
            {
                continue;
            }
            let base = current.as_ref().map(|current| current.digest);
            if refused == Some(base) {
                self.conditions = Conditions::Broken;
            }
            confirmed = 0;
            self.count_write()?;
            match self.write(current).await? {
                Ok(Put::Stored) => {}
                Ok(Put::Unmet) => refused = Some(base),
                Err(failure) => {
                    let (endpoint, action) = (&self.repository.endpoint, self.action());
                    backoff.wait(failure, &action, endpoint.progress()).await?;
                    continue;
                }
            }
            self.pause().await;
        }
    }

    async fn look(&mut self) -> Result<Option<TaggedList>> {
        let started = Instant::now();
        let list = self
            .repository
            .tagged_list(&self.subject, Freshness::Fresh)
            .await?;
        self.round_trip = self.round_trip.max(started.elapsed());
        Ok(list)
    }

    /// Whether our entry is in the list; before we wrote it, it must be there as we would write it.
    fn is_in(&self, current: Option<&TaggedList>) -> bool {
        let entries = current.map_or(&[][..], |current| &current.index.manifests);
        let entry = entries
            .iter()
            .find(|entry| entry.digest == self.entry.digest);
        entry.is_some_and(|entry| self.writes > 0 || *entry == self.entry)
    }

    /// Writes the list with our entry, once: a second try must begin with a look.
    async fn write(&mut self, current: Option<TaggedList>) -> Result<Result<Put, Failure>> {
        let conditions = self.conditions(current.as_ref());
        let document = self.compose(current.map(|current| current.index))?;
        let selector = Selector::Tag(Tag::for_referrers(&self.subject));
        let started = Instant::now();
        let put = self
            .repository
            .put_once(&selector, &document, &conditions)
            .await;
        self.round_trip = self.round_trip.max(started.elapsed());
        Ok(put)
    }

    /// Returns the list with our entry, everybody else's, and those repaired that are wrong.
    fn compose(&self, current: Option<Index>) -> Result<RawDocument> {
        let mut index = current.unwrap_or_else(|| Index::new(Vec::new()));
        index.media_type = media_type::INDEX.to_owned();
        index
            .manifests
            .retain(|entry| entry.digest != self.entry.digest);
        for entry in &mut index.manifests {
            self.repairs.apply(entry);
        }
        index.manifests.push(self.entry.clone());
        check_count(index.manifests.len(), &self.subject)?;
        RawDocument::of(Document::Index(index))
    }

    /// Registries that know conditions then refuse a write that would undo another; the others
    /// ignore these fields.
    fn conditions(&self, current: Option<&TaggedList>) -> Vec<(HeaderName, String)> {
        match (self.conditions, current) {
            (Conditions::Broken, _) => Vec::new(),
            (Conditions::Set, None) => vec![(IF_NONE_MATCH, "*".to_owned())],
            (Conditions::Set, Some(current)) => {
                let etag = current.etag.clone();
                etag.map(|etag| (IF_MATCH, etag)).into_iter().collect()
            }
        }
    }

    fn count_write(&mut self) -> Result<()> {
        self.writes += 1;
        if self.writes <= WRITES {
            return Ok(());
        }
        let message = format!(
            "cannot {}: somebody else changed the list each of {WRITES} times",
            self.action()
        );
        Err(Error::new(Reason::ReferrersContended, message)
            .hint("attach it again when nobody else is attaching to the same artifact"))
    }

    fn action(&self) -> String {
        let location = self.repository.location();
        format!(
            "list {} under {location}@{}",
            self.entry.digest, self.subject
        )
    }

    /// Waits longer than another writer should need, more so the more often somebody got in
    /// between, and never as long as another that started at the same time.
    async fn pause(&self) {
        let doublings = self.writes.saturating_sub(1).min(8);
        let least = SHORTEST_WAIT.max(self.round_trip.saturating_mul(2));
        let spread = least.saturating_mul(1 << doublings);
        let wait = least.saturating_add(jitter(spread)).min(LONGEST_WAIT);
        tokio::time::sleep(wait).await;
    }
}
