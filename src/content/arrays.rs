//! NumPy arrays: numbers, or pickled objects.

use super::bytes::{u16_at, u32_at};

/// Bytes of a header: NumPy itself refuses longer ones.
pub(super) const HEADER: usize = 10_000;

/// Whether an array holds objects, which NumPy pickles; a header that cannot be read may say so
/// ([npy format](https://numpy.org/doc/2.1/reference/generated/numpy.lib.format.html)).
pub(super) fn holds_objects(head: &[u8]) -> bool {
    let Some(version) = head.get(6) else {
        return true;
    };
    let (start, length) = match version {
        1 => (10, u16_at(head, 8).map(u32::from)),
        2 | 3 => (12, u32_at(head, 8)),
        _ => return true,
    };
    let length = length.and_then(|length| usize::try_from(length).ok());
    let Some(header) = length.and_then(|length| head.get(start..)?.get(..length)) else {
        return true;
    };
    // Every quoted word, the names of fields among them: an object's type is `O`, perhaps with a
    // byte order before and a size behind it.
    header
        .split(|byte| matches!(byte, b'\'' | b'"'))
        .skip(1)
        .step_by(2)
        .any(is_object)
}

fn is_object(word: &[u8]) -> bool {
    let word = std::str::from_utf8(word).unwrap_or("O");
    let word = word.trim_start_matches(['<', '>', '|', '=', '!']);
    let types = word.split(',');
    types
        .map(|kind| kind.trim_start_matches(|c: char| c.is_ascii_digit()))
        .any(|kind| kind == "object" || kind.strip_prefix('O').is_some_and(is_number))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
