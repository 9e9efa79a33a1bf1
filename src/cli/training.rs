//! `--training-run`: what a run file says, prepared before anything is sent or signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::manifest::Descriptor;
use modelctl::model::{self, ModelConfig};
use modelctl::pack::{Memory, Plan};
use modelctl::provenance::claim::{self, Claim};
use modelctl::provenance::collect::{self, Sources, Surroundings};
use modelctl::provenance::ml_bom::{self, Described, Format};
use modelctl::provenance::{Dependency, Facts, Run, run_file};
use modelctl::reference::Location;
use modelctl::store::Store;
use modelctl::trust::sigstore::Repository;
use modelctl::verify::Artifact;

use super::stores::{Everywhere, RegistryArgs, Stores, read};
use super::terminal::Terminal;
use super::{environment, keyless, parse};

/// How the model came to be.
#[derive(Args, Clone)]
pub(super) struct TrainingArgs {
    /// Attach SLSA provenance, and the results of evaluations, made from this run file. What it
    /// leaves out and this machine knows (git, CI, Python, GPUs) is collected. `modelctl attest
    /// --init` writes a run file that explains every field.
    #[arg(long, value_name = "FILE")]
    training_run: Option<PathBuf>,
    /// Attach a bill of materials of the model, too: cyclonedx or spdx.
    #[arg(long, value_name = "FORMAT", requires = "training_run", value_parser = parse::<Format>)]
    ml_bom: Option<Format>,
}

/// What is known of a run before there is an artifact.
pub(super) struct Training {
    run: Run,
    dependencies: Vec<Dependency>,
    /// Whether the whole run is told, or its evaluations only.
    scope: Scope,
}

#[derive(Clone, Copy)]
enum Scope {
    Run(Option<Format>),
    Evaluations,
}

impl TrainingArgs {
    /// Whether a run file is named.
    pub(super) fn is_given(&self) -> bool {
        self.training_run.is_some()
    }

    /// Reads, collects, hashes, resolves and verifies everything that the run file names.
    pub(super) async fn prepare(
        &self,
        place: &Place<'_>,
        memory: Option<&Memory>,
        terminal: &Terminal,
    ) -> Result<Option<Training>> {
        let Some(path) = &self.training_run else {
            return Ok(None);
        };
        let run = read_run(path)?;
        let directory = directory_of(path);
        let facts = collect::facts(Surroundings {
            directory,
            variables: &environment::training(),
            search_path: environment::search_path().as_deref(),
            root: Path::new("/"),
        })
        .await;
        let run = run.completed(&facts);
        let dependencies = place
            .dependencies(&run, &facts, directory, memory, terminal)
            .await?;
        // What is wrong with a predicate shows now, and not after hours of uploading.
        claim::all(&run, &dependencies)?;
        Ok(Some(Training {
            run,
            dependencies,
            scope: Scope::Run(self.ml_bom),
        }))
    }
}

/// Reads the evaluations of a run file: whoever tests a model need not know how it was made.
pub(super) async fn evaluations(
    path: &Path,
    place: &Place<'_>,
    terminal: &Terminal,
) -> Result<Training> {
    let mut run = read_run(path)?;
    if run.evaluations.is_empty() {
        let message = format!("`{}` has no `[[evaluation]]`", path.display());
        return Err(Error::new(Reason::RunFileInvalid, message)
            .hint("`modelctl attest --init` writes a run file that shows one"));
    }
    let is_used = |name: &String| {
        run.evaluations
            .iter()
            .any(|e| e.dataset.as_ref() == Some(name))
    };
    let data = run.data.iter().filter(|data| is_used(&data.name)).cloned();
    run = Run {
        data: data.collect(),
        evaluations: run.evaluations.clone(),
        ..Run::default()
    };
    let facts = Facts::default();
    let directory = directory_of(path);
    let dependencies = place
        .dependencies(&run, &facts, directory, None, terminal)
        .await?;
    claim::evaluations(&run, &dependencies)?;
    Ok(Training {
        run,
        dependencies,
        scope: Scope::Evaluations,
    })
}

/// Where the artifact is, and how registries are reached.
pub(super) struct Place<'a> {
    pub(super) location: &'a Location,
    pub(super) registry: &'a RegistryArgs,
    pub(super) stores: &'a Stores,
}

