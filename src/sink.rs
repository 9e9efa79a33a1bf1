//! Where content lands on disk: checked, gathered into page-aligned writes, on one thread.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::blob::Check;
use crate::buffer::Buffer;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// What is written at once anyway.
const ONE_WRITE: u64 = limits::WRITE as u64;

/// A file that takes content piece by piece, and nothing that is not as declared.
///
/// It writes at the places that its check has come to, whatever else is done with the file, and
/// works on the calling thread: give it a blocking one.
#[derive(Debug)]
pub struct Sink {
    file: Arc<File>,
    check: Check,
    buffer: Buffer,
    filled: usize,
}

impl Sink {
    /// Returns a sink into `file` for what `check` still expects.
    ///
    /// Space is set aside at once, so that a disk that is too small is noticed before anything is
    /// fetched; a file system that cannot do that is as good.
    pub fn new(file: Arc<File>, check: Check) -> Result<Self> {
        let (offset, left) = (check.seen(), check.left());
        let reserved = match left {
            // The one write will tell as early.
            0..=ONE_WRITE => Ok(()),
            _ => fallocate(&*file, FallocateFlags::KEEP_SIZE, offset, left),
        };
        if let Err(Errno::NOSPC | Errno::DQUOT) = reserved {
            let message = format!("there is no room for the {left} bytes of {check}");
            return Err(Error::new(Reason::DiskFull, message)
                .hint("make room, or choose a target on another disk"));
        }
        // Small files need no large buffer.
        let size = usize::try_from(left).unwrap_or(limits::WRITE);
        Ok(Self {
            file,
            check,
            buffer: Buffer::new(size.clamp(1, limits::WRITE)),
            filled: 0,
        })
    }

    /// Takes the next bytes: hashes them where they will be written from, while the processor has
    /// them at hand.
    pub fn take(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = piece.split_at(piece.len().min(space.len()));
            let place = space.get_mut(..now.len()).unwrap_or_default();
            place.copy_from_slice(now);
            self.check.update(place)?;
            self.filled += now.len();
            if self.filled == self.buffer.len() {
                self.flush()?;
            }
            piece = later;
        }
        Ok(())
    }

    /// Takes the next `length` bytes from the file, where somebody else has put them; `meter` is
    /// called with each count.
    pub fn reread(&mut self, length: u64, mut meter: impl FnMut(u64)) -> Result<()> {
        self.flush()?;
        let mut left = length;
        while left > 0 {
            let room = self.buffer.len();
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

    /// Writes what was gathered.
    pub fn flush(&mut self) -> Result<()> {
        let gathered = self.buffer.get(..self.filled).unwrap_or_default();
        let offset = self.check.seen() - gathered.len() as u64;
        let written = self.file.write_all_at(gathered, offset);
        written.map_err(|error| Error::io("write", self.check.to_string(), error))?;
        self.filled = 0;
        Ok(())
    }

    /// Returns the check of everything that was taken, once all of it is written.
    pub fn into_check(mut self) -> Result<Check> {
        self.flush()?;
        Ok(self.check)
    }
}
