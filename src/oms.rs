//! OpenSSF model signing (OMS): a signed list of a model's files with their digests
//! ([OMS 1.0](https://github.com/ossf/model-signing-spec/blob/main/spec/v1.0.md)).
//!
//! An OMS signature is one more statement in a bundle, so [`crate::trust`] authenticates it like
//! any other. What it says is a [`Contents`]: which files make up the model, hashed how, and what
//! was left out. It names no artifact: its subject is a digest of digests that binds no names, so
//! it counts for an artifact or a directory only when the whole list was [compared](Coverage).

mod coverage;
mod hash;
mod legacy;
mod resource;
mod serialization;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason, Result};
use crate::model::{Form, ModelFile};
use crate::statement::{Statement, Subject, TYPE_V1};

pub use crate::oms::coverage::{Coverage, Difference, Differences};
pub use crate::oms::hash::{HashType, StreamHasher};
pub(crate) use crate::oms::legacy::signed_bytes_v02;
pub use crate::oms::resource::{Resource, SINGLE_FILE};
pub use crate::oms::serialization::{GIT_PATHS, IgnoredPaths, Method, Serialization};

/// The predicate type of a model signature (OMS 1.0, section 5.1).
pub const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// What the predicate types of version 1 start with: a verifier of one minor version takes them
/// all.
const PREDICATE_V1: &str = "https://model_signing/signature/v1.";

/// The predicate type that version 0.2 of the reference implementation wrote.
pub const PREDICATE_V02: &str = "https://model_signing/Digests/v0.1";

/// The usual name of a signature beside or in the model.
pub const SIGNATURE_FILE: &str = "model.sig";

/// The names that signatures in a model have: the usual one, and those of two large publishers.
pub const SIGNATURE_FILES: [&str; 3] = [SIGNATURE_FILE, "result.sigstore", "claims.jsonl"];

/// Whether statements of this predicate type are model signatures.
pub fn is_model_signature(predicate_type: &str) -> bool {
    let minor = predicate_type.strip_prefix(PREDICATE_V1);
    let is_number = |minor: &str| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit());
    predicate_type == PREDICATE_V02 || minor.is_some_and(is_number)
}

/// What a model signature says: the model's files and their digests.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    name: String,
    serialization: Serialization,
    resources: Vec<Resource>,
}

impl Contents {
    /// Returns the list to be signed of the model called `name`: in the order of names, none
    /// twice, and not empty (OMS 1.0, section 6.1).
    pub fn new(
        name: impl Into<String>,
        serialization: Serialization,
        mut resources: Vec<Resource>,
    ) -> Result<Self> {
        resources.sort_by_cached_key(Resource::name);
        let contents = Self {
            name: name.into(),
            serialization,
            resources,
        };
        contents.check()?;
        Ok(contents)
    }

    /// Returns the list of a model whose files have the digests of an artifact's layers: nothing is
    /// read.
    ///
    /// Files that every verifier leaves out are left out (section 6.2.1), and so is what a pull
    /// adds: a pulled directory verifies as it is.
    pub fn of_files(name: impl Into<String>, files: &[ModelFile]) -> Result<Self> {
        let serialization = Serialization::of_files(IgnoredPaths::usual());
        let mut resources = Vec::with_capacity(files.len());
        for file in files {
            if file.form != Form::Raw {
                let message = format!("the layer of `{}` is not the file itself", file.path);
                return Err(Error::new(Reason::ModelUnsuitable, message)
                    .hint("only models of one raw layer per file can be listed unread"));
            }
            if !serialization.ignored.covers(file.path.as_str()) {
                let digest = file.descriptor.digest.as_bytes().to_vec();
                resources.push(Resource::file(file.path.as_str(), digest)?);
            }
        }
        Self::new(name, serialization, resources)
    }

    /// Reads what an authenticated statement says.
    pub fn read(statement: &Statement) -> Result<Self> {
        if !is_model_signature(&statement.predicate_type) {
            let message = format!(
                "it states {:?}, which is not a model signature",
                statement.predicate_type
            );
            return Err(Error::new(Reason::PredicateTypeMismatch, message));
        }
        if statement.kind != TYPE_V1 {
            return Err(invalid("is not an in-toto statement of version 1"));
        }
        let contents = match statement.predicate_type.as_str() {
            PREDICATE_V02 => legacy::read(statement)?,
            _ => Self::read_v1(statement)?,
        };
        contents.check()?;
        Ok(contents)
    }