impl Place<'_> {
    async fn dependencies(
        &self,
        run: &Run,
        facts: &Facts,
        directory: &Path,
        memory: Option<&Memory>,
        terminal: &Terminal,
    ) -> Result<Vec<Dependency>> {
        let stores = Everywhere {
            named: self.stores,
            location: self.location.clone(),
            others: self.registry.elsewhere().stores(terminal)?,
        };
        let progress = terminal.progress();
        let sources = Sources {
            directory,
            open: &|location| stores.read(location),
            sigstore: &|path| {
                let named = path.map(|path| directory.join(path));
                Box::pin(async move {
                    match named {
                        Some(path) => keyless::trusted_root(path),
                        None => {
                            let public = keyless::fetched(Repository::public_good(), terminal);
                            public.await.map(Arc::new)
                        }
                    }
                })
            },
            memory,
            progress: &*progress,
        };
        collect::dependencies(run, facts, sources).await
    }
}

impl Training {
    /// Refuses, before anything is sent, a run that made other files than are to be pushed.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let is_packed = |path| plan.files().iter().any(|file| file.path() == path);
        let outputs = self.run.outputs.iter();
        let mut missing = outputs.filter(|output| !is_packed(&output.path));
        match missing.next() {
            None => Ok(()),
            Some(output) => {
                let message = format!("the run made `{}`, which is not in the model", output.path);
                Err(Error::new(Reason::RunFileInvalid, message)
                    .hint("name the paths of `[[output]]` as they are in the model"))
            }
        }
    }

    /// Returns what is to be signed about `artifact`.
    pub(super) async fn claims(
        &self,
        store: &dyn Store,
        artifact: &Artifact,
    ) -> Result<Vec<Claim>> {
        let Scope::Run(ml_bom) = self.scope else {
            return claim::evaluations(&self.run, &self.dependencies);
        };
        let document = artifact.document().document().clone();
        let manifest = document.into_manifest(&format!("`{}`", artifact.reference()))?;
        let files = model::files(&manifest)?;
        let mut claims = claim::all(&self.run, &self.dependencies)?;
        if let Some(provenance) = claims.first_mut() {
            provenance.files = claim::made(&self.run, &files)?;
        }
        if let Some(format) = ml_bom {
            let config = config(store, &manifest.config).await?;
            let described = Described {
                name: artifact
                    .reference()
                    .location()
                    .last_component()
                    .unwrap_or("model"),
                digest: artifact.digest(),
                files: &files,
                config: config.as_ref(),
                run: &self.run,
                dependencies: &self.dependencies,
                now: Timestamp::now(),
            };
            claims.push(ml_bom::claim(format, described)?);
        }
        Ok(claims)
    }
}

/// Fetches what a ModelPack artifact's config says; others have none.
async fn config(store: &dyn Store, descriptor: &Descriptor) -> Result<Option<ModelConfig>> {
    if !super::inspect::CONFIGS.contains(&descriptor.media_type.as_str()) {
        return Ok(None);
    }
    let bytes = store
        .blob(descriptor)
        .await?
        .into_bytes(limits::CONFIG)
        .await?;
    ModelConfig::parse(&bytes).map(Some)
}

/// Writes a run file that explains every field.
pub(super) fn init(path: &Path) -> Result<()> {
    use std::io::{ErrorKind, Write};
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let message = format!("`{}` exists already", path.display());
                Error::new(Reason::TargetExists, message)
                    .hint("name another file: `modelctl attest --init other.toml`")
            }
            _ => Error::io("write", path, error),
        })?;
    let written = file.write_all(run_file::TEMPLATE.as_bytes());
    written.map_err(|error| Error::io("write", path, error))
}

fn read_run(path: &Path) -> Result<Run> {
    let text = String::from_utf8(read(path, limits::LOCAL_FILE)?).map_err(|error| {
        let message = format!("`{}` is not text", path.display());
        Error::new(Reason::RunFileInvalid, message).because(error)
    })?;
    run_file::parse(&text, path)
}

/// Returns the directory of a file, `.` for one that is named alone.
fn directory_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
