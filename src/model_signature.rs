//! Model signatures of directories: the files of a model are listed and signed, and a directory is
//! compared with a signed list ([`crate::oms`]).
//!
//! Verifying takes the same path as everything else: [`TrustRoot::authenticate`] says who signed
//! what, the files are compared, [`Policy::judge`] says whether that is enough, and only
//! [`ModelVerification::admit`] makes a [`Verified`] directory.

mod digests;
mod file;
mod gate;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blob::blocking;
use crate::bundle::Bundle;
use crate::directory::Directory;
use crate::error::{Error, Reason, Result};
use crate::oms::{
    self, Contents, Coverage, Difference, Differences, IgnoredPaths, Resource, SINGLE_FILE,
    Serialization,
};
use crate::path::RESERVED;
use crate::policy::{Policy, Verdict};
use crate::progress::Progress;
use crate::referrer::RawBundle;
use crate::sign::{Signer, sign_written};
use crate::statement::Statement;
use crate::trust::TrustRoot;
use crate::verify::{Verified, admitted, authenticate, refusal};
use digests::Listing;
use tree::{Found, Tree};

pub use file::{exists, read, write, write_bytes};
pub use gate::{FreshSignature, RequiredSignature};
pub use tree::Symlinks;

/// Which files of a directory are the model's.
#[derive(Debug, Clone)]
pub struct TreeOptions {
    /// What is left out, besides [`RESERVED`], where a pull keeps its receipt.
    pub ignored: IgnoredPaths,
    /// What a symlink is taken for.
    pub symlinks: Symlinks,
}

/// What a file is taken for that is there and not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// A change of the model.
    Refuse,
    /// Nothing: only the listed files are looked at.
    Ignore,
}

/// A model as its signature lists it, which was found so on disk.
#[derive(Debug)]
pub struct SignedModel {
    path: PathBuf,
}

impl SignedModel {
    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Lists the files of the model in `directory`: what would be signed.
pub async fn list(
    directory: &Path,
    options: &TreeOptions,
    progress: Arc<dyn Progress>,
) -> Result<Contents> {
    let name = name(directory)?;
    let mut ignored = options.ignored.clone();
    ignored.add(RESERVED)?;
    let serialization = Serialization {
        allow_symlinks: options.symlinks == Symlinks::Follow,
        ..Serialization::of_files(ignored)
    };
    let (path, symlinks) = (directory.to_owned(), options.symlinks);
    let ignored = serialization.ignored.clone();
    let (root, files) = blocking(move || {
        let root = Arc::new(Directory::open(&path)?);
        let files = Tree::new(&ignored, symlinks).find(&root)?;
        Ok((root, files))
    })
    .await?;
    if files.is_empty() {
        let message = format!("there is no file to sign in `{}`", directory.display());
        return Err(Error::new(Reason::ModelUnsuitable, message));
    }
    let listing = Listing::new(root, &serialization, progress);
    let resources = listing.resources(files).await?;
    Contents::new(name, serialization, resources)
}

/// Signs the files of the model in `directory`.
pub async fn sign(
    directory: &Path,
    options: &TreeOptions,
    signer: &dyn Signer,
    progress: Arc<dyn Progress>,
) -> Result<Bundle> {
    let contents = list(directory, options, progress).await?;
    let statement = contents.to_statement().to_bytes()?;
    sign_written(&statement, signer).await
}

/// Returns what the directory is called, wherever it is named from (OMS 1.0, section 6.5).
pub fn name(directory: &Path) -> Result<String> {
    let canonical =
        std::fs::canonicalize(directory).map_err(|error| Error::io("open", directory, error))?;
    if !canonical.is_dir() {
        let message = format!("`{}` is a file, not a directory", directory.display());
        return Err(Error::new(Reason::ModelUnsuitable, message)
            .hint("sign the directory that it is in: verifiers disagree about single files"));
    }
    match canonical.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Ok("model".to_owned()),
    }
}

