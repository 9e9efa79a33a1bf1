//! Signing and attesting: one act, on the digest of an artifact's manifest.
//!
//! A signature is the statement with cosign's sign predicate; everything else is the same. What
//! readers of cosign's older form need comes besides that, never instead: who finds a bundle looks
//! for nothing else.

use jiff::Timestamp;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::error::Result;
use crate::legacy::{Layer, SimpleSigning};
use crate::manifest::Descriptor;
use crate::model;
use crate::oms::Contents;
use crate::policy::name_annotations;
use crate::provenance::claim::Claim;
use crate::referrer::{self, Content, Evidence};
use crate::sign::{Signer, sign_blob, sign_statement};
use crate::statement::{Statement, Subject};
use crate::store::Store;
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

/// Signs `artifact`; `annotations` are signed with it, as by `cosign sign -a`. So is the name that
/// it was asked for by, unless they give another, so that the signature cannot be moved.
pub async fn sign(
    store: &dyn Store,
    artifact: &Artifact,
    annotations: serde_json::Map<String, Value>,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let mut names = name_annotations(artifact.reference());
    names.extend(annotations);
    let statement = Statement::signature(artifact.digest(), names);
    attach_once(store, artifact, &statement, signer, now).await
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
    attest_claim(store, artifact, claim, signer, now).await
}

/// Attests `claim` about `artifact` and the files that it names: each of those is a subject of its
/// own, so that a tool that knows only the file finds the statement to be about it.
pub async fn attest_claim(
    store: &dyn Store,
    artifact: &Artifact,
    claim: Claim,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let name = artifact.reference().location().to_string();
    let (predicate_type, predicate) = (claim.predicate_type, claim.predicate);
    let mut statement = Statement::attestation(artifact.digest(), &name, predicate_type, predicate);
    let subjects = claim.files.iter();
    statement
        .subject
        .extend(subjects.map(|file| Subject::named(file.path.as_str(), &file.descriptor.digest)));
    attach_once(store, artifact, &statement, signer, now).await
}

/// Signs the list of the files of the model that `artifact` is, called `name`, as model signatures
/// do: from the digests of its layers, without reading a file.
pub async fn sign_model(
    store: &dyn Store,
    artifact: &Artifact,
    name: &str,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let manifest = artifact.document().document().clone();
    let files = model::files(&manifest.into_manifest("the artifact")?)?;
    let statement = Contents::of_files(name, &files)?.to_statement();
    attach_once(store, artifact, &statement, signer, now).await
}

/// Signs and attaches `statement`, unless this signer's same statement is attached already: doing
/// a thing twice does not pile up referrers.
async fn attach_once(
    store: &dyn Store,
    artifact: &Artifact,
    statement: &Statement,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let same = |found: &Statement| says_the_same(found, statement);
    attach_unless(store, artifact, statement, signer, &same, now).await
}

/// Signs and attaches `statement`, unless this signer's statement that is the `same` is attached
/// already.
pub(crate) async fn attach_unless(
    store: &dyn Store,
    artifact: &Artifact,
    statement: &Statement,
    signer: &dyn Signer,
    same: &(dyn Fn(&Statement) -> bool + Sync),
    now: Timestamp,
) -> Result<Attached> {
    let subject = artifact.document().descriptor();
    if let Some((referrer, bundle)) = find(store, subject, signer, same).await? {
        return Ok(Attached {
            referrer,
            existed: true,
            bundle,
        });
    }
    let bundle = sign_statement(statement, signer).await?;
    let referrer =
        referrer::attach(store, subject, &bundle, &statement.predicate_type, now).await?;
    Ok(Attached {
        referrer,
        existed: false,
        bundle,
    })
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

/// Finds the referrer by which `signer` already states what is the `same`.
async fn find(
    store: &dyn Store,
    subject: &Descriptor,
    signer: &dyn Signer,
    same: &(dyn Fn(&Statement) -> bool + Sync),
) -> Result<Option<(Descriptor, Bundle)>> {
    let trust = signer.trust()?;
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
        if same(found.statement()) && signer.is_content_with(&bundle) {
            return Ok(Some((referrer.document().descriptor().clone(), bundle)));
        }
    }
    Ok(None)
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
