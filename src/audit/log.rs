//! The log as a file: one writer at a time, one write for a record, and on the disk before anything
//! follows from it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::chain::{Chain, Findings};
use super::line::{self, Head};
use super::record::{Event, Origin, Torn};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// The mode of a log that is created here: who used which model is not for everyone to read.
const MODE: u32 = 0o600;

/// What others must not be allowed. A group may be: the log can be append-only (`chattr +a`).
const ANYONE_WRITES: u32 = 0o002;

/// What is read from the end: a whole record, and after it what is left of one.
const TAIL: u64 = 3 * limits::AUDIT_LINE as u64;

/// Tries to get the lock, and the time between two: who has it needs as long as a disk takes.
const TRIES: u32 = 3000;
const PAUSE: Duration = Duration::from_millis(10);

/// A log that records can be appended to.
///
/// The file is opened for each record, so that a log can be moved away at any time: the next record
/// begins a new one.
#[derive(Debug, Clone)]
pub struct AuditLog {
    path: PathBuf,
    origin: Origin,
}

/// How a log ends.
#[derive(Debug, PartialEq, Eq)]
struct Tail {
    head: Option<Head>,
    rest: Rest,
}

/// What stands after a log's last whole line.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// The last record is whole, but for its newline.
    Unended,
    /// What a crash left.
    Torn(Torn),
}

impl AuditLog {
    /// Returns the log at `path`, which is created if it is not there, if it can be appended to.
    /// Blocks while others write.
    pub fn open(path: &Path, origin: Origin) -> Result<Self> {
        let log = Self {
            path: path.to_owned(),
            origin,
        };
        log.tail(&log.lock()?)?;
        Ok(log)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends that `event` happened `now`, and returns its place when it is on the disk. Blocks
    /// while others write.
    ///
    /// What a crash left of a line stays, and is marked first.
    pub fn append(&self, event: &Event, now: Timestamp) -> Result<Head> {
        let file = self.lock()?;
        let Tail { mut head, rest } = self.tail(&file)?;
        let is_new = head.is_none();
        let mut bytes = Vec::new();
        if rest != Rest::Nothing {
            bytes.push(b'\n');
        }
        if let Rest::Torn(torn) = rest {
            let (line, mark) = line::write(&Event::Torn(torn), head.as_ref(), now, &self.origin)?;
            bytes.extend(line);
            head = Some(mark);
        }
        let (line, place) = line::write(event, head.as_ref(), now, &self.origin)?;
        bytes.extend(line);
        self.write(&file, &bytes)?;
        if is_new {
            self.sync_directory()?;
        }
        Ok(place)
    }

    /// Writes in one piece: a write that takes less leaves a torn line, which the next one marks.
    fn write(&self, mut file: &File, bytes: &[u8]) -> Result<()> {
        let written = loop {
            match file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome.map_err(|error| self.failed("write", error))?,
            }
        };
        if written < bytes.len() {
            return Err(self.failed("write", ErrorKind::StorageFull.into()));
        }
        file.sync_all().map_err(|error| self.failed("write", error))
    }

    /// Makes sure that the name of a new log outlives a crash too.
    fn sync_directory(&self) -> Result<()> {
        let parent = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let directory = File::open(parent.unwrap_or(Path::new(".")));
        directory
            .and_then(|directory| directory.sync_all())
            .map_err(|error| self.failed("write", error))
    }

    /// Opens the file, and waits until nobody else writes it; dropping it, or dying, ends the lock.
    fn lock(&self) -> Result<File> {
        loop {
            let file = self.open_file()?;
            wait(&file, FlockOperation::NonBlockingLockExclusive, &self.path)?;
            // While this one waited, the log may have been moved away.
            if self.is_still(&file)? {
                return Ok(file);
            }
        }
    }

    fn open_file(&self) -> Result<File> {
        let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(careful.bits().cast_signed())
            .open(&self.path)
            .map_err(|error| self.failed("open", error))?;
        let metadata = file
            .metadata()
            .map_err(|error| self.failed("open", error))?;
        let path = self.path.display();
        if !metadata.is_file() {
            let message = format!("the audit log `{path}` is not a regular file");
            return Err(Error::new(Reason::Disk, message));
        }
        if metadata.mode() & ANYONE_WRITES != 0 {
            let message = format!("anyone may change the audit log `{path}`");
            return Err(Error::new(Reason::Disk, message)
                .hint(format!("close it with `chmod o-w '{path}'`")));
        }
        Ok(file)
    }

