//! Where content lands on disk: checked, gathered into page-aligned writes, on one thread.

mod landing;
mod meeting;
mod memory;
mod original;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

pub use self::meeting::Meeting;
pub use self::original::Original;

use self::landing::Landing;
use self::meeting::{Guest, Work};
use crate::blob::Check;
use crate::buffer::Buffer;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// Content smaller than this is hashed alone and through the page cache: meeting others and opening
/// the file twice would cost more than they save.
const LARGE: u64 = 16 << 20;

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// Through the kernel's page cache: whoever reads the file next finds it there.
    Buffered,
    /// Past the page cache, where the file system can: this takes less of the processor, and what
    /// other programs have cached stays.
    Direct,
}

/// What the sinks of one run share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// How large files are written.
    pub io: Io,
    /// Where the hashing of several large files at once meets.
    pub meeting: Arc<Meeting>,
}

/// A file that takes content piece by piece, and nothing that is not as declared.
///
/// It writes at the places that its check has come to, whatever else is done with the file, and
/// works on the calling thread: give it a blocking one.
#[derive(Debug)]
pub struct Sink {
    file: Arc<File>,
    check: Check,
    landing: Landing,
    guest: Option<Guest>,
    buffer: Buffer,
    filled: usize,
}

impl Sink {
    /// Returns a sink into `file` for what `check` still expects, which works for itself and
    /// through the page cache.
    pub fn new(file: Arc<File>, check: Check) -> Result<Self> {
        Self::reserve(&file, &check)?;
        Ok(Self::open(file, check, Io::Buffered, None))
    }

    /// Returns the same as one of several that work at the same time.
    pub fn among(file: Arc<File>, check: Check, shared: &Shared) -> Result<Self> {
        if check.left() < LARGE {
            return Self::new(file, check);
        }
        Self::reserve(&file, &check)?;
        let guest = shared.meeting.join()?;
        Ok(Self::open(file, check, shared.io, Some(guest)))
    }

    /// Sets space aside at once, so that a disk that is too small is noticed before anything is
    /// fetched; a file system that cannot do that is as good.
    fn reserve(file: &File, check: &Check) -> Result<()> {
        let (offset, left) = (check.seen(), check.left());
        let reserved = match left {
            0 => Ok(()),
            _ => fallocate(file, FallocateFlags::KEEP_SIZE, offset, left),
        };
        if let Err(Errno::NOSPC | Errno::DQUOT) = reserved {
            let message = format!("there is no room for the {left} bytes of {check}");
            return Err(Error::new(Reason::DiskFull, message)
                .hint("make room, or choose a target on another disk"));
        }
        Ok(())
    }

    fn open(file: Arc<File>, check: Check, io: Io, guest: Option<Guest>) -> Self {
        // Small files need no large buffer.
        let size = usize::try_from(check.left()).unwrap_or(limits::GATHER);
        Self {
            landing: Landing::new(Arc::clone(&file), check.seen(), io),
            file,
            check,
            guest,
            buffer: Buffer::new(size.clamp(1, limits::GATHER)),
            filled: 0,
        }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let limit = self.limit();
            let space = self.buffer.get_mut(self.filled..limit).unwrap_or_default();
            let (now, later) = piece.split_at(piece.len().min(space.len()));
            let place = space.get_mut(..now.len()).unwrap_or_default();
            place.copy_from_slice(now);
            self.filled += now.len();
            if self.filled == limit {
                self.flush()?;
            }
            piece = later;
        }
        Ok(())
    }

    /// Returns how much is gathered: so much that what comes after begins where a whole buffer
    /// does, which suits direct writes.
    fn limit(&self) -> usize {
        let odd = (self.check.seen() % limits::GATHER as u64) as usize;
        self.buffer.len().min(limits::GATHER - odd)
    }

    /// Takes the next `length` bytes from the file, where somebody else has put them; `meter` is
    /// called with each count.
    pub fn reread(&mut self, length: u64, mut meter: impl FnMut(u64)) -> Result<()> {
        self.flush()?;
        let mut left = length;
        while left > 0 {
            let room = self.buffer.len().min(limits::PIECE);
            let count = usize::try_from(left).map_or(room, |left| left.min(room));
            let bytes = self.buffer.get_mut(..count).unwrap_or_default();
            let read = self.file.read_exact_at(bytes, self.check.seen());
            read.map_err(|error| Error::io("read", self.check.to_string(), error))?;
            self.check.update(bytes)?;
            meter(count as u64);
            left -= count as u64;
        }
        Ok(())
    }

    /// Hashes and writes what was gathered.
    pub fn flush(&mut self) -> Result<()> {
        let offset = self.check.seen();
        self.hash()?;
        let gathered = self.buffer.get(..self.filled).unwrap_or_default();
        let written = self.landing.write(gathered, offset);
        written.map_err(|error| Error::io("write", self.check.to_string(), error))?;
        self.filled = 0;
        Ok(())
    }

    /// Hashes what was gathered, with another sink if that is worth it.
    fn hash(&mut self) -> Result<()> {
        let hasher = self.check.expect(self.filled)?;
        let guest = self.guest.as_mut();
        let Some(guest) = guest.filter(|_| self.filled >= limits::PIECE) else {
            hasher.update(self.buffer.get(..self.filled).unwrap_or_default());
            return Ok(());
        };
        let work = Work {
            hasher: std::mem::take(hasher),
            buffer: std::mem::take(&mut self.buffer),
            length: self.filled,
        };
        let done = guest.hash(work)?;
        *hasher = done.hasher;
        self.buffer = done.buffer;
        Ok(())
    }

    /// Returns the check of everything that was taken, once all of it is written.
    pub fn into_check(mut self) -> Result<Check> {
        self.flush()?;
        Ok(self.check)
    }
}
