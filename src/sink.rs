//! Where content lands on disk: checked, gathered into page-aligned writes, on one thread.

use std::fs::File;
use std::io::Write;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::blob::Check;
use crate::buffer::Buffer;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// A file that takes content piece by piece, and nothing that is not as declared.
///
/// It works on the calling thread: give it a blocking one.
#[derive(Debug)]
pub struct Sink {
    file: File,
    check: Check,
    buffer: Buffer,
    filled: usize,
}

impl Sink {
    /// Returns a sink into `file`, from where it stands, for what `check` still expects.
    ///
    /// Space is set aside at once, so that a disk that is too small is noticed before anything is
    /// fetched; a file system that cannot do that is as good.
    pub fn new(file: File, check: Check) -> Result<Self> {
        let (offset, left) = (check.seen(), check.left());
        let reserved = match left {
            0 => Ok(()),
            _ => fallocate(&file, FallocateFlags::KEEP_SIZE, offset, left),
        };
        if let Err(Errno::NOSPC | Errno::DQUOT) = reserved {
            let message = format!("there is no room for the {left} bytes of {check}");
            return Err(Error::new(Reason::DiskFull, message)
                .hint("make room, or choose a target on another disk"));
        }
        // Small files need no large buffer.
        let size = usize::try_from(left)
            .unwrap_or(limits::WRITE)
            .clamp(1, limits::WRITE);
        Ok(Self {
            file,
            check,
            buffer: Buffer::new(size),
            filled: 0,
        })
    }

    /// Takes the next bytes: hashes them where they will be written from, while the processor has
    /// them at hand.
    pub fn take(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = piece.split_at(piece.len().min(space.len()));
            if let Some(space) = space.get_mut(..now.len()) {
                space.copy_from_slice(now);
                self.check.update(space)?;
            }
            self.filled += now.len();
            if self.filled == self.buffer.len() {
                self.flush()?;
            }
            piece = later;
        }
        Ok(())
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) -> Result<()> {
        let gathered = self.buffer.get(..self.filled).unwrap_or_default();
        let written = self.file.write_all(gathered);
        written.map_err(|error| Error::io("write", self.check.to_string(), error))?;
        self.filled = 0;
        Ok(())
    }

    /// Ends the content: everything must have come, and be what it should be.
    pub fn finish(mut self) -> Result<File> {
        self.flush()?;
        self.check.finish()?;
        Ok(self.file)
    }
}
