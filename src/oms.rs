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
mod payload;
mod resource;
mod serialization;
#[cfg(test)]
mod tests;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason, Result};
use crate::model::{Form, ModelFile};

pub use crate::oms::coverage::{Coverage, Difference, Differences};
pub use crate::oms::hash::{HashType, StreamHasher};
pub(crate) use crate::oms::legacy::signed_bytes_v02;
pub(crate) use crate::oms::payload::read;
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
        resources.sort_unstable_by(|one, other| one.name().cmp(&other.name()));
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

    /// Reads what the payload of a model signature lists, whoever signed it.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        match payload::read(payload)? {
            (_, Some(contents)) => Ok(contents),
            (statement, None) => {
                let message = format!(
                    "it states {:?}, which is not a model signature",
                    statement.predicate_type
                );
                Err(Error::new(Reason::PredicateTypeMismatch, message))
            }
        }
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

    /// Returns the statement that lists these files, as it is signed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        payload::write(self)
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        Reason::StatementInvalid,
        format!("the model signature {why}"),
    )
}
