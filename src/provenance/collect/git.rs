//! What a working copy of git says, read from its files
//! ([gitrepository-layout](https://git-scm.com/docs/gitrepository-layout)); only whether it was
//! changed is asked of `git` itself.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::directory::read_capped;
use crate::limits;
use crate::provenance::collect::program;
use crate::provenance::facts::GitFacts;
use crate::provenance::run::GitCommit;
use crate::provenance::secrecy::public_url;

/// How often one name may stand for another.
const SYMBOLIC: usize = 5;

/// Returns what the working copy that `directory` lies in says.
pub(super) async fn facts(directory: &Path, search_path: Option<&OsStr>) -> GitFacts {
    let Some(copy) = WorkingCopy::around(directory) else {
        return GitFacts::default();
    };
    let (reference, commit) = copy.head();
    GitFacts {
        repository: copy.origin(),
        dirty: match commit {
            Some(_) => copy.is_dirty(search_path).await,
            None => None,
        },
        commit,
        reference,
    }
}

/// A working copy, and where its repository keeps what.
struct WorkingCopy {
    top: PathBuf,
    /// What is this working copy's own: `HEAD`.
    own: PathBuf,
    /// What it shares with others of the same repository: branches, the configuration.
    shared: PathBuf,
}

impl WorkingCopy {
    fn around(directory: &Path) -> Option<Self> {
        let directory = std::fs::canonicalize(directory).ok()?;
        let top = directory
            .ancestors()
            .find(|above| above.join(".git").exists())?;
        let mark = top.join(".git");
        let own = match mark.is_dir() {
            true => mark,
            // A linked working copy or a submodule: the file says where the rest is.
            false => top.join(read(&mark)?.strip_prefix("gitdir:")?.trim()),
        };
        let shared = match read(&own.join("commondir")) {
            Some(common) => own.join(common.trim()),
            None => own.clone(),
        };
        Some(Self {
            top: top.to_owned(),
            own,
            shared,
        })
    }

    /// Returns the branch, if one is checked out, and the commit.
    fn head(&self) -> (Option<String>, Option<GitCommit>) {
        let Some(head) = read(&self.own.join("HEAD")) else {
            return (None, None);
        };
        match head.strip_prefix("ref:") {
            Some(name) => {
                let name = name.trim();
                (Some(name.to_owned()), self.resolve(name, SYMBOLIC))
            }
            None => (None, head.trim().parse().ok()),
        }
    }

    fn resolve(&self, name: &str, left: usize) -> Option<GitCommit> {
        if left == 0 || !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return None;
        }
        let loose = read(&self.own.join(name)).or_else(|| read(&self.shared.join(name)));
        if let Some(loose) = loose {
            return match loose.strip_prefix("ref:") {
                Some(next) => self.resolve(next.trim(), left - 1),
                None => loose.trim().parse().ok(),
            };
        }
        let packed = read(&self.shared.join("packed-refs"))?;
        let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(_, found)| *found == name)?.0.parse().ok()
    }

    /// Returns where it was cloned from, without what may be secret in that.
    fn origin(&self) -> Option<String> {
        let config = read(&self.shared.join("config"))?;
        let mut lines = config.lines().map(str::trim);
        lines.find(|line| *line == "[remote \"origin\"]")?;
        let mut fields = lines.take_while(|line| !line.starts_with('['));
        let url = fields.find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "url").then(|| value.trim().to_owned())
        });
        public_url(&url?)
    }

    /// Whether tracked files differ from the commit. What is not tracked does not count: a model
    /// that was just trained lies in many a working copy.
    async fn is_dirty(&self, search_path: Option<&OsStr>) -> Option<bool> {
        // No monitor that the configuration may name is started, and nothing is written.
        let fixed = ["-c", "core.fsmonitor=false", "--no-optional-locks", "-C"].map(OsStr::new);
        let status = ["status", "--porcelain", "--untracked-files=no"].map(OsStr::new);
        let arguments = [&fixed[..], &[self.top.as_os_str()], &status[..]].concat();
        let output = program::output("git", &arguments, search_path).await?;
        Some(!output.is_empty())
    }
}

fn read(path: &Path) -> Option<String> {
    let file = File::open(path).ok().filter(|_| path.is_file())?;
    String::from_utf8(read_capped(file, path, limits::LOCAL_FILE).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "3f786850e387550fdab836ed7e6dc881de23001b";
    const TWO: &str = "89e6c98d92887913cadf06b2adb97f26cde4849b";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        directory
    }

    async fn found(directory: &Path) -> GitFacts {
        facts(directory, None).await
    }

    #[tokio::test]
    async fn a_branch_is_found_loose_or_packed_and_from_below() {
        let config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://t0ken@example.com/a.git\n\tfetch = x\n";
        let loose = repository(&[
            (".git/HEAD", "ref: refs/heads/main\n"),
            (".git/refs/heads/main", &format!("{ONE}\n")),
            (
                ".git/packed-refs",
                &format!("# pack-refs\n{TWO} refs/heads/main\n"),
            ),
            (".git/config", config),
            ("deep/er/x", ""),
        ]);
        let facts = found(&loose.path().join("deep/er")).await;
        assert_eq!(facts.commit.unwrap().as_str(), ONE);
        assert_eq!(facts.reference.as_deref(), Some("refs/heads/main"));
        assert_eq!(
            facts.repository.as_deref(),
            Some("https://example.com/a.git")
        );
        // Nobody could be asked.
        assert_eq!(facts.dirty, None);

        std::fs::remove_file(loose.path().join(".git/refs/heads/main")).unwrap();
        assert_eq!(found(loose.path()).await.commit.unwrap().as_str(), TWO);
    }

    #[tokio::test]
    async fn a_linked_working_copy_has_its_own_head() {
        let both = repository(&[
            ("main/.git/HEAD", "ref: refs/heads/main\n"),
            ("main/.git/refs/heads/main", ONE),
            ("main/.git/refs/heads/side", TWO),
            ("main/.git/worktrees/side/HEAD", "ref: refs/heads/side\n"),
            ("main/.git/worktrees/side/commondir", "../..\n"),
            ("side/.git", "gitdir: ../main/.git/worktrees/side\n"),
        ]);
        let facts = found(&both.path().join("side")).await;
        assert_eq!(facts.commit.unwrap().as_str(), TWO);
    }

    #[tokio::test]
    async fn what_is_no_name_leads_nowhere() {
        for head in [
            "ref: ../secret",
            "ref: refs/../../secret",
            "ref: refs/heads/absent",
            "ref: refs/heads/loop",
            "garbage",
        ] {
            let files = [
                (".git/HEAD", head),
                (".git/refs/heads/loop", "ref: refs/heads/loop"),
                ("secret", ONE),
            ];
            let directory = repository(&files);
            assert_eq!(found(directory.path()).await.commit, None, "{head}");
        }
    }
}
