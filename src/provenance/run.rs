//! A training run: what went in, what came out, and under what circumstances.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::path::SafePath;
use crate::reference::Reference;

/// A run, as its file tells it and as the machine completed it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// What was done.
    pub kind: Option<Kind>,
    /// The platform that ran it, a URI: SLSA's `builder.id`.
    pub builder: Option<String>,
    /// The run of the pipeline that did it.
    pub pipeline: Option<String>,
    /// The pipeline's definition.
    pub workflow: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// The code that ran.
    pub code: Code,
    /// The data that was read.
    pub data: Vec<Data>,
    /// The models it began with.
    pub base: Vec<Base>,
    /// Where it ran.
    pub environment: Environment,
    /// What it was called with.
    pub parameters: Map<String, Value>,
    /// The files that it made.
    pub outputs: Vec<Output>,
    /// How the model was tested, and what came of it.
    pub evaluations: Vec<Evaluation>,
    /// What is said about the model as such.
    pub model: ModelNotes,
    /// The fields that nobody wrote down and the machine filled in.
    pub collected: BTreeSet<&'static str>,
}

/// What a run does to models; each is a build type of SLSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A model is made from data.
    Train,
    /// A model is trained further.
    FineTune,
    /// Weights are made that go on top of a model's.
    Adapter,
    /// Models become one.
    Merge,
    /// A model gets smaller numbers.
    Quantize,
    /// A model gets another format.
    Convert,
    /// A model and adapters are put together, unchanged.
    Compose,
}

/// Where the build types are described.
const BUILD_TYPES: &str = "https://github.com/modelctl/modelctl/blob/main/docs/provenance.md#";

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Train,
        Self::FineTune,
        Self::Adapter,
        Self::Merge,
        Self::Quantize,
        Self::Convert,
        Self::Compose,
    ];

    /// Returns its name in a run file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::FineTune => "fine-tune",
            Self::Adapter => "adapter",
            Self::Merge => "merge",
            Self::Quantize => "quantize",
            Self::Convert => "convert",
            Self::Compose => "compose",
        }
    }

    /// Returns SLSA's `buildType`: a URI that leads to what the parameters mean.
    pub fn build_type(self) -> String {
        format!("{BUILD_TYPES}{}-v1", self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            malformed(format!("{text:?} is no kind of run: {names}"))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The code that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    /// The repository's URL.
    pub repository: Option<String>,
    /// The commit.
    pub commit: Option<GitCommit>,
    /// The branch or tag that the commit was found by.
    pub reference: Option<String>,
    /// What was started in it.
    pub entry: Option<String>,
    /// Whether tracked files differed from the commit.
    pub dirty: Option<bool>,
}

/// A commit of git: 40 hex digits, or 64 in a repository of SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommit(String);

impl GitCommit {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GitCommit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match matches!(text.len(), 40 | 64) && text.bytes().all(is_hex) {
            true => Ok(Self(text.to_owned())),
            false => Err(malformed(format!(
                "{text:?} is no commit: 40 lower-case hex digits"
            ))),
        }
    }
}

/// Data that a run read.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// What it is called.
    pub name: String,
    /// What it was for.
    pub role: DataRole,
    /// Where it is, and how it is told.
    pub source: DataSource,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
}

/// What data was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataRole {
    /// The model learned from it.
    Training,
    /// It steered the training.
    Validation,
    /// The model was measured by it afterwards.
    Evaluation,
}

impl FromStr for DataRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "training" => Ok(Self::Training),
            "validation" => Ok(Self::Validation),
            "evaluation" => Ok(Self::Evaluation),
            _ => Err(malformed(format!(
                "{text:?} is no role of data: training, validation, evaluation"
            ))),
        }
    }
}

/// Where data is, and how it is told from other data.
#[derive(Debug, Clone, PartialEq)]
pub enum DataSource {
    /// Files on this disk, which are hashed.
    Path {
        /// The file or directory, seen from the run file.
        path: PathBuf,
        /// What they must hash to.
        expected: Option<Digest>,
    },
    /// Files on this disk, too many to be hashed again.
    Listed {
        /// What they are called elsewhere.
        uri: Option<String>,
        /// A file that says what they hash to, seen from the run file.
        list: PathBuf,
    },
    /// Something elsewhere.
    Uri {
        /// Where.
        uri: String,
        /// What it hashes to, as was said.
        pin: Pin,
    },
}

/// What tells content elsewhere from other content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// Its digest.
    Digest(Digest),
    /// The commit that it is of, as on Hugging Face.
    Revision(GitCommit),
}

impl Pin {
    /// Returns it as in-toto's DigestSet.
    pub fn digest_set(&self) -> BTreeMap<String, String> {
        match self {
            Self::Digest(digest) => BTreeMap::from([(Digest::ALGORITHM.to_owned(), digest.hex())]),
            Self::Revision(commit) => {
                BTreeMap::from([("gitCommit".to_owned(), commit.as_str().to_owned())])
            }
        }
    }
}

