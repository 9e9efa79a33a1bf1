//! The list of what is revoked: fetched, verified, and never taken for an older one.

use std::path::{Path, PathBuf};

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::file::{PolicyFile, RevocationPlace, RevocationSource};
use modelctl::reference::Reference;
use modelctl::referrer::{self, Content};
use modelctl::revocation::Revocations;
use modelctl::trust::{Authenticated, TrustRoot};
use modelctl::verify::Artifact;

use super::super::environment;
use super::super::stores::{Stores, read};
use super::super::terminal::Terminal;
use super::roots;

/// Returns the list that `file` names, if it names one. That it cannot be had is never taken for an
/// empty one.
pub(super) async fn load(
    file: &PolicyFile,
    stores: &Stores,
    terminal: &Terminal,
) -> Result<Option<Revocations>> {
    let Some(source) = &file.revocations else {
        return Ok(None);
    };
    let names = source.authorities.iter().map(String::as_str).collect();
    let trust = roots::root(file, &names, terminal).await?;
    let found = match &source.place {
        RevocationPlace::File(path) => vec![in_file(path, &trust)?],
        RevocationPlace::Attached(reference) => attached(reference, &trust, stores).await?,
    };
    let list = Revocations::newest(&found)?;
    let memory = memory(source);
    if let Some(memory) = &memory {
        list.not_before(seen(memory)?)?;
        if let Err(error) = remember(memory, list.version()) {
            terminal.say(&format!(
                "note: the list's version is not remembered: {error}"
            ));
        }
    }
    Ok(Some(limited(list, source)))
}

/// Returns the list in the file at `path`, by someone whom `trust` has.
pub(super) fn from_file(
    path: &Path,
    source: &RevocationSource,
    trust: &TrustRoot,
) -> Result<Revocations> {
    let list = Revocations::newest(&[in_file(path, trust)?])?;
    Ok(limited(list, source))
}

fn limited(list: Revocations, source: &RevocationSource) -> Revocations {
    match source.max_age {
        Some(max_age) => list.for_at_most(max_age),
        None => list,
    }
}

fn in_file(path: &Path, trust: &TrustRoot) -> Result<Authenticated> {
    let unavailable = |error: Error| {
        let message = format!(
            "the list of revocations `{}` cannot be used",
            path.display()
        );
        Error::new(Reason::RevocationsUnavailable, message).because(error)
    };
    let bytes = read(path, limits::BUNDLE).map_err(unavailable)?;
    let bundle = Bundle::parse(&bytes).map_err(unavailable)?;
    trust.authenticate(&bundle).map_err(unavailable)
}

/// Returns what is attached to `reference` by someone who is trusted for it.
async fn attached(
    reference: &Reference,
    trust: &TrustRoot,
    stores: &Stores,
) -> Result<Vec<Authenticated>> {
    let store = stores.read(reference.location())?;
    let artifact = Artifact::resolve(&*store, reference).await?;
    let mut found = Vec::new();
    for referrer in referrer::collect(&*store, artifact.document().descriptor()).await? {
        let Content::Bundle(raw) = referrer.content() else {
            continue;
        };
        let authenticated = raw.bundle().and_then(|bundle| trust.authenticate(&bundle));
        found.extend(
            authenticated
                .ok()
                .filter(|found| found.statement().is_about(artifact.digest())),
        );
    }
    Ok(found)
}

/// Returns where the newest version that was seen is written down.
fn memory(source: &RevocationSource) -> Option<PathBuf> {
    let name = match &source.place {
        RevocationPlace::Attached(reference) => reference.to_string(),
        RevocationPlace::File(path) => path.display().to_string(),
    };
    let file = Digest::of(name.as_bytes()).hex();
    Some(
        environment::state_directory()?
            .join("revocations")
            .join(file),
    )
}

/// Returns the newest version that was seen.
fn seen(memory: &Path) -> Result<u64> {
    let bytes = match read(memory, limits::SMALL_BODY) {
        Err(error) if error.reason() == Reason::FileNotFound => return Ok(0),
        read => read?,
    };
    let version = std::str::from_utf8(&bytes).ok();
    version
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| {
            let message = format!("`{}` is damaged: it is not a version", memory.display());
            Error::new(Reason::RevocationsUnavailable, message)
                .hint("it says which list of revocations was the newest; remove it to begin anew")
        })
}

/// Writes down that a list of this version was seen.
fn remember(memory: &Path, version: u64) -> Result<()> {
    let fail = |error| Error::io("write", memory, error);
    let directory = memory.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(fail)?;
    let file = tempfile::NamedTempFile::new_in(directory).map_err(fail)?;
    std::fs::write(file.path(), format!("{version}\n")).map_err(fail)?;
    file.persist(memory).map_err(|error| fail(error.error))?;
    Ok(())
}
