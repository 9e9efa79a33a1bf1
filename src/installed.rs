//! Installed models: a pulled directory, verified again where it stands, without a network.
//!
//! The bundles that it keeps are judged under today's keys and policy, by the same function as at
//! the pull ([`judge`]); then the tree is compared with the manifest that they are about.
//! The receipt is only a memory aid for whoever trusts the disk: see [`Depth`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::blob::blocking;
use crate::digest::Digest;
use crate::directory::{Directory, Kind, Stamp};
use crate::error::{Error, Reason, Result};
use crate::hashing::Hashers;
use crate::limits;
use crate::model::{self, Form};
use crate::path::{RESERVED, SafePath};
use crate::policy::{Pin, Policy, Verdict};
use crate::progress::Progress;
use crate::receipt::{InstalledFile, Kept, Receipt};
use crate::reference::Reference;
use crate::store::RawDocument;
use crate::trust::TrustRoot;
use crate::verify::{judge, refusal};

/// Differences that an error names.
const NAMED: usize = 10;

/// How closely to look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Read again only files whose [stamp](Stamp) differs from the receipt's. This finds accidents
    /// and whoever does not know of the receipt; someone who can write the files can write a
    /// fitting receipt too.
    Quick,
    /// Read every file again: nothing but the signed manifest is believed.
    Deep,
}

/// A pulled model on disk, whose receipt does not contradict itself.
#[derive(Debug)]
pub struct Installed {
    root: Arc<Directory>,
    kept: Kept,
    expected: Arc<BTreeMap<SafePath, Expected>>,
    left_behind: usize,
}

/// A file that must be there.
#[derive(Debug)]
struct Expected {
    digest: Digest,
    size: u64,
    installed: InstalledFile,
}

/// What was found to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The files that were compared.
    pub files: usize,
    /// The files of the model that the pull had left behind.
    pub left_behind: usize,
    /// The bytes that were read again.
    pub hashed_bytes: u64,
}

/// One way in which a directory differs from its manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where.
    pub path: String,
    /// What.
    pub change: Change,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Change {
    /// A file is gone.
    Missing,
    /// Something stands there that the manifest does not name.
    Added,
    /// Something else than a regular file stands in a file's place.
    NotAFile,
    /// A file has another size.
    Size,
    /// A file has other content.
    Content,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.escape_debug();
        match self.change {
            Change::Missing => write!(f, "`{path}` is missing"),
            Change::Added => write!(f, "`{path}` was added"),
            Change::NotAFile => write!(f, "`{path}` is not a regular file"),
            Change::Size => write!(f, "`{path}` has another size"),
            Change::Content => write!(f, "`{path}` has other content"),
        }
    }
}

impl Installed {
    /// Opens the pulled model in the directory `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let root = Directory::open(path)?;
        let kept = Kept::read(&root)?;
        let (expected, left_behind) = expected(&kept)?;
        Ok(Self {
            root: Arc::new(root),
            kept,
            expected: Arc::new(expected),
            left_behind,
        })
    }

    /// Returns the receipt.
    pub fn receipt(&self) -> &Receipt {
        &self.kept.receipt
    }

    /// Returns what was pulled, with its digest, as the receipt has it.
    pub fn reference(&self) -> &Reference {
        &self.kept.reference
    }

    /// Returns the manifest.
    pub fn document(&self) -> &RawDocument {
        &self.kept.document
    }

    /// Returns the manifest's digest: what was pulled.
    pub fn digest(&self) -> &Digest {
        self.kept.document.digest()
    }

    /// Returns what a newer artifact of the same name must be newer than.
    pub fn pin(&self) -> Pin {
        Pin::of(self.document(), self.reference().clone())
    }

    /// Judges the bundles that were kept: who vouches for the manifest, and is that enough.
    pub fn judge(&self, trust: &TrustRoot, policy: &Policy) -> Verdict {
        judge(
            self.document(),
            Some(self.reference()),
            &self.kept.bundles,
            trust,
            policy,
        )
    }

    /// Verifies the directory: first who vouches for the manifest, then that the files are what it
    /// says.
    pub async fn verify(
        &self,
        trust: &TrustRoot,
        policy: &Policy,
        depth: Depth,
        progress: Arc<dyn Progress>,
    ) -> Result<(Verdict, Checked)> {
        let verdict = self.judge(trust, policy);
        match refusal(&verdict, &self.kept.reference) {
            Some(refusal) => Err(refusal),
            None => Ok((verdict, self.check(depth, progress).await?)),
        }
    }

    /// Checks that the files are what the manifest says, whoever vouches for it.
    pub async fn check(&self, depth: Depth, progress: Arc<dyn Progress>) -> Result<Checked> {
        let (differences, hashed_bytes) = self.compare(depth, progress).await?;
        if !differences.is_empty() {
            return Err(changed(self.root.path(), &differences));
        }
        Ok(Checked {
            files: self.expected.len(),
            left_behind: self.left_behind,
            hashed_bytes,
        })
    }

    /// Compares the files with the manifest, and returns how they differ and how many bytes were
    /// read to know.
    pub async fn compare(
        &self,
        depth: Depth,
        progress: Arc<dyn Progress>,
    ) -> Result<(Vec<Difference>, u64)> {
        let root = Arc::clone(&self.root);
        let expected = Arc::clone(&self.expected);
        let added = blocking(move || added(&root, Path::new(""), &expected)).await?;
        let hashers = Hashers::default();
        let compared: Vec<_> = futures_util::stream::iter(self.expected.iter())
            .map(|(path, expected)| self.compare_file(path, expected, depth, &hashers, &*progress))
            .buffer_unordered(hashers.count())
            .try_collect()
            .await?;
        let hashed_bytes = compared.iter().map(|(_, bytes)| bytes).sum();
        let changed = compared
            .into_iter()
            .filter_map(|(difference, _)| difference);
        let mut differences: Vec<_> = added.into_iter().chain(changed).collect();
        differences.sort_unstable();
        Ok((differences, hashed_bytes))
    }

    /// Compares one file, and returns how it differs and how many bytes were read.
    async fn compare_file(
        &self,
        path: &SafePath,
        expected: &Expected,
        depth: Depth,
        hashers: &Hashers,
        progress: &dyn Progress,
    ) -> Result<(Option<Difference>, u64)> {
        let differs = |change| Some(Difference::new(Path::new(path.as_str()), change));
        let (root, name) = (Arc::clone(&self.root), path.clone());
        let place = path.below(self.root.path());
        let opened = blocking(move || {
            let file = root.open_file(name.as_str())?;
            let stamp = Stamp::of(&file, &name.below(root.path()))?;
            Ok((file, stamp))
        });
        let (file, stamp) = match opened.await {
            Ok(opened) => opened,
            Err(error) => match error.reason() {
                Reason::FileNotFound => return Ok((differs(Change::Missing), 0)),
                Reason::FileKindUnsafe => return Ok((differs(Change::NotAFile), 0)),
                _ => return Err(error),
            },
        };
        if stamp.size != expected.size {
            return Ok((differs(Change::Size), 0));
        }
        if depth == Depth::Quick && expected.installed.is_unchanged(&stamp) {
            return Ok((None, 0));
        }
        let meter = progress.begin("verify", path.as_str(), stamp.size);
        let digest = hashers.hash(file, stamp, place, meter).await?;
        let change = (digest != expected.digest).then(|| differs(Change::Content));
        Ok((change.flatten(), stamp.size))
    }
}

