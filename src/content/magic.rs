//! Formats that begin with bytes of their own.

use super::Format;
use super::bytes::{u16_at, u32_at};

/// First bytes, and what they are the first bytes of.
#[rustfmt::skip]
const MAGIC: &[(&[u8], Format)] = &[
    (b"GGUF", Format::Gguf),
    (b"\x89HDF\r\n\x1a\n", Format::Hdf5),
    (b"\x93NUMPY", Format::Numpy),
    (b"PK\x03\x04", Format::Archive),
    (b"PK\x05\x06", Format::Archive),
    (b"\x1f\x8b", Format::Archive),
    (b"\xfd7zXZ\0", Format::Archive),
    (b"\x28\xb5\x2f\xfd", Format::Archive),
    (b"\x04\x22\x4d\x18", Format::Archive),
    (b"7z\xbc\xaf\x27\x1c", Format::Archive),
    (b"Rar!\x1a\x07", Format::Archive),
    (b"\x7fELF", Format::NativeCode),
    (b"\0asm", Format::NativeCode),
    (b"!<arch>\n", Format::NativeCode),
    (b"\xfe\xed\xfa\xce", Format::NativeCode),
    (b"\xfe\xed\xfa\xcf", Format::NativeCode),
    (b"\xce\xfa\xed\xfe", Format::NativeCode),
    (b"\xcf\xfa\xed\xfe", Format::NativeCode),
    (b"\xca\xfe\xba\xbe", Format::NativeCode),
    (b"\x1bLua", Format::NativeCode),
    (b"BC\xc0\xde", Format::NativeCode),
    (b"\x89PNG\r\n\x1a\n", Format::Image),
    (b"\xff\xd8\xff", Format::Image),
    (b"GIF87a", Format::Image),
    (b"GIF89a", Format::Image),
    (b"II*\0", Format::Image),
    (b"MM\0*", Format::Image),
    (b"%PDF-", Format::Media),
    (b"OggS", Format::Media),
    (b"fLaC", Format::Media),
    (b"ID3", Format::Media),
    (b"\x1a\x45\xdf\xa3", Format::Media),
    (b"PAR1", Format::Table),
    (b"ARROW1\0\0", Format::Table),
];

/// Returns what the first bytes say. Some of these are text as well: the caller knows which.
pub(super) fn format(head: &[u8]) -> Option<Format> {
    let known = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
    if let Some((_, format)) = known {
        return Some(*format);
    }
    within(head).or_else(|| looser(head))
}

/// Formats whose mark stands a little behind the first byte.
fn within(head: &[u8]) -> Option<Format> {
    let says = |at: usize, what: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(what));
    if head.starts_with(b"RIFF") && says(8, b"WEBP") {
        return Some(Format::Image);
    }
    if (head.starts_with(b"RIFF") && (says(8, b"WAVE") || says(8, b"AVI "))) || says(4, b"ftyp") {
        return Some(Format::Media);
    }
    if says(4, b"TFL3") {
        return Some(Format::TfLite);
    }
    (head.starts_with(b"BZh") && says(4, b"1AY&SY")).then_some(Format::Archive)
}

/// Formats whose mark is so short that more must fit.
fn looser(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"MZ") {
        let at = u32_at(head, 0x3c).and_then(|at| usize::try_from(at).ok());
        let header = at.and_then(|at| head.get(at..));
        let is_program = header.is_some_and(|rest| rest.starts_with(b"PE\0\0"));
        return (is_program || head.contains(&0)).then_some(Format::NativeCode);
    }
    // Bytecode of Python: a version, and the line end that text mode would spoil. What is marshalled
    // follows after 8 or 12 bytes.
    let version = u16_at(head, 0).unwrap_or(0);
    if head.get(2..4) == Some(b"\r\n") && (3000..4500).contains(&version) && head.contains(&0) {
        return Some(Format::NativeCode);
    }
    // zlib (RFC 1950, 2.2): deflate with a check that makes 31 divide both bytes.
    if let Some([method @ 0x78, flags, ..]) = head.first_chunk::<2>() {
        let check = u16::from_be_bytes([*method, *flags]);
        return (check % 31 == 0 && std::str::from_utf8(head).is_err()).then_some(Format::Archive);
    }
    None
}
