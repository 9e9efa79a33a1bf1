//! One file, or one part of a file, in the list that a model signature signs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::limits;
use crate::oms::{Method, Serialization, invalid};

/// What the reference implementation calls the one file of a model that is not a directory.
pub const SINGLE_FILE: &str = ".";

/// A file or a part of one, with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    path: String,
    part: Option<Range<u64>>,
    digest: Vec<u8>,
}

/// A resource as it is written; fields that are not known mean nothing (section 5.2.1).
#[derive(Serialize, Deserialize)]
pub(super) struct ResourceJson<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) algorithm: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) digest: Cow<'a, str>,
}

impl Resource {
    /// Returns the whole file at `path`, which must be below the model's root.
    pub fn file(path: &str, digest: Vec<u8>) -> Result<Self> {
        let path = canonical(path).ok_or_else(|| outside(path))?;
        Ok(Self {
            path,
            part: None,
            digest,
        })
    }

    /// Returns the file, or the part of one, that was found under this name.
    pub(crate) fn of(path: &str, part: Option<Range<u64>>, digest: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            part,
            digest,
        }
    }

    pub(super) fn read(json: ResourceJson<'_>, serialization: &Serialization) -> Result<Self> {
        let ResourceJson {
            name,
            algorithm,
            digest,
        } = json;
        if !is_algorithm(&algorithm, serialization) {
            let message = format!("lists {name:?} with the hash {algorithm:?}, unlike the others");
            return Err(invalid(&message));
        }
        let (path, part) = match serialization.method {
            Method::Files => (name.as_ref(), None),
            Method::Shards { .. } => split_part(&name)
                .ok_or_else(|| invalid(&format!("lists {name:?}, which is no part of a file")))?,
        };
        let path = match path {
            SINGLE_FILE => SINGLE_FILE.to_owned(),
            path => canonical(path).ok_or_else(|| outside(&name))?,
        };
        let is_lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let digest = hex::decode(digest.as_ref())
            .ok()
            .filter(|bytes| bytes.len() == serialization.hash.len())
            .filter(|_| digest.bytes().all(is_lower))
            .ok_or_else(|| invalid(&format!("lists {name:?} with a malformed digest")))?;
        Ok(Self { path, part, digest })
    }

    /// Returns the file's path, relative to the model's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns which bytes of the file it is; nothing if it is all of it.
    pub fn part(&self) -> Option<&Range<u64>> {
        self.part.as_ref()
    }

    /// Returns the digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Returns the name that it is listed by.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.part {
            None => Cow::Borrowed(&self.path),
            Some(part) => format!("{}:{}:{}", self.path, part.start, part.end).into(),
        }
    }

    /// Returns what there must be only one of: a file, or the part that starts at a byte.
    pub(crate) fn key(&self) -> (&str, u64) {
        (&self.path, self.part.as_ref().map_or(0, |part| part.start))
    }
}

/// Whether `algorithm` is the one that the list is made with. Version 1.1.1 of the reference
/// implementation writes `sha256-sharded-1000` for parts of 1000 bytes.
fn is_algorithm(algorithm: &str, serialization: &Serialization) -> bool {
    let name = serialization.hash.name();
    match serialization.method {
        Method::Files => algorithm == name,
        Method::Shards { size } => {
            algorithm == name || algorithm == format!("{name}-sharded-{size}")
        }
    }
}

/// Splits `path:start:end` at its last two colons: a path may have some too (section 6.3.2).
fn split_part(name: &str) -> Option<(&str, Option<Range<u64>>)> {
    let (rest, end) = name.rsplit_once(':')?;
    let (path, start) = rest.rsplit_once(':')?;
    let number = |text: &str| {
        let number: u64 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    };
    let (start, end) = (number(start)?, number(end)?);
    (start < end).then_some((path, Some(start..end)))
}

/// Refuses parts that do not follow each other from a file's first byte on, all of one size but
/// the last: what is between them would not be signed.
pub(super) fn check_shards(resources: &[Resource], size: u64) -> Result<()> {
    let mut parts: BTreeMap<&str, Vec<&Range<u64>>> = BTreeMap::new();
    for resource in resources {
        let part = resource.part.as_ref();
        parts.entry(resource.path()).or_default().extend(part);
    }
    for (path, mut parts) in parts {
        parts.sort_unstable_by_key(|part| part.start);
        let mut next = 0;
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            let length = part.end - part.start;
            let is_right = length == size || (index + 1 == count && length < size);
            if part.start != next || !is_right {
                return Err(invalid(&format!("does not list all parts of {path:?}")));
            }
            next = part.end;
        }
    }
    Ok(())
}

/// Returns `path` without empty and `.` components, as the reference implementation reads it; and
/// nothing if it is absolute, leads up, is the root itself, or could be no file's.
pub(super) fn canonical(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => return None,
            component if component.len() > limits::NAME_BYTES => return None,
            component => components.push(component),
        }
    }
    let is_possible = !components.is_empty() && components.len() <= limits::PATH_DEPTH;
    is_possible.then(|| components.join("/"))
}

fn outside(path: &str) -> crate::error::Error {
    let shown: String = path.chars().take(120).collect();
    invalid(&format!(
        "lists {shown:?}, which is not a file below its root"
    ))
}
