//! Receipts: what a pulled directory says about itself, so that it can be verified again offline.
//!
//! `.modelctl/` in a pulled model holds the manifest's exact bytes, the bundles that were
//! attached, and `receipt.json`: not only those that counted, as the next policy may ask for others. All of it can be rewritten by whoever can write the files of the model, so
//! nothing in it is believed: the manifest must hash to the receipt's digest, each bundle to its
//! own, and the bundles are judged again under today's keys ([`crate::installed`]).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::directory::{Directory, Stamp};
use crate::error::{Class, Error, Reason, Result};
use crate::path::SafePath;
use crate::policy::file::PolicyName;
use crate::reference::Reference;
use crate::referrer::RawBundle;
use crate::store::RawDocument;
use crate::verify::{Artifact, Proof, Verified};
use crate::{json, limits};

/// Where the receipt is in a pulled directory.
pub const RECEIPT: &str = ".modelctl/receipt.json";

/// Where the manifest is.
const MANIFEST: &str = ".modelctl/manifest.json";

/// Where a model signature is, for `model_signing verify` and `modelctl verify --signature`.
const MODEL_SIGNATURE: &str = ".modelctl/model.sig";

/// Where the bundles are.
pub(crate) const BUNDLES: &str = ".modelctl/bundles";

/// The version of the format, which only changes when older readers would misunderstand it.
const SCHEMA_VERSION: u32 = 1;

/// What was pulled, when, and why it could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    schema_version: u32,
    /// What was asked for, with the digest it was resolved to.
    pub reference: String,
    /// The manifest.
    pub manifest: Subject,
    /// What was found out about it then.
    pub verification: Outcome,
    /// When it was pulled.
    pub pulled_at: Timestamp,
    /// The version of this tool that pulled it.
    pub tool_version: String,
    /// Whether some files of the model were left behind.
    pub partial: bool,
    /// The files that were put there.
    pub files: Vec<InstalledFile>,
}

/// The content that a receipt is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// What kind of document it is.
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// What verification came to when the model was pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcome {
    /// Whether a policy admitted the model.
    pub verified: bool,
    /// Why nobody verified it, if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The policy of a file that judged it, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// What counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<RecordedEvidence>,
    /// The digests of the bundles that were attached and did not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_attached: Vec<Digest>,
}

/// A bundle that counted when the model was pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordedEvidence {
    /// The digest of the bundle.
    pub bundle: Digest,
    /// The bundle's file, relative to the receipt.
    pub file: String,
    /// What it says.
    pub predicate_type: String,
    /// Who said it.
    pub signer: Value,
}

/// A file as it was when it had been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstalledFile {
    /// Where it is.
    pub path: SafePath,
    /// What will differ when it is changed.
    pub stamp: Stamp,
    /// What it shares with other files.
    #[serde(default, skip_serializing_if = "Sharing::is_nothing")]
    pub sharing: Sharing,
}

/// What an installed file shares with others, which decides what its stamp can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sharing {
    /// Nothing that shows in its stamp.
    #[default]
    Nothing,
    /// It is one file with a blob of the content store: further pulls make links to it, and
    /// removing models removes some, which changes its change time.
    HardLinked,
}

