//! Remembers what local files hashed to, so that a push of unchanged files reads none of them.
//!
//! A digest is remembered for a file that can be told again by its [`Key`]: file system, inode,
//! size, and both times to the nanosecond. The change time is what no program can set, so whoever
//! edits a file and restores its modification time is noticed all the same.
//!
//! The kernel's clock ticks, and file systems round: a file changed twice within a tick keeps its
//! times. So a file that changed just before its hashing ended is not remembered, which is git's
//! rule for what it calls [racily clean](https://git-scm.com/docs/racy-git). It holds where the
//! clock of the file system is this machine's, and on others as far as they agree.
//!
//! **Never used to verify.** A wrong entry (a clock set back by root, a file system that lies) can
//! make a push name the digest of older content, which the registry then asks for or already has;
//! it cannot make wrong content pass for right, because everything that is verified is hashed.
//!
//! The cache is a favour: a file that is missing, damaged or of another version is an empty cache,
//! and one that other users could have written is left alone, which [`DigestCache::note`] says.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::directory::{Directory, Stamp};
use crate::error::{Error, Reason, Result};
use crate::private_directory;

/// Entries kept, the most recently used ones: the files of some hundred models.
const CAPACITY: usize = 200_000;

/// Entries beyond which a mere use is written down too, so that what is dropped is what nobody
/// uses.
const CROWDED: usize = CAPACITY / 2;

/// How long before the end of hashing a file must have been left alone: the coarsest times that a
/// file system keeps (FAT) are two seconds apart.
const RACY_NS: i128 = 2_000_000_000;

/// What a cache file begins with; another version has another number.
const MAGIC: &[u8] = b"modelctl digests 1\n";

/// Bytes of one entry: five numbers and a digest.
const ENTRY: usize = 5 * 8 + 32;

/// Bytes of the checksum at the end.
const CHECKSUM: usize = 32;

/// Tries to get the lock, and the time between two: whoever has it needs milliseconds.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// What a file is told again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// The size in bytes.
    pub size: u64,
    /// When the content changed, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When content, name count or permissions changed, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl Key {
    /// Returns the key of the file on the file system `device` that has this stamp.
    pub fn new(device: u64, stamp: &Stamp) -> Self {
        Self {
            device,
            inode: stamp.inode,
            size: stamp.size,
            mtime_ns: stamp.mtime_ns,
            ctime_ns: stamp.ctime_ns,
        }
    }

    /// Returns the key of the file that `metadata` is about.
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Which file it is, whatever it contains.
    fn file(&self) -> FileId {
        (self.device, self.inode)
    }

    /// Whether the file may have changed once more, unnoticed, after it was hashed.
    fn is_racy(&self, hashed_at: Timestamp) -> bool {
        let changed = self.mtime_ns.max(self.ctime_ns);
        i128::from(changed) > hashed_at.as_nanosecond() - RACY_NS
    }
}

type FileId = (u64, u64);

/// What a file was, and what it hashed to then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: Key,
    digest: Digest,
}

/// The digests of files that were hashed before; may be shared between threads.
#[derive(Debug)]
pub struct DigestCache {
    /// Where it is kept; nowhere if the place cannot be trusted.
    home: Option<Home>,
    note: Option<String>,
    known: Mutex<Known>,
}

/// What is in memory: one entry for each file.
#[derive(Debug, Default)]
struct Known {
    entries: HashMap<FileId, Slot>,
    /// Whether there is something that the file does not say.
    has_news: bool,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// Whether this process asked for it or recorded it.
    used: bool,
}

impl DigestCache {
    /// Reads the cache at `path`. Its directory is created, for this user alone, if it is not
    /// there.
    pub fn open(path: &Path) -> Self {
        let (home, read) = match Home::open(path) {
            Ok(home) => {
                let read = home.read();
                (Some(home), read)
            }
            Err(error) => (None, Err(error)),
        };
        let (image, note) = match read {
            Ok(image) => (image, None),
            Err(error) => (Image::default(), Some(note(&error))),
        };
        let mut known = Known::default();
        known.entries.reserve(image.len());
        known.entries.extend(image.entries().map(|entry| {
            let slot = Slot { entry, used: false };
            (entry.key.file(), slot)
        }));
        Self {
            home,
            note,
            known: Mutex::new(known),
        }
    }

    /// Returns why the cache was left alone, if it was, for the user to know.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Returns what the file with this key hashed to.
    pub fn lookup(&self, key: &Key) -> Option<Digest> {
        let mut known = self.known();
        let slot = known.entries.get_mut(&key.file())?;
        if slot.entry.key != *key {
            return None;
        }
        slot.used = true;
        Some(slot.entry.digest)
    }

    /// Remembers that the file with this key, before and after it was read, hashes to `digest`,
    /// unless it changed too shortly before `hashed_at`, the end of the hashing, to be told again.
    pub fn record(&self, key: Key, digest: Digest, hashed_at: Timestamp) {
        if key.is_racy(hashed_at) {
            return;
        }
        let entry = Entry { key, digest };
        let mut known = self.known();
        known.entries.insert(key.file(), Slot { entry, used: true });
        known.has_news = true;
    }

