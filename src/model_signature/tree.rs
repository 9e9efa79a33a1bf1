//! The files of a model directory by the rules of model signatures: every regular file, except what
//! is ignored (OMS 1.0, section 6.1).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::directory::{Directory, Kind, Stamp};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::oms::IgnoredPaths;

/// What a symlink is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// A mistake.
    Refuse,
    /// The regular file that it leads to, wherever that is. Symlinks to directories stay a mistake:
    /// the reference implementation passes over what is below them, so nobody would vouch for it.
    Follow,
}

/// A file of the model.
#[derive(Debug, Clone)]
pub(super) struct Found {
    name: String,
    /// Where its bytes are, if not below the root under its name.
    target: Option<PathBuf>,
}

impl Found {
    /// Returns the file `name` in `root`, called `known`.
    pub(super) fn single(root: &Directory, known: &str, name: &str) -> Result<Self> {
        root.open_file(name)?;
        Ok(Self {
            name: known.to_owned(),
            target: Some(name.into()),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens the file.
    pub(super) fn open(&self, root: &Directory) -> Result<File> {
        let target = self.target();
        match (target.parent(), target.file_name()) {
            (Some(parent), Some(name)) if target.is_absolute() => {
                Directory::open(parent)?.open_file(name)
            }
            _ => root.open_file(target),
        }
    }

    pub(super) fn size(&self, root: &Directory) -> Result<u64> {
        Ok(Stamp::of(&self.open(root)?, &self.place(root))?.size)
    }

    /// Returns where it is, for messages.
    pub(super) fn place(&self, root: &Directory) -> PathBuf {
        root.path().join(self.target())
    }

    fn target(&self) -> &Path {
        match &self.target {
            Some(target) => target,
            None => Path::new(&self.name),
        }
    }
}

/// A search for the files of a model.
pub(super) struct Tree<'a> {
    ignored: &'a IgnoredPaths,
    symlinks: Symlinks,
    found: Vec<Found>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(ignored: &'a IgnoredPaths, symlinks: Symlinks) -> Self {
        Self {
            ignored,
            symlinks,
            found: Vec::new(),
        }
    }

    /// Returns every file below `root`.
    pub(super) fn find(mut self, root: &Directory) -> Result<Vec<Found>> {
        self.visit(root, root, "")?;
        Ok(self.found)
    }

    /// Returns those files below `root` that `listed` names.
    pub(super) fn look(mut self, root: &Directory, listed: &BTreeSet<&str>) -> Result<Vec<Found>> {
        for path in listed.iter().copied() {
            match std::fs::symlink_metadata(root.path().join(path)) {
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::io("examine", root.path().join(path), error)),
                Ok(status) if status.is_symlink() => self.follow(root, path.to_owned())?,
                Ok(_) => self.add(path.to_owned(), None)?,
            }
        }
        Ok(self.found)
    }

    fn visit(&mut self, root: &Directory, directory: &Directory, path: &str) -> Result<()> {
        if path.split('/').count() > limits::PATH_DEPTH {
            return Err(refused(Reason::PathUnsafe, path, "is nested too deeply"));
        }
        for (name, kind) in directory.entries()? {
            let path = join(path, &name)?;
            if self.ignored.covers(&path) {
                continue;
            }
            match kind {
                Kind::Directory => self.visit(root, &directory.child(&name)?, &path)?,
                Kind::File => self.add(path, None)?,
                Kind::Symlink => self.follow(root, path)?,
                Kind::Special => {
                    let why = format!("is a {kind}");
                    return Err(refused(Reason::FileKindUnsafe, &path, &why));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, target: Option<PathBuf>) -> Result<()> {
        if self.found.len() == limits::FILES {
            let message = format!("the model has more than {} files", limits::FILES);
            return Err(Error::new(Reason::ModelUnsuitable, message));
        }
        self.found.push(Found { name, target });
        Ok(())
    }

    fn follow(&mut self, root: &Directory, path: String) -> Result<()> {
        let refused = |why: &str| refused(Reason::FileKindUnsafe, &path, why);
        if self.symlinks == Symlinks::Refuse {
            return Err(refused("is a symlink").hint(
                "put the file in its place (`cp -rL`); both signing and verifying follow symlinks \
                 to files with `--allow-symlinks`",
            ));
        }
        let target = std::fs::canonicalize(root.path().join(&path))
            .map_err(|error| refused("is a symlink that leads nowhere").because(error))?;
        if !target.is_file() {
            return Err(refused("is a symlink to something else than a file"));
        }
        self.add(path, Some(target))
    }
}

fn join(directory: &str, name: &OsStr) -> Result<String> {
    let name = name
        .to_str()
        .ok_or_else(|| not_utf8(&Path::new(directory).join(name)))?;
    Ok(match directory {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    })
}

pub(super) fn not_utf8(path: &Path) -> Error {
    refused(
        Reason::PathUnsafe,
        &path.to_string_lossy(),
        "has a name that is not UTF-8",
    )
}

fn refused(reason: Reason, path: &str, why: &str) -> Error {
    Error::new(reason, format!("`{}` {why}", path.escape_debug()))
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory)
}
