//! The header of a [GGUF] file, read strictly and with flat memory.
//!
//! Loaders parse this format in C and have been broken by it many times: lengths, counts, paddings
//! and sizes that wrap around. Here every number is bounded before it is used, the few entries that
//! say what the model is are kept, and vocabularies are stepped over.
//!
//! [GGUF]: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

mod input;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;

use self::input::{Input, Value, ValueType};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::model::tensor::{Dtype, Tensor};

/// Version 1 counted in 32 bits and is gone; 2 and 3 differ only in that 3 may be big-endian.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// The alignment of tensor data where the file names none.
const DEFAULT_ALIGNMENT: u64 = 32;

/// The largest alignment that ggml accepts; more only makes padding overflow.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// "It must be at most 2^16-1 bytes long."
const KEY_BYTES: u64 = 65_535;

/// The format says 64 bytes; stable-diffusion.cpp and the converters for it write up to 127.
const TENSOR_NAME_BYTES: u64 = 127;

/// ggml's number of dimensions; a scalar may be written with none.
const MAX_DIMENSIONS: u32 = 4;

/// What is kept of a text: none of the entries that are kept is honestly longer.
const KEPT_TEXT_BYTES: u64 = 64 << 10;

/// Where a file names its alignment.
const ALIGNMENT: &str = "general.alignment";

/// The entries that are kept.
const KEPT: [&str; 12] = [
    ALIGNMENT,
    "general.architecture",
    "general.basename",
    "general.file_type",
    "general.license",
    "general.name",
    "general.quantization_version",
    "general.size_label",
    "general.type",
    "split.count",
    "split.no",
    "split.tensors.count",
];

/// What a GGUF file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    version: u32,
    alignment: u64,
    entries: BTreeMap<&'static str, Value>,
    tensors: Vec<Tensor>,
}

impl Header {
    /// Reads the header from the start of a file of `file_size` bytes; a buffer's worth of what
    /// follows may be taken from `reader` as well.
    ///
    /// Memory follows the tensors that are really there, never what the file claims.
    pub fn read(reader: &mut dyn Read, file_size: u64) -> Result<Self> {
        let mut input = Input::new(reader, file_size);
        let version = read_version(&mut input)?;
        let tensor_count = read_count(&mut input, "tensors")?;
        let entry_count = read_count(&mut input, "entries")?;
        let entries = read_entries(&mut input, entry_count)?;
        let alignment = alignment(&entries)?;
        let tensors = read_tensors(&mut input, tensor_count, alignment)?;
        let tensors = place(tensors, input.position(), alignment, file_size)?;
        Ok(Self {
            version,
            alignment,
            entries,
            tensors,
        })
    }

    /// Returns the version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns what the tensors' data is aligned to.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Returns the tensors in the order of their data.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Returns the text under `key`, if it is one of the entries that are kept.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the number under `key`, if it is one of the entries that are kept.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.entries.get(key) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Returns how the file says it was quantised (`Q4_K_M`), or nothing if it says that it was
    /// not, or says nothing.
    pub fn quantization(&self) -> Option<&'static str> {
        self.number("general.file_type").and_then(file_type)
    }
}

fn invalid(why: impl fmt::Display) -> Error {
    Error::new(Reason::HeaderInvalid, format!("the GGUF header {why}"))
}

fn read_version(input: &mut Input<'_>) -> Result<u32> {
    if &input.magic()? != b"GGUF" {
        return Err(invalid("does not start with `GGUF`"));
    }
    let version = input.u32()?;
    if VERSIONS.contains(&version) {
        return Ok(version);
    }
    if VERSIONS.contains(&version.swap_bytes()) {
        return Err(invalid("is big-endian, which only some machines can load")
            .hint("convert the file to little-endian: `gguf-convert-endian FILE little`"));
    }
    Err(invalid(format_args!("is of version {version}, not 2 or 3"))
        .hint("convert the model again with a present version of its converter"))
}

fn read_count(input: &mut Input<'_>, what: &str) -> Result<u64> {
    let count = input.u64()?;
    if count > limits::GGUF_ENTRIES {
        let cap = limits::GGUF_ENTRIES;
        return Err(invalid(format_args!("has more than {cap} {what}")));
    }
    Ok(count)
}

