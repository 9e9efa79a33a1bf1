//! Evidence that was collected before, so that verifying an artifact again asks a registry for its
//! manifest and nothing else.
//!
//! **What is kept is evidence, never a verdict.** The bundles are judged anew each time, under
//! today's keys, policy, time and revocations, by the same function as at first
//! ([`Verification::of`]). Only if that admits the artifact is the registry not asked; whatever
//! else comes of it, everything is fetched again. So nothing is refused for what is missing here,
//! and one record serves every policy. Nothing that is not admitted is kept.
//!
//! What this trades: that a signature was *removed* from the registry is noticed only when the
//! record is too old ([`EvidenceCache::for_at_most`]). Removing is no way to revoke, as whoever has
//! a copy can put it back; lists of revocations are, and are asked for each time.
//!
//! A record is bound to its place and digest, and each bundle in it to its own digest; one with a
//! changed bundle is no record. It is a favour: whatever is wrong with the cache, everything is
//! fetched.

mod record;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;

use self::record::Record;
use crate::blob::blocking;
use crate::digest::Digest;
use crate::directory::{Directory, Kind, Stamp};
use crate::error::{Error, Result};
use crate::policy::Policy;
use crate::reference::Location;
use crate::store::Store;
use crate::trust::TrustRoot;
use crate::verify::{Artifact, Collected, Verification, verify};
use crate::{private_directory, random};

/// How long evidence is used, if nothing else is said.
pub const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// What all records together may take: those of some ten thousand artifacts.
const CAPACITY: u64 = 256 << 20;

/// What the names of records end with.
const SUFFIX: &str = ".evidence";

/// Evidence of a user's artifacts, in a directory that is the user's alone.
#[derive(Debug, Clone)]
pub struct EvidenceCache {
    directory: Arc<Directory>,
    max_age: SignedDuration,
}

/// What is in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvidenceUsage {
    /// The records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An artifact that was verified, and when the evidence for it was collected, if not just now.
#[derive(Debug)]
pub struct Recalled {
    /// What was found out.
    pub verification: Verification,
    /// When the registry was asked, if it was not now.
    pub collected: Option<Timestamp>,
}

