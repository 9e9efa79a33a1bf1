//! Signing and attesting: one act, on the digest of an artifact's manifest.
//!
//! A signature is the statement with cosign's sign predicate; everything else is the same. What
//! readers of cosign's older form need comes besides that, never instead: who finds a bundle looks
//! for nothing else.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::error::Result;
use crate::legacy::{Layer, SimpleSigning};
use crate::manifest::Descriptor;
use crate::model;
use crate::oms::{self, Contents};
use crate::policy::name_annotations;
use crate::provenance::claim::Claim;
use crate::referrer::{self, Content, Evidence};
use crate::sign::{Signer, sign_blob, sign_payload};
use crate::statement::{Statement, Subject};
use crate::store::Store;
use crate::trust::Authenticated;
use crate::verify::Artifact;

/// What attaching a statement came to.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The referrer that carries the statement.
    pub referrer: Descriptor,
    /// Whether the same signer had attached the same statement before, so that nothing was done.
    pub existed: bool,
    /// The bundle that it carries.
    pub bundle: Bundle,
}

/// Signs `artifact`, as [`Attacher::sign`] does.
pub async fn sign(
    store: &dyn Store,
    artifact: &Artifact,
    annotations: serde_json::Map<String, Value>,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let mut attacher = Attacher::open(store, artifact, signer).await?;
    attacher.sign(annotations, now).await
}

/// Attests `predicate`, of the type `predicate_type`, about `artifact`. The predicate's shape is
/// the caller's to check ([`crate::predicate`]).
pub async fn attest(
    store: &dyn Store,
    artifact: &Artifact,
    predicate_type: &str,
    predicate: Value,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let claim = Claim {
        predicate_type: predicate_type.to_owned(),
        predicate,
        files: Vec::new(),
    };
    let mut attacher = Attacher::open(store, artifact, signer).await?;
    attacher.attest(claim, now).await
}

/// One signer's statements about one artifact, each of which is attached once: doing a thing twice
/// does not pile up referrers.
pub struct Attacher<'a> {
    store: &'a dyn Store,
    artifact: &'a Artifact,
    signer: &'a dyn Signer,
    stated: Vec<Stated>,
}

/// What the signer has stated already.
struct Stated {
    said: Said,
    referrer: Descriptor,
    bundle: Bundle,
}

impl Stated {
    fn again(&self) -> Attached {
        Attached {
            referrer: self.referrer.clone(),
            existed: true,
            bundle: self.bundle.clone(),
        }
    }
}

/// What is said of an artifact.
enum Said {
    /// A statement.
    Statement(Statement),
    /// What its files are.
    Files(Arc<Contents>),
}

impl Said {
    /// Returns what was signed.
    fn by(signed: &Authenticated) -> Self {
        match signed.files() {
            Some(files) => Self::Files(Arc::clone(files)),
            None => Self::Statement(signed.statement().clone()),
        }
    }

    fn predicate_type(&self) -> &str {
        match self {
            Self::Statement(statement) => &statement.predicate_type,
            Self::Files(_) => oms::PREDICATE,
        }
    }

    fn payload(&self) -> Result<Vec<u8>> {
        match self {
            Self::Statement(statement) => statement.to_bytes(),
            Self::Files(contents) => contents.to_bytes(),
        }
    }

    /// Whether both say the same; what the content is called, and the version of the format, may
    /// differ.
    fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Statement(one), Self::Statement(other)) => says_the_same(one, other),
            (Self::Files(one), Self::Files(other)) => {
                one.serialization() == other.serialization() && one.resources() == other.resources()
            }
            (Self::Statement(_), Self::Files(_)) | (Self::Files(_), Self::Statement(_)) => false,
        }
    }
}

impl<'a> Attacher<'a> {
    /// Looks, once for all that is to be attached, at what `signer` has stated before.
    pub async fn open(
        store: &'a dyn Store,
        artifact: &'a Artifact,
        signer: &'a dyn Signer,
    ) -> Result<Self> {
        let stated = stated(store, artifact.document().descriptor(), signer).await?;
        Ok(Self {
            store,
            artifact,
            signer,
            stated,
        })
    }

    /// Signs the artifact; `annotations` are signed with it, as by `cosign sign -a`. So is the name
    /// that it was asked for by, unless they give another, so that the signature cannot be moved.
    pub async fn sign(
        &mut self,
        annotations: serde_json::Map<String, Value>,
        now: Timestamp,
    ) -> Result<Attached> {
        let mut names = name_annotations(self.artifact.reference());
        names.extend(annotations);
        let statement = Statement::signature(self.artifact.digest(), names);
        self.attach(Said::Statement(statement), now).await
    }

    /// Signs the list of the files of the model that the artifact is, called `name`, as model
    /// signatures do: from the digests of its layers, without reading a file.
    pub async fn sign_model(&mut self, name: &str, now: Timestamp) -> Result<Attached> {
        let manifest = self.artifact.document().document().clone();
        let files = model::files(&manifest.into_manifest("the artifact")?)?;
        let contents = Contents::of_files(name, &files)?;
        self.attach(Said::Files(Arc::new(contents)), now).await
    }

    /// Attests `claim` about the artifact and the files that it names: each of those is a subject
    /// of its own, so that a tool that knows only the file finds the statement to be about it.
    pub async fn attest(&mut self, claim: Claim, now: Timestamp) -> Result<Attached> {
        let (digest, name) = (self.artifact.digest(), self.artifact.reference().location());
        let (predicate_type, predicate) = (claim.predicate_type, claim.predicate);
        let name = name.to_string();
        let mut statement = Statement::attestation(digest, &name, predicate_type, predicate);
        let files = claim.files.iter();
        let subjects =
            files.map(|file| Subject::named(file.path.as_str(), &file.descriptor.digest));
        statement.subject.extend(subjects);
        self.attach(Said::Statement(statement), now).await
    }

