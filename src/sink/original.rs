//! A local file that is copied and hashed in one pass.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::landing::Landing;
use super::meeting::{Guest, Meeting, Work};
use super::{Io, LARGE};
use crate::buffer::Buffer;
use crate::digest::{Digest, Hasher};
use crate::directory::Stamp;
use crate::error::{Error, Reason, Result};
use crate::hashing::changed;
use crate::limits;

/// A file whose digest nobody knows yet.
#[derive(Debug)]
pub struct Original {
    /// The file, from whose beginning nothing was read yet.
    pub file: File,
    /// What it was when it was opened, and must still be at the end.
    pub stamp: Stamp,
    /// What names it in errors.
    pub place: PathBuf,
}

impl Original {
    /// Whether it is so large that a second reading would be worth something.
    pub fn is_large(&self) -> bool {
        self.stamp.size >= LARGE
    }

    /// Copies everything into the empty file `copy` and returns the digest. `tell` is told of every
    /// piece, and says whether anybody still wants the rest.
    pub fn copy(
        mut self,
        copy: File,
        meeting: &Arc<Meeting>,
        tell: impl Fn(u64) -> bool,
    ) -> Result<Digest> {
        let mut copying = Copying {
            landing: Landing::new(Arc::new(copy), 0, Io::Buffered),
            guest: meeting.join()?,
            hasher: Hasher::default(),
            buffer: Buffer::new(limits::GATHER),
            size: 0,
        };
        loop {
            let count = self.read(&mut copying.buffer)?;
            if count == 0 {
                break;
            }
            copying.add(count)?;
            if copying.size > self.stamp.size {
                return Err(changed(&self.place));
            }
            if !tell(count as u64) {
                return Err(Error::new(Reason::Internal, "a copy was given up"));
            }
        }
        match Stamp::of(&self.file, &self.place)? == self.stamp && copying.size == self.stamp.size {
            true => Ok(copying.hasher.finish()),
            false => Err(changed(&self.place)),
        }
    }

    fn read(&mut self, buffer: &mut Buffer) -> Result<usize> {
        let read = buffer.read_from(&mut self.file);
        read.map_err(|error| Error::io("read", &self.place, error))
    }
}

/// What a copy has come to.
struct Copying {
    landing: Landing,
    guest: Guest,
    hasher: Hasher,
    buffer: Buffer,
    size: u64,
}

impl Copying {
    /// Hashes and writes the next `count` bytes, which are in the buffer.
    fn add(&mut self, count: usize) -> Result<()> {
        let work = Work {
            hasher: std::mem::take(&mut self.hasher),
            buffer: std::mem::take(&mut self.buffer),
            length: count,
        };
        let work = self.guest.hash(work)?;
        (self.hasher, self.buffer) = (work.hasher, work.buffer);
        let piece = self.buffer.get(..count).unwrap_or_default();
        let written = self.landing.write(piece, self.size);
        written.map_err(|error| Error::io("write", "the copy", error))?;
        self.size += count as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io::{Read, Seek, Write};

    fn original(content: &[u8]) -> Original {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let place = PathBuf::from("it");
        let stamp = Stamp::of(&file, &place).unwrap();
        Original { file, stamp, place }
    }

    #[test]
    fn a_copy_is_the_same_and_its_digest_known() {
        for size in [0, 1, limits::GATHER, 2 * limits::GATHER + 77] {
            let content: Vec<_> = (0..size).map(|place| (place % 253) as u8).collect();
            let mut copy = tempfile::tempfile().unwrap();
            let told = Cell::new(0);
            let tell = |count| {
                told.set(told.get() + count);
                true
            };
            let to = copy.try_clone().unwrap();
            let digest = original(&content).copy(to, &Arc::default(), tell).unwrap();
            assert_eq!(digest, Digest::of(&content));
            let mut copied = Vec::new();
            copy.rewind().unwrap();
            copy.read_to_end(&mut copied).unwrap();
            assert_eq!((copied, told.get()), (content, size as u64));
        }
    }

    #[test]
    fn a_file_that_changes_and_a_copy_that_nobody_wants_are_errors() {
        let copy = || tempfile::tempfile().unwrap();
        let meeting = Arc::default();
        let file = original(&[7; 100]);
        let same = file.file.try_clone().unwrap();
        let grow = |_| (&same).write_all(b"more").is_ok();
        let error = file.copy(copy(), &meeting, grow).unwrap_err();
        assert_eq!(error.reason(), Reason::FileChanged);

        let unwanted = original(&[7; 100]).copy(copy(), &meeting, |_| false);
        assert_eq!(unwanted.unwrap_err().reason(), Reason::Internal);
    }
}