impl EvidenceCache {
    /// Opens the cache at `path`, which is created, for this user alone, if it is not there. One
    /// that another user owns or may write is refused.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            directory: Arc::new(private_directory::open(path)?),
            max_age: MAX_AGE,
        })
    }

    /// Uses no evidence that is older.
    #[must_use]
    pub fn for_at_most(self, max_age: SignedDuration) -> Self {
        Self { max_age, ..self }
    }

    /// Verifies `artifact`: by evidence that was collected before, if that is enough for `policy`,
    /// else by what is attached to it in `store`, which is then kept if it is enough.
    pub async fn verify(
        &self,
        store: &dyn Store,
        artifact: Artifact,
        trust: &TrustRoot,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Recalled> {
        if let Some((collected, at)) = self.recall(&artifact, now).await {
            let verification = Verification::of(artifact.clone(), collected, trust, policy);
            if verification.verdict().admits() {
                let collected = Some(at);
                return Ok(Recalled {
                    verification,
                    collected,
                });
            }
        }
        let verification = verify(store, artifact, trust, policy).await?;
        if verification.verdict().admits()
            && let Err(error) = self.keep(&verification, now).await
        {
            tracing::debug!(%error, "evidence is not kept");
        }
        Ok(Recalled {
            verification,
            collected: None,
        })
    }

    /// Returns what was collected of `artifact` before, and when.
    async fn recall(&self, artifact: &Artifact, now: Timestamp) -> Option<(Collected, Timestamp)> {
        let location = remote(artifact)?.to_string();
        let (digest, cache) = (*artifact.digest(), self.clone());
        let read = blocking(move || cache.read(&location, &digest));
        let record = read.await.ok().flatten()?;
        let age = now.duration_since(record.collected);
        // What is of the future was written under another clock.
        let is_usable = !age.is_negative() && age <= self.max_age;
        is_usable.then(|| (Collected::kept(record.bundles), record.collected))
    }

    fn read(&self, location: &str, digest: &Digest) -> Result<Option<Record>> {
        let name = name(location, digest);
        let file = self.directory.open_file(&name)?;
        let place = self.directory.path().join(&name);
        private_directory::check(&file, &place)?;
        let bytes = crate::directory::read_capped(file, &place, Record::LARGEST)?;
        Ok(Record::parse(bytes, location, digest))
    }

    /// Keeps what was collected, if there is a registry to ask.
    async fn keep(&self, verification: &Verification, now: Timestamp) -> Result<()> {
        let artifact = verification.artifact();
        let Some(location) = remote(artifact) else {
            return Ok(());
        };
        let record = Record {
            location: location.to_string(),
            digest: *artifact.digest(),
            collected: now,
            bundles: verification.kept(),
        };
        let cache = self.clone();
        blocking(move || {
            cache.write(&record)?;
            cache.shrink(CAPACITY).map(drop)
        })
        .await
    }

    /// Writes a record in one step. It is not brought to the disk by force: what a loss of power
    /// leaves of it is no record.
    fn write(&self, record: &Record) -> Result<()> {
        let name = name(&record.location, &record.digest);
        let new = format!("{}.new", random::digits());
        let place = self.directory.path().join(&name);
        let failed = |error| Error::io("write", &place, error);
        let mut file = private_directory::file(&self.directory, &new, OFlags::WRONLY)?;
        let written = file.write_all(&record.to_bytes()?).map_err(failed);
        let renamed = written.and_then(|()| {
            rustix::fs::renameat(&*self.directory, &new, &*self.directory, &name)
                .map_err(|error| failed(error.into()))
        });
        if renamed.is_err() {
            // The first failure is the one to tell.
            let _ = self.directory.remove(&new);
        }
        renamed
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns how much is in it.
    pub async fn usage(&self) -> Result<EvidenceUsage> {
        let cache = self.clone();
        blocking(move || cache.files().map(|files| usage(&files))).await
    }

    /// Removes the oldest records until the others take no more than `bytes`, and returns what was
    /// removed.
    pub async fn collect(&self, bytes: u64) -> Result<EvidenceUsage> {
        let cache = self.clone();
        blocking(move || cache.shrink(bytes)).await
    }

    fn shrink(&self, bytes: u64) -> Result<EvidenceUsage> {
        let mut files = self.files()?;
        files.sort_by_key(|(_, stamp)| std::cmp::Reverse(stamp.mtime_ns));
        let mut left = bytes;
        let mut removed = Vec::new();
        for (name, stamp) in files {
            match left.checked_sub(stamp.size) {
                Some(rest) if removed.is_empty() && bytes > 0 => left = rest,
                _ => {
                    self.directory.remove(&name)?;
                    removed.push((name, stamp));
                }
            }
        }
        Ok(usage(&removed))
    }

    /// Returns the records, and what processes that were killed left of some.
    fn files(&self) -> Result<Vec<(OsString, Stamp)>> {
        let mut files = Vec::new();
        for (name, kind) in self.directory.entries()? {
            let place: PathBuf = self.directory.path().join(&name);
            if kind != Kind::File {
                continue;
            }
            // One that is gone was removed by another process.
            if let Ok(file) = self.directory.open_file(&name) {
                files.push((name, Stamp::of(&file, &place)?));
            }
        }
        Ok(files)
    }
}

/// Returns where `artifact` is, if that is far: a layout on this disk is as near as a record.
fn remote(artifact: &Artifact) -> Option<&Location> {
    let location = artifact.reference().location();
    matches!(location, Location::Registry { .. }).then_some(location)
}

/// Returns the name of the record on `digest` at `location`.
fn name(location: &str, digest: &Digest) -> String {
    let key = Digest::of(format!("{location}@{digest}").as_bytes());
    format!("{}{SUFFIX}", key.hex())
}

fn usage(files: &[(OsString, Stamp)]) -> EvidenceUsage {
    EvidenceUsage {
        records: files.len() as u64,
        bytes: files.iter().map(|(_, stamp)| stamp.size).sum(),
    }
}

#[cfg(test)]
mod tests;
