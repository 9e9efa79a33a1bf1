//! Where the policy file is.

use std::path::{Path, PathBuf};

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::policy::file::PolicyFile;

use super::super::environment;
use super::super::stores::read;

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

/// Reads the policy file at `path`.
pub(super) fn load(path: &Path) -> Result<PolicyFile> {
    check_owner(path)?;
    let bytes = read(path, limits::POLICY_FILE).map_err(|error| unreadable(path, error))?;
    PolicyFile::parse(&bytes, path)
}

fn unreadable(path: &Path, error: Error) -> Error {
    let message = format!("the policy `{}` cannot be read", path.display());
    Error::new(Reason::PolicyInvalid, message).because(error)
}

/// Refuses a policy that anyone on this machine may rewrite.
#[cfg(unix)]
fn check_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|e| unreadable(path, Error::io("read", path, e)))?;
    if metadata.permissions().mode() & 0o002 == 0 || !metadata.is_file() {
        return Ok(());
    }
    let message = format!("anyone may change the policy `{}`", path.display());
    Err(Error::new(Reason::PolicyInvalid, message)
        .hint(format!("`chmod o-w {}`, and read it again", path.display())))
}

#[cfg(not(unix))]
fn check_owner(_: &Path) -> Result<()> {
    Ok(())
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

    #[cfg(unix)]
    #[test]
    fn a_policy_that_anyone_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = policy(directory.path(), "open", false);
        let set = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o666);
        let error = find(None, None, &path).unwrap_err();
        assert_eq!(error.reason(), Reason::PolicyInvalid);
        set(0o644);
        assert_eq!(find(None, None, &path).unwrap(), Some(path.clone()));
    }
}
