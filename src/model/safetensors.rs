//! The header of a [safetensors] file, read strictly: every byte of the file belongs to one tensor.
//!
//! The format's own library takes a duplicate name (the last one wins) and unknown fields; here a
//! header has one meaning or none, so that no two readers can see different models.
//!
//! [safetensors]: https://github.com/huggingface/safetensors/blob/v0.8.0/README.md#format

mod index;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

pub use self::index::ShardIndex;
use crate::error::{Error, Reason, Result};
use crate::model::tensor::{Dtype, Tensor};
use crate::{json, limits};

/// The length of the header, little-endian, that a file starts with.
const LENGTH_BYTES: u64 = 8;

/// The entry of the header that is no tensor.
const METADATA: &str = "__metadata__";

/// What a safetensors file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    tensors: Vec<Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads the header from the start of a file of `file_size` bytes, and nothing after it.
    ///
    /// Memory follows the header's length, which is capped, and grows only as bytes come.
    pub fn read(reader: &mut dyn Read, file_size: u64) -> Result<Self> {
        let text = read_text(reader, file_size)?;
        let raw: Raw = json::parse(&text, "the safetensors header")
            .map_err(|error| Error::new(Reason::HeaderInvalid, error.to_string()))?;
        // Cannot overflow: the text has been read, so its length is below the cap.
        let data_start = LENGTH_BYTES + text.len() as u64;
        let tensors = lay_out(raw.tensors, data_start, file_size)?;
        Ok(Self {
            tensors,
            metadata: raw.metadata,
        })
    }

    /// Returns the tensors in the order of their data.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Returns what the writer noted (`{"format": "pt"}`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

fn invalid(why: impl fmt::Display) -> Error {
    Error::new(
        Reason::HeaderInvalid,
        format!("the safetensors header {why}"),
    )
}

/// Reads the JSON text, as long as the file says it is.
fn read_text(reader: &mut dyn Read, file_size: u64) -> Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES as usize];
    reader.read_exact(&mut length).map_err(unreadable)?;
    let length = u64::from_le_bytes(length);
    if length > limits::SAFETENSORS_HEADER {
        let cap = limits::SAFETENSORS_HEADER;
        return Err(invalid(format_args!("has {length} bytes, more than {cap}")));
    }
    if LENGTH_BYTES + length > file_size {
        return Err(invalid("is longer than the file"));
    }
    let mut text = Vec::new();
    let read = reader
        .take(length)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if read as u64 != length {
        return Err(invalid("ends too early"));
    }
    // The format wants `{` first and allows only spaces, for alignment, after the last `}`.
    let last = text.iter().rfind(|byte| **byte != b' ');
    if text.first() != Some(&b'{') || last != Some(&b'}') {
        return Err(invalid("is not a JSON object followed by spaces"));
    }
    Ok(text)
}

fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return invalid("ends too early");
    }
    Error::new(Reason::Disk, "cannot read the safetensors header").because(error)
}

/// Places the tensors: sorted by offset they must fill the file without a hole or an overlap, so
/// that nothing can hide between or behind them (a zip archive at the end makes a polyglot).
fn lay_out(raw: Vec<(String, RawTensor)>, data_start: u64, file_size: u64) -> Result<Vec<Tensor>> {
    let mut raw = raw;
    raw.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut position = data_start;
    let mut tensors = Vec::with_capacity(raw.len());
    for (name, described) in raw {
        let wrong = |why: &str| invalid(format_args!("has a tensor {name:?} {why}"));
        let dtype = Dtype::from_safetensors(&described.dtype)
            .ok_or_else(|| wrong(&format!("of the unknown type {:?}", described.dtype)))?;
        let (begin, end) = described.data_offsets;
        if begin.checked_add(data_start) != Some(position) {
            return Err(wrong("that leaves a hole or overlaps another"));
        }
        let tensor = Tensor::new(name.clone(), dtype, described.shape, position)
            .ok_or_else(|| wrong("whose size cannot be counted in bytes"))?;
        if end.checked_add(data_start) != Some(tensor.bytes().end) {
            return Err(wrong("whose shape and offsets disagree"));
        }
        position = tensor.bytes().end;
        tensors.push(tensor);
    }
    if position != file_size {
        let why = format!("accounts for {position} bytes, but the file has {file_size}");
        return Err(invalid(why));
    }
    Ok(tensors)
}