    /// Signs and attaches `said`, unless the same is attached already.
    async fn attach(&mut self, said: Said, now: Timestamp) -> Result<Attached> {
        match self.stated.iter().find(|one| one.said.is_the_same(&said)) {
            Some(before) => Ok(before.again()),
            None => self.attach_new(said, now).await,
        }
    }

    /// Signs and attaches `statement`, unless one that is the `same` is attached already.
    pub(crate) async fn attach_unless(
        &mut self,
        statement: Statement,
        same: impl Fn(&Statement, &Statement) -> bool,
        now: Timestamp,
    ) -> Result<Attached> {
        let is_same = |one: &&Stated| match &one.said {
            Said::Statement(found) => same(found, &statement),
            Said::Files(_) => false,
        };
        match self.stated.iter().find(is_same) {
            Some(before) => Ok(before.again()),
            None => self.attach_new(Said::Statement(statement), now).await,
        }
    }

    async fn attach_new(&mut self, said: Said, now: Timestamp) -> Result<Attached> {
        let bundle = sign_payload(said.payload()?, self.signer).await?;
        let (subject, kind) = (self.artifact.document().descriptor(), said.predicate_type());
        let referrer = referrer::attach(self.store, subject, &bundle, kind, now).await?;
        self.stated.push(Stated {
            said,
            referrer: referrer.clone(),
            bundle: bundle.clone(),
        });
        Ok(Attached {
            referrer,
            existed: false,
            bundle,
        })
    }
}

/// Signs `artifact` in cosign's older form too, unless this signer did so before, and returns the
/// descriptor of the image at the tag; `annotations` are signed with it.
pub async fn sign_legacy(
    store: &dyn Store,
    artifact: &Artifact,
    annotations: serde_json::Map<String, Value>,
    signer: &dyn Signer,
) -> Result<Descriptor> {
    let (digest, location) = (artifact.digest(), artifact.reference().location());
    let statement = Statement::signature(digest, annotations.clone());
    if let Some(image) = find_legacy(store, digest, &statement, signer).await? {
        return Ok(image);
    }
    let payload = SimpleSigning::new(digest, location, annotations).to_bytes()?;
    let bundle = sign_blob(&payload, signer).await?;
    let layer = Layer::of_signature(&payload, &bundle)?;
    // What the verifier would say of it, before anybody can see it.
    signer.trust()?.authenticate_legacy(&layer)?;
    referrer::add_tagged(store, digest, &layer).await
}

/// Stores `attested`, which was attached to `artifact`, in cosign's older form too, and returns the
/// descriptor of the image at the tag.
pub async fn attest_legacy(
    store: &dyn Store,
    artifact: &Artifact,
    attested: &Attached,
) -> Result<Descriptor> {
    let layer = Layer::of_attestation(&attested.bundle)?;
    referrer::add_tagged(store, artifact.digest(), &layer).await
}

/// Finds the image in which `signer` already states `statement`.
async fn find_legacy(
    store: &dyn Store,
    artifact: &Digest,
    statement: &Statement,
    signer: &dyn Signer,
) -> Result<Option<Descriptor>> {
    let trust = signer.trust()?;
    for tagged in referrer::collect_tagged(store, artifact).await? {
        for raw in tagged
            .layers()
            .iter()
            .filter_map(|(_, raw)| raw.as_ref().ok())
        {
            let Ok(Evidence::Legacy(layer)) = raw.evidence() else {
                continue;
            };
            let (Ok(bundle), Ok(found)) = (layer.bundle(), trust.authenticate_legacy(&layer))
            else {
                continue;
            };
            if says_the_same(found.statement(), statement) && signer.is_content_with(&bundle) {
                return Ok(Some(tagged.document().descriptor().clone()));
            }
        }
    }
    Ok(None)
}

/// Finds what `signer` states about `subject`.
async fn stated(
    store: &dyn Store,
    subject: &Descriptor,
    signer: &dyn Signer,
) -> Result<Vec<Stated>> {
    let trust = signer.trust()?;
    let mut stated = Vec::new();
    for referrer in referrer::collect(store, subject).await? {
        let Content::Bundle(raw) = referrer.content() else {
            continue;
        };
        let Ok(bundle) = raw.bundle() else {
            continue;
        };
        let Ok(found) = trust.authenticate(&bundle) else {
            continue;
        };
        if signer.is_content_with(&bundle) {
            stated.push(Stated {
                said: Said::by(&found),
                referrer: referrer.document().descriptor().clone(),
                bundle,
            });
        }
    }
    Ok(stated)
}

/// Whether two statements say the same about the same content; what the content is called, and the
/// version of the format, may differ.
pub(crate) fn says_the_same(one: &Statement, other: &Statement) -> bool {
    let subjects = |statement: &Statement| -> Vec<_> {
        let plain = |annotations: &serde_json::Map<String, Value>| !annotations.is_empty();
        let subjects = statement.subject.iter();
        subjects
            .map(|s| (s.digest.clone(), s.annotations.clone().filter(plain)))
            .collect()
    };
    one.predicate_type == other.predicate_type
        && one.predicate == other.predicate
        && subjects(one) == subjects(other)
}
