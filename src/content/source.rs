//! A file as content checks read it: at any place, in pieces, and never all of it.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::error::{Error, Reason, Result};

/// What can be read at any place.
pub trait Bytes: Read + Seek {}

impl<T: Read + Seek + ?Sized> Bytes for T {}

/// Bytes that are fetched at once.
const WINDOW: usize = 16 << 10;

/// Windows that one [`Cursor`] may fetch: 16 MiB, whatever the file says about itself.
const WINDOWS: u32 = 1024;

/// A file whose size is known.
pub(super) struct Source<'a> {
    bytes: &'a mut dyn Bytes,
    size: u64,
    window: Vec<u8>,
    start: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a mut dyn Bytes, size: u64) -> Self {
        Self {
            bytes,
            size,
            window: Vec::new(),
            start: 0,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns `length` bytes at `offset`, fewer only where the file ends.
    pub(super) fn at(&mut self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(offset)?
            .take(length as u64)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(bytes)
    }

    /// Returns a reader that begins at `offset`.
    pub(super) fn reader(&mut self, offset: u64) -> Result<&mut dyn Bytes> {
        self.bytes.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(self.bytes)
    }

    /// Returns a cursor over a part of the file.
    pub(super) fn cursor(&mut self, range: Range<u64>) -> Cursor<'_, 'a> {
        Cursor {
            position: range.start,
            end: range.end.min(self.size),
            windows: WINDOWS,
            source: self,
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Reason::Disk, "cannot read the file to tell its format").because(error)
}

/// A place in a file that moves forward only.
pub(super) struct Cursor<'s, 'a> {
    source: &'s mut Source<'a>,
    position: u64,
    end: u64,
    windows: u32,
}

impl Cursor<'_, '_> {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is nothing more.
    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.end
    }

    /// Whether reading ended because it would have gone on for too long.
    pub(super) fn is_exhausted(&self) -> bool {
        self.windows == 0
    }

    /// Returns the next byte, or nothing at the end.
    pub(super) fn byte(&mut self) -> Result<Option<u8>> {
        if self.is_at_end() {
            return Ok(None);
        }
        if let Some(byte) = self.windowed() {
            self.position += 1;
            return Ok(Some(byte));
        }
        if self.is_exhausted() {
            return Ok(None);
        }
        self.windows -= 1;
        self.source.window = self.source.at(self.position, WINDOW)?;
        self.source.start = self.position;
        let byte = self.windowed();
        self.position += u64::from(byte.is_some());
        Ok(byte)
    }

    fn windowed(&self) -> Option<u8> {
        let offset = self.position.checked_sub(self.source.start)?;
        let offset = usize::try_from(offset).ok()?;
        self.source.window.get(offset).copied()
    }

    /// Returns the next `count` bytes as a little-endian number.
    pub(super) fn number(&mut self, count: u8) -> Result<Option<u64>> {
        let mut number = 0_u64;
        for index in 0..u32::from(count.min(8)) {
            let Some(byte) = self.byte()? else {
                return Ok(None);
            };
            number |= u64::from(byte) << (8 * index);
        }
        Ok(Some(number))
    }

    /// Returns the next number in protobuf's variable-length form.
    pub(super) fn varint(&mut self) -> Result<Option<u64>> {
        let mut number = 0_u64;
        for index in 0..10_u32 {
            let Some(byte) = self.byte()? else {
                return Ok(None);
            };
            number |= u64::from(byte & 0x7f).checked_shl(7 * index).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Returns the next `length` bytes, or nothing if there are fewer.
    pub(super) fn take(&mut self, length: usize) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        for _ in 0..length {
            match self.byte()? {
                Some(byte) => bytes.push(byte),
                None => return Ok(None),
            }
        }
        Ok(Some(bytes))
    }

    /// Returns what stands before the next line feed, or nothing if none comes within `cap` bytes.
    pub(super) fn line(&mut self, cap: usize) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while line.len() <= cap {
            match self.byte()? {
                Some(b'\n') => return Ok(Some(line)),
                Some(byte) => line.push(byte),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Moves `length` bytes forward; says whether there were as many.
    pub(super) fn skip(&mut self, length: u64) -> bool {
        match self.position.checked_add(length) {
            Some(position) if position <= self.end => {
                self.position = position;
                true
            }
            _ => false,
        }
    }
}