/// The header as it is written: one object with tensors and, among them, the metadata.
#[derive(Default)]
struct Raw {
    tensors: Vec<(String, RawTensor)>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut raw = Raw::default();
        while let Some(name) = entries.next_key::<String>()? {
            match name.as_str() {
                METADATA => raw.metadata = entries.next_value()?,
                _ => raw.tensors.push((name, entries.next_value()?)),
            }
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file whose header is `json` and whose data has `data` bytes; only the header is there,
    /// because nothing else may be read.
    fn file(json: &str, data: u64) -> (Vec<u8>, u64) {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        let size = bytes.len() as u64 + data;
        (bytes, size)
    }

    fn read(bytes: &[u8], size: u64) -> Result<Header> {
        Header::read(&mut &bytes[..], size)
    }

    fn read_json(json: &str, data: u64) -> Result<Header> {
        let (bytes, size) = file(json, data);
        read(&bytes, size)
    }

    fn refused(result: Result<Header>, case: &str) {
        let error = result.expect_err(case);
        assert_eq!(error.reason(), Reason::HeaderInvalid, "{case}: {error}");
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[6,30]},"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}"#;

    #[test]
    fn tells_what_the_file_holds() {
        let (bytes, size) = file(GOOD, 30);
        let header = read(&bytes, size).unwrap();
        let start = size - 30;
        let told: Vec<_> = header
            .tensors()
            .iter()
            .map(|t| (t.name(), t.dtype().name(), t.shape(), t.bytes()))
            .collect();
        let expected = [
            ("a", "BF16", &[3][..], start..start + 6),
            ("b", "F32", &[2, 3][..], start + 6..start + 30),
        ];
        assert_eq!(told, expected);
        assert_eq!(header.metadata()["format"], "pt");
    }

    #[test]
    fn accepts_every_form_that_the_format_allows() {
        for (json, data) in [
            (GOOD.to_owned(), 30),
            (format!("{GOOD}     "), 30),
            (r#"{}"#.to_owned(), 0),
            (r#"{"__metadata__":{}}"#.to_owned(), 0),
            (r#"{ "a" : {"shape":[],"dtype":"F64","data_offsets":[0,8]} }"#.to_owned(), 8),
            (r#"{"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(), 1),
            (r#"{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#.to_owned(), 3),
            (r#"{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}"#.to_owned(), 3),
        ] {
            read_json(&json, data).unwrap_or_else(|error| panic!("{json}: {error}"));
        }
    }

    /// What the refusal says, and replacements in [`GOOD`] that each lead to it.
    #[rustfmt::skip]
    const BROKEN: &[(&str, &[(&str, &str)])] = &[
        ("not a JSON object followed by spaces", &[
            ("{\"__", " {\"__"),
            ("{\"__", "[{\"__"),
            ("[0,6]}}", "[0,6]}}\n"),
            ("[0,6]}}", "[0,6]}}\0"),
        ]),
        ("trailing characters", &[("[0,6]}}", "[0,6]}}{}")]),
        ("EOF", &[("[0,6]}}", "[0,6]}")]),
        ("twice", &[
            ("\"b\":", "\"a\":"),
            ("\"b\":", "\"\\u0061\":"),
            ("\"format\":\"pt\"", "\"format\":\"pt\",\"format\":\"np\""),
            ("\"dtype\":\"BF16\"", "\"dtype\":\"BF16\",\"dtype\":\"BF16\""),
            ("\"b\":", "\"__metadata__\":{},\"b\":"),
        ]),
        ("unknown field", &[("\"dtype\":\"BF16\"", "\"dtype\":\"BF16\",\"extra\":1")]),
        ("missing field", &[("\"dtype\":\"BF16\",", "")]),
        ("invalid type", &[
            ("\"pt\"", "1"),
            ("{\"format\":\"pt\"}", "null"),
            ("{\"format\":\"pt\"}", "[]"),
            ("\"BF16\"", "16"),
            ("[3]", "[3.0]"),
            ("[3]", "[\"3\"]"),
            ("[3]", "3"),
            ("[3]", "[18446744073709551616]"),
        ]),
        ("invalid value", &[("[3]", "[-3]"), ("[0,6]", "[0,-6]")]),
        ("invalid length 1", &[("[0,6]", "[0]")]),
        ("trailing", &[("[0,6]", "[0,6,6]")]),
        ("unknown type", &[("BF16", "bf16"), ("BF16", "BF17"), ("BF16", "")]),
        ("cannot be counted", &[
            ("[2,3]", "[4294967296,4294967296]"),
            ("[2,3]", "[2305843009213693952,8]"),
            ("[2,3]", "[4611686018427387904]"),
        ]),
        ("shape and offsets disagree", &[
            ("[3]", "[4]"),
            ("[0,6]", "[0,7]"),
            ("[6,30]", "[6,18446744073709551615]"),
            ("[6,30]", "[6,5]"),
        ]),
        ("a hole or overlaps", &[
            ("[0,6]", "[1,6]"),
            ("[0,6]", "[6,0]"),
            ("[0,6]", "[18446744073709551610,18446744073709551615]"),
            ("[6,30]", "[7,31]"),
            ("[6,30]", "[5,29]"),
            ("[6,30]", "[0,24]"),
        ]),
    ];

    #[test]
    fn refuses_every_header_that_is_not_exact() {
        read_json(GOOD, 30).unwrap();
        for (says, replacements) in BROKEN {
            for (from, to) in *replacements {
                let bad = GOOD.replacen(from, to, 1);
                assert_ne!(bad, GOOD, "{from}");
                let error = read_json(&bad, 30).expect_err(&bad);
                assert_eq!(error.reason(), Reason::HeaderInvalid, "{bad}: {error}");
                assert!(error.to_string().contains(says), "{bad}: {error}");
            }
        }
    }

    #[test]
    fn refuses_types_below_a_byte_that_end_inside_one() {
        let tensor = |dtype: &str, elements: u64, size: u64| {
            let json = format!(
                r#"{{"a":{{"dtype":"{dtype}","shape":[{elements}],"data_offsets":[0,{size}]}}}}"#
            );
            read_json(&json, size)
        };
        tensor("F4", 4, 2).unwrap();
        refused(tensor("F4", 3, 2), "F4 × 3");
        refused(tensor("F4", 3, 1), "F4 × 3");
        tensor("F6_E3M2", 8, 6).unwrap();
        refused(tensor("F6_E3M2", 6, 5), "F6 × 6");
    }

    #[test]
    fn every_byte_of_the_file_is_accounted_for() {
        let (bytes, size) = file(GOOD, 30);
        read(&bytes, size).unwrap();
        refused(read(&bytes, size + 1), "one byte more");
        refused(read(&bytes, size - 1), "one byte less");
        refused(read(&bytes, u64::MAX), "endless");
        for end in 0..bytes.len() {
            refused(read(&bytes[..end], size), "cut");
            refused(read(&bytes[..end], end as u64), "cut and said so");
        }
        let mut not_utf8 = bytes.clone();
        let name = bytes.iter().position(|byte| *byte == b'b').unwrap();
        not_utf8[name] = 0xff;
        refused(read(&not_utf8, size), "not UTF-8");
    }

    /// Never ends, and counts what was taken.
    struct Endless(u64);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'[');
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    #[test]
    fn takes_no_more_than_the_cap() {
        let cap = limits::SAFETENSORS_HEADER;
        for (length, taken) in [
            (cap, 8 + cap),
            (cap + 1, 8),
            (100_000_000, 8),
            (u64::MAX, 8),
            (0x7b00_0000_0000_0000, 8),
        ] {
            let mut tail = Endless(0);
            let start = length.to_le_bytes();
            let result = Header::read(&mut start.chain(&mut tail), u64::MAX);
            refused(result, "endless");
            assert!(8 + tail.0 <= taken, "{length}: {}", tail.0);
        }
    }

    #[test]
    fn a_disk_that_fails_is_not_a_bad_header() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("broken"))
            }
        }
        let error = Header::read(&mut Broken, 100).unwrap_err();
        assert_eq!(error.reason(), Reason::Disk);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, bytes.len() as u64);
            let _ = read_json(&String::from_utf8_lossy(&bytes), 30);
        }

        #[test]
        fn a_changed_header_is_refused_or_accounts_for_the_file(
            at in 0..GOOD.len() + 8, byte in any::<u8>(),
        ) {
            let (mut bytes, size) = file(GOOD, 30);
            bytes[at] = byte;
            match read(&bytes, size) {
                Err(error) => prop_assert_eq!(error.reason(), Reason::HeaderInvalid),
                Ok(header) => {
                    let data: u64 = header.tensors().iter().map(Tensor::size).sum();
                    prop_assert_eq!(data, 30);
                }
            }
        }

        #[test]
        fn what_is_laid_out_reads_back(
            shapes in proptest::collection::vec((0..SHAPES.len(), proptest::collection::vec(0_u64..5, 0..4)), 0..8),
        ) {
            let mut end = 0;
            let mut entries = Vec::new();
            for (index, (dtype, shape)) in shapes.iter().enumerate() {
                let (dtype, bytes) = SHAPES[*dtype];
                let begin = end;
                end += shape.iter().product::<u64>() * bytes;
                entries.push(format!(
                    r#""t{index}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
                ));
            }
            entries.reverse();
            let header = read_json(&format!("{{{}}}", entries.join(",")), end).unwrap();
            prop_assert_eq!(header.tensors().len(), shapes.len());
            for tensor in header.tensors() {
                let index: usize = tensor.name()[1..].parse().unwrap();
                prop_assert_eq!(tensor.shape(), &shapes[index].1);
                prop_assert_eq!(tensor.dtype().name(), SHAPES[shapes[index].0].0);
            }
        }
    }

    const SHAPES: [(&str, u64); 6] = [
        ("BOOL", 1),
        ("F8_E4M3", 1),
        ("F16", 2),
        ("I32", 4),
        ("C64", 8),
        ("F64", 8),
    ];
}
