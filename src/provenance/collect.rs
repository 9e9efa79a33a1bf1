//! Collecting: what the machine knows about a run ([`facts`]), and what the run took in, told by
//! digests ([`dependencies`]).
//!
//! Facts are a favour: what cannot be found out is left out, and nothing fails. Dependencies are
//! what was asked for: what cannot be hashed, resolved or verified is an error, before anything is
//! signed.

mod accelerators;
mod base;
mod data;
mod git;
mod host;
mod lists;
mod pipeline;
mod program;
mod python;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::pack::Memory;
use crate::progress::Progress;
use crate::provenance::dependency::{Dependency, Role};
use crate::provenance::facts::PACKAGES;
use crate::provenance::{Facts, Run};
use crate::reference::Location;
use crate::store::SharedStore;
use crate::trust::sigstore::SigstoreRoot;

pub use crate::provenance::collect::pipeline::VARIABLES;

/// What facts are taken from.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The directory of the run file, in the code's working copy.
    pub directory: &'a Path,
    /// The environment's variables, those in [`VARIABLES`] only; others are not looked at.
    pub variables: &'a BTreeMap<String, String>,
    /// Where programs are looked for; without it none is run.
    pub search_path: Option<&'a OsStr>,
    /// Where the kernel's files are found: `/`.
    pub root: &'a Path,
}

/// Finds out what the machine knows.
pub async fn facts(around: Surroundings<'_>) -> Facts {
    Facts {
        pipeline: pipeline::facts(around.variables),
        git: git::facts(around.directory, around.search_path).await,
        python: python::facts(around.search_path).await,
        accelerators: accelerators::facts(around.root, around.search_path).await,
        host: host::class(around.root),
    }
}

/// Opens the store at a location.
pub type OpenStore<'a> = dyn Fn(&Location) -> Result<SharedStore> + Sync + 'a;

/// Reads the `trusted_root.json` at a path, seen from the run file, or finds that of the public
/// Sigstore instance.
pub type FindSigstore<'a> =
    dyn Fn(Option<&Path>) -> BoxFuture<'a, Result<Arc<SigstoreRoot>>> + Sync + 'a;

/// What dependencies are found by.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The directory of the run file, from which its paths are seen.
    pub directory: &'a Path,
    /// Opens the stores of base models and images.
    pub open: &'a OpenStore<'a>,
    /// Finds the Sigstore instances of keyless signers of base models.
    pub sigstore: &'a FindSigstore<'a>,
    /// What files hashed to before.
    pub memory: Option<&'a Memory>,
    /// Where hashing tells how far it is.
    pub progress: &'a dyn Progress,
}

/// Hashes, resolves and verifies what `run` took in.
pub async fn dependencies(
    run: &Run,
    facts: &Facts,
    sources: Sources<'_>,
) -> Result<Vec<Dependency>> {
    let mut found = Vec::new();
    for base in &run.base {
        found.push(base::dependency(base, sources).await?);
    }
    for data in &run.data {
        found.push(data::dependency(data, sources).await?);
    }
    found.extend(environment(run, facts, sources).await?);
    Ok(found)
}

/// Returns the image and the packages that a run was made with. Packages that were found count only
/// where no lock file was named, and they are those of the run's Python.
async fn environment(run: &Run, facts: &Facts, sources: Sources<'_>) -> Result<Vec<Dependency>> {
    let mut found = Vec::new();
    if let Some(image) = &run.environment.image {
        found.push(base::image(image, sources).await?);
    }
    if let Some(lock) = &run.environment.lock {
        let digest = data::hash_file(&sources.directory.join(lock), sources).await?;
        let name = lock.file_name().and_then(OsStr::to_str).unwrap_or("lock");
        found.push(Dependency::new(Role::TrainingEnvironment, name).hashed(&digest));
    } else if let Some(lock) = facts
        .python
        .lock()
        .filter(|_| run.collected.contains(PACKAGES))
    {
        found.push(python::dependency(lock));
    }
    Ok(found)
}