/// What was found out about a model on disk, whether it is enough or not.
#[derive(Debug)]
pub struct ModelVerification {
    path: PathBuf,
    verdict: Verdict,
    bundles: Vec<RawBundle>,
    files: usize,
}

/// How a model on disk is compared with what was signed.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// What is left out besides what the signature leaves out, and whether symlinks may be
    /// followed, which the signature must allow too.
    pub tree: TreeOptions,
    /// What a file is taken for that is not listed.
    pub unsigned: Unsigned,
}

/// Verifies the model at `path`, a directory or a single file, by the signatures in `bundles`: those
/// of trusted signers that list exactly these files meet [`crate::policy::Requirement::ModelSignature`].
pub async fn verify(
    path: &Path,
    bundles: Vec<RawBundle>,
    trust: &TrustRoot,
    policy: &Policy,
    options: &VerifyOptions,
    progress: Arc<dyn Progress>,
) -> Result<ModelVerification> {
    let mut files = 0;
    let mut candidates = Vec::with_capacity(bundles.len());
    for raw in &bundles {
        let mut candidate = authenticate(raw, trust);
        if let Ok(authenticated) = &candidate.outcome {
            let statement = authenticated.statement();
            if oms::is_model_signature(&statement.predicate_type) {
                let compared = compare(path, statement, options, &progress).await;
                candidate.coverage = match compared {
                    Ok((coverage, count)) => {
                        files = count;
                        Some(Ok(coverage))
                    }
                    Err(error) if is_about_the_model(&error) => Some(Err(error)),
                    Err(error) => return Err(error),
                };
            }
        }
        candidates.push(candidate);
    }
    // A model on disk has no manifest: nothing but its files can be vouched for.
    let no_artifact = crate::digest::Digest::of(b"");
    Ok(ModelVerification {
        path: path.to_owned(),
        verdict: policy.judge(&no_artifact, &candidates),
        bundles,
        files,
    })
}

/// Whether a failure says that the model is not what was signed, and not that nobody could look.
fn is_about_the_model(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::FilesMismatch
            | Reason::StatementInvalid
            | Reason::FileKindUnsafe
            | Reason::PathUnsafe
    )
}

impl ModelVerification {
    /// Returns what the policy says.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns how many files were compared.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Returns the proof that the model is what was signed, or why it is not.
    pub fn admit(self) -> Result<Verified<SignedModel>> {
        match refusal(&self.verdict, self.path.display()) {
            Some(refusal) => Err(refusal),
            None => {
                let model = SignedModel { path: self.path };
                Ok(admitted(model, self.verdict, &self.bundles, None))
            }
        }
    }
}

/// Compares the model at `path` with what `statement` lists, and returns how many files it has.
async fn compare(
    path: &Path,
    statement: &Statement,
    options: &VerifyOptions,
    progress: &Arc<dyn Progress>,
) -> Result<(Coverage, usize)> {
    let contents = Contents::read(statement)?;
    let place = path.to_owned();
    let tree = effective(&contents, &options.tree)?;
    let (unsigned, listed) = (options.unsigned, paths(&contents));
    let (root, files, not_covered) = blocking(move || {
        let (root, single) = open(&place)?;
        let root = Arc::new(root);
        let files = match (single, unsigned) {
            (Some(name), _) => single_file(&root, &name, &listed)?,
            (None, Unsigned::Refuse) => Tree::new(&tree.ignored, tree.symlinks).find(&root)?,
            (None, Unsigned::Ignore) => {
                Tree::new(&tree.ignored, tree.symlinks).look(&root, &listed)?
            }
        };
        let not_covered = present(&root, &tree.ignored)?;
        Ok((root, files, not_covered))
    })
    .await?;
    let mut not_covered = not_covered;
    let (files, empty) = check_names(path, &root, &contents, files)?;
    not_covered.extend(empty);
    let count = files.len();
    let listing = Listing::new(root, contents.serialization(), Arc::clone(progress));
    check_digests(path, &contents, &listing.resources(files).await?)?;
    Ok((Coverage::new(not_covered), count))
}

