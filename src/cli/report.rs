//! What a command came to, as data: shown as text or JSON by the terminal alone.

use modelctl::error::Error;
use serde::Serialize;
use serde_json::{Map, Value};

/// What a command did.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What stdout gets without `--json`.
    pub(super) stdout: String,
    /// What stderr gets, unless `--quiet`.
    pub(super) summary: Vec<String>,
    /// What stdout gets with `--json`, besides `schema`.
    pub(super) json: Map<String, Value>,
}

impl Report {
    /// Returns a report whose JSON is `data`, which must be a struct or map.
    pub(super) fn of(data: &impl Serialize) -> Result<Self, Error> {
        Ok(Self {
            json: object(data)?,
            ..Self::default()
        })
    }

    /// Adds `data`, a struct or map, to the JSON output.
    pub(super) fn with(mut self, data: &impl Serialize) -> Result<Self, Error> {
        self.json.extend(object(data)?);
        Ok(self)
    }

    /// Adds a line for stdout: data that a script reads.
    #[must_use]
    pub(super) fn line(mut self, line: impl std::fmt::Display) -> Self {
        self.stdout.push_str(&format!("{line}\n"));
        self
    }

    /// Adds a line for stderr: talk.
    #[must_use]
    pub(super) fn say(mut self, line: impl std::fmt::Display) -> Self {
        self.summary.push(line.to_string());
        self
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// What went wrong.
    pub(super) error: Error,
    /// What JSON output says besides it.
    pub(super) json: Box<Map<String, Value>>,
    /// What stderr gets before the error.
    pub(super) details: Vec<String>,
}

impl Failure {
    /// Adds `data`, a struct or map, to the JSON output.
    pub(super) fn with(mut self, data: &impl Serialize) -> Self {
        self.json.extend(object(data).unwrap_or_default());
        self
    }

    /// Adds lines that explain the error.
    pub(super) fn details(mut self, lines: Vec<String>) -> Self {
        self.details.extend(lines);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            json: Box::default(),
            details: Vec::new(),
        }
    }
}

fn object(data: &impl Serialize) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(data) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Error::new(
            modelctl::error::Reason::Internal,
            "a report is not a JSON object",
        )),
    }
}

/// Returns a size for people: `86.7 MiB`.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Returns a count for people: `1 file`, `2 files`.
pub(super) fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