    fn is_still(&self, file: &File) -> Result<bool> {
        let opened = file
            .metadata()
            .map_err(|error| self.failed("open", error))?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("open", error)),
        }
    }

    /// Returns how the log ends. Nothing is appended to what is no log, or to a record that is not
    /// as it was written: that would pass it off as one that was found to be right.
    fn tail(&self, file: &File) -> Result<Tail> {
        let size = file
            .metadata()
            .map_err(|error| self.failed("read", error))?
            .len();
        let start = size.saturating_sub(TAIL);
        let mut bytes = vec![0; usize::try_from(size - start).unwrap_or_default()];
        file.read_exact_at(&mut bytes, start)
            .map_err(|error| self.failed("read", error))?;
        tail(&bytes, start == 0).ok_or_else(|| {
            let path = self.path.display();
            let message = format!("`{path}` does not end as an audit log does");
            Error::new(Reason::AuditBroken, message).hint(format!(
                "`modelctl audit verify {path}` says what is wrong; move it away, and the next \
                 record begins a new one"
            ))
        })
    }

    fn failed(&self, action: &str, error: std::io::Error) -> Error {
        failed(&self.path, action, error)
    }
}

/// Reads how a log ends from its last bytes, or from all of it; nothing if that is no log.
fn tail(bytes: &[u8], is_whole: bool) -> Option<Tail> {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let (mut lines, rest) = bytes.split_at_checked(end)?;
    if let Ok(link) = line::read(rest) {
        let head = Some(link.head);
        let rest = Rest::Unended;
        return Some(Tail { head, rest });
    }
    // What was torn can itself have been marked by a write that was torn.
    while !lines.is_empty() {
        let (before, last) = last_line(lines);
        if let Ok(link) = line::read(last) {
            let torn = bytes.get(lines.len()..)?;
            let head = Some(link.head);
            let rest = Rest::of(torn);
            return Some(Tail { head, rest });
        }
        if rest.is_empty() {
            return None;
        }
        lines = before;
    }
    let is_ours = is_whole && (bytes.is_empty() || is_beginning(bytes));
    is_ours.then(|| Tail {
        head: None,
        rest: Rest::of(bytes),
    })
}

impl Rest {
    fn of(bytes: &[u8]) -> Self {
        match bytes.len() as u64 {
            0 => Self::Nothing,
            length => Self::Torn(Torn {
                bytes: length,
                digest: Digest::of(bytes),
            }),
        }
    }
}

/// Parts lines into those before the last one, and that one without its newline.
fn last_line(lines: &[u8]) -> (&[u8], &[u8]) {
    let line = lines.strip_suffix(b"\n").unwrap_or(lines);
    let start = line
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let (before, last) = line.split_at(start);
    (before, last)
}

/// Whether `bytes` can be what a crash left of a log's first line: its beginning, or the zeros of a
/// file that had its size before its content.
fn is_beginning(bytes: &[u8]) -> bool {
    let start = line::START.as_bytes();
    let length = bytes.len().min(start.len());
    bytes.get(..length) == start.get(..length) || bytes.iter().all(|byte| *byte == 0)
}

/// Checks the log at `path`, noting the hashes of the records `watched`. Blocks while it is written,
/// and reads it once.
pub fn check(path: &Path, watched: impl IntoIterator<Item = u64>) -> Result<Findings> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        let message = format!("the audit log `{}` is not a regular file", path.display());
        return Err(Error::new(Reason::Disk, message));
    }
    wait(&file, FlockOperation::NonBlockingLockShared, path)?;
    let mut chain = Chain::watching(watched);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        let ends = next(&mut reader, &mut line).map_err(|error| Error::io("read", path, error))?;
        match ends {
            true => chain.line(&line),
            false => return Ok(chain.end(&line)),
        }
    }
}

/// Reads a line without its newline, and says whether it had one. Of a line that is longer than any
/// record, only the beginning is kept.
fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let cap = limits::AUDIT_LINE as u64;
    reader.by_ref().take(cap).read_until(b'\n', line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(true);
    }
    if (line.len() as u64) < cap {
        return Ok(false);
    }
    loop {
        let mut more = Vec::new();
        reader.by_ref().take(cap).read_until(b'\n', &mut more)?;
        match more.last() {
            Some(b'\n') => return Ok(true),
            Some(_) => {}
            None => return Ok(false),
        }
    }
}

fn wait(file: &File, operation: FlockOperation, path: &Path) -> Result<()> {
    for _ in 0..TRIES {
        match flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(path, "lock", error.into())),
        }
    }
    let message = format!(
        "the audit log `{}` stays locked by another process",
        path.display()
    );
    Err(Error::new(Reason::Disk, message))
}

/// Says that the log cannot be used: whatever is wrong with it, it is the disk that is to be looked
/// at, and not the artifact.
fn failed(path: &Path, action: &str, error: std::io::Error) -> Error {
    let reason = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Reason::DiskFull,
        _ => Reason::Disk,
    };
    let message = format!("cannot {action} the audit log `{}`", path.display());
    Error::new(reason, message)
        .because(error)
        .hint("nothing is used that is not recorded; make the log writable, or name another")
}
