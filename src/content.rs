//! What the files of a model are, decided by their bytes.
//!
//! A pickle is a pickle under any name: [`examine`] looks at how a file begins and ends, walks the
//! structure that it then claims to have, and unpacks, loads and runs nothing. A name can make a
//! file more dangerous than its bytes do (text called `.py` is Python), never less. What is found
//! is judged by [`ContentRules`], which are pure.
//!
//! Files are read in place and in part: some hundred KiB of most, at most 16 MiB for each structure
//! that is walked (the headers of safetensors and GGUF files have caps of their own), so that a
//! check costs little beside hashing.

mod arrays;
mod bytes;
mod claims;
mod contained;
mod format;
mod magic;
mod pickle;
mod protobuf;
mod rules;
mod source;
mod tar;
mod text;
mod zip;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::format::{Danger, Format};
pub use self::rules::{ContentRules, ExecutableBit, Gate, Limits, Objection};
pub use self::source::Bytes;
use self::source::Source;
use crate::error::{Error, Reason, Result};
use crate::model::{gguf, safetensors};
use crate::path::SafePath;

/// Bytes at the start of a file that are looked at for signs of its format.
const HEAD: usize = 4096;

/// Bytes at either end of an HDF5 file that are searched for Lambda layers.
const HDF5_SEARCHED: usize = 4 << 20;

/// What a file was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The format, the most dangerous one if it is several.
    pub format: Format,
    /// Bytes of the file.
    pub size: u64,
    /// Why it is not exactly one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defect: Option<Defect>,
    /// What a pickle in it imports (`posix.system`), as far as it was followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// The key by which a config asks its loader to run code (`auto_map`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_key: Option<&'static str>,
    /// What else is to be said about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why a file is not exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// It breaks the rules of its format.
    Malformed(String),
    /// It is a file of this format as well: two readers would see two files.
    Ambiguous(Format),
}

impl Finding {
    fn of(format: Format) -> Self {
        Self {
            format,
            size: 0,
            defect: None,
            imports: Vec::new(),
            code_key: None,
            notes: Vec::new(),
        }
    }

    fn malformed(format: Format, why: &str) -> Self {
        Self {
            defect: Some(Defect::Malformed(why.to_owned())),
            ..Self::of(format)
        }
    }

    /// Says that the file is of `other` as well.
    fn and(mut self, other: Format) -> Self {
        if self.format.danger() < other.danger() {
            self.defect = Some(Defect::Ambiguous(self.format));
            self.format = other;
        } else {
            self.defect = Some(Defect::Ambiguous(other));
        }
        self
    }

    /// Takes the name into account, which can only make things worse.
    fn called(mut self, path: &SafePath) -> Self {
        let Some(extension) = path.extension() else {
            return self;
        };
        let exact = match extension.as_str() {
            "safetensors" => Some(Format::Safetensors),
            "gguf" => Some(Format::Gguf),
            _ => None,
        };
        if let Some(exact) = exact.filter(|exact| *exact != self.format && self.defect.is_none()) {
            let why = format!("is called `.{exact}` but is {}", self.format.description());
            self.defect = Some(Defect::Malformed(why));
        }
        if let Some(named) = format::by_extension(&extension)
            && named.danger() > self.format.danger()
        {
            self.notes
                .push(format!("by its bytes it is {}", self.format.description()));
            self.format = named;
        }
        self
    }

    /// Returns the error that a defect is.
    fn defect_error(&self, path: &SafePath) -> Option<Error> {
        Some(match self.defect.as_ref()? {
            Defect::Malformed(why) => Error::new(Reason::HeaderInvalid, format!("`{path}`: {why}"))
                .hint("write the file again with the tool that made it"),
            Defect::Ambiguous(other) => {
                let (one, two) = (self.format.description(), other.description());
                let message = format!("`{path}` is {one}, and {two} as well");
                Error::new(Reason::ContentAmbiguous, message)
                    .hint("two readers would see two files; write it again, or do not use it")
            }
        })
    }
}

/// Returns what the file that `bytes` reads, which has `size` bytes and is called `path`, is.
pub fn examine(bytes: &mut dyn Bytes, size: u64, path: &SafePath) -> Result<Finding> {
    let mut source = Source::new(bytes, size);
    let finding = by_bytes(&mut source)?;
    Ok(Finding { size, ..finding }.called(path))
}

/// Looks at the file as each kind of reader would: from its start, from its end, and as a program.
fn by_bytes(source: &mut Source<'_>) -> Result<Finding> {
    let head = source.at(0, HEAD)?;
    let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
    let found = match (zip::find(source)?, is_zip) {
        (Some(end), true) if !end.has_prefix() => contained::zip(source, end)?,
        (Some(_), _) => from_start(source, &head)?.and(Format::Archive),
        (None, true) => {
            let mut archive = Finding::of(Format::Archive);
            archive.notes.push("its directory is missing".to_owned());
            archive
        }
        (None, false) => from_start(source, &head)?,
    };
    as_pickle(source, found)
}

