//! Where the policy file is.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use modelctl::directory::read_capped;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::file::PolicyFile;

use super::super::environment;

/// The system's policy file.
const SYSTEM: &str = "/etc/modelctl/policy.toml";

/// By which policy file to judge.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(in super::super) struct PolicyArgs {
    /// Judge by this policy file (docs/policy.md), instead of ~/.config/modelctl/policy.toml or
    /// /etc/modelctl/policy.toml. Trust flags ask for more, and never for less.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// Whether a file is named.
    pub(in super::super) fn is_given(&self) -> bool {
        self.policy.is_some()
    }

    /// Returns the policy file that counts, if there is one.
    pub(in super::super) fn file(&self) -> Result<Option<PolicyFile>> {
        Places {
            given: self.policy.clone(),
            user: environment::policy_file(),
            system: PathBuf::from(SYSTEM),
        }
        .find()
    }
}

/// Where a policy file can be: never in the working directory, which may be somebody else's.
struct Places {
    given: Option<PathBuf>,
    user: Option<PathBuf>,
    system: PathBuf,
}

impl Places {
    /// Returns the one that is given, else the user's, else the system's; but a locked one of the
    /// system before all others.
    fn find(self) -> Result<Option<PolicyFile>> {
        let system = unasked(&self.system)?;
        let locked = system.as_ref().is_some_and(|file| file.locked);
        match (self.given, self.user) {
            (Some(given), _) if locked => Err(Error::new(
                Reason::PolicyLocked,
                format!(
                    "`--policy {}` cannot take the place of `{}`, which is locked",
                    given.display(),
                    self.system.display()
                ),
            )
            .hint("leave `--policy` out; flags such as `--key` can ask for more")),
            (Some(given), _) => load(&given).map(Some),
            (None, Some(user)) if !locked => Ok(unasked(&user)?.or(system)),
            _ => Ok(system),
        }
    }
}

/// Reads a policy file that nobody named, if it is there. Nobody but its owner may be able to
/// change it.
fn unasked(path: &Path) -> Result<Option<PolicyFile>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(unreadable(path, Error::io("read", path, error))),
        Ok(_) => {}
    }
    load(path).map(Some)
}

/// Reads the policy file at `path`, once: what was checked is what is read.
pub(super) fn load(path: &Path) -> Result<PolicyFile> {
    let file = File::open(path).map_err(|e| unreadable(path, Error::io("read", path, e)))?;
    check_owner(&file, path)?;
    let read = read_capped(file, path, limits::POLICY_FILE);
    let bytes = read.map_err(|error| unreadable(path, error))?;
    PolicyFile::parse(&bytes, path)
}

fn unreadable(path: &Path, error: Error) -> Error {
    let message = format!("the policy `{}` cannot be read", path.display());
    Error::new(Reason::PolicyInvalid, message).because(error)
}

/// Refuses a policy that others than its user and root may rewrite. A symlink leads to the file that
/// is looked at, and is read.
fn check_owner(file: &File, path: &Path) -> Result<()> {
    let metadata = file.metadata();
    let metadata = metadata.map_err(|e| unreadable(path, Error::io("read", path, e)))?;
    let me = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Ok(());
    }
    let place = path.display();
    match who_else(metadata.mode(), metadata.uid(), me) {
        None => Ok(()),
        Some(who) => {
            let message = format!("{who} may change the policy `{place}`");
            Err(Error::new(Reason::PolicyInvalid, message).hint(format!(
                "make it yours or root's, and `chmod go-w {place}`; then read it again"
            )))
        }
    }
}

/// Returns who may rewrite a file of this mode and owner, besides me and root.
fn who_else(mode: u32, owner: u32, me: u32) -> Option<&'static str> {
    match (mode & 0o002, mode & 0o020) {
        (0, 0) if owner == me || owner == 0 => None,
        (0, 0) => Some("another user"),
        (0, _) => Some("its group"),
        _ => Some("anyone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(directory: &Path, name: &str, locked: bool) -> PathBuf {
        let path = directory.join(name);
        let text = format!("version = 1\ndefault = \"deny\"\nlocked = {locked}\n");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn find(
        given: Option<&PathBuf>,
        user: Option<&PathBuf>,
        system: &Path,
    ) -> Result<Option<PathBuf>> {
        let places = Places {
            given: given.cloned(),
            user: user.cloned(),
            system: system.to_owned(),
        };
        Ok(places.find()?.map(|file| file.path))
    }

    #[test]
    fn the_first_policy_that_is_there_is_the_one() {
        let directory = tempfile::tempdir().unwrap();
        let [given, user, system] =
            ["given", "user", "system"].map(|name| policy(directory.path(), name, false));
        let missing = directory.path().join("missing");
        for (places, found) in [
            ((Some(&given), Some(&user), &system), Some(&given)),
            ((Some(&given), None, &missing), Some(&given)),
            ((None, Some(&user), &system), Some(&user)),
            ((None, Some(&missing), &system), Some(&system)),
            ((None, None, &system), Some(&system)),
            ((None, Some(&missing), &missing), None),
        ] {
            assert_eq!(find(places.0, places.1, places.2).unwrap().as_ref(), found);
        }
        let error = find(Some(&missing), Some(&user), &system).unwrap_err();
        assert_eq!(error.reason(), Reason::PolicyInvalid);
    }

    #[test]
    fn a_locked_policy_of_the_system_cannot_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let [given, user] = ["given", "user"].map(|name| policy(directory.path(), name, true));
        let locked = policy(directory.path(), "locked", true);
        assert_eq!(
            find(None, Some(&user), &locked).unwrap(),
            Some(locked.clone())
        );
        let error = find(Some(&given), Some(&user), &locked).unwrap_err();
        assert_eq!(error.reason(), Reason::PolicyLocked);
        // Only the system's lock means anything.
        let open = policy(directory.path(), "open", false);
        assert_eq!(find(Some(&given), Some(&user), &open).unwrap(), Some(given));
    }

    #[test]
    fn who_else_may_rewrite_a_file_is_seen_from_its_mode_and_owner() {
        for (mode, owner, me, expected) in [
            (0o100_644, 1000, 1000, None),
            (0o100_600, 1000, 1000, None),
            (0o100_644, 0, 1000, None),
            (0o100_444, 0, 0, None),
            (0o100_664, 1000, 1000, Some("its group")),
            (0o100_620, 0, 1000, Some("its group")),
            (0o100_646, 1000, 1000, Some("anyone")),
            (0o100_666, 0, 0, Some("anyone")),
            (0o100_644, 1001, 1000, Some("another user")),
            (0o100_600, 1001, 0, Some("another user")),
        ] {
            assert_eq!(who_else(mode, owner, me), expected, "{mode:o} {owner} {me}");
        }
    }

    #[test]
    fn a_policy_that_others_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = policy(directory.path(), "open", false);
        let set = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for mode in [0o666, 0o664, 0o646, 0o602] {
            set(mode);
            for place in [&path, &link] {
                let error = find(None, None, place).unwrap_err();
                assert_eq!(error.reason(), Reason::PolicyInvalid, "{mode:o}");
                find(Some(place), None, &directory.path().join("missing")).unwrap_err();
            }
        }
        for mode in [0o644, 0o600, 0o444] {
            set(mode);
            assert_eq!(find(None, None, &path).unwrap(), Some(path.clone()));
            assert_eq!(find(None, None, &link).unwrap(), Some(link.clone()));
        }
    }
}