/// Returns the files that must be there, by the manifest and by which of its files the receipt says
/// were put there, and how many were not.
fn expected(kept: &Kept) -> Result<(BTreeMap<SafePath, Expected>, usize)> {
    let invalid = |why: String| Error::new(Reason::ReceiptInvalid, why).hint("pull it again");
    let manifest = kept
        .document
        .document()
        .clone()
        .into_manifest("the pulled artifact")?;
    let named = model::files(&manifest)?;
    let mut left: BTreeMap<_, _> = named
        .into_iter()
        .map(|file| (file.path.clone(), file))
        .collect();
    let mut expected = BTreeMap::new();
    for installed in &kept.receipt.files {
        let path = &installed.path;
        let file = left.remove(path).filter(|file| file.form == Form::Raw);
        let file = file.ok_or_else(|| {
            invalid(format!(
                "the receipt lists `{path}`, which the manifest does not"
            ))
        })?;
        let file = Expected {
            digest: file.descriptor.digest,
            size: file.descriptor.size,
            installed: installed.clone(),
        };
        expected.insert(path.clone(), file);
    }
    if expected.is_empty() || (!kept.receipt.partial && !left.is_empty()) {
        return Err(invalid(
            "the receipt does not list the files of the manifest".to_owned(),
        ));
    }
    Ok((expected, left.len()))
}

/// Returns what stands in `directory`, at `path` in the model, that is not expected. Empty
/// directories carry nothing and are passed over.
fn added(
    directory: &Directory,
    path: &Path,
    expected: &BTreeMap<SafePath, Expected>,
) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for (name, kind) in directory.entries()? {
        let path = path.join(&name);
        let is_expected = || {
            let safe = path.to_str().and_then(|path| path.parse().ok());
            safe.is_some_and(|path: SafePath| expected.contains_key(&path))
        };
        let is_deep = || path.components().count() > limits::PATH_DEPTH;
        match kind {
            Kind::Directory if path == Path::new(RESERVED) || is_expected() => {}
            Kind::Directory if !is_deep() => {
                differences.extend(added(&directory.child(&name)?, &path, expected)?);
            }
            _ if is_expected() => {}
            _ => differences.push(Difference::new(&path, Change::Added)),
        }
    }
    Ok(differences)
}

impl Difference {
    fn new(path: &Path, change: Change) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { path, change }
    }
}

/// Says how a directory differs from what was pulled.
fn changed(place: &Path, differences: &[Difference]) -> Error {
    let mut named: Vec<_> = differences
        .iter()
        .take(NAMED)
        .map(Difference::to_string)
        .collect();
    if differences.len() > NAMED {
        named.push(format!("{} more", differences.len() - NAMED));
    }
    let message = format!(
        "`{}` is not what was pulled: {}",
        place.display(),
        named.join(", ")
    );
    Error::new(Reason::DirectoryChanged, message)
        .hint("pull the model again with `--force`, or remove what does not belong there")
}
