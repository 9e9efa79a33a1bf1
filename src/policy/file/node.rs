//! A policy file's values with where they stand.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Reason, Result};
use crate::position::Position;

/// What sizes are counted in.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// The text of a policy file.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Returns the error about what stands `at` a place in the file.
    pub(super) fn wrong(&self, at: Range<usize>, why: &str) -> Error {
        let position = Position::of(self.text, at.start);
        let message = format!("`{}`, {position}: {why}", self.path.display());
        Error::new(Reason::PolicyInvalid, message)
            .hint("`modelctl policy check FILE` reads a policy without using it; docs/policy.md has all fields")
    }
}

/// A value, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    source: &'a Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
}

/// The fields of a table that were not looked at yet.
pub(super) struct Fields<'a> {
    pub(super) source: &'a Source<'a>,
    at: Range<usize>,
    left: BTreeMap<&'a str, (Range<usize>, Node<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(source: &'a Source<'a>, table: &'a DeTable<'a>, at: Range<usize>) -> Self {
        let left = table.iter().map(|(key, value)| {
            let node = Node { source, value };
            (key.get_ref().as_ref(), (key.span(), node))
        });
        Self {
            source,
            at,
            left: left.collect(),
            known: Vec::new(),
        }
    }

    /// Whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Takes a field that may be there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        self.left.remove(name).map(|(_, node)| node)
    }

    /// Takes a field that must be there.
    pub(super) fn need(&mut self, name: &'static str) -> Result<Node<'a>> {
        self.take(name).ok_or_else(|| {
            self.source
                .wrong(self.at.clone(), &format!("`{name}` is missing"))
        })
    }

    /// Takes all other fields, by their names, which the user chose.
    pub(super) fn named(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.left.into_iter().map(|(name, (_, node))| (name, node))
    }

    /// Refuses what is left: nobody would enforce it.
    pub(super) fn finish(self) -> Result<()> {
        let Some((name, (at, _))) = self.left.into_iter().next() else {
            return Ok(());
        };
        let near = self.known.iter().find(|known| is_near(known, name));
        let meant = match near {
            Some(near) => format!("; is `{near}` meant?"),
            None => format!("; there are {}", self.known.join(", ")),
        };
        Err(self
            .source
            .wrong(at, &format!("there is no field `{name}` here{meant}")))
    }
}

/// Whether two names differ by little enough to be mistaken for each other.
fn is_near(known: &str, name: &str) -> bool {
    let plain = |text: &str| -> Vec<char> {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let (a, b) = (plain(known), plain(name));
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let longest = a.len().max(b.len());
    longest > 2 && start + end + 1 >= longest
}

impl<'a> Node<'a> {
    /// Returns the error that this value is wrong.
    pub(super) fn wrong(&self, why: &str) -> Error {
        self.source.wrong(self.value.span(), why)
    }

    /// Returns `error` with where this value stands.
    pub(super) fn is_wrong(&self, error: &Error) -> Error {
        let located = self.wrong(&error.to_string());
        match error.advice() {
            Some(hint) => located.hint(hint),
            None => located,
        }
    }

    fn must_be(&self, what: &str) -> Error {
        let found = self.value.get_ref().type_str();
        self.wrong(&format!("this must be {what}, not {found}"))
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self) -> Result<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) if text.is_empty() => Err(self.wrong("this must not be empty")),
            DeValue::String(text) => Ok(text),
            _ => Err(self.must_be("a string")),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool> {
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.must_be("true or false"))
    }

    pub(super) fn integer(&self) -> Result<i64> {
        let integer = self.value.get_ref().as_integer();
        integer
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| self.must_be("a whole number"))
    }

    pub(super) fn time(&self) -> Result<Timestamp> {
        let time = self.value.get_ref().as_datetime();
        time.and_then(|time| time.to_string().parse().ok())
            .ok_or_else(|| self.must_be("a time with its offset (2026-01-31T00:00:00Z)"))
    }

    /// Returns a span of time: `90d`, `24h`, `30m` or `45s`.
    pub(super) fn duration(&self) -> Result<SignedDuration> {
        let text = self.text()?;
        let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
        let (number, unit) = text.split_at(split);
        let seconds = match unit {
            "d" => 24 * 60 * 60,
            "h" => 60 * 60,
            "m" => 60,
            "s" => 1,
            _ => 0,
        };
        // A thousand years are enough for anyone, and overflow nothing.
        let total = number
            .parse::<u32>()
            .ok()
            .map(|number| i64::from(number) * seconds)
            .filter(|total| (1..=365_000 * 24 * 60 * 60).contains(total));
        total
            .map(SignedDuration::from_secs)
            .ok_or_else(|| self.wrong("this must be a span of time, such as `90d`, `24h` or `30m`"))
    }

    /// Returns a number of bytes, more than none: `200GiB`, `500 MB` or `4096B`.
    pub(super) fn size(&self) -> Result<u64> {
        let text = self.text()?;
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
        let bytes = unit.and_then(|(_, factor)| number.parse::<u64>().ok()?.checked_mul(*factor));
        bytes
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| self.wrong("this must be a size, such as `200GiB`, `500MB` or `4096B`"))
    }

    /// Returns what the text means.
    pub(super) fn one_of<T: Copy>(&self, meanings: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        let found = meanings.iter().find(|(name, _)| *name == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<_> = meanings.iter().map(|(name, _)| *name).collect();
            self.wrong(&format!("`{text}` is none of {}", names.join(", ")))
        })
    }

    /// Returns a file's name, relative to where the policy is.
    pub(super) fn path(&self) -> Result<PathBuf> {
        let directory = self.source.path.parent().unwrap_or(Path::new(""));
        Ok(directory.join(self.text()?))
    }

    /// Returns the elements of a list that is not empty.
    pub(super) fn list(&self) -> Result<Vec<Node<'a>>> {
        let Some(elements) = self.value.get_ref().as_array() else {
            return Err(self.must_be("a list"));
        };
        if elements.is_empty() {
            return Err(self.wrong("this list must not be empty"));
        }
        let source = self.source;
        Ok(elements
            .iter()
            .map(|value| Node { source, value })
            .collect())
    }

    /// Returns the fields of a table.
    pub(super) fn table(&self) -> Result<Fields<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(Fields::new(self.source, table, self.value.span())),
            _ => Err(self.must_be("a table")),
        }
    }

    /// Whether this is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Returns a text, a number or a truth value, as JSON has it.
    pub(super) fn scalar(&self) -> Result<Value> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(Value::String(text.clone().into_owned())),
            DeValue::Boolean(value) => Ok(Value::Bool(*value)),
            DeValue::Integer(_) | DeValue::Float(_) => self.number().map(Value::Number),
            _ => Err(self.must_be("a string, a number, true or false")),
        }
    }

    pub(super) fn number(&self) -> Result<Number> {
        let parsed = match self.value.get_ref() {
            DeValue::Integer(_) => return self.integer().map(Number::from),
            DeValue::Float(float) => float.as_str().parse().ok().and_then(Number::from_f64),
            _ => None,
        };
        parsed.ok_or_else(|| self.must_be("a number"))
    }
}
