//! Tar archives: their headers are read, their files are looked at where they stand.

use std::ops::Range;

use super::source::Source;
use crate::error::Result;

/// The unit of an archive.
const BLOCK: u64 = 512;

/// Files that are looked at.
const ENTRIES: usize = 4096;

/// Whether `head` begins with the header of a file: its checksum is right.
pub(super) fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<{ BLOCK as usize }>() else {
        return false;
    };
    let sum = block.iter().enumerate().map(|(at, byte)| match at {
        148..156 => u64::from(b' '),
        _ => u64::from(*byte),
    });
    let sum: u64 = sum.sum();
    // A block of zeros sums up to that of the spaces, and is no file.
    block[0] != 0 && octal(&block[148..156]) == Some(sum)
}

/// Returns the name and the place of each file, as far as they are read.
pub(super) fn members(source: &mut Source<'_>) -> Result<Vec<(String, Range<u64>)>> {
    let mut members = Vec::new();
    let mut position = 0_u64;
    while members.len() < ENTRIES {
        let header = source.at(position, BLOCK as usize)?;
        if !is_header(&header) {
            break;
        }
        let name = header.iter().take(100).take_while(|byte| **byte != 0);
        let name: Vec<u8> = name.copied().collect();
        let Some(size) = header.get(124..136).and_then(octal) else {
            break;
        };
        let start = position + BLOCK;
        let next = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|padded| start.checked_add(padded));
        let Some(next) = next.filter(|next| *next <= source.size().saturating_add(BLOCK)) else {
            break;
        };
        members.push((
            String::from_utf8_lossy(&name).into_owned(),
            start..start + size,
        ));
        position = next;
    }
    Ok(members)
}

/// Reads a number in octal digits, between spaces and before zeros.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}