    /// Writes down what is new, beside what other processes wrote meanwhile. Blocks for as long as
    /// it takes to write a few megabytes.
    pub fn save(&self) -> Result<()> {
        let Some(home) = &self.home else {
            return Ok(());
        };
        let mut known = self.known();
        let used: Vec<Entry> = known.used().collect();
        let crowded = known.entries.len() > CROWDED && !used.is_empty();
        if !known.has_news && !crowded {
            return Ok(());
        }
        let _lock = home.lock()?;
        // What cannot be read, or was written by someone else, is replaced.
        let stored = home.read().unwrap_or_default();
        home.write(&merge(used, stored.entries()))?;
        known.has_news = false;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is a single step, so a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn used(&self) -> impl Iterator<Item = Entry> {
        let used = self.entries.values().filter(|slot| slot.used);
        used.map(|slot| slot.entry)
    }
}

fn note(error: &Error) -> String {
    let mut note = format!("remembered digests are not used: {error}");
    if let Some(hint) = error.advice() {
        note = format!("{note} ({hint})");
    }
    note
}

/// Puts what was used now in front of what was used before, and keeps no more than there is room
/// for: the order of the file is the order of use.
fn merge(used: Vec<Entry>, stored: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let files: HashSet<FileId> = used.iter().map(|entry| entry.key.file()).collect();
    let mut merged = used;
    merged.extend(stored.filter(|entry| !files.contains(&entry.key.file())));
    merged.truncate(CAPACITY);
    merged
}

/// Where a cache is kept.
#[derive(Debug)]
struct Home {
    directory: Directory,
    name: String,
}

impl Home {
    fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (path.parent(), name) else {
            let message = format!("`{}` cannot be the name of a file", path.display());
            return Err(Error::new(Reason::Disk, message));
        };
        // A bare name has an empty parent.
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        Ok(Self {
            directory: private_directory::open(parent)?,
            name: name.to_owned(),
        })
    }

    /// Returns the file, or an empty one if there is none that can be understood. One that others
    /// own or may write is an error.
    fn read(&self) -> Result<Image> {
        let file = match self.directory.open_file(&self.name) {
            Ok(file) => file,
            Err(error) if error.reason() == Reason::FileNotFound => return Ok(Image::default()),
            Err(error) => return Err(error),
        };
        let place = self.directory.path().join(&self.name);
        private_directory::check(&file, &place)?;
        let cap = MAGIC.len() + CAPACITY * ENTRY + CHECKSUM;
        let mut bytes = Vec::new();
        file.take(cap as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", &place, error))?;
        Ok(Image::parse(bytes).unwrap_or_default())
    }

    /// Waits until no other process writes; dropping the file, or dying, ends the lock.
    fn lock(&self) -> Result<File> {
        let name = format!("{}.lock", self.name);
        let place = self.directory.path().join(&name);
        let file = private_directory::file(&self.directory, &name, OFlags::RDWR)?;
        for _ in 0..TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io("lock", place, error.into())),
            }
        }
        let message = format!("`{}` stays locked by another process", place.display());
        Err(Error::new(Reason::Disk, message))
    }

    /// Replaces the file in one step. It is not brought to the disk by force: what a loss of power
    /// leaves of it has a wrong checksum, and that is an empty cache.
    fn write(&self, entries: &[Entry]) -> Result<()> {
        let name = format!("{}.new", self.name);
        let place = self.directory.path().join(&self.name);
        let failed = |error| Error::io("write", &place, error);
        // What a killed process left; nobody else writes now.
        self.directory.remove(&name)?;
        let mut file = private_directory::file(&self.directory, &name, OFlags::WRONLY)?;
        file.write_all(&Image::of(entries).0).map_err(failed)?;
        rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name)
            .map_err(|error| failed(error.into()))
    }
}

/// The bytes of a cache file, whose checksum is right. Entries follow each other without gaps, the
/// most recently used first.
#[derive(Default)]
struct Image(Vec<u8>);

impl Image {
    /// Returns the file that holds `entries`.
    fn of(entries: &[Entry]) -> Self {
        let mut bytes = Vec::with_capacity(MAGIC.len() + entries.len() * ENTRY + CHECKSUM);
        bytes.extend_from_slice(MAGIC);
        for Entry { key, digest } in entries {
            for number in [key.device, key.inode, key.size] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for time in [key.mtime_ns, key.ctime_ns] {
                bytes.extend_from_slice(&time.to_le_bytes());
            }
            bytes.extend_from_slice(digest.as_bytes());
        }
        let checksum = Digest::of(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        Self(bytes)
    }

    /// Reads a file, or nothing if a single bit of it is wrong.
    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
        let body = content.strip_prefix(MAGIC)?;
        let right = Digest::of(content).as_bytes() == checksum;
        (right && body.len().is_multiple_of(ENTRY)).then_some(Self(bytes))
    }

    fn body(&self) -> &[u8] {
        let content = self.0.split_last_chunk::<CHECKSUM>();
        let body = content.and_then(|(content, _)| content.strip_prefix(MAGIC));
        body.unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.body().len() / ENTRY
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.body().chunks_exact(ENTRY).filter_map(entry)
    }
}

fn entry(mut bytes: &[u8]) -> Option<Entry> {
    let mut number = || {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        bytes = rest;
        Some(u64::from_le_bytes(*number))
    };
    let key = Key {
        device: number()?,
        inode: number()?,
        size: number()?,
        mtime_ns: number()?.cast_signed(),
        ctime_ns: number()?.cast_signed(),
    };
    let digest = Digest::from_bytes(bytes.try_into().ok()?);
    Some(Entry { key, digest })
}

#[cfg(test)]
mod tests;
