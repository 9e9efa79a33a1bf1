//! How the files of a signed model were found and hashed (OMS 1.0, section 5.2.2).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Result;
use crate::oms::resource::canonical;
use crate::oms::{HashType, invalid};
use crate::path::RESERVED;

/// The paths at a model's root that are never signed (section 6.2).
pub const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// How the files were found and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serialization {
    /// What one resource is.
    pub method: Method,
    /// What it is hashed with.
    pub hash: HashType,
    /// Whether symlinks to files were followed.
    pub allow_symlinks: bool,
    /// What was left out.
    pub ignored: IgnoredPaths,
}

/// What one resource of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A whole file.
    Files,
    /// A part of a file, all parts of one size but the last.
    Shards {
        /// The size in bytes, not 0.
        size: u64,
    },
}

/// Serialization as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SerializationJson {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    /// Protobuf's JSON has floating-point numbers only: `1000000000.0`.
    shard_size: Option<f64>,
    ignore_paths: Option<Vec<String>>,
}

impl Serialization {
    /// Returns that of whole files under SHA-256, without symlinks.
    pub fn of_files(ignored: IgnoredPaths) -> Self {
        Self {
            method: Method::Files,
            hash: HashType::Sha256,
            allow_symlinks: false,
            ignored,
        }
    }

    pub(super) fn read(json: SerializationJson) -> Result<Self> {
        let hash = json.hash_type.as_str();
        Ok(Self {
            method: method(&json.method, json.shard_size)?,
            hash: HashType::named(hash)
                .ok_or_else(|| invalid(&format!("is made with the unknown hash {hash:?}")))?,
            allow_symlinks: json.allow_symlinks,
            ignored: IgnoredPaths::read(&json.ignore_paths.unwrap_or_default())?,
        })
    }

    /// Returns it as it is written.
    pub(super) fn to_json(&self) -> Value {
        let mut value = match self.method {
            Method::Files => json!({ "method": "files" }),
            Method::Shards { size } => json!({ "method": "shards", "shard_size": size }),
        };
        if let Value::Object(fields) = &mut value {
            fields.insert("hash_type".to_owned(), self.hash.name().into());
            fields.insert("allow_symlinks".to_owned(), self.allow_symlinks.into());
            fields.insert("ignore_paths".to_owned(), json!(self.ignored.0));
        }
        value
    }
}

fn method(name: &str, shard_size: Option<f64>) -> Result<Method> {
    match (name, shard_size) {
        ("files", None) => Ok(Method::Files),
        ("shards", Some(size)) => match size {
            // Beyond this, floating-point numbers are no longer exact.
            size if size >= 1.0 && size.fract() == 0.0 && size < 9.0e15 => {
                Ok(Method::Shards { size: size as u64 })
            }
            _ => Err(invalid("has a shard size that is no size")),
        },
        ("files", Some(_)) => Err(invalid("has whole files and a shard size")),
        ("shards", None) => Err(invalid("has shards without their size")),
        _ => Err(invalid(&format!("is made by the unknown method {name:?}"))),
    }
}

/// Paths, relative to the model's root, that are not part of it, with everything below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoredPaths(Vec<String>);

impl IgnoredPaths {
    /// Returns what is ignored unless more is said: the paths of git, and where a pull keeps its
    /// receipt. They are always written down: one verifier (Go's) takes a written list for the
    /// whole.
    pub fn usual() -> Self {
        let mut paths = Self::git();
        paths.0.push(RESERVED.to_owned());
        paths
    }

    /// Returns the paths of git, which every verifier ignores.
    pub fn git() -> Self {
        Self(GIT_PATHS.map(str::to_owned).to_vec())
    }

    /// Reads paths, none of which may be the root or outside of it.
    fn read(paths: &[String]) -> Result<Self> {
        let mut read = Self::default();
        for path in paths {
            read.add(path)?;
        }
        Ok(read)
    }

    /// Adds a path, which must be below the model's root.
    pub fn add(&mut self, path: &str) -> Result<()> {
        let path = canonical(path)
            .ok_or_else(|| invalid(&format!("ignores {path:?}, which is not below its root")))?;
        if !self.0.contains(&path) {
            self.0.push(path);
        }
        Ok(())
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        let new: Vec<_> = other
            .0
            .iter()
            .filter(|path| !self.0.contains(path))
            .cloned()
            .collect();
        self.0.extend(new);
    }

    /// Whether `path` is one of these, or below one.
    pub fn covers(&self, path: &str) -> bool {
        self.0.iter().any(|ignored| {
            path.strip_prefix(ignored.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Returns the paths.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
