//! Signing and attesting: one act, on the digest of an artifact's manifest.
//!
//! A signature is the statement with cosign's sign predicate; everything else is the same.

use jiff::Timestamp;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::error::Result;
use crate::manifest::Descriptor;
use crate::model;
use crate::oms::Contents;
use crate::policy::name_annotations;
use crate::referrer::{self, Content};
use crate::sign::{Signer, sign_statement};
use crate::statement::Statement;
use crate::store::Store;
use crate::verify::Artifact;

/// What attaching a statement came to.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The referrer that carries the statement.
    pub referrer: Descriptor,
    /// Whether the same signer had attached the same statement before, so that nothing was done.
    pub existed: bool,
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
    let name = artifact.reference().location().to_string();
    let statement = Statement::attestation(artifact.digest(), &name, predicate_type, predicate);
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
    let subject = artifact.document().descriptor();
    if let Some(referrer) = find(store, subject, statement, signer).await? {
        return Ok(Attached {
            referrer,
            existed: true,
        });
    }
    let bundle = sign_statement(statement, signer).await?;
    let referrer =
        referrer::attach(store, subject, &bundle, &statement.predicate_type, now).await?;
    Ok(Attached {
        referrer,
        existed: false,
    })
}

/// Finds the referrer by which `signer` already states `statement`.
async fn find(
    store: &dyn Store,
    subject: &Descriptor,
    statement: &Statement,
    signer: &dyn Signer,
) -> Result<Option<Descriptor>> {
    let trust = signer.trust()?;
    for referrer in referrer::collect(store, subject).await? {
        let Content::Bundle(raw) = referrer.content() else {
            continue;
        };
        let Ok(bundle) = Bundle::parse(raw.bytes()) else {
            continue;
        };
        let Ok(found) = trust.authenticate(&bundle) else {
            continue;
        };
        if says_the_same(found.statement(), statement) && signer.is_content_with(&bundle) {
            return Ok(Some(referrer.document().descriptor().clone()));
        }
    }
    Ok(None)
}

/// Whether two statements say the same about the same content; what the content is called, and the
/// version of the format, may differ.
fn says_the_same(one: &Statement, other: &Statement) -> bool {
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
