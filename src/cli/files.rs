//! Which files of a directory a model signature is on: flags as `model_signing` has them.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use modelctl::error::{Error, Reason, Result};
use modelctl::model_signature::{Symlinks, TreeOptions};
use modelctl::oms::{IgnoredPaths, SIGNATURE_FILE};
use modelctl::path::RESERVED;

/// Which files are the model's.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model signature")]
pub(super) struct FilesArgs {
    /// The model signature's file (default: `model.sig` in the directory). It is never part of what
    /// it signs.
    #[arg(long, value_name = "FILE")]
    pub(super) signature: Option<PathBuf>,
    /// Leave out this file or directory of the model (repeatable).
    #[arg(long, value_name = "PATH", alias = "ignore_paths")]
    ignore_paths: Vec<PathBuf>,
    /// Leave out `.git`, `.gitattributes`, `.github` and `.gitignore` (the default).
    #[arg(long, action = ArgAction::SetTrue, overrides_with = "no_ignore_git_paths")]
    ignore_git_paths: bool,
    /// Sign or demand git's files too; verifying needs this flag as well.
    #[arg(long, action = ArgAction::SetTrue)]
    no_ignore_git_paths: bool,
    /// Follow symlinks to files. Signing records it, and verifying needs this flag as well.
    #[arg(long, alias = "allow_symlinks")]
    allow_symlinks: bool,
}

impl FilesArgs {
    /// Returns the flag that is given and means something for directories only, if one is.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--signature", self.signature.is_some()),
            ("--ignore-paths", !self.ignore_paths.is_empty()),
            ("--ignore-git-paths", self.ignore_git_paths),
            ("--no-ignore-git-paths", self.no_ignore_git_paths),
            ("--allow-symlinks", self.allow_symlinks),
        ];
        let mut given = flags.into_iter().filter(|(_, given)| *given);
        given.next().map(|(flag, _)| flag)
    }

    /// Returns where the signature of the model in `directory` is, or will be.
    pub(super) fn signature_of(&self, directory: &Path) -> PathBuf {
        match &self.signature {
            Some(path) => path.clone(),
            None => directory.join(SIGNATURE_FILE),
        }
    }

    /// Returns which files of `directory` are meant: not those that are left out, nor the
    /// signature itself.
    pub(super) fn tree(&self, directory: &Path) -> Result<TreeOptions> {
        let mut ignored = match self.no_ignore_git_paths {
            true => IgnoredPaths::default(),
            false => IgnoredPaths::git(),
        };
        ignored.add(RESERVED)?;
        let signature = self.signature_of(directory);
        for path in self.ignore_paths.iter().chain([&signature]) {
            if let Some(path) = below(directory, path)? {
                ignored.add(&path)?;
            }
        }
        Ok(TreeOptions {
            ignored,
            symlinks: match self.allow_symlinks {
                true => Symlinks::Follow,
                false => Symlinks::Refuse,
            },
        })
    }
}

/// Returns where `path`, which need not exist, is below `directory`; nothing if it is elsewhere.
fn below(directory: &Path, path: &Path) -> Result<Option<String>> {
    let root = real(directory)?;
    let path = real(path)?;
    match path.strip_prefix(&root).map(Path::to_str) {
        Err(_) | Ok(Some("")) => Ok(None),
        Ok(Some(path)) => Ok(Some(path.to_owned())),
        Ok(None) => {
            let message = format!("`{}` is not UTF-8", path.display());
            Err(Error::new(Reason::PathUnsafe, message))
        }
    }
}

/// Returns the real path of what may not exist yet, in a directory that does. The last name is
/// taken as it is, because a symlink is left out by its own name.
fn real(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(absolute);
    };
    let parent = std::fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
    let place = parent.join(name);
    match place.is_dir() {
        true => std::fs::canonicalize(&place).map_err(|error| Error::io("open", &place, error)),
        false => Ok(place),
    }
}
