//! The formats that are protobuf messages, told by the fields that all of the file consists of.

use std::collections::BTreeMap;

use super::Format;
use super::source::{Cursor, Source};
use crate::error::Result;

/// Wire types ([encoding](https://protobuf.dev/programming-guides/encoding/#structure)).
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Fields of one message that are walked over: a tokenizer has one for each of its pieces.
const FIELDS: usize = 2_000_000;

/// Returns the format of a file that is one protobuf message from its first byte to its last.
pub(super) fn format(source: &mut Source<'_>) -> Result<Option<Format>> {
    let size = source.size();
    let mut cursor = source.cursor(0..size);
    let mut fields: BTreeMap<u64, u64> = BTreeMap::new();
    let mut are_pieces = true;
    for _ in 0..FIELDS {
        if cursor.is_at_end() {
            return Ok(of_fields(&fields, are_pieces));
        }
        let Some((number, wire)) = field(&mut cursor, &mut are_pieces)? else {
            return Ok(None);
        };
        if number == 0 || number > 100 || *fields.entry(number).or_insert(wire) != wire {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Moves over one field, and returns its number and its wire type.
fn field(cursor: &mut Cursor<'_, '_>, are_pieces: &mut bool) -> Result<Option<(u64, u64)>> {
    let Some(key) = cursor.varint()? else {
        return Ok(None);
    };
    let (number, wire) = (key >> 3, key & 7);
    let is_whole = match wire {
        VARINT => cursor.varint()?.is_some(),
        FIXED64 => cursor.skip(8),
        FIXED32 => cursor.skip(4),
        BYTES => match cursor.varint()? {
            Some(length @ 1..) if number == 1 => {
                // The text of a piece is its field 1.
                *are_pieces &= cursor.byte()? == Some(0x0a);
                cursor.skip(length - 1)
            }
            Some(length) => cursor.skip(length),
            None => false,
        },
        _ => false,
    };
    Ok(is_whole.then_some((number, wire)))
}

/// Returns the format whose message has these fields
/// ([ONNX](https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto3),
/// [SentencePiece](https://github.com/google/sentencepiece/blob/v0.2.0/src/sentencepiece_model.proto),
/// [TensorFlow](https://github.com/tensorflow/tensorflow/blob/v2.18.0/tensorflow/core/protobuf/saved_model.proto)).
fn of_fields(fields: &BTreeMap<u64, u64>, are_pieces: bool) -> Option<Format> {
    let only = |known: &[u64]| fields.keys().all(|number| known.contains(number));
    let is = |number: u64, wire: u64| fields.get(&number) == Some(&wire);
    if is(1, VARINT) && is(7, BYTES) && only(&[1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26]) {
        return Some(Format::Onnx);
    }
    if is(1, VARINT) && is(2, BYTES) && only(&[1, 2]) {
        return Some(Format::SavedModel);
    }
    let is_tokenizer = is(1, BYTES) && (is(2, BYTES) || is(3, BYTES)) && are_pieces;
    (is_tokenizer && only(&[1, 2, 3, 4, 5])).then_some(Format::TokenizerModel)
}