/// Looks for a pickle that begins with the file: it needs no sign, and can begin like anything.
fn as_pickle(source: &mut Source<'_>, found: Finding) -> Result<Finding> {
    let size = source.size();
    let Some(pickle) = pickle::read(source, 0..size)? else {
        return Ok(found);
    };
    let is_joblib = |name: &String| name.starts_with("joblib.");
    let format = match pickle.imports.iter().any(is_joblib) {
        true => Format::Joblib,
        false => Format::Pickle,
    };
    let mut both = match found.format {
        // Neither has a structure of its own.
        Format::Unknown | Format::Text if found.defect.is_none() => Finding::of(format),
        _ => found.and(format),
    };
    both.imports.extend(pickle.imports);
    Ok(both)
}

/// Returns what the file is to who reads it from its start.
fn from_start(source: &mut Source<'_>, head: &[u8]) -> Result<Finding> {
    if looks_like_safetensors(head, source.size()) {
        return safetensors(source);
    }
    if let Some(format) = magic::format(head) {
        return with_magic(source, head, format);
    }
    if tar::is_header(head) {
        let members = tar::members(source)?;
        return contained::tar(source, members);
    }
    if matches!(head.first(), Some(0x08 | 0x0a))
        && let Some(format) = protobuf::format(source)?
    {
        return Ok(Finding::of(format));
    }
    let found = match text::read(source)? {
        Some(text) => Finding {
            code_key: text.code_key,
            ..Finding::of(text.format)
        },
        None => Finding::of(Format::Unknown),
    };
    match begins_later(source)? {
        true => Ok(found.and(Format::Hdf5)),
        false => Ok(found),
    }
}

fn with_magic(source: &mut Source<'_>, head: &[u8], format: Format) -> Result<Finding> {
    match format {
        Format::Gguf => {
            let size = source.size();
            let read = gguf::Header::read(&mut source.reader(0)?, size);
            header(Format::Gguf, read.map(drop))
        }
        Format::Numpy => {
            let header = source.at(0, arrays::HEADER)?;
            Ok(Finding::of(match arrays::holds_objects(&header) {
                true => Format::NumpyObjects,
                false => Format::Numpy,
            }))
        }
        Format::Hdf5 => hdf5(source),
        // Some marks are letters: text may begin with them as well.
        _ if head.iter().all(u8::is_ascii) && !head.contains(&0) => Ok(match text::read(source)? {
            Some(text) if format.danger() < Danger::Code => Finding {
                code_key: text.code_key,
                ..Finding::of(text.format)
            },
            _ => Finding::of(format),
        }),
        _ => Ok(Finding::of(format)),
    }
}

/// Whether the file begins with a length that fits, and with the object that follows it.
fn looks_like_safetensors(head: &[u8], size: u64) -> bool {
    let length = head.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let fits = length.is_some_and(|length| length < size && length >> 32 == 0);
    fits && head.get(8) == Some(&b'{')
}

fn safetensors(source: &mut Source<'_>) -> Result<Finding> {
    let size = source.size();
    let read = safetensors::Header::read(&mut source.reader(0)?, size);
    header(Format::Safetensors, read.map(drop))
}

/// Returns a finding that says whether the header could be read, unless the disk could not.
fn header(format: Format, read: Result<()>) -> Result<Finding> {
    match read {
        Ok(()) => Ok(Finding::of(format)),
        Err(error) if error.reason() == Reason::HeaderInvalid => {
            Ok(Finding::malformed(format, &error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Tells HDF5 files in which a Lambda layer is found from others. Keras writes the layers as JSON
/// text among the file's first or last bytes; what is not found may still be there.
fn hdf5(source: &mut Source<'_>) -> Result<Finding> {
    let last = source.size().saturating_sub(HDF5_SEARCHED as u64);
    for start in [0, last] {
        let searched = source.at(start, HDF5_SEARCHED)?;
        if searched.windows(8).any(|window| window == b"\"Lambda\"") {
            return Ok(Finding::of(Format::KerasCode));
        }
    }
    Ok(Finding::of(Format::Hdf5))
}

/// Whether an HDF5 file begins at one of the places behind a user block.
fn begins_later(source: &mut Source<'_>) -> Result<bool> {
    for power in 9..16 {
        if source.at(1 << power, 8)? == b"\x89HDF\r\n\x1a\n" {
            return Ok(true);
        }
    }
    Ok(false)
}
