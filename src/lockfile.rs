//! Lock files: what each reference was when somebody looked, to be kept with the code that uses it.
//!
//! A tag can be moved by whoever may write to the repository. A lock file says which digest it had,
//! who vouched for it and under which policy, so that a team pulls the same model on every machine
//! and sees in a review when it becomes another one.
//!
//! **A lock only restricts.** It is an ordinary file in a working directory, which anybody may have
//! written: nothing becomes verified by standing in one.

mod change;
mod entry;
mod home;
mod signer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::home::Home;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::policy::Pin;
use crate::position::Position;
use crate::reference::Reference;
use crate::store::RawDocument;

pub use self::change::{Change, Changes, difference};
pub use self::entry::Entry;
pub use self::signer::{LockedSigner, Signatory};

/// The name of lock files that are not called otherwise.
pub const LOCK_FILE: &str = "modelctl.lock";

/// The version of the format.
const VERSION: u32 = 1;

/// What every lock file begins with.
const HEADER: &str = "\
# Written by `modelctl pull --lock`: what each reference was. It restricts what is used, and makes
# nothing trusted. Keep it with the code that uses the models.
";

/// What references were, by their names.
#[derive(Debug, Clone)]
pub struct Lockfile {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

/// What is looked at before anything else is.
#[derive(Deserialize)]
struct Shape {
    version: u32,
}

/// A lock file's text, as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    #[serde(default, rename = "artifact")]
    artifacts: Vec<Entry>,
}

impl Lockfile {
    /// Reads the lock file at `path`; one that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self> {
        match Home::of(path)?.read() {
            Err(error) if error.reason() == Reason::FileNotFound => Self::parse(b"", path),
            read => Self::parse(&read?, path),
        }
    }

    /// Reads the bytes of the lock file at `path`.
    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let mut lockfile = Self {
            path: path.to_owned(),
            entries: BTreeMap::new(),
        };
        // A new one, of which nothing was written yet.
        if bytes.is_empty() {
            return Ok(lockfile);
        }
        let invalid = |why: &str| invalid(path, why);
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not text"))?;
        let shape: Shape = toml::from_str(text).map_err(|error| misread(path, text, &error))?;
        if shape.version != VERSION {
            let why = format!("it has version {}, and this reads {VERSION}", shape.version);
            return Err(invalid(&why));
        }
        let read: Text = toml::from_str(text).map_err(|error| misread(path, text, &error))?;
        for entry in read.artifacts {
            let name = entry.name();
            if entry.reference.to_string() != name {
                let why = format!("`{}` must be written as `{name}`", entry.reference);
                return Err(invalid(&why));
            }
            if lockfile.entries.insert(name.clone(), entry).is_some() {
                return Err(invalid(&format!("`{name}` stands in it twice")));
            }
        }
        Ok(lockfile)
    }

    /// Returns what is recorded of `reference`, whatever digest that has.
    pub fn entry(&self, reference: &Reference) -> Option<&Entry> {
        self.entries.get(&entry::name(reference).to_string())
    }

    /// Returns `reference` with the digest that is recorded, which is an error if none is, or if
    /// `reference` has another. Who resolves it asks for no tag.
    pub fn pinned(&self, reference: &Reference) -> Result<Reference> {
        let Some(entry) = self.entry(reference) else {
            let message = format!("`{reference}` is not in `{}`", self.path.display());
            return Err(Error::new(Reason::NotLocked, message)
                .hint("record what it is now: `modelctl pull REF --lock`"));
        };
        if let Some(asked) = reference.digest().filter(|asked| **asked != entry.digest) {
            let message = format!(
                "{asked} is asked for, and `{}` says that `{}` is {}",
                self.path.display(),
                entry.name(),
                entry.digest
            );
            return Err(Error::new(Reason::LockMismatch, message)
                .hint("leave the digest out to take what is recorded"));
        }
        let (location, tag) = (reference.location().clone(), reference.tag().cloned());
        Ok(Reference::new(location, tag, Some(entry.digest)))
    }

    /// Refuses an artifact, found as `reference`, that is not what is recorded of it.
    pub fn check(&self, reference: &Reference, document: &RawDocument) -> Result<()> {
        let name = entry::name(reference);
        let recorded = self.pinned(&name).map(|_| self.entry(&name))?;
        let media_type = &document.descriptor().media_type;
        let differs = match recorded {
            Some(entry) if entry.digest != *document.digest() => {
                format!("{}, and is {}", entry.digest, document.digest())
            }
            Some(entry) if entry.media_type != *media_type => {
                format!(
                    "a {:?}, and is served as a {media_type:?}",
                    entry.media_type
                )
            }
            _ => return Ok(()),
        };
        let place = self.path.display();
        let message = format!("`{name}` was {differs}, by `{place}`");
        Err(Error::new(Reason::LockMismatch, message)
            .hint("if the change is meant, record it: `modelctl pull REF --update-lock`"))
    }

    /// Returns what was accepted before as `reference`.
    pub fn pin(&self, reference: &Reference) -> Option<Pin> {
        self.entry(reference).map(Entry::pin)
    }

    /// Says what recording `entry` would change, which may be refused.
    pub fn compare(&self, entry: &Entry, changes: Changes) -> Result<Change> {
        match self.entries.get(&entry.name()) {
            None => Ok(Change::First),
            Some(before) if before.is_of_the_same(entry) => Ok(Change::Same),
            Some(before) if changes == Changes::Refuse => {
                Err(change::refusal(&self.path, before, entry))
            }
            Some(before) => Ok(Change::Replaced(Box::new(before.clone()))),
        }
    }

    /// Records `entry` in the lock file at `path`, beside what others recorded meanwhile, and says
    /// what that changed.
    ///
    /// What is learned of the same artifact later is added: who vouches for it besides.
    pub fn record(path: &Path, entry: Entry, changes: Changes) -> Result<Change> {
        let held = Home::of(path)?.hold()?;
        let mut lockfile = Self::parse(&held.read()?, path)?;
        let change = lockfile.compare(&entry, changes)?;
        let (name, before) = (entry.name(), lockfile.text()?);
        let entry = match (&change, lockfile.entries.remove(&name)) {
            (Change::Same, Some(known)) => known.with(entry),
            _ => entry,
        };
        lockfile.entries.insert(name, entry);
        let text = lockfile.text()?;
        if text != before {
            held.write(&text)?;
        }
        Ok(change)
    }

    /// Returns the text: in the order of the references, so that merging two is a matter of lines.
    fn text(&self) -> Result<String> {
        let text = Text {
            version: VERSION,
            artifacts: self.entries.values().cloned().collect(),
        };
        let text = toml::to_string(&text)
            .map_err(|e| Error::new(Reason::Internal, "cannot write a lock file").because(e))?;
        let text = format!("{HEADER}{text}");
        match text.len() as u64 > limits::LOCK_FILE {
            true => Err(invalid(&self.path, "it would be larger than what is read")),
            false => Ok(text),
        }
    }
}

fn misread(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let at = Position::of(text, error.span().unwrap_or_default().start);
    invalid(path, &format!("{at}: {}", error.message()))
}

fn invalid(path: &Path, why: &str) -> Error {
    let message = format!("`{}` is no lock file: {why}", path.display());
    Error::new(Reason::LockFileInvalid, message)
        .hint("take it from version control again, or remove it and lock anew with `--lock`")
}

#[cfg(test)]
mod tests;
