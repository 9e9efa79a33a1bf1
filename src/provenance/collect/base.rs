//! Models and images that a run began with, resolved to their digests and, where a signer is
//! named, verified.

use std::fs::File;
use std::path::Path;

use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::limits;
use crate::manifest::Document;
use crate::model;
use crate::oms::Contents;
use crate::policy::{Policy, Requirement};
use crate::provenance::collect::Sources;
use crate::provenance::dependency::{Dependency, OMS_ROOT, REFERENCE, Role, VERIFIED_BY};
use crate::provenance::run::{Base, BaseSigner, BaseSource};
use crate::reference::{Location, Reference};
use crate::store::RawDocument;
use crate::trust::sigstore::{Identity, Keyless, Match};
use crate::trust::{Authority, TrustRoot};
use crate::verify::{Artifact, verify};

/// Resolves a model that a run began with.
pub(super) async fn dependency(base: &Base, sources: Sources<'_>) -> Result<Dependency> {
    let role = Role::from(base.role);
    match &base.source {
        BaseSource::Uri { uri, pin } => {
            let mut found = Dependency::new(role, uri);
            found.uri = Some(uri.clone());
            found.digest = pin.digest_set();
            Ok(found)
        }
        BaseSource::Artifact { reference, signer } => {
            let found = resolve(reference, role, sources).await;
            let (mut found, artifact) = found.map_err(|error| in_run_file(error, reference))?;
            if let Some(root) = oms_root(artifact.document()) {
                found = found.annotated(OMS_ROOT, root);
            }
            let Some(signer) = signer else {
                return Ok(found);
            };
            let (authority, name) = authority(signer, sources).await?;
            check(artifact, authority, sources).await?;
            Ok(found.annotated(VERIFIED_BY, name))
        }
    }
}

/// Resolves a container image. One that is named by its digest is not asked for.
pub(super) async fn image(reference: &Reference, sources: Sources<'_>) -> Result<Dependency> {
    let role = Role::TrainingEnvironment;
    if reference.digest().is_some() {
        return Ok(described(reference, role));
    }
    let found = resolve(reference, role, sources).await;
    found
        .map(|(found, _)| found)
        .map_err(|error| in_run_file(error, reference))
}

async fn resolve(
    reference: &Reference,
    role: Role,
    sources: Sources<'_>,
) -> Result<(Dependency, Artifact)> {
    let store = (sources.open)(reference.location())?;
    let artifact = Artifact::resolve(&*store, reference).await?;
    let mut found = described(&artifact.pinned(), role);
    found.media_type = Some(artifact.document().descriptor().media_type.clone());
    Ok((found, artifact))
}

/// Returns what a pinned reference says.
fn described(pinned: &Reference, role: Role) -> Dependency {
    let name = pinned.location().last_component().unwrap_or("model");
    let mut found = Dependency::new(role, name).annotated(REFERENCE, pinned.to_string());
    found.uri = package_url(pinned);
    match pinned.digest() {
        Some(digest) => found.hashed(digest),
        None => found,
    }
}

/// Returns a registry's artifact as a package URL
/// ([type oci](https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md)).
fn package_url(pinned: &Reference) -> Option<String> {
    let Location::Registry { .. } = pinned.location() else {
        return None;
    };
    let name = pinned.location().last_component()?.to_lowercase();
    let digest = pinned.digest()?.hex();
    let repository = pinned.location().to_string().replace(':', "%3A");
    let tag = pinned.tag();
    let tag = tag.map_or(String::new(), |tag| format!("&tag={}", tag.as_str()));
    Some(format!(
        "pkg:oci/{name}@sha256%3A{digest}?repository_url={repository}{tag}"
    ))
}

fn oms_root(document: &RawDocument) -> Option<String> {
    let Document::Manifest(manifest) = document.document() else {
        return None;
    };
    let contents = Contents::of_files("base", &model::files(manifest).ok()?).ok()?;
    Some(contents.root().to_string())
}

/// Returns who must have signed a model, and what to call them in a statement.
async fn authority(signer: &BaseSigner, sources: Sources<'_>) -> Result<(Authority, String)> {
    match signer {
        BaseSigner::Key(path) => {
            let key = read_key(&sources.directory.join(path))?;
            let fingerprint = key.fingerprint().to_string();
            Ok((Authority::key("the base model's key", key), fingerprint))
        }
        BaseSigner::Keyless {
            identity,
            issuer,
            trusted_root,
        } => {
            let root = (sources.sigstore)(trusted_root.as_deref()).await?;
            let name = format!("{identity} (issuer {issuer})");
            let identity = Identity::new(Match::exact(identity)?, Match::exact(issuer)?);
            let authority = Authority::keyless(&name, Keyless { root, identity });
            Ok((authority, name))
        }
    }
}

/// Demands that `authority` signed the artifact.
async fn check(artifact: Artifact, authority: Authority, sources: Sources<'_>) -> Result<()> {
    let trust = TrustRoot::new([authority])?;
    let policy = Policy::new([Requirement::Signature])?;
    let store = (sources.open)(artifact.reference().location())?;
    let verification = verify(&*store, artifact, &trust, &policy).await?;
    verification.admit().map(drop)
}

fn read_key(path: &Path) -> Result<PublicKey> {
    let file = File::open(path).map_err(|error| {
        let message = format!("the key `{}` cannot be read", path.display());
        Error::new(Reason::KeyInvalid, message).because(error)
    })?;
    let pem = read_capped(file, path, limits::LOCAL_FILE)?;
    PublicKey::from_pem(&pem, &path.display().to_string())
}

fn in_run_file(error: Error, reference: &Reference) -> Error {
    error.at(format_args!("`{reference}`, which the run file names"))
}