impl Sharing {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl InstalledFile {
    /// Whether a file with this stamp is, as far as can be told without reading it, what was
    /// installed.
    pub fn is_unchanged(&self, now: &Stamp) -> bool {
        match self.sharing {
            Sharing::Nothing => self.stamp == *now,
            Sharing::HardLinked => self.stamp.same_but_for_links(now),
        }
    }
}

/// Everything that a pulled directory keeps about itself, checked against itself.
#[derive(Debug)]
pub struct Kept {
    /// The receipt.
    pub receipt: Receipt,
    /// The receipt's reference, read.
    pub reference: Reference,
    /// The manifest.
    pub document: RawDocument,
    /// The bundles.
    pub bundles: Vec<RawBundle>,
    /// A model signature that was attached: written for other tools, and never read back.
    pub model_signature: Option<RawBundle>,
}

impl Kept {
    /// Returns what the directory with `files` of `artifact` is to keep.
    pub fn of(
        artifact: &Verified<Artifact>,
        files: Vec<InstalledFile>,
        partial: bool,
        tool_version: &str,
        now: Timestamp,
    ) -> Result<Self> {
        let document = artifact.value().document().clone();
        let reference = artifact.value().pinned();
        let descriptor = document.descriptor();
        let receipt = Receipt {
            schema_version: SCHEMA_VERSION,
            reference: reference.to_string(),
            manifest: Subject {
                media_type: descriptor.media_type.clone(),
                digest: descriptor.digest,
                size: descriptor.size,
            },
            verification: Outcome::of(artifact)?,
            pulled_at: now,
            tool_version: tool_version.to_owned(),
            partial,
            files,
        };
        let (bundles, model_signature) = match artifact.proof() {
            Proof::Verdict {
                bundles,
                model_signature,
                ..
            } => (bundles.clone(), model_signature.clone()),
            Proof::Unchecked { bundles, .. } => (bundles.clone(), None),
        };
        Ok(Self {
            receipt,
            reference,
            document,
            bundles,
            // Of a part of the model it would not be true.
            model_signature: model_signature.filter(|_| !partial),
        })
    }

    /// Writes everything below `root`, where the directories must be there, and lets `settle` see
    /// each file.
    pub(crate) fn write(
        &self,
        root: &Directory,
        settle: impl Fn(&File, &Path) -> Result<()>,
    ) -> Result<()> {
        let write = |path: &str, bytes: &[u8]| {
            let (mut file, place) = (root.create_file(path)?, root.path().join(path));
            let written = file.write_all(bytes);
            written.map_err(|error| Error::io("write", &place, error))?;
            settle(&file, &place)
        };
        write(MANIFEST, self.document.bytes())?;
        let mut seen = BTreeSet::new();
        for raw in self.bundles.iter().filter(|raw| seen.insert(raw.digest())) {
            write(&bundle_path(&raw.digest()), raw.bytes())?;
        }
        if let Some(raw) = &self.model_signature {
            write(MODEL_SIGNATURE, raw.bytes())?;
        }
        let text = serde_json::to_vec_pretty(&self.receipt)
            .map_err(|e| Error::new(Reason::Internal, "cannot write a receipt").because(e))?;
        write(RECEIPT, &text)
    }

    /// Reads what the directory `root` keeps.
    pub fn read(root: &Directory) -> Result<Self> {
        let bytes = match root.read(RECEIPT, limits::RECEIPT) {
            Err(error) if error.reason() == Reason::FileNotFound => {
                return Err(missing(root.path()).because(error));
            }
            read => read.map_err(invalid)?,
        };
        let receipt = Receipt::parse(&bytes).map_err(invalid)?;
        let reference = receipt.reference.parse().map_err(invalid)?;
        let document = read_manifest(root, &receipt.manifest).map_err(invalid)?;
        let bundles = read_bundles(root, &receipt.verification.bundles()).map_err(invalid)?;
        Ok(Self {
            receipt,
            reference,
            document,
            bundles,
            model_signature: None,
        })
    }
}

impl Receipt {
    /// Reads `bytes`, which anyone may have written.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        /// What is looked at before anything else is.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: u64,
        }
        let shape: Shape = json::parse(bytes, "the receipt")?;
        if shape.schema_version != u64::from(SCHEMA_VERSION) {
            let message = format!("the receipt has version {}", shape.schema_version);
            return Err(Error::new(Reason::ReceiptInvalid, message)
                .hint("it was written by another version of this tool; use that, or pull again"));
        }
        json::parse(bytes, "the receipt")
    }
}

