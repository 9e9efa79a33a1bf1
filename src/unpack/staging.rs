//! The staging directory: where a pull works, beside its target, until everything is right.
//!
//! One rename makes it the target, so whoever looks there sees nothing, the whole old model or the
//! whole new one. Until then it is this user's alone (mode 0700, a name nobody can guess), and it
//! goes away with the [`Staging`] that owns it, however the pull ends. A killed pull cannot clean
//! up; its directory is told from a live one by the lock on it, and the next pull removes it.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, RenameFlags, fchmod, flock, fstat, renameat_with};
use rustix::io::Errno;

use crate::directory::{DIRECTORY_MODE, Directory, Identity, Kind};
use crate::error::{Error, Reason, Result};
use crate::path::{RESERVED, SafePath};
use crate::unpack::target::{Target, unsuitable};
use crate::walk::STAGING_PREFIX;

/// What the name of an old model starts with while it is moved aside, where two directories cannot
/// change places in one step.
const ASIDE_PREFIX: &str = ".modelctl-replaced-";

/// Names tried before giving up: another pull may clean up a directory that is not locked yet.
const NAMES: usize = 8;

/// A directory beside the target that only this pull knows.
#[derive(Debug)]
pub(super) struct Staging {
    target: Target,
    name: OsString,
    root: Arc<Directory>,
    directories: Vec<PathBuf>,
    /// Whether the directory is the target now, and not to be removed.
    installed: bool,
}

impl Staging {
    /// Creates and locks a directory beside `target`, and one in it for the receipt.
    pub(super) fn create(target: Target) -> Result<Self> {
        for _ in 0..NAMES {
            let name = random_name(STAGING_PREFIX);
            target.parent.create_child(&name, 0o700)?;
            let Some(root) = lock(&target.parent, &name) else {
                continue;
            };
            let mut staging = Self {
                target,
                name,
                root: Arc::new(root),
                directories: Vec::new(),
                installed: false,
            };
            staging.create_directory(PathBuf::from(RESERVED))?;
            return Ok(staging);
        }
        let place = target.parent.path().display();
        let message = format!("cannot keep a working directory in `{place}`");
        Err(Error::new(Reason::Disk, message))
    }

    /// Returns the directory itself.
    pub(super) fn root(&self) -> &Arc<Directory> {
        &self.root
    }

