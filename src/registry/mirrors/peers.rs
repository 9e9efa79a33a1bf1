//! All hosts that content may come from, in the order in which they are asked.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::peer::{Peer, Source};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::progress::Progress;
use crate::store::Part;

/// A registry and its mirrors.
pub(super) struct Peers {
    mirrors: Vec<Peer>,
    origin: Peer,
    progress: Arc<dyn Progress>,
    blobs: Mutex<HashMap<Digest, History>>,
}

/// What mirrors, by their number, did with one blob.
#[derive(Debug, Default)]
struct History {
    /// Who gave some of it.
    served: BTreeSet<usize>,
    /// Who will not be asked for it again.
    passed: BTreeSet<usize>,
}

/// Who gives something: a mirror by its number, or the registry itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    Mirror(usize),
    Origin,
}

impl Peers {
    pub(super) fn new(mirrors: Vec<Peer>, origin: Peer, progress: Arc<dyn Progress>) -> Self {
        Self {
            mirrors,
            origin,
            progress,
            blobs: Mutex::default(),
        }
    }

    /// Returns the registry itself.
    pub(super) fn origin(&self) -> &Peer {
        &self.origin
    }

    /// Returns the mirrors in their order.
    pub(super) fn mirrors(&self) -> &[Peer] {
        &self.mirrors
    }

    /// Returns what each host gave so far.
    pub(super) fn sources(&self) -> Vec<Source> {
        let all = self.mirrors.iter().chain([&self.origin]);
        all.map(Peer::source).collect()
    }

    /// Returns who `giver` is.
    pub(super) fn peer(&self, giver: Giver) -> &Peer {
        match giver {
            Giver::Mirror(number) => self.mirrors.get(number).unwrap_or(&self.origin),
            Giver::Origin => &self.origin,
        }
    }

    /// Returns the mirrors that may be asked for a blob.
    pub(super) fn givers(&self, blob: &Descriptor) -> Vec<usize> {
        let blobs = self.lock();
        let passed = blobs.get(&blob.digest).map(|history| &history.passed);
        let may = |(number, peer): (usize, &Peer)| {
            let fine = peer.capabilities().pull && !passed.is_some_and(|p| p.contains(&number));
            fine.then_some(number)
        };
        self.mirrors.iter().enumerate().filter_map(may).collect()
    }

    /// Opens a part of a blob, or all of it, at the first host that gives it. The error is the
    /// registry's own: only what it says is believed about what there is.
    pub(super) async fn open(&self, blob: &Descriptor, range: Range<u64>) -> Result<(Giver, Part)> {
        for number in self.givers(blob) {
            let giver = Giver::Mirror(number);
            match open_at(self.peer(giver), blob, range.clone()).await {
                Ok(part) => {
                    self.history(blob, |history| history.served.insert(number));
                    return Ok((giver, part));
                }
                Err(error) => self.blame(giver, blob, &error),
            }
        }
        match open_at(&self.origin, blob, range).await {
            Ok(part) => Ok((Giver::Origin, part)),
            Err(error) => {
                self.blame(Giver::Origin, blob, &error);
                Err(error)
            }
        }
    }

    /// Notes that `giver` did not give a blob as it is; a mirror is not asked for it again.
    pub(super) fn blame(&self, giver: Giver, blob: &Descriptor, error: &Error) {
        self.peer(giver).failed(error, &*self.progress);
        if let Giver::Mirror(number) = giver {
            self.history(blob, |history| history.passed.insert(number));
        }
    }

    /// Notes that what came for a blob was not it. Nobody can tell whose part was wrong, so all
    /// mirrors that gave some are blamed; `false` means that none did.
    pub(super) fn distrust(&self, blob: &Descriptor) -> bool {
        let served = self.history(blob, |history| std::mem::take(&mut history.served));
        let message = format!("it gave other bytes than those of {}", blob.digest);
        let error = Error::new(Reason::DigestMismatch, message);
        for number in &served {
            self.blame(Giver::Mirror(*number), blob, &error);
        }
        if served.is_empty() {
            self.origin.repository.suspect(blob);
        }
        !served.is_empty()
    }

    /// Notes a failure of a mirror that is about no blob.
    pub(super) fn note_failure(&self, peer: &Peer, error: &Error) {
        peer.failed(error, &*self.progress);
    }

    fn history<T>(&self, blob: &Descriptor, change: impl FnOnce(&mut History) -> T) -> T {
        change(self.lock().entry(blob.digest).or_default())
    }

    /// Each change is whole, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, History>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a part of a blob at one host; all of it is asked for without a range.
async fn open_at(peer: &Peer, blob: &Descriptor, range: Range<u64>) -> Result<Part> {
    let repository = &peer.repository;
    let part = match range.start == 0 && range.end == blob.size {
        true => Part::Whole(repository.open_blob(blob).await?.into_unchecked()),
        false => repository.open_part(blob, range).await?,
    };
    peer.answered();
    Ok(part)
}
