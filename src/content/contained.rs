//! What an archive is, judged by what it holds.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use super::source::Source;
use super::{Finding, Format, arrays, magic, pickle, zip};
use crate::error::Result;
use crate::{json, limits};

/// Bytes of a member that tell what it begins as.
const HEAD: usize = 64;

/// What the members of an archive come to.
#[derive(Default)]
struct Contents {
    names: Vec<String>,
    imports: BTreeSet<String>,
    /// The first member that is a pickle.
    pickle: Option<String>,
    /// Members that are programs or archives themselves; those are not opened.
    programs: bool,
    objects: bool,
    /// Members that could not be looked at.
    hidden: bool,
}

impl Contents {
    /// Looks at a member where it stands.
    fn add(&mut self, source: &mut Source<'_>, name: String, data: Range<u64>) -> Result<()> {
        let head = source.at(data.start, HEAD)?;
        match magic::format(&head) {
            Some(Format::NativeCode | Format::Archive) => self.programs = true,
            Some(Format::Numpy) => {
                self.objects |= arrays::holds_objects(&source.at(data.start, arrays::HEADER)?);
            }
            _ => {}
        }
        if let Some(found) = pickle::read(source, data)? {
            self.imports.extend(found.imports);
            self.pickle.get_or_insert_with(|| name.clone());
        }
        self.names.push(name);
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    fn all_end_with(&self, suffix: &str) -> bool {
        !self.names.is_empty() && self.names.iter().all(|name| name.ends_with(suffix))
    }

    fn into_finding(self, format: Format) -> Finding {
        let mut finding = Finding::of(format);
        finding.notes = match self.pickle {
            Some(name) => vec![format!("{name:?} in it is a pickle")],
            None => Vec::new(),
        };
        if self.hidden {
            finding
                .notes
                .push("not all of it can be looked at".to_owned());
        }
        finding.imports = self.imports.into_iter().collect();
        finding
    }
}

/// Returns what a zip archive is.
pub(super) fn zip(source: &mut Source<'_>, end: zip::End) -> Result<Finding> {
    let (members, is_all) = zip::members(source, end)?;
    let mut contents = Contents {
        hidden: !is_all,
        ..Contents::default()
    };
    let config = members.iter().find(|member| member.name == "config.json");
    let config = config.and_then(|member| member.data.clone());
    for member in members {
        match member.data {
            Some(data) => contents.add(source, member.name, data)?,
            None => {
                contents.hidden = true;
                contents.names.push(member.name);
            }
        }
    }
    let format = zip_format(source, &contents, config)?;
    Ok(contents.into_finding(format))
}

fn zip_format(
    source: &mut Source<'_>,
    contents: &Contents,
    config: Option<Range<u64>>,
) -> Result<Format> {
    let is_torch = |name: &String| name.ends_with("/data.pkl") || name == "data.pkl";
    if contents.names.iter().any(is_torch) {
        return Ok(Format::TorchZip);
    }
    if contents.pickle.is_some() {
        return Ok(Format::Pickle);
    }
    // What cannot be looked at may hold objects, and Lambda layers.
    if contents.all_end_with(".npy") && !contents.programs {
        return Ok(match contents.objects || contents.hidden {
            true => Format::NumpyObjects,
            false => Format::Numpy,
        });
    }
    if contents.has("config.json") && contents.has("metadata.json") {
        let is_plain = match config {
            Some(config) => is_plain_keras(source, config)?,
            None => false,
        };
        return Ok(match is_plain && !contents.hidden && !contents.programs {
            true => Format::Keras,
            false => Format::KerasCode,
        });
    }
    Ok(Format::Archive)
}

/// Whether a Keras config names only Keras' own classes, and no Lambda layer, which is bytecode.
fn is_plain_keras(source: &mut Source<'_>, config: Range<u64>) -> Result<bool> {
    let length = config.end - config.start;
    if length > limits::CONFIG {
        return Ok(false);
    }
    let bytes = source.at(config.start, usize::try_from(length).unwrap_or(0))?;
    let parsed = json::parse::<Value>(&bytes, "the Keras config");
    Ok(parsed.is_ok_and(|config| names_keras_only(&config)))
}

fn names_keras_only(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .all(|(key, value)| match (key.as_str(), value) {
                ("module", Value::String(module)) => {
                    module.split('.').next() == Some("keras") || module == "builtins"
                }
                ("class_name", Value::String(class)) => {
                    !["Lambda", "__lambda__", "function"].contains(&class.as_str())
                }
                ("registered_name", Value::String(name)) => !name.contains('>'),
                _ => names_keras_only(value),
            }),
        Value::Array(values) => values.iter().all(names_keras_only),
        _ => true,
    }
}

/// Returns what a tar archive with these files is.
pub(super) fn tar(source: &mut Source<'_>, members: Vec<(String, Range<u64>)>) -> Result<Finding> {
    let mut contents = Contents::default();
    for (name, data) in members {
        contents.add(source, name, data)?;
    }
    let format = match contents.pickle {
        Some(_) => Format::Pickle,
        None => Format::Archive,
    };
    Ok(contents.into_finding(format))
}
