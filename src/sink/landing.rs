//! How bytes reach a file: through the kernel's page cache or past it.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Advice, Mode, OFlags, fadvise};
use rustix::io::Errno;

use super::Io;
use crate::limits;

/// What direct writes must begin and end with: the largest block size of common disks.
const BLOCK: u64 = 4096;

/// After so many bytes the kernel is asked to begin bringing them to the disk, so that little is
/// left to wait for when all are there.
const WRITE_BACK: u64 = 8 << 20;

/// A file that is written piece by piece, each piece after the one before.
#[derive(Debug)]
pub(super) struct Landing {
    file: Arc<File>,
    /// The same file, opened for direct writes.
    direct: Option<File>,
    /// Up to where the kernel was asked to write back.
    begun: u64,
}

impl Landing {
    /// Returns a landing for the bytes of `file` from `start` on.
    pub(super) fn new(file: Arc<File>, start: u64, io: Io) -> Self {
        let direct = match io {
            Io::Direct => open_direct(&file).ok(),
            Io::Buffered => None,
        };
        Self {
            file,
            direct,
            begun: start,
        }
    }

    /// Writes `bytes` at `offset`. They should begin with a page; where offset or length does not
    /// suit direct writes, or the file system has none, the page cache takes them.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let whole = match offset % BLOCK {
            0 => bytes.len() - bytes.len() % BLOCK as usize,
            _ => 0,
        };
        let (blocks, rest) = bytes.split_at(whole);
        match self.write_direct(blocks, offset)? {
            Direct::Written => self.write_buffered(rest, offset + whole as u64),
            Direct::Refused => self.write_buffered(bytes, offset),
        }
    }

    fn write_direct(&mut self, blocks: &[u8], offset: u64) -> io::Result<Direct> {
        let Some(direct) = self.direct.as_ref().filter(|_| !blocks.is_empty()) else {
            return Ok(Direct::Refused);
        };
        match direct.write_all_at(blocks, offset) {
            Ok(()) => Ok(Direct::Written),
            // Some file systems say so only now; what was written before is written again.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                self.direct = None;
                Ok(Direct::Refused)
            }
            Err(error) => Err(error),
        }
    }

    fn write_buffered(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut end = offset;
        for piece in bytes.chunks(limits::WRITE) {
            self.file.write_all_at(piece, end)?;
            end += piece.len() as u64;
        }
        if end - self.begun.min(end) >= WRITE_BACK && self.direct.is_none() {
            self.write_back(end);
        }
        Ok(())
    }

    /// Asks the kernel to begin writing back what was written up to `end`.
    ///
    /// Saying that pages are not needed does that on Linux, and drops those that are on the disk
    /// already, of which there are none yet. If nothing comes of it, the last sync takes longer.
    fn write_back(&mut self, end: u64) {
        let length = NonZeroU64::new(end - self.begun);
        let _ = fadvise(&*self.file, self.begun, length, Advice::DontNeed);
        self.begun = end;
    }
}

/// What came of a direct write.
enum Direct {
    Written,
    Refused,
}

/// Opens the file of an open file once more, for direct writes, as only this handle shall be bound
/// to whole blocks.
#[cfg(target_os = "linux")]
fn open_direct(file: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &File) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;

    #[test]
    fn every_way_writes_the_same_whatever_the_alignment() {
        let mut buffer = Buffer::new(70_000);
        for (place, byte) in buffer.iter_mut().enumerate() {
            *byte = (place % 251) as u8;
        }
        // In the build directory, as that of temporary files may have no direct writes.
        let directory = std::env::current_exe().unwrap();
        for io in [Io::Buffered, Io::Direct] {
            for (offset, length) in [(0, 70_000), (4096, 8192), (4096, 8193), (5, 5000), (0, 7)] {
                let file = tempfile::tempfile_in(directory.parent().unwrap()).unwrap();
                let file = Arc::new(file);
                let mut landing = Landing::new(Arc::clone(&file), offset, io);
                landing.write(&buffer[..length], offset).unwrap();
                landing.write(&buffer[..9], offset + length as u64).unwrap();
                let mut found = vec![0; length + 9];
                file.read_exact_at(&mut found, offset).unwrap();
                assert_eq!(found, [&buffer[..length], &buffer[..9]].concat());
                assert_eq!(file.metadata().unwrap().len(), offset + length as u64 + 9);
            }
        }
    }

    #[test]
    fn a_file_that_takes_no_direct_writes_is_written_all_the_same() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut landing = Landing::new(Arc::clone(&file), 0, Io::Direct);
        // A pipe refuses every write at an offset; a file opened for reading would too.
        landing.direct = None;
        landing.write(&[7; 5000], 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5000);
    }
}
