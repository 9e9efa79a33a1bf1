//! Headers that loaders were broken with, each beside a twin that is right.

use super::*;

type Change = fn(&mut Parts);

/// Puts one more entry into the file.
macro_rules! with_entry {
    ($entry:expr) => {
        |p: &mut Parts| p.entries.push($entry)
    };
}

/// Makes a file of one tensor with so many bytes of data.
macro_rules! with_tensor {
    ($tensor:expr, $data:expr) => {
        |p: &mut Parts| {
            p.tensors = vec![$tensor];
            p.data = $data;
        }
    };
}

/// Makes a file without tensors and with this alignment.
macro_rules! with_alignment {
    ($alignment:expr) => {
        |p: &mut Parts| {
            p.tensors.clear();
            p.entries.push($alignment);
            (p.alignment, p.data) = (1, 0);
        }
    };
}

/// What is wrong, what the refusal says, the change that makes it so, and a change beside it that is
/// right.
pub(super) const CASES: &[(&str, &str, Change, Change)] = &[
    (
        "other magic",
        "does not start",
        |p| p.magic = *b"GGUV",
        |p| p.magic = *b"GGUF",
    ),
    (
        "version 0",
        "version 0",
        |p| p.version = 0,
        |p| p.version = 2,
    ),
    (
        "version 1",
        "version 1",
        |p| p.version = 1,
        |p| p.version = 3,
    ),
    (
        "version 4",
        "version 4",
        |p| p.version = 4,
        |p| p.version = 3,
    ),
    (
        "big-endian",
        "big-endian",
        |p| p.version = 3_u32.swap_bytes(),
        |p| p.version = 3,
    ),
    (
        "too many entries",
        "entries",
        |p| p.entry_count = Some(limits::GGUF_ENTRIES + 1),
        |p| p.entry_count = Some(3),
    ),
    (
        "entries beyond the file",
        "goes on after",
        |p| {
            p.tensors.clear();
            (p.alignment, p.data, p.entry_count) = (1, 0, Some(limits::GGUF_ENTRIES));
        },
        |p| {
            p.tensors.clear();
            (p.alignment, p.data, p.entry_count) = (1, 0, Some(3));
        },
    ),
    (
        "all entries there are",
        "entries",
        |p| p.entry_count = Some(u64::MAX),
        |p| p.entry_count = None,
    ),
    (
        "too many tensors",
        "1000000 tensors",
        |p| p.tensor_count = Some(limits::GGUF_ENTRIES + 1),
        |p| p.tensor_count = Some(2),
    ),
    (
        "a negative count",
        "1000000 tensors",
        |p| p.tensor_count = Some(1 << 63),
        |p| p.tensor_count = None,
    ),
    (
        "fewer tensors than data",
        "the file goes on to",
        |p| p.tensor_count = Some(1),
        |p| p.tensor_count = Some(2),
    ),
    (
        "key twice",
        "twice",
        with_entry!(number("general.file_type", 2)),
        with_entry!(number("general.file_types", 2)),
    ),
    (
        "empty key",
        "as a key",
        with_entry!(number("", 2)),
        with_entry!(number("k", 2)),
    ),
    (
        "key with a space",
        "as a key",
        with_entry!(number("a b", 2)),
        with_entry!(number("a_b", 2)),
    ),
    (
        "key beyond ASCII",
        "as a key",
        with_entry!(number("ä", 2)),
        with_entry!(number("Vendor.a-1", 2)),
    ),
    (
        "key with a NUL",
        "as a key",
        with_entry!(number("a\0", 2)),
        with_entry!(number("a0", 2)),
    ),
    (
        "key too long",
        "a key of more than",
        with_entry!(number(&"k".repeat(65_536), 2)),
        with_entry!(number(&"k".repeat(65_535), 2)),
    ),
    (
        "unknown type of value",
        "unknown type 13",
        with_entry!(entry("k", 13, &[0; 8])),
        with_entry!(entry("k", 12, &[0; 8])),
    ),
    (
        "unknown type of element",
        "unknown type 13",
        with_entry!(entry("k", ARRAY, &array(13, 1, &[0; 8]))),
        with_entry!(entry("k", ARRAY, &array(12, 1, &[0; 8]))),
    ),
    (
        "truth value 2",
        "truth value",
        with_entry!(entry("k", BOOL, &[2])),
        with_entry!(entry("k", BOOL, &[1])),
    ),
    (
        "truth value 2 in an array",
        "truth value",
        with_entry!(entry("k", ARRAY, &array(BOOL, 2, &[1, 2]))),
        with_entry!(entry("k", ARRAY, &array(BOOL, 2, &[1, 0]))),
    ),
    (
        "text beyond the file",
        "a text of more than",
        with_entry!(entry("k", TEXT, &u64::MAX.to_le_bytes())),
        with_entry!(entry("k", TEXT, &text(b"v"))),
    ),
    (
        "text beyond the cap",
        "a text of more than",
        with_entry!(entry("k", TEXT, &(limits::GGUF_STRING + 1).to_le_bytes())),
        with_entry!(entry("k", TEXT, &text(&[b'x'; 100_000]))),
    ),
    (
        "a kept text too long",
        "a value of more than",
        with_entry!(entry("general.name", TEXT, &text(&[b'x'; 65_537]))),
        with_entry!(entry("general.name", TEXT, &text(&[b'x'; 65_536]))),
    ),
    (
        "a kept text not UTF-8",
        "not UTF-8",
        with_entry!(entry("general.name", TEXT, &text(b"\xff"))),
        with_entry!(entry("general.name", TEXT, &text(b"x"))),
    ),
    (
        "array beyond the file",
        "goes on after",
        with_entry!(entry("k", ARRAY, &array(U64, 1 << 20, &[]))),
        with_entry!(entry("k", ARRAY, &array(U64, 2, &[0; 16]))),
    ),
    (
        "array beyond the cap",
        "an array of more than",
        with_entry!(entry("k", ARRAY, &array(U8, limits::GGUF_ARRAY + 1, &[]))),
        with_entry!(entry("k", ARRAY, &array(U8, 0, &[]))),
    ),
    (
        "array whose size wraps around",
        "an array of more than",
        with_entry!(entry("k", ARRAY, &array(U64, 1 << 61, &[]))),
        with_entry!(entry("k", ARRAY, &array(U64, 0, &[]))),
    ),
    (
        "arrays three deep",
        "nested",
        with_entry!(entry(
            "k",
            ARRAY,
            &array(ARRAY, 1, &array(ARRAY, 1, &array(U8, 1, &[0])))
        )),
        with_entry!(entry("k", ARRAY, &array(ARRAY, 1, &array(U8, 1, &[0])))),
    ),
    (
        "alignment 0",
        "power of two",
        with_alignment!(number(ALIGNMENT, 0)),
        with_alignment!(number(ALIGNMENT, 8)),
    ),
    (
        "alignment 4",
        "power of two",
        with_alignment!(number(ALIGNMENT, 4)),
        with_alignment!(number(ALIGNMENT, 16)),
    ),
    (
        "alignment 24",
        "power of two",
        with_alignment!(number(ALIGNMENT, 24)),
        with_alignment!(number(ALIGNMENT, 64)),
    ),
    (
        "alignment beyond 1 MiB",
        "power of two",
        with_alignment!(number(ALIGNMENT, 1 << 21)),
        with_alignment!(number(ALIGNMENT, 1 << 20)),
    ),
    (
        "alignment 2³¹",
        "power of two",
        with_alignment!(number(ALIGNMENT, 1 << 31)),
        with_alignment!(number(ALIGNMENT, 32)),
    ),
    (
        "alignment of another type",
        "32-bit",
        with_alignment!(entry(ALIGNMENT, U64, &[32, 0, 0, 0, 0, 0, 0, 0])),
        with_alignment!(number(ALIGNMENT, 32)),
    ),
    (
        "alignment that is a float",
        "32-bit",
        with_alignment!(entry(ALIGNMENT, F32, &32_f32.to_le_bytes())),
        with_alignment!(number(ALIGNMENT, 32)),
    ),
    (
        "tensor name twice",
        "two tensors",
        |p| p.tensors[1] = tensor("a", &[3], 0, 64),
        |p| p.tensors[1] = tensor("c", &[3], 0, 64),
    ),
    (
        "tensor name too long",
        "name of more than",
        |p| p.tensors[1] = tensor(&"n".repeat(128), &[3], 0, 64),
        |p| p.tensors[1] = tensor(&"n".repeat(127), &[3], 0, 64),
    ),
    (
        "tensor name not UTF-8",
        "not UTF-8",
        |p| p.tensors[1][8] = 0xff,
        |p| p.tensors[1][8] = b'c',
    ),
    (
        "5 dimensions",
        "dimensions",
        with_tensor!(tensor("a", &[1; 5], 0, 0), 4),
        with_tensor!(tensor("a", &[1; 4], 0, 0), 4),
    ),
    (
        "all dimensions there are",
        "dimensions",
        |p| p.tensors[1][9..13].fill(0xff),
        |p| p.tensors[1][9] = 1,
    ),
    (
        "unknown ggml type",
        "unknown type 4",
        with_tensor!(tensor("a", &[32], 4, 0), 18),
        with_tensor!(tensor("a", &[32], 2, 0), 18),
    ),
    (
        "ggml type beyond all",
        "unknown type 4294967295",
        with_tensor!(tensor("a", &[1], u32::MAX, 0), 4),
        with_tensor!(tensor("a", &[], 0, 0), 4),
    ),
    (
        "rows of half blocks",
        "whole blocks",
        with_tensor!(tensor("a", &[16, 2], 2, 0), 18),
        with_tensor!(tensor("a", &[32, 1], 2, 0), 18),
    ),
    (
        "dimensions that wrap around",
        "cannot be counted",
        with_tensor!(tensor("a", &[1 << 32, 1 << 32], 0, 0), 0),
        with_tensor!(tensor("a", &[1 << 16, 1 << 16], 0, 0), 1 << 34),
    ),
    (
        "size that wraps around",
        "cannot be counted",
        with_tensor!(tensor("a", &[1 << 62], 0, 0), 0),
        with_tensor!(tensor("a", &[1 << 40], 0, 0), 1 << 42),
    ),
    (
        "padding that wraps around",
        "can be counted",
        with_tensor!(tensor("a", &[u64::MAX - 3], 24, 0), u64::MAX - 3),
        with_tensor!(tensor("a", &[1 << 40], 24, 0), 1 << 40),
    ),
    (
        "two sizes that wrap around",
        "can",
        |p| {
            p.tensors = vec![
                tensor("a", &[1 << 61], 0, 0),
                tensor("b", &[1 << 61], 0, 1 << 63),
                tensor("c", &[76], 24, 0),
            ]
        },
        |p| p.tensors = vec![tensor("c", &[76], 24, 0)],
    ),
    (
        "offset not aligned",
        "a hole or",
        |p| p.tensors[1] = tensor("b", &[3], 0, 63),
        |p| p.tensors[1] = tensor("b", &[3], 0, 64),
    ),
    (
        "a hole",
        "a hole or",
        |p| {
            p.tensors[1] = tensor("b", &[3], 0, 96);
            p.data = 108;
        },
        |p| p.data = 76,
    ),
    (
        "an overlap",
        "a hole or",
        |p| p.tensors[1] = tensor("b", &[3], 0, 32),
        |p| p.tensors[1] = tensor("b", &[3], 0, 64),
    ),
    (
        "one place for two",
        "a hole or",
        |p| p.tensors[1] = tensor("b", &[3], 0, 0),
        |p| {
            p.tensors[1] = tensor("b", &[0], 0, 64);
            p.data = 64;
        },
    ),
    (
        "an offset beyond the file",
        "a hole or",
        |p| p.tensors[1] = tensor("b", &[3], 0, u64::MAX - 31),
        |p| p.tensors[1] = tensor("b", &[3], 0, 64),
    ),
    (
        "a file too short",
        "but the file has",
        |p| p.data = 75,
        |p| p.data = 76,
    ),
    (
        "a second file behind",
        "goes on to",
        |p| p.data = 97,
        |p| p.data = 96,
    ),
    (
        "something behind no tensors",
        "the file goes on to",
        |p| {
            p.tensors.clear();
            p.data = 1;
        },
        |p| {
            p.tensors.clear();
            p.data = 0;
        },
    ),
];
