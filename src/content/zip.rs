//! Zip archives, found from their end as every reader does, and never unpacked.
//!
//! What is stored is looked at where it stands, whatever its name or checksum; what is compressed
//! is not, and so is judged as the worst it can be.

use super::bytes::{u16_at, u32_at, u64_at};
use super::source::Source;
use crate::error::Result;

/// The most that stands at the end of an archive: the record, a comment, and what zip64 adds.
pub(super) const TAIL: usize = 22 + 0xffff + 20 + 56;

/// Entries and bytes of a directory that are read.
const ENTRIES: usize = 4096;
const DIRECTORY: u64 = 4 << 20;

const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// Where the directory of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    start: u64,
    size: u64,
    /// Bytes that stand before the archive and that its own offsets do not count.
    prefix: u64,
}

impl End {
    /// Whether something stands before the archive that is not part of it.
    pub(super) fn has_prefix(self) -> bool {
        self.prefix > 0
    }
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its bytes are, unless they are compressed or cannot be found.
    pub(super) data: Option<std::ops::Range<u64>>,
}

/// Finds an archive that ends with the file. Bytes that look like an end by chance lead to no
/// directory, and are none.
pub(super) fn find(source: &mut Source<'_>) -> Result<Option<End>> {
    let start = source.size().saturating_sub(TAIL as u64);
    let tail = source.at(start, TAIL)?;
    let candidates = tail.windows(END.len()).enumerate().rev();
    for (offset, _) in candidates.filter(|(_, window)| *window == END) {
        let at = start + offset as u64;
        let Some(end) = tail.get(offset..).and_then(|record| read_end(record, at)) else {
            continue;
        };
        let end = zip64(&tail, offset, at).unwrap_or(end);
        let is_empty = end.size == 0 && offset + 22 == tail.len();
        if is_empty || source.at(end.start, ENTRY.len())? == ENTRY {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn read_end(record: &[u8], at: u64) -> Option<End> {
    let size = u64::from(u32_at(record, 12)?);
    let offset = u64::from(u32_at(record, 16)?);
    // A zip64 archive says nothing here; an absurd size leads to no directory.
    let start = at.checked_sub(size).unwrap_or(at);
    Some(End {
        start,
        size,
        prefix: start.saturating_sub(offset),
    })
}

/// Reads the records of zip64, which stand before the ordinary one.
fn zip64(tail: &[u8], offset: usize, at: u64) -> Option<End> {
    let locator = offset.checked_sub(20)?;
    tail.get(locator..)?.starts_with(LOCATOR64).then_some(())?;
    let record = tail.get(locator.checked_sub(56)?..)?;
    record.starts_with(END64).then_some(())?;
    let size = u64_at(record, 40)?;
    let start = at.checked_sub(20 + 56)?.checked_sub(size)?;
    Some(End {
        start,
        size,
        prefix: start.saturating_sub(u64_at(record, 48)?),
    })
}

/// Returns the files that the directory lists, as far as it is read, and whether that is all.
pub(super) fn members(source: &mut Source<'_>, end: End) -> Result<(Vec<Member>, bool)> {
    let length = usize::try_from(end.size.min(DIRECTORY)).unwrap_or(0);
    let directory = source.at(end.start, length)?;
    let mut rest = &directory[..];
    let mut members = Vec::new();
    while members.len() < ENTRIES && !rest.is_empty() {
        let Some((entry, after)) = read_entry(rest) else {
            return Ok((members, false));
        };
        rest = after;
        let data = locate(source, &entry, end)?;
        members.push(Member {
            name: entry.name,
            data,
        });
    }
    let is_all = rest.is_empty() && length as u64 == end.size;
    Ok((members, is_all))
}

struct Entry {
    name: String,
    is_stored: bool,
    size: u32,
    offset: u32,
}

fn read_entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    bytes.starts_with(ENTRY).then_some(())?;
    let length = |at| u16_at(bytes, at).map(usize::from);
    let name_end = 46 + length(28)?;
    let end = name_end + length(30)? + length(32)?;
    let entry = Entry {
        name: String::from_utf8_lossy(bytes.get(46..name_end)?).into_owned(),
        // Bit 0 says that it is encrypted.
        is_stored: u16_at(bytes, 10)? == 0 && u16_at(bytes, 8)? & 1 == 0,
        size: u32_at(bytes, 20)?,
        offset: u32_at(bytes, 42)?,
    };
    Some((entry, bytes.get(end..)?))
}

/// Returns where the bytes of an entry are.
fn locate(
    source: &mut Source<'_>,
    entry: &Entry,
    end: End,
) -> Result<Option<std::ops::Range<u64>>> {
    if !entry.is_stored || entry.offset == u32::MAX || entry.size == u32::MAX {
        return Ok(None);
    }
    let at = end.prefix + u64::from(entry.offset);
    let header = source.at(at, 30)?;
    let start = || {
        header.starts_with(LOCAL).then_some(())?;
        let names = u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?);
        at.checked_add(30 + names)
    };
    Ok(start().map(|start| start..start + u64::from(entry.size)))
}
