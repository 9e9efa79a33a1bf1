//! The typed values of a GGUF header, read or stepped over without ever trusting a length.

use std::io::{BufRead, BufReader, Read};

use super::invalid;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// Arrays of arrays exist in the format; deeper nesting only in attacks on recursive readers.
const ARRAY_DEPTH: u32 = 2;

/// A value that is worth keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number of any width that is not negative.
    Number(u64),
    /// Text.
    Text(String),
}

/// The types that a value can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    fn parse(code: u32) -> Result<Self> {
        Ok(match code {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return Err(invalid(format_args!("has a value of unknown type {code}"))),
        })
    }

    /// Returns the size of values that can be stepped over without a look.
    fn fixed_size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Bool | Self::Text | Self::Array => None,
        }
    }
}

/// The start of a file, little-endian, never read beyond the cap on headers.
pub(super) struct Input<'a> {
    reader: BufReader<&'a mut dyn Read>,
    position: u64,
    file_size: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, file_size: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(limits::PIECE, reader),
            position: 0,
            file_size,
        }
    }

    /// Returns how many bytes have been read or stepped over.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Claims the next `count` bytes, before any of them is read or has memory.
    fn claim(&mut self, count: u64) -> Result<()> {
        let end = self.position.checked_add(count);
        let end = end.filter(|end| *end <= self.file_size).ok_or_else(|| {
            invalid(format_args!(
                "goes on after the end of the file, {} bytes long",
                self.file_size
            ))
        })?;
        if end > limits::GGUF_HEADER {
            let cap = limits::GGUF_HEADER;
            return Err(invalid(format_args!("is longer than {cap} bytes")));
        }
        self.position = end;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        self.claim(count)?;
        let mut left = count;
        while left > 0 {
            let here = self.reader.fill_buf().map_err(unreadable)?.len();
            if here == 0 {
                return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let step = left.min(here as u64);
            self.reader.consume(step as usize);
            left -= step;
        }
        Ok(())
    }

    pub(super) fn magic(&mut self) -> Result<[u8; 4]> {
        self.bytes()
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn value_type(&mut self) -> Result<ValueType> {
        self.u32().and_then(ValueType::parse)
    }

    /// Reads a string of at most `cap` bytes; `what` names it in errors.
    pub(super) fn text(&mut self, cap: u64, what: &str) -> Result<String> {
        let length = self.text_length(cap, what)?;
        self.claim(length)?;
        let mut bytes = Vec::new();
        let read = (&mut self.reader)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if read as u64 != length {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
        }
        String::from_utf8(bytes).map_err(|_| invalid(format_args!("has {what} that is not UTF-8")))
    }

    fn text_length(&mut self, cap: u64, what: &str) -> Result<u64> {
        let length = self.u64()?;
        if length > cap {
            return Err(invalid(format_args!("has {what} of more than {cap} bytes")));
        }
        Ok(length)
    }

    fn bool(&mut self) -> Result<bool> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(invalid("has a truth value that is neither 0 nor 1")),
        }
    }

    /// Reads a number or a text of at most `cap` bytes; any other value is stepped over.
    pub(super) fn value(&mut self, kind: ValueType, cap: u64) -> Result<Option<Value>> {
        let number: i128 = match kind {
            ValueType::Text => return self.text(cap, "a value").map(Value::Text).map(Some),
            ValueType::U8 => u8::from_le_bytes(self.bytes()?).into(),
            ValueType::U16 => u16::from_le_bytes(self.bytes()?).into(),
            ValueType::U32 => self.u32()?.into(),
            ValueType::U64 => self.u64()?.into(),
            ValueType::I8 => i8::from_le_bytes(self.bytes()?).into(),
            ValueType::I16 => i16::from_le_bytes(self.bytes()?).into(),
            ValueType::I32 => i32::from_le_bytes(self.bytes()?).into(),
            ValueType::I64 => i64::from_le_bytes(self.bytes()?).into(),
            ValueType::F32 | ValueType::F64 | ValueType::Bool | ValueType::Array => {
                return self.skip_value(kind).map(|()| None);
            }
        };
        Ok(u64::try_from(number).ok().map(Value::Number))
    }

    /// Steps over a value; texts in it may be any bytes, because older tokenizers hold some.
    pub(super) fn skip_value(&mut self, kind: ValueType) -> Result<()> {
        self.skip_nested(kind, 0)
    }

    fn skip_nested(&mut self, kind: ValueType, depth: u32) -> Result<()> {
        match kind {
            ValueType::Bool => self.bool().map(drop),
            ValueType::Text => {
                let length = self.text_length(limits::GGUF_STRING, "a text")?;
                self.skip(length)
            }
            ValueType::Array => self.skip_array(depth + 1),
            _ => self.skip(kind.fixed_size().unwrap_or_default()),
        }
    }

    fn skip_array(&mut self, depth: u32) -> Result<()> {
        if depth > ARRAY_DEPTH {
            return Err(invalid("has arrays nested too deeply"));
        }
        let kind = self.value_type()?;
        let count = self.u64()?;
        if count > limits::GGUF_ARRAY {
            let cap = limits::GGUF_ARRAY;
            return Err(invalid(format_args!(
                "has an array of more than {cap} elements"
            )));
        }
        if let Some(size) = kind.fixed_size() {
            return self.skip(count.saturating_mul(size));
        }
        (0..count).try_for_each(|_| self.skip_nested(kind, depth))
    }
}

fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return invalid("ends too early");
    }
    Error::new(Reason::Disk, "cannot read the GGUF header").because(error)
}