impl Outcome {
    fn of(artifact: &Verified<Artifact>) -> Result<Self> {
        let (why, evidence, bundles) = match artifact.proof() {
            Proof::Unchecked { why, bundles } => (Some(why.clone()), Vec::new(), bundles),
            Proof::Verdict {
                verdict, bundles, ..
            } => (None, verdict.evidence(), bundles),
        };
        let kept: BTreeSet<_> = bundles.iter().map(RawBundle::digest).collect();
        let counted: BTreeSet<_> = evidence.iter().map(|one| one.bundle).collect();
        let evidence = evidence
            .into_iter()
            .filter(|one| kept.contains(&one.bundle));
        Ok(Self {
            verified: why.is_none(),
            why,
            policy: artifact.policy().cloned(),
            evidence: evidence.map(RecordedEvidence::of).collect::<Result<_>>()?,
            also_attached: kept.difference(&counted).copied().collect(),
        })
    }

    /// Returns the digests of all bundles that were kept.
    fn bundles(&self) -> BTreeSet<Digest> {
        let counted = self.evidence.iter().map(|evidence| evidence.bundle);
        counted.chain(self.also_attached.iter().copied()).collect()
    }
}

impl RecordedEvidence {
    fn of(evidence: &crate::policy::Evidence) -> Result<Self> {
        let signer = serde_json::to_value(&evidence.signer)
            .map_err(|e| Error::new(Reason::Internal, "cannot write a signer").because(e))?;
        Ok(Self {
            bundle: evidence.bundle,
            file: bundle_file(&evidence.bundle),
            predicate_type: evidence.predicate_type.clone(),
            signer,
        })
    }
}

/// Returns a bundle's file, relative to the receipt. Reading makes the name anew from the digest,
/// so no text of a receipt is ever used as a path.
fn bundle_file(digest: &Digest) -> String {
    format!("bundles/{}.sigstore.json", digest.hex())
}

fn bundle_path(digest: &Digest) -> String {
    format!("{BUNDLES}/{}.sigstore.json", digest.hex())
}

fn missing(place: &Path) -> Error {
    let message = format!("`{}` was not pulled by modelctl", place.display());
    Error::new(Reason::ReceiptMissing, message).hint(
        "verify it against a reference with `--reference REF`, or against an OMS signature with \
         `--signature FILE`",
    )
}

/// Says that a receipt is not to be relied on, whatever exactly is wrong with it; only the disk's
/// own failures stay what they are.
fn invalid(error: Error) -> Error {
    match error.reason().class() {
        Class::Disk | Class::NotVerified => error,
        _ => Error::new(
            Reason::ReceiptInvalid,
            "the receipt, or what lies beside it, is damaged",
        )
        .because(error)
        .hint("pull the model again"),
    }
}

fn read_manifest(root: &Directory, subject: &Subject) -> Result<RawDocument> {
    let bytes = root.read(MANIFEST, limits::MANIFEST)?;
    if bytes.len() as u64 != subject.size {
        let message = "the manifest has another size than the receipt says";
        return Err(Error::new(Reason::SizeMismatch, message));
    }
    let expected = Some(&subject.digest);
    RawDocument::read(bytes.into(), &subject.media_type, expected, MANIFEST)
}

fn read_bundles(root: &Directory, digests: &BTreeSet<Digest>) -> Result<Vec<RawBundle>> {
    let damaged = |why: &str| Error::new(Reason::ReceiptInvalid, why);
    if digests.len() > limits::CANDIDATES {
        return Err(damaged("the receipt names too many bundles"));
    }
    let mut left = limits::BUNDLES_TOTAL;
    let mut bundles = Vec::new();
    for digest in digests {
        let bytes = root.read(bundle_path(digest), limits::BUNDLE.min(left))?;
        left = left.saturating_sub(bytes.len() as u64);
        let bundle = RawBundle::kept(bytes.into());
        if bundle.digest() != *digest {
            return Err(damaged("a bundle does not hash to its name"));
        }
        bundles.push(bundle);
    }
    Ok(bundles)
}