/// Returns which files the model has by its signature and by what the user says. A symlink is
/// followed only if both allow it.
fn effective(contents: &Contents, given: &TreeOptions) -> Result<TreeOptions> {
    let serialization = contents.serialization();
    let mut ignored = serialization.ignored.clone();
    ignored.extend(&given.ignored);
    ignored.add(RESERVED)?;
    let symlinks = match serialization.allow_symlinks {
        true => given.symlinks,
        false => Symlinks::Refuse,
    };
    Ok(TreeOptions { ignored, symlinks })
}

fn paths(contents: &Contents) -> BTreeSet<String> {
    let resources = contents.resources().iter();
    resources
        .map(|resource| resource.path().to_owned())
        .collect()
}

/// Opens the model's directory; that of a single file is the one it is in.
fn open(path: &Path) -> Result<(Directory, Option<String>)> {
    let status = std::fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
    if status.is_dir() {
        return Ok((Directory::open(path)?, None));
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    match name {
        Some(name) => Ok((Directory::open(parent)?, Some(name.to_owned()))),
        None => Err(tree::not_utf8(path)),
    }
}

/// Returns the one file of a model that is not a directory, under the name that the list has for
/// it: its own, or none (OMS 1.0, section 6.1.2).
fn single_file(root: &Directory, name: &str, listed: &BTreeSet<String>) -> Result<Vec<Found>> {
    let known = match listed.contains(SINGLE_FILE) {
        true => SINGLE_FILE,
        false => name,
    };
    Ok(vec![Found::single(root, known, name)?])
}

/// Returns, in words, which paths that are left out are there.
fn present(root: &Directory, ignored: &IgnoredPaths) -> Result<Vec<String>> {
    let mut present = Vec::new();
    for path in ignored.iter().filter(|path| *path != RESERVED) {
        let there = std::fs::symlink_metadata(root.path().join(path));
        if there.is_ok() {
            present.push(format!("`{}`", path.escape_debug()));
        }
    }
    present.sort_unstable();
    Ok(present)
}

/// Refuses files that are missing or not listed, before any is read; and returns those to be read,
/// and in words the empty ones that a list of parts has no place for.
fn check_names(
    path: &Path,
    root: &Directory,
    contents: &Contents,
    files: Vec<Found>,
) -> Result<(Vec<Found>, Vec<String>)> {
    let mut listed = paths(contents);
    let mut differences = Vec::new();
    let mut empty = Vec::new();
    let mut known = Vec::with_capacity(files.len());
    let is_of_parts = contents.resources().iter().any(|r| r.part().is_some());
    for file in files {
        if listed.remove(file.name()) {
            known.push(file);
        } else if is_of_parts && file.size(root)? == 0 {
            empty.push(format!("`{}`, which is empty", file.name().escape_debug()));
        } else {
            differences.push(Difference::Unsigned(file.name().to_owned()));
        }
    }
    differences.extend(listed.into_iter().map(Difference::Missing));
    refuse(path, differences)?;
    Ok((known, empty))
}

/// Refuses files whose content is not what is listed: every part, and no more parts.
fn check_digests(path: &Path, contents: &Contents, found: &[Resource]) -> Result<()> {
    // Lists are long, so they are compared where they stand.
    let mut unlisted: BTreeMap<_, _> = found.iter().map(|r| (r.key(), r)).collect();
    let mut changed = BTreeSet::new();
    for listed in contents.resources() {
        if unlisted.remove(&listed.key()) != Some(listed) {
            changed.insert(listed.path());
        }
    }
    changed.extend(unlisted.into_values().map(Resource::path));
    let changed = changed.into_iter().map(str::to_owned);
    refuse(path, changed.map(Difference::Content).collect())
}

fn refuse(path: &Path, differences: Vec<Difference>) -> Result<()> {
    let what = format!("`{}`", path.display());
    Differences::new(differences).refuse(&what, Reason::FilesMismatch)
}
