//! What a run took in, told by digests: SLSA's `resolvedDependencies`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::provenance::run::{BaseRole, DataRole};

/// The annotation that says what a dependency was for: a [`Role`].
pub const ROLE: &str = "modelctl_role";

/// The annotation that holds the pinned reference of an artifact, by which it is found again.
pub const REFERENCE: &str = "modelctl_reference";

/// The annotation that says how a digest of several files was made.
pub const DIGEST_METHOD: &str = "modelctl_digestMethod";

/// The annotation that holds the root of an artifact's files, as a model signature has it.
pub const OMS_ROOT: &str = "modelctl_omsRoot";

/// The annotation that holds the fingerprint of the key that the run's author checked.
pub const VERIFIED_BY: &str = "modelctl_verifiedBy";

/// The annotation that says that tracked files differed from the commit.
pub const DIRTY: &str = "modelctl_dirty";

/// The annotation that holds a licence.
pub const LICENSE: &str = "modelctl_license";

/// The method of a digest over the files of a directory: that of model signatures.
pub const DIRECTORY_METHOD: &str = crate::oms::PREDICATE;

/// The name of the list of packages that was found.
pub const PYTHON_PACKAGES: &str = "python-packages";

/// What a dependency was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The code that ran.
    TrainingCode,
    /// Data that the model learned from.
    TrainingData,
    /// Data that steered the training.
    ValidationData,
    /// Data that the model was measured by.
    EvaluationData,
    /// A model whose weights became this one's.
    BaseModel,
    /// A model that was put on top.
    Adapter,
    /// A model that this one learned from.
    Teacher,
    /// The image, lock file or packages it ran with.
    TrainingEnvironment,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::TrainingCode,
        Self::TrainingData,
        Self::ValidationData,
        Self::EvaluationData,
        Self::BaseModel,
        Self::Adapter,
        Self::Teacher,
        Self::TrainingEnvironment,
    ];

    /// The roles of models, whose own origin is to be looked at.
    pub const MODELS: [Self; 3] = [Self::BaseModel, Self::Adapter, Self::Teacher];

    /// Whether this is a model's role.
    pub fn is_model(self) -> bool {
        Self::MODELS.contains(&self)
    }

    /// Returns the word that statements use.
    pub fn word(self) -> &'static str {
        match self {
            Self::TrainingCode => "training_code",
            Self::TrainingData => "training_data",
            Self::ValidationData => "validation_data",
            Self::EvaluationData => "evaluation_data",
            Self::BaseModel => "base_model",
            Self::Adapter => "adapter",
            Self::Teacher => "teacher",
            Self::TrainingEnvironment => "training_environment",
        }
    }

    /// Returns the role that a statement's word means.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<DataRole> for Role {
    fn from(role: DataRole) -> Self {
        match role {
            DataRole::Training => Self::TrainingData,
            DataRole::Validation => Self::ValidationData,
            DataRole::Evaluation => Self::EvaluationData,
        }
    }
}

impl From<BaseRole> for Role {
    fn from(role: BaseRole) -> Self {
        match role {
            BaseRole::Base => Self::BaseModel,
            BaseRole::Adapter => Self::Adapter,
            BaseRole::Teacher => Self::Teacher,
        }
    }
}

/// Something that a run took in.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// What it was for.
    pub role: Role,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub uri: Option<String>,
    /// What it hashes to, by algorithm.
    pub digest: BTreeMap<String, String>,
    /// What it is, if a digest alone does not tell.
    pub media_type: Option<String>,
    /// It itself, if it is small.
    pub content: Option<Vec<u8>>,
    /// What else is known of it.
    pub annotations: Map<String, Value>,
}

impl Dependency {
    /// Returns a dependency of which only role and name are known.
    pub fn new(role: Role, name: impl Into<String>) -> Self {
        Self {
            role,
            name: name.into(),
            uri: None,
            digest: BTreeMap::new(),
            media_type: None,
            content: None,
            annotations: Map::new(),
        }
    }

    /// Says what it hashes to.
    #[must_use]
    pub fn hashed(mut self, digest: &Digest) -> Self {
        self.digest
            .insert(Digest::ALGORITHM.to_owned(), digest.hex());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// Returns it as in-toto's ResourceDescriptor
    /// ([spec](https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/resource_descriptor.md)).
    pub fn to_resource(&self) -> Value {
        let mut resource = Map::new();
        resource.insert("name".to_owned(), self.name.clone().into());
        if let Some(uri) = &self.uri {
            resource.insert("uri".to_owned(), uri.clone().into());
        }
        if !self.digest.is_empty() {
            resource.insert("digest".to_owned(), json!(self.digest));
        }
        if let Some(media_type) = &self.media_type {
            resource.insert("mediaType".to_owned(), media_type.clone().into());
        }
        if let Some(content) = &self.content {
            resource.insert("content".to_owned(), STANDARD.encode(content).into());
        }
        let mut annotations = Map::from_iter([(ROLE.to_owned(), self.role.word().into())]);
        annotations.extend(self.annotations.clone());
        resource.insert("annotations".to_owned(), annotations.into());
        resource.into()
    }
}
