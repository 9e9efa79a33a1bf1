//! What may be in a model. Pure: findings in, objections out.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Danger, Finding, Format};
use crate::error::{Error, Reason, Result};
use crate::path::SafePath;

/// How large a model may be; nothing set is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Files in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    /// Bytes in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
}

impl Limits {
    /// No limit but those that every model has.
    pub const NONE: Self = Self {
        files: None,
        file_bytes: None,
        total_bytes: None,
    };

    /// Returns the lower of each limit.
    fn and(self, other: Self) -> Self {
        let lower = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self {
            files: lower(self.files, other.files),
            file_bytes: lower(self.file_bytes, other.file_bytes),
            total_bytes: lower(self.total_bytes, other.total_bytes),
        }
    }
}

/// Whether a model's manifest may say that a file is to be executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ExecutableBit {
    /// It may; no file is made executable here all the same.
    Allow,
    /// It may not.
    Deny,
}

/// What may be in a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentRules {
    #[serde(rename = "formats")]
    allowed: BTreeSet<Format>,
    /// Whether a file may be meant to be executable.
    pub executable_bit: ExecutableBit,
    /// How large it may be.
    pub limits: Limits,
}

/// What to do with what rules object to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Do not look.
    Open,
    /// Look, and tell.
    Warn(ContentRules),
    /// Refuse.
    Refuse(ContentRules),
}

/// Something that rules do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objection {
    /// The file, unless it is the model as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<SafePath>,
    /// What the file is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// Why it is not allowed.
    #[serde(serialize_with = "code")]
    pub reason: Reason,
    /// A sentence that says so.
    pub message: String,
    /// What can be done about it.
    pub hint: String,
}

fn code<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}

impl ContentRules {
    /// Only formats that are data to every common loader; what is unknown is refused.
    pub fn strict() -> Self {
        Self::up_to(Danger::Data)
    }

    /// Everything that neither is code, nor can carry code, nor hides what it carries, as far as
    /// this tool can tell; what is unknown is allowed.
    pub fn without_code() -> Self {
        Self::up_to(Danger::Opaque)
    }

    fn up_to(danger: Danger) -> Self {
        let formats = Format::ALL.iter().copied();
        Self::only(formats.filter(|f| f.danger() <= danger))
    }

    /// Exactly these formats, however many and large the files are.
    pub fn only(formats: impl IntoIterator<Item = Format>) -> Self {
        Self {
            allowed: formats.into_iter().collect(),
            executable_bit: ExecutableBit::Allow,
            limits: Limits::NONE,
        }
    }