    /// Creates the directories that `files` need.
    pub(super) fn create_directories<'a>(
        &mut self,
        files: impl Iterator<Item = &'a SafePath>,
    ) -> Result<()> {
        let mut seen = std::collections::HashSet::new();
        for file in files {
            for (end, _) in file.as_str().match_indices('/') {
                let directory = file.as_str().split_at(end).0;
                if seen.insert(directory) {
                    self.create_directory(PathBuf::from(directory))?;
                }
            }
        }
        Ok(())
    }

    /// Creates a directory whose content will be made durable with everything else.
    pub(super) fn create_directory(&mut self, path: PathBuf) -> Result<()> {
        self.root.create_child(&path, DIRECTORY_MODE)?;
        self.directories.push(path);
        Ok(())
    }

    /// Makes every directory durable and then puts the whole in place, in one step where the file
    /// system can. Returns what of a replaced model could not be removed.
    pub(super) fn install(mut self) -> Result<Option<PathBuf>> {
        for directory in self.directories.iter().rev() {
            self.root.child(directory)?.sync()?;
        }
        self.open_up()?;
        self.root.sync()?;
        let displaced = match self.target.replaces {
            None => self.put_new().map(|()| None)?,
            Some(old) => self.replace(old)?,
        };
        if let Err(error) = self.target.keep() {
            // A pull that fails has changed nothing: nobody knows what a power failure would show.
            self.undo(displaced.as_deref());
            return Err(error);
        }
        let Some(displaced) = displaced else {
            return Ok(None);
        };
        let left = self.target.parent.remove(&displaced).is_err();
        Ok(left.then(|| self.target.parent.path().join(displaced)))
    }

    /// Gives the directory the mode that any new directory here would have: what a directory in it
    /// got, after umask and inheritance.
    fn open_up(&self) -> Result<()> {
        let like = self.root.child(RESERVED)?;
        let failed = |error: Errno| Error::io("open up", self.root.path(), error.into());
        let mode = Mode::from_raw_mode(fstat(&like).map_err(failed)?.st_mode & 0o7777);
        fchmod(&*self.root, mode).map_err(failed)
    }

    /// Puts the model where nothing stands.
    fn put_new(&mut self) -> Result<()> {
        let Target { parent, name, .. } = &self.target;
        let renamed = match rename(parent, &self.name, name, RenameFlags::NOREPLACE) {
            Err(error) if is_unsupported(error) => match parent.look(name)? {
                Some(_) => Err(Errno::EXIST),
                None => rename(parent, &self.name, name, RenameFlags::empty()),
            },
            renamed => renamed,
        };
        match renamed {
            Ok(()) => {
                self.installed = true;
                Ok(())
            }
            Err(Errno::EXIST | Errno::NOTEMPTY) => Err(self.target.exists()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Puts the model where `old` stands, and returns the name that `old` has then.
    fn replace(&mut self, old: Identity) -> Result<Option<OsString>> {
        let exchange = RenameFlags::EXCHANGE;
        let Target { parent, name, .. } = &self.target;
        match rename(parent, &self.name, name, exchange) {
            Ok(()) if parent.look(&self.name)?.map(|(_, identity)| identity) == Some(old) => {
                self.installed = true;
                Ok(Some(self.name.clone()))
            }
            Ok(()) => {
                // Someone put another directory there, which nobody agreed to lose.
                rename(parent, &self.name, name, exchange).map_err(|error| self.failed(error))?;
                Err(self.changed())
            }
            Err(error) if is_unsupported(error) => self.replace_in_steps(old).map(Some),
            Err(Errno::NOENT) => self.put_new().map(|()| None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Does the same where the file system cannot exchange two names: for a moment nothing stands
    /// there, and if the second step fails the first is undone.
    fn replace_in_steps(&mut self, old: Identity) -> Result<OsString> {
        let aside = random_name(ASIDE_PREFIX);
        let Target { parent, name, .. } = &self.target;
        if parent.look(name)?.map(|(_, identity)| identity) != Some(old) {
            return Err(self.changed());
        }
        rename(parent, name, &aside, RenameFlags::empty()).map_err(|error| self.failed(error))?;
        match self.put_new() {
            Ok(()) => Ok(aside),
            Err(error) => {
                let Target { parent, name, .. } = &self.target;
                match rename(parent, &aside, name, RenameFlags::empty()) {
                    Ok(()) => Err(error),
                    Err(_) => Err(error.hint(format!(
                        "the old model is at `{}` now",
                        parent.path().join(&aside).display()
                    ))),
                }
            }
        }
    }

    /// Takes the model away again, and puts the old one, which is called `displaced` now, back.
    fn undo(&mut self, displaced: Option<&OsStr>) {
        let Target { parent, name, .. } = &self.target;
        let undone = match displaced {
            Some(old) if old == self.name => rename(parent, old, name, RenameFlags::EXCHANGE),
            Some(old) => rename(parent, name, &self.name, RenameFlags::empty())
                .and_then(|()| rename(parent, old, name, RenameFlags::empty())),
            None => rename(parent, name, &self.name, RenameFlags::empty()),
        };
        self.installed = undone.is_err();
    }

    fn failed(&self, error: Errno) -> Error {
        match error {
            Errno::BUSY => unsuitable(&self.target.path, "is a mount point, or in use"),
            error => Error::io("put the model at", &self.target.path, error.into()),
        }
    }

    fn changed(&self) -> Error {
        unsuitable(&self.target.path, "was changed by someone else meanwhile")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.installed {
            // The error that ended the pull is the one to tell; the next pull tries again.
            let _ = self.target.parent.remove(&self.name);
        }
    }
}

fn rename(parent: &Directory, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
    renameat_with(parent, from, parent, to, flags)
}

/// Whether the file system, or the kernel, cannot rename with flags.
fn is_unsupported(error: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&error)
}

/// Returns a name that nobody has or guesses.
///
/// The standard library asks the kernel for the keys of its hashers. A cryptographic generator was
/// measured to take 40 ms to start, and this is not a secret: nobody else may look in there.
fn random_name(prefix: &str) -> OsString {
    let random = RandomState::new().build_hasher().finish();
    format!("{prefix}{random:016x}").into()
}

/// Opens and locks the directory `name`, if nobody else holds it or has just removed it.
///
/// Where the file system has no locks, nobody can tell that it is abandoned, and nobody will
/// remove it.
fn lock(parent: &Directory, name: &OsStr) -> Option<Directory> {
    let directory = parent.child(name).ok()?;
    let held = flock(&directory, FlockOperation::NonBlockingLockExclusive);
    if held == Err(Errno::WOULDBLOCK) {
        return None;
    }
    let (_, identity) = parent.look(name).ok()??;
    (directory.identity().ok()? == identity).then_some(directory)
}

/// Removes what killed pulls left in `parent`: staging directories of this user that no process
/// holds. It is a favour to the disk, so nothing here is an error. Returns old models that a pull
/// had moved aside when it was killed, which only a person can judge.
pub(super) fn sweep(parent: &Directory) -> Vec<PathBuf> {
    let mut aside = Vec::new();
    for (name, kind) in parent.entries().unwrap_or_default() {
        let text = name.to_string_lossy();
        if kind != Kind::Directory {
            continue;
        }
        if text.starts_with(STAGING_PREFIX)
            && let Some(_lock) = lock_abandoned(parent, &name)
        {
            let _ = parent.remove(&name);
        }
        if text.starts_with(ASIDE_PREFIX) {
            aside.push(parent.path().join(&name));
        }
    }
    aside
}

/// Returns the lock on a staging directory of this user that nobody else holds; while it is kept,
/// no pull takes the directory for its own.
fn lock_abandoned(parent: &Directory, name: &OsStr) -> Option<Directory> {
    let directory = parent.child(name).ok()?;
    let owner = fstat(&directory).ok()?.st_uid;
    if owner != rustix::process::geteuid().as_raw() {
        return None;
    }
    flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::Existing;
    use std::path::Path;

    /// A staging directory with one file, for `target`.
    fn staging(target: &Path) -> Staging {
        let target = Target::prepare(target, Existing::Replace).unwrap();
        let staging = Staging::create(target).unwrap();
        staging.root().create_file("new").unwrap();
        staging
    }

    fn names(directory: &Path) -> Vec<OsString> {
        let entries = Directory::open(directory).unwrap().entries().unwrap();
        entries.into_iter().map(|(name, _)| name).collect()
    }

    /// An old, empty and so replaceable, model.
    fn old_model() -> (tempfile::TempDir, PathBuf) {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("model");
        std::fs::create_dir(&path).unwrap();
        (around, path)
    }

    #[test]
    fn is_private_until_it_is_installed_and_gone_if_it_is_not() {
        use std::os::unix::fs::MetadataExt;
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("model");
        let held = staging(&path);
        let private = std::fs::metadata(around.path().join(&held.name)).unwrap();
        assert_eq!(private.mode() & 0o777, 0o700);
        drop(held);
        assert!(names(around.path()).is_empty());

        staging(&path).install().unwrap();
        assert_eq!(names(around.path()), ["model"]);
        let like = around.path().join("like");
        std::fs::create_dir(&like).unwrap();
        let expected = std::fs::metadata(like).unwrap().mode() & 0o755;
        let installed = std::fs::metadata(path).unwrap().mode();
        assert_eq!(installed & 0o755, expected);
    }

    #[test]
    fn replaces_in_steps_where_names_cannot_be_exchanged() {
        let (around, path) = old_model();
        std::fs::create_dir(path.join(".modelctl")).unwrap();
        std::fs::write(path.join(".modelctl/receipt.json"), "old").unwrap();
        let mut staging = staging(&path);
        let old = staging.target.replaces.unwrap();
        let aside = staging.replace_in_steps(old).unwrap();
        assert!(path.join("new").exists());
        let kept = around.path().join(&aside).join(".modelctl/receipt.json");
        assert_eq!(std::fs::read(kept).unwrap(), b"old");
        drop(staging);
        let mut expected = [aside.clone(), "model".into()];
        expected.sort();
        assert_eq!(names(around.path()), expected);
        let parent = Directory::open(around.path()).unwrap();
        assert_eq!(sweep(&parent), [around.path().join(aside)]);
    }

    #[test]
    fn a_step_that_fails_is_undone() {
        let (around, path) = old_model();
        let mut staging = staging(&path);
        let old = staging.target.replaces.unwrap();
        // The second step finds nothing to rename.
        staging.target.parent.remove(&staging.name).unwrap();
        staging.replace_in_steps(old).unwrap_err();
        assert_eq!(names(around.path()), ["model"]);
    }

    #[test]
    fn each_way_of_installing_can_be_undone() {
        type Install = fn(&mut Staging) -> Option<OsString>;
        let ways: [Install; 3] = [
            |staging| staging.put_new().map(|()| None).unwrap(),
            |staging| staging.replace(staging.target.replaces.unwrap()).unwrap(),
            |staging| {
                Some(
                    staging
                        .replace_in_steps(staging.target.replaces.unwrap())
                        .unwrap(),
                )
            },
        ];
        for (number, install) in ways.into_iter().enumerate() {
            let (around, path) = old_model();
            if number == 0 {
                std::fs::remove_dir(&path).unwrap();
            }
            let before = names(around.path());
            let mut staging = staging(&path);
            let displaced = install(&mut staging);
            assert!(path.join("new").exists());
            staging.undo(displaced.as_deref());
            drop(staging);
            assert_eq!(names(around.path()), before, "{number}");
            assert!(!path.join("new").exists());
        }
    }

    #[test]
    fn what_appears_at_the_target_meanwhile_is_left_alone() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("model");
        let staging = staging(&path);
        std::fs::create_dir(&path).unwrap();
        let error = staging.install().unwrap_err();
        assert_eq!(error.reason(), Reason::TargetExists);
        assert!(names(&path).is_empty());
        assert_eq!(names(around.path()), ["model"]);
    }

    #[test]
    fn what_takes_the_place_of_the_old_model_meanwhile_is_left_alone() {
        let (around, path) = old_model();
        let new = staging(&path);
        std::fs::rename(&path, around.path().join("moved")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("precious"), "").unwrap();
        let error = new.install().unwrap_err();
        assert_eq!(error.reason(), Reason::TargetUnsuitable);
        assert_eq!(names(&path), ["precious"]);
        assert_eq!(names(around.path()), ["model", "moved"]);

        let mut in_steps = staging(&around.path().join("moved"));
        let old = in_steps.target.replaces.unwrap();
        std::fs::rename(around.path().join("moved"), around.path().join("away")).unwrap();
        std::fs::rename(&path, around.path().join("moved")).unwrap();
        let error = in_steps.replace_in_steps(old).unwrap_err();
        assert_eq!(error.reason(), Reason::TargetUnsuitable);
        assert_eq!(names(&around.path().join("moved")), ["precious"]);
    }

    #[test]
    fn an_old_model_that_disappears_meanwhile_is_no_obstacle() {
        let (around, path) = old_model();
        let staging = staging(&path);
        std::fs::remove_dir(&path).unwrap();
        staging.install().unwrap();
        assert_eq!(names(&path), [RESERVED, "new"]);
        assert_eq!(names(around.path()), ["model"]);
    }

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let around = tempfile::tempdir().unwrap();
        let alive = staging(&around.path().join("model"));
        let dead = around.path().join(format!("{STAGING_PREFIX}dead"));
        std::fs::create_dir_all(dead.join("sub")).unwrap();
        std::fs::write(dead.join("sub/file"), "").unwrap();
        let file = format!("{STAGING_PREFIX}file");
        std::fs::write(around.path().join(&file), "").unwrap();
        std::fs::create_dir(around.path().join("other")).unwrap();
        let link = format!("{STAGING_PREFIX}link");
        std::os::unix::fs::symlink("other", around.path().join(&link)).unwrap();

        let parent = Directory::open(around.path()).unwrap();
        assert!(sweep(&parent).is_empty());
        let mut expected = [alive.name.clone(), file.into(), link.into(), "other".into()];
        expected.sort();
        assert_eq!(names(around.path()), expected);
    }
}
