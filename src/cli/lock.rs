//! The lock file, and the flags of commands that heed it.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::lockfile::{Change, Changes, Entry, LOCK_FILE, Lockfile, difference};
use modelctl::policy::Pin;
use modelctl::reference::Reference;
use modelctl::store::RawDocument;
use modelctl::verify::{Artifact, Verified};
use serde::Serialize;

/// Whether nothing but what is locked will do.
#[derive(Args, Clone)]
#[command(next_help_heading = "Lock file")]
pub(super) struct LockedArgs {
    /// Use exactly what the lock file says that REF was. No tag is asked for, so it does not matter
    /// where that points now; what the lock file does not name is refused.
    #[arg(long)]
    locked: bool,
    /// The lock file, instead of ./modelctl.lock.
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,
}

/// What a pull does with the lock file.
#[derive(Args, Clone)]
#[command(next_help_heading = "Lock file")]
pub(super) struct LockArgs {
    /// Record what REF is in the lock file, and refuse it if another digest stands there.
    #[arg(long, conflicts_with = "locked")]
    lock: bool,
    /// Record what REF is in the lock file, whatever stands there.
    #[arg(long, conflicts_with_all = ["locked", "lock"])]
    update_lock: bool,
    #[command(flatten)]
    locked: LockedArgs,
}

/// A lock file, and what is done with it.
pub(super) enum Lock {
    /// Nothing.
    Unused,
    /// Only what it says is used.
    Obeyed(PathBuf, Lockfile),
    /// What is used is recorded in it.
    Kept(PathBuf, Lockfile, Changes),
}

/// What was done with the lock file, in JSON.
#[derive(Serialize)]
pub(super) struct Locked {
    file: PathBuf,
    change: &'static str,
    #[serde(skip)]
    said: Option<String>,
}

impl LockedArgs {
    fn path(&self) -> &Path {
        self.lock_file.as_deref().unwrap_or(Path::new(LOCK_FILE))
    }

    /// Refuses the flags where nothing has a reference.
    pub(super) fn is_for_artifacts(&self) -> Result<()> {
        if !self.locked && self.lock_file.is_none() {
            return Ok(());
        }
        let message = "the lock file says what references were, and a signature has none";
        Err(Error::new(Reason::Usage, message).hint("leave `--locked` and `--lock-file` out"))
    }

    /// Reads the lock file, if it is to be obeyed.
    pub(super) fn open(&self) -> Result<Lock> {
        if self.locked {
            let path = self.path();
            return Ok(Lock::Obeyed(path.to_owned(), Lockfile::read(path)?));
        }
        match &self.lock_file {
            None => Ok(Lock::Unused),
            Some(_) => {
                let message = "it is said where the lock file is, and not what it is for";
                Err(Error::new(Reason::Usage, message)
                    .hint("`--locked` obeys it; `pull --lock` records what is pulled"))
            }
        }
    }
}

impl LockArgs {
    /// Reads the lock file, if it is for anything.
    pub(super) fn open(&self) -> Result<Lock> {
        let changes = match (self.lock, self.update_lock) {
            (false, false) => return self.locked.open(),
            (true, _) => Changes::Refuse,
            (false, true) => Changes::Record,
        };
        let path = self.locked.path();
        Ok(Lock::Kept(path.to_owned(), Lockfile::read(path)?, changes))
    }
}

impl Lock {
    /// Returns what is to be resolved when `reference` is asked for.
    pub(super) fn reference(&self, reference: &Reference) -> Result<Reference> {
        match self {
            Self::Obeyed(_, file) => file.pinned(reference),
            _ => Ok(reference.clone()),
        }
    }

    /// Returns what was accepted before as `reference`.
    pub(super) fn pin(&self, reference: &Reference) -> Option<Pin> {
        match self {
            Self::Unused => None,
            Self::Obeyed(_, file) | Self::Kept(_, file, _) => file.pin(reference),
        }
    }

    /// Refuses what is found as `reference`, and is to be something else.
    pub(super) fn check(&self, reference: &Reference, document: &RawDocument) -> Result<()> {
        match self {
            Self::Obeyed(_, file) => file.check(reference, document),
            _ => Ok(()),
        }
    }

    /// Refuses what may not be recorded, before any of it is fetched.
    pub(super) fn admit(&self, artifact: &Verified<Artifact>) -> Result<()> {
        let value = artifact.value();
        self.check(value.reference(), value.document())?;
        if let Self::Kept(_, file, changes) = self {
            file.compare(&Entry::of(artifact, Timestamp::now()), *changes)?;
        }
        Ok(())
    }

    /// Records what was pulled, if that is wanted, and returns what became of the lock file.
    pub(super) fn record(&self, artifact: &Verified<Artifact>) -> Result<Option<Locked>> {
        let (path, change, said) = match self {
            Self::Unused => return Ok(None),
            Self::Obeyed(path, _) => (path, "obeyed", None),
            Self::Kept(path, _, changes) => {
                let entry = Entry::of(artifact, Timestamp::now());
                let change = Lockfile::record(path, entry.clone(), *changes)?;
                (path, change.code(), told(path, &change, &entry))
            }
        };
        let file = path.clone();
        Ok(Some(Locked { file, change, said }))
    }
}

impl Locked {
    /// Returns what to tell about it, if it changed.
    pub(super) fn line(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

fn told(path: &Path, change: &Change, entry: &Entry) -> Option<String> {
    let (file, name) = (path.display(), &entry.reference);
    match change {
        Change::Same => None,
        Change::First => Some(format!("recorded `{name}` in `{file}`")),
        Change::Replaced(before) => Some(format!(
            "recorded `{name}` in `{file}`: {}",
            difference(before, entry)
        )),
    }
}
