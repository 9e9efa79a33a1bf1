//! One host that content may come from, and what became of asking it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::super::repository::Repository;
use super::hosts::Capabilities;
use crate::error::{Class, Error};
use crate::limits;
use crate::progress::Progress;

/// What one host gave in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Where it is: scheme, host and port.
    pub host: String,
    /// Whether it is the registry itself.
    pub origin: bool,
    /// Manifests and blobs, or parts of blobs, that it began to give.
    pub answers: u64,
    /// Bytes of them that came.
    pub bytes: u64,
    /// How often it did not have what was asked for.
    pub misses: u64,
    /// How often it failed, or gave something else.
    pub failures: u64,
    /// Whether it failed so often that it was not asked any more.
    pub set_aside: bool,
}

/// What a host is to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The registry itself.
    Origin,
    /// Somebody who may have copies.
    Mirror(Capabilities),
}

/// What an error says about the host it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It does not have it, which a cache may.
    Missing,
    /// It could not, or would not.
    Failed,
    /// It gave something else. That costs a whole blob each time, so once is enough.
    Lied,
}

impl Fault {
    fn of(error: &Error) -> Self {
        match error.reason().class() {
            Class::NotFound => Self::Missing,
            Class::Content => Self::Lied,
            _ => Self::Failed,
        }
    }
}

/// A host, asked for one repository.
pub(super) struct Peer {
    pub(super) repository: Repository,
    pub(super) role: Role,
    standing: Mutex<Standing>,
}

struct Standing {
    source: Source,
    failed_in_a_row: u32,
}

impl Peer {
    pub(super) fn new(repository: Repository, role: Role) -> Self {
        let source = Source {
            host: repository.endpoint.origin().to_string(),
            origin: role == Role::Origin,
            ..Source::default()
        };
        let standing = Standing {
            source,
            failed_in_a_row: 0,
        };
        Self {
            repository,
            role,
            standing: Mutex::new(standing),
        }
    }

    /// Returns what it may be asked for, now.
    pub(super) fn capabilities(&self) -> Capabilities {
        match self.role {
            Role::Origin => Capabilities::ALL,
            Role::Mirror(_) if self.lock().source.set_aside => Capabilities::NONE,
            Role::Mirror(capabilities) => capabilities,
        }
    }

    /// Returns what it gave so far.
    pub(super) fn source(&self) -> Source {
        self.lock().source.clone()
    }

    /// Notes that it answers.
    pub(super) fn answered(&self) {
        self.lock().source.answers += 1;
    }

    /// Notes that bytes came.
    pub(super) fn gave(&self, bytes: u64) {
        self.lock().source.bytes += bytes;
    }

    /// Notes that all of something came, for which earlier failures are forgiven. Some of it is not
    /// enough: a mirror that sends a byte and stalls would hold up every blob.
    pub(super) fn served(&self) {
        self.lock().failed_in_a_row = 0;
    }

    /// Notes that it did not give what was asked for. A mirror that does not so too often is set
    /// aside, which is told once.
    pub(super) fn failed(&self, error: &Error, progress: &dyn Progress) {
        let mut standing = self.lock();
        let failed = match Fault::of(error) {
            Fault::Missing => {
                standing.source.misses += 1;
                return;
            }
            Fault::Failed => standing.failed_in_a_row + 1,
            Fault::Lied => limits::MIRROR_FAILURES,
        };
        standing.failed_in_a_row = failed;
        standing.source.failures += 1;
        tracing::debug!(host = %standing.source.host, %error, "a host failed");
        let is_mirror = self.role != Role::Origin;
        if is_mirror && failed >= limits::MIRROR_FAILURES && !standing.source.set_aside {
            standing.source.set_aside = true;
            let host = standing.source.host.clone();
            drop(standing);
            progress.note(&format!("the mirror {host} is not asked any more: {error}"));
        }
    }

    /// Each change is whole, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
