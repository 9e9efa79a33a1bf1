//! Text: JSON, scripts, and what people read.

use serde_json::Value;

use super::Format;
use super::source::Source;
use crate::error::Result;
use crate::{json, limits};

/// Bytes at either end of a file that must be text for it to be text; nothing that reads a file as
/// text or as anything else begins in its middle.
const ENDS: usize = 64 << 10;

/// Keys of transformers' configs that name Python code to be loaded.
const CODE_KEYS: [&str; 2] = ["auto_map", "custom_pipelines"];

/// What a text file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) format: Format,
    /// The key by which it asks its loader to run code that comes with the model.
    pub(super) code_key: Option<&'static str>,
}

impl Text {
    fn of(format: Format) -> Self {
        Self {
            format,
            code_key: None,
        }
    }
}

/// Returns what the file is if it is text: UTF-8 without a zero byte, at either end.
pub(super) fn read(source: &mut Source<'_>) -> Result<Option<Text>> {
    let size = source.size();
    let head = source.at(0, ENDS)?;
    let tail = source.at(size.saturating_sub(ENDS as u64), ENDS)?;
    let is_cut = size > ENDS as u64;
    if !is_text(&head, false, is_cut) || !is_text(&tail, is_cut, false) {
        return Ok(None);
    }
    if let Some(format) = script(&head) {
        return Ok(Some(Text::of(format)));
    }
    let looks_like_json = matches!(
        (head.trim_ascii().first(), tail.trim_ascii().last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    );
    if !looks_like_json {
        return Ok(Some(Text::of(Format::Text)));
    }
    // A larger one is no config: no loader of code reads it.
    if size > limits::CONFIG {
        return Ok(Some(Text::of(Format::Json)));
    }
    let all = source.at(0, usize::try_from(size).unwrap_or(usize::MAX))?;
    Ok(Some(parse(&all)))
}

/// Whether `bytes`, which may have lost the rest of a character at either side, are text.
fn is_text(bytes: &[u8], cut_before: bool, cut_after: bool) -> bool {
    let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
    let skipped = match cut_before {
        true => bytes.iter().take(3).take_while(continues).count(),
        false => 0,
    };
    let bytes = bytes.get(skipped..).unwrap_or_default();
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => cut_after && error.error_len().is_none(),
    };
    is_utf8 && !bytes.contains(&0)
}

/// Returns what a first line that names an interpreter says.
fn script(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let is_python = line.windows(6).any(|window| window == b"python");
    Some(match is_python {
        true => Format::Python,
        false => Format::Script,
    })
}

/// Reads a document strictly. What is not strict JSON may be JSON to a reader that is not, so there
/// the key is looked for in the bytes, and an escape, which could spell it, counts as well.
fn parse(bytes: &[u8]) -> Text {
    let (format, code_key) = match json::parse::<Value>(bytes, "the file") {
        Ok(value) => (Format::Json, code_key(&value)),
        Err(_) => (Format::Text, spelled_key(bytes)),
    };
    Text { format, code_key }
}

fn code_key(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let known = CODE_KEYS.into_iter().find(|known| known == key);
            let is_empty = match value {
                Value::Null => true,
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            };
            let named = known.filter(|_| !is_empty);
            let asked = key == "trust_remote_code" && value == &Value::Bool(true);
            named
                .or(asked.then_some("trust_remote_code"))
                .or_else(|| code_key(value))
        }),
        Value::Array(values) => values.iter().find_map(code_key),
        _ => None,
    }
}

fn spelled_key(bytes: &[u8]) -> Option<&'static str> {
    let spells = |key: &str| {
        bytes
            .windows(key.len())
            .any(|window| window == key.as_bytes())
    };
    let found = CODE_KEYS.into_iter().find(|key| spells(key));
    found.or_else(|| spells("\\u00").then_some("auto_map"))
}