fn read_entries(input: &mut Input<'_>, count: u64) -> Result<BTreeMap<&'static str, Value>> {
    let mut entries = BTreeMap::new();
    // Keys may be long and many; their digests tell them apart in little memory.
    let mut seen = HashSet::new();
    for _ in 0..count {
        let key = read_key(input)?;
        if !seen.insert(Digest::of(key.as_bytes())) {
            return Err(invalid(format_args!("has the key {key:?} twice")));
        }
        let kind = input.value_type()?;
        match KEPT.into_iter().find(|kept| *kept == key) {
            // Loaders read it as this type whatever the file says.
            Some(ALIGNMENT) if kind != ValueType::U32 => {
                return Err(invalid("has an alignment that is no 32-bit number"));
            }
            Some(kept) => {
                let value = input.value(kind, KEPT_TEXT_BYTES)?;
                entries.extend(value.map(|value| (kept, value)));
            }
            None => input.skip_value(kind)?,
        }
    }
    Ok(entries)
}

/// Reads a key: the format wants lower case, but vendors' own keys are not all so.
fn read_key(input: &mut Input<'_>) -> Result<String> {
    let key = input.text(KEY_BYTES, "a key")?;
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if key.is_empty() || !key.bytes().all(fine) {
        let shown: String = key.chars().take(100).collect();
        return Err(invalid(format_args!(
            "has {shown:?} as a key, which must be letters, digits and `_.-`"
        )));
    }
    Ok(key)
}

fn alignment(entries: &BTreeMap<&'static str, Value>) -> Result<u64> {
    match entries.get(ALIGNMENT) {
        None => Ok(DEFAULT_ALIGNMENT),
        // "It must be a multiple of 8"; ggml wants a power of two as well.
        Some(Value::Number(n @ 8..=MAX_ALIGNMENT)) if n.is_power_of_two() => Ok(*n),
        Some(_) => Err(invalid(format_args!(
            "has an alignment that is not a power of two from 8 to {MAX_ALIGNMENT}"
        ))),
    }
}

/// Reads the tensors; their bytes count from the start of the data, which is not known yet.
fn read_tensors(input: &mut Input<'_>, count: u64, alignment: u64) -> Result<Vec<Tensor>> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for _ in 0..count {
        let end = tensors.last().map_or(0, |tensor| tensor.bytes().end);
        let start = pad(end, alignment)?;
        tensors.push(read_tensor(input, start)?);
    }
    let mut names: Vec<&str> = tensors.iter().map(Tensor::name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [first, second] = pair
            && first == second
        {
            return Err(invalid(format_args!("has two tensors {first:?}")));
        }
    }
    Ok(tensors)
}

/// Reads a tensor, whose data must start at `start`. Like ggml, this wants the data without holes
/// and in the order of the header, so that nothing overlaps and nothing hides.
fn read_tensor(input: &mut Input<'_>, start: u64) -> Result<Tensor> {
    let name = input.text(TENSOR_NAME_BYTES, "a tensor's name")?;
    let wrong = |why: &str| invalid(format_args!("has a tensor {name:?} {why}"));
    let dimensions = input.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(wrong("with more than 4 dimensions"));
    }
    let shape = (0..dimensions)
        .map(|_| input.u64())
        .collect::<Result<Vec<_>>>()?;
    let code = input.u32()?;
    let dtype =
        Dtype::from_ggml(code).ok_or_else(|| wrong(&format!("of the unknown type {code}")))?;
    if shape.first().unwrap_or(&1) % dtype.block_elements() != 0 {
        return Err(wrong("whose rows are not whole blocks"));
    }
    if input.u64()? != start {
        return Err(wrong("that leaves a hole or overlaps another"));
    }
    Tensor::new(name.clone(), dtype, shape, start)
        .ok_or_else(|| wrong("whose size cannot be counted in bytes"))
}

/// Moves the tensors to where the data starts, after a header of `header_size` bytes, and checks
/// that the file ends with the last of them, give or take the last padding: what follows would
/// make it a second file for somebody (a zip archive is read from its end).
fn place(
    tensors: Vec<Tensor>,
    header_size: u64,
    alignment: u64,
    file_size: u64,
) -> Result<Vec<Tensor>> {
    let data_start = pad(header_size, alignment)?;
    let tensors: Vec<Tensor> = tensors
        .into_iter()
        .map(|tensor| tensor.shifted(data_start).ok_or_else(overflow))
        .collect::<Result<_>>()?;
    let end = tensors.last().map_or(header_size, |last| last.bytes().end);
    if end > file_size {
        return Err(invalid(format_args!(
            "describes {end} bytes, but the file has {file_size}"
        )));
    }
    if file_size > pad(end, alignment)? {
        return Err(invalid(format_args!(
            "describes {end} bytes, but the file goes on to {file_size}"
        )));
    }
    Ok(tensors)
}

/// Rounds up, and does not wrap around where C's `GGML_PAD` does.
fn pad(position: u64, alignment: u64) -> Result<u64> {
    position
        .checked_next_multiple_of(alignment)
        .ok_or_else(overflow)
}

fn overflow() -> Error {
    invalid("describes more bytes than can be counted")
}

/// Returns the name of a quantised `general.file_type`, as `llama-quantize` calls it
/// ([`llama.h`](https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h)).
fn file_type(code: u64) -> Option<&'static str> {
    Some(match code {
        2 => "Q4_0",
        3 => "Q4_1",
        4 => "Q4_1_SOME_F16",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        33 => "Q4_0_4_4",
        34 => "Q4_0_4_8",
        35 => "Q4_0_8_8",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}