    fn read_v1(statement: &Statement) -> Result<Self> {
        /// The predicate; whatever else is in it has no meaning for version 1 (section 5.2).
        #[derive(Deserialize)]
        struct Predicate {
            serialization: serialization::SerializationJson,
            resources: Vec<resource::ResourceJson>,
        }
        let [subject] = statement.subject.as_slice() else {
            return Err(invalid("does not have exactly one subject"));
        };
        let predicate = Predicate::deserialize(&statement.predicate)
            .map_err(|error| invalid("has a malformed predicate").because(error))?;
        let serialization = Serialization::read(predicate.serialization)?;
        let resources = predicate.resources.into_iter();
        let contents = Self {
            name: subject.name.clone().unwrap_or_default(),
            resources: resources
                .map(|resource| Resource::read(resource, &serialization))
                .collect::<Result<_>>()?,
            serialization,
        };
        if subject.digest.get(Digest::ALGORITHM) != Some(&contents.root().hex()) {
            return Err(invalid("has a subject that is not the digest of its list"));
        }
        Ok(contents)
    }

    /// Refuses a list that is empty, says a thing twice, or lists what it ignores.
    fn check(&self) -> Result<()> {
        if self.resources.is_empty() {
            return Err(invalid("lists no file"));
        }
        let mut names: Vec<_> = self.resources.iter().map(Resource::key).collect();
        names.sort_unstable();
        if let Some([twice, ..]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(invalid(&format!("lists {:?} twice", twice.0)));
        }
        if let Method::Shards { size } = self.serialization.method {
            resource::check_shards(&self.resources, size)?;
        }
        let ignored = &self.serialization.ignored;
        if let Some(resource) = self.resources.iter().find(|r| ignored.covers(r.path())) {
            let message = format!("lists {:?}, which it ignores", resource.path());
            return Err(invalid(&message));
        }
        let is_single = |resource: &Resource| resource.path() == SINGLE_FILE;
        if self.resources.len() > 1 && self.is_of_files() && self.resources.iter().any(is_single) {
            return Err(invalid("lists a file without a name among others"));
        }
        Ok(())
    }

    fn is_of_files(&self) -> bool {
        self.serialization.method == Method::Files
    }

    /// Returns what the model was called where it was signed; it proves nothing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the files were found and hashed.
    pub fn serialization(&self) -> &Serialization {
        &self.serialization
    }

    /// Returns the files, or the parts of files.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Whether the list is in the order that the specification asks for. The reference
    /// implementation (1.1.1) orders by path components, which differs where one name is another's
    /// beginning (`onnx/`, `onnx-fp16/`); any order is verified, because the root is taken in the
    /// recorded one.
    pub fn is_in_name_order(&self) -> bool {
        self.resources
            .is_sorted_by(|one, other| one.name() <= other.name())
    }

    /// Returns the digest of all digests, in the recorded order (section 6.5.1).
    pub fn root(&self) -> Digest {
        let mut hasher = Hasher::default();
        for resource in &self.resources {
            hasher.update(resource.digest());
        }
        hasher.finish()
    }

    /// Returns the statement that says this.
    pub fn to_statement(&self) -> Statement {
        let resource = |resource: &Resource| {
            json!({
                "name": resource.name(),
                "algorithm": self.serialization.hash.name(),
                "digest": hex::encode(resource.digest()),
            })
        };
        let resources: Vec<Value> = self.resources.iter().map(resource).collect();
        let root = (Digest::ALGORITHM.to_owned(), self.root().hex());
        Statement {
            kind: TYPE_V1.to_owned(),
            subject: vec![Subject {
                name: Some(self.name.clone()),
                digest: BTreeMap::from([root]),
                annotations: None,
            }],
            predicate_type: PREDICATE.to_owned(),
            predicate: json!({
                "serialization": self.serialization.to_json(),
                "resources": resources,
            }),
        }
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        Reason::StatementInvalid,
        format!("the model signature {why}"),
    )
}