    /// Returns what allows only what both this and `other` allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            allowed: self.allowed.intersection(&other.allowed).copied().collect(),
            executable_bit: self.executable_bit.max(other.executable_bit),
            limits: self.limits.and(other.limits),
        }
    }

    /// Allows a format as well.
    #[must_use]
    pub fn allow(mut self, format: Format) -> Self {
        self.allowed.insert(format);
        self
    }

    /// Allows a format no longer.
    #[must_use]
    pub fn deny(mut self, format: Format) -> Self {
        self.allowed.remove(&format);
        self
    }

    /// Limits how many files there may be, and how large.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says whether a file may be meant to be executable.
    #[must_use]
    pub fn on_executable_bit(mut self, executable_bit: ExecutableBit) -> Self {
        self.executable_bit = executable_bit;
        self
    }

    /// Whether files of a format may be there.
    pub fn allows(&self, format: Format) -> bool {
        self.allowed.contains(&format)
    }

    /// Returns the formats that may be there.
    pub fn allowed(&self) -> impl Iterator<Item = Format> {
        self.allowed.iter().copied()
    }

    /// Returns what these rules object to, file by file and then as a whole. A file that is broken
    /// or two things at once is never allowed.
    pub fn judge(&self, files: &[(SafePath, Finding)]) -> Vec<Objection> {
        let mut objections: Vec<_> = files
            .iter()
            .flat_map(|(path, finding)| self.judge_file(path, finding))
            .collect();
        objections.extend(self.judge_size(files).map(|message| Objection {
            path: None,
            finding: None,
            reason: Reason::ModelUnsuitable,
            message,
            hint: "fetch a part of it, or allow more".to_owned(),
        }));
        objections
    }

    fn judge_file(&self, path: &SafePath, finding: &Finding) -> Vec<Objection> {
        let too_large = self.limits.file_bytes.is_some_and(|cap| finding.size > cap);
        let too_large = too_large.then(|| {
            let message = format!("`{path}` has {} bytes, more than are allowed", finding.size);
            Error::new(Reason::ModelUnsuitable, message).hint("allow more, or leave it out")
        });
        let denied = || self.denied(path, finding);
        let errors = finding.defect_error(path).or_else(denied).into_iter();
        errors
            .chain(too_large)
            .map(|error| Objection {
                path: Some(path.clone()),
                finding: Some(finding.clone()),
                reason: error.reason(),
                message: error.message().to_owned(),
                hint: error.advice().unwrap_or_default().to_owned(),
            })
            .collect()
    }

    fn denied(&self, path: &SafePath, finding: &Finding) -> Option<Error> {
        if !self.allows(finding.format) {
            return Some(denied(path, finding));
        }
        // Code that is named is wanted as little as code that is there.
        let key = finding.code_key.filter(|_| !self.allows(Format::Python))?;
        let message = format!("`{path}` asks its loader to run Python code (`{key}`)");
        Some(
            Error::new(Reason::ContentFormatDenied, message).hint(
                "read the code that it names first; if it may be run, allow the format `python`",
            ),
        )
    }

    fn judge_size(&self, files: &[(SafePath, Finding)]) -> Option<String> {
        let count = files.len() as u64;
        if self.limits.files.is_some_and(|cap| count > cap) {
            return Some(format!(
                "the model has {count} files, more than are allowed"
            ));
        }
        let bytes = files
            .iter()
            .fold(0_u64, |sum, (_, finding)| sum.saturating_add(finding.size));
        let is_over = self.limits.total_bytes.is_some_and(|cap| bytes > cap);
        is_over.then(|| format!("the model has {bytes} bytes, more than are allowed"))
    }
}

fn denied(path: &SafePath, finding: &Finding) -> Error {
    let format = finding.format;
    let mut message = format!("`{path}` is {}", format.description());
    if !finding.imports.is_empty() {
        message.push_str(&format!("; it imports {}", finding.imports.join(", ")));
    }
    for note in &finding.notes {
        message.push_str(&format!("; {note}"));
    }
    let hint = match format {
        Format::Pickle | Format::TorchZip | Format::Joblib | Format::NumpyObjects => {
            "convert it to safetensors, leave it out"
        }
        Format::Keras | Format::KerasCode | Format::SavedModel | Format::Hdf5 => {
            "convert it to safetensors or ONNX, leave it out"
        }
        Format::Archive => "put the files there as they are, leave it out",
        _ => "leave it out",
    };
    Error::new(Reason::ContentFormatDenied, message)
        .hint(format!("{hint}, or allow the format `{format}`"))
}

impl Objection {
    /// Returns the error that this is; the reader is told of `others` besides.
    fn into_error(self, others: usize) -> Error {
        let besides = match others {
            0 => String::new(),
            1 => " (and one more file)".to_owned(),
            _ => format!(" (and {others} more)"),
        };
        Error::new(self.reason, format!("{}{besides}", self.message)).hint(self.hint)
    }

    /// Refuses if there is any objection.
    pub fn refuse(objections: Vec<Self>) -> Result<()> {
        let others = objections.len().saturating_sub(1);
        match objections.into_iter().next() {
            Some(first) => Err(first.into_error(others)),
            None => Ok(()),
        }
    }
}

impl Gate {
    /// Returns the rules by which files are to be looked at, if they are.
    pub fn rules(&self) -> Option<&ContentRules> {
        match self {
            Self::Open => None,
            Self::Warn(rules) | Self::Refuse(rules) => Some(rules),
        }
    }

    /// Judges what was found: refuses, or returns what is to be told.
    pub fn pass(&self, files: &[(SafePath, Finding)]) -> Result<Vec<Objection>> {
        let objections = self.rules().map(|rules| rules.judge(files));
        let objections = objections.unwrap_or_default();
        if matches!(self, Self::Refuse(_)) {
            Objection::refuse(objections)?;
            return Ok(Vec::new());
        }
        Ok(objections)
    }
}