/// A model that a run began with.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// What it was for.
    pub role: BaseRole,
    /// Which.
    pub source: BaseSource,
}

/// What a model that a run began with was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseRole {
    /// Its weights became the model's.
    Base,
    /// It was put on top.
    Adapter,
    /// The model learned from what it says.
    Teacher,
}

impl FromStr for BaseRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "base" => Ok(Self::Base),
            "adapter" => Ok(Self::Adapter),
            "teacher" => Ok(Self::Teacher),
            _ => Err(malformed(format!(
                "{text:?} is no role of a model: base, adapter, teacher"
            ))),
        }
    }
}

/// Which model a run began with.
#[derive(Debug, Clone, PartialEq)]
pub enum BaseSource {
    /// An artifact, which is resolved to its digest.
    Artifact {
        /// Which.
        reference: Box<Reference>,
        /// Who must have signed it.
        signer: Option<BaseSigner>,
    },
    /// Something elsewhere.
    Uri {
        /// Where.
        uri: String,
        /// What it hashes to, as was said.
        pin: Pin,
    },
}

/// Who must have signed a model that a run began with.
#[derive(Debug, Clone, PartialEq)]
pub enum BaseSigner {
    /// The holder of this public key, a file seen from the run file.
    Key(PathBuf),
    /// Somebody without a key.
    Keyless {
        /// Who, exactly.
        identity: String,
        /// The identity provider who vouched for them.
        issuer: String,
        /// The Sigstore instance, a `trusted_root.json` seen from the run file; otherwise the
        /// public one.
        trusted_root: Option<PathBuf>,
    },
}

/// Where a run took place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    /// The container image.
    pub image: Option<Reference>,
    /// A lock file of packages, seen from the run file.
    pub lock: Option<PathBuf>,
    /// The version of Python.
    pub python: Option<String>,
    /// Versions of what the training stands on, by name.
    pub frameworks: BTreeMap<String, String>,
    /// GPUs and their like.
    pub accelerators: Vec<Accelerator>,
    /// The class of machine (`p5.48xlarge`), not its name.
    pub host: Option<String>,
}

/// Some GPUs of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// What they are called.
    pub name: String,
    /// How many.
    pub count: u32,
    /// The version of their driver.
    pub driver: Option<String>,
}

/// A file that a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its path in the model.
    pub path: SafePath,
    /// What it must hash to.
    pub digest: Option<Digest>,
}

/// A test of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What it is called.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The data, by its name in the run file.
    pub dataset: Option<String>,
    /// What measured, a URI.
    pub suite: Option<String>,
    /// Where the report is.
    pub report: Option<String>,
    /// What was measured.
    pub metrics: BTreeMap<String, f64>,
    /// Metrics that reached what was asked of them.
    pub passed: Vec<String>,
    /// Metrics that did not.
    pub failed: Vec<String>,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// Someone should look at it.
    Warned,
    /// It is not as it should be.
    Failed,
}

impl Outcome {
    /// Returns the word of in-toto's test results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Warned => "WARNED",
            Self::Failed => "FAILED",
        }
    }
}

impl FromStr for Outcome {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "passed" => Ok(Self::Passed),
            "warned" => Ok(Self::Warned),
            "failed" => Ok(Self::Failed),
            _ => Err(malformed(format!(
                "{text:?} is no result: passed, warned, failed"
            ))),
        }
    }
}

/// What people say about a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelNotes {
    /// What it is called.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// A description.
    pub description: Option<String>,
    /// What it does (`text-classification`).
    pub task: Option<String>,
    /// How it learned.
    pub approach: Option<Approach>,
    /// What it should not be used for, and where it fails.
    pub limitations: Vec<String>,
}

/// How a model learned, in the words of CycloneDX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    /// From examples with answers.
    Supervised,
    /// From examples without answers.
    Unsupervised,
    /// From rewards.
    Reinforcement,
    /// From examples of which some have answers.
    SemiSupervised,
    /// From answers that it takes from the examples themselves.
    SelfSupervised,
}

impl Approach {
    /// Every approach.
    pub const ALL: [Self; 5] = [
        Self::Supervised,
        Self::Unsupervised,
        Self::Reinforcement,
        Self::SemiSupervised,
        Self::SelfSupervised,
    ];

    /// Returns CycloneDX's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Supervised => "supervised",
            Self::Unsupervised => "unsupervised",
            Self::Reinforcement => "reinforcement-learning",
            Self::SemiSupervised => "semi-supervised",
            Self::SelfSupervised => "self-supervised",
        }
    }
}

impl FromStr for Approach {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|known| known.word() == text);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            malformed(format!("{text:?} is no way to learn: {words}"))
        })
    }
}

/// Returns an error about a value of a run file, whose line whoever reads the file adds.
pub(super) fn malformed(message: impl Into<String>) -> Error {
    Error::new(Reason::RunFileInvalid, message)
}
