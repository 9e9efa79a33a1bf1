//! A place to try things: a temporary directory, an environment of its own, and command lines.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use modelctl::digest::{Digest, Hasher};
use serde_json::Value;
use tempfile::TempDir;

use crate::registry::Registry;
use crate::{model, peers};

/// A temporary working directory, and the tools that run in it.
pub(crate) struct Lab {
    directory: TempDir,
    tools: BTreeMap<String, PathBuf>,
    environment: BTreeMap<String, String>,
}

impl Lab {
    /// Returns a lab with the peers `tools` beside modelctl, or nothing when one is absent.
    ///
    /// It holds a small model in `model`. Keys have the empty password until [`Lab::set`] says
    /// otherwise, and nothing of the user's own configuration is seen.
    pub(crate) fn with<const N: usize>(tools: [&str; N]) -> Option<Self> {
        let mut found = BTreeMap::from([("modelctl".to_owned(), modelctl())]);
        for name in tools {
            found.insert(name.to_owned(), peers::find(name)?);
        }
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().unwrap().to_owned();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
            ("HOME".to_owned(), home.clone()),
            ("XDG_CONFIG_HOME".to_owned(), format!("{home}/.config")),
            ("DOCKER_CONFIG".to_owned(), format!("{home}/.docker")),
            ("COSIGN_PASSWORD".to_owned(), String::new()),
        ]);
        let lab = Self {
            directory,
            tools: found,
            environment,
        };
        model::write_small(&lab.path("model"));
        Some(lab)
    }

    /// Sets an environment variable for the commands that follow.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Returns the path of `name` in this lab.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns where a tool of this lab is.
    pub(crate) fn binary(&self, name: &str) -> &Path {
        self.tools
            .get(name)
            .unwrap_or_else(|| panic!("the lab has no {name}"))
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Returns the registries that can be had: with the referrers tag schema, and with the API.
    pub(crate) fn registries(&self) -> Vec<Registry> {
        [Registry::open(), Registry::with_referrers_api()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Runs a command line, split at white space; its first word is a tool of this lab.
    pub(crate) fn run(&self, line: impl AsRef<str>) -> Outcome {
        self.start(line).outcome()
    }

    /// Runs a command line with `input` on its standard input.
    pub(crate) fn run_with_input(&self, line: impl AsRef<str>, input: &str) -> Outcome {
        self.write(".input", input);
        let input = std::fs::File::open(self.path(".input")).unwrap();
        self.spawn(line.as_ref(), input.into()).outcome()
    }

    /// Starts a command line without waiting for it.
    pub(crate) fn start(&self, line: impl AsRef<str>) -> Running {
        self.spawn(line.as_ref(), Stdio::null())
    }

    fn spawn(&self, line: &str, input: Stdio) -> Running {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command line has a first word");
        let child = Command::new(self.binary(name))
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(&self.environment)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        Running {
            line: line.to_owned(),
            child,
        }
    }

    /// Pushes the small model with further `flags`, and returns its reference by digest.
    pub(crate) fn push(&self, reference: &str, flags: &str) -> String {
        let pushed = self
            .run(format!("modelctl push {reference} ./model {flags}"))
            .succeeds();
        let pinned = pushed.stdout.trim().to_owned();
        assert!(pinned.contains("@sha256:"), "push printed {pinned:?}");
        // cosign, oras and crane want either a tag or a digest.
        let (name, digest) = pinned.split_once('@').unwrap();
        let repository = name
            .rsplit_once(':')
            .map_or(name, |(repository, _tag)| repository);
        format!("{repository}@{digest}")
    }
}

/// Returns the binary under test; `MODELCTL` names another one, such as a release build.
fn modelctl() -> PathBuf {
    match std::env::var_os("MODELCTL") {
        Some(binary) => PathBuf::from(binary),
        None => PathBuf::from(env!("CARGO_BIN_EXE_modelctl")),
    }
}

/// A command that runs.
pub(crate) struct Running {
    line: String,
    child: Child,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn outcome(self) -> Outcome {
        let output = self.child.wait_with_output().unwrap();
        Outcome {
            line: self.line,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Whether it ended with exit code 0.
    pub(crate) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Asserts exit code 0.
    pub(crate) fn succeeds(self) -> Self {
        assert!(self.status.success(), "expected success:\n{self}");
        self
    }

    /// Asserts any failure, of a tool whose exit codes are not ours.
    pub(crate) fn fails(self) -> Self {
        assert!(!self.status.success(), "expected a failure:\n{self}");
        self
    }

    /// Asserts modelctl's exit code and the stable reason that it names.
    pub(crate) fn refuses(self, code: i32, reason: &str) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "expected exit code {code}:\n{self}"
        );
        assert!(
            self.stderr.contains(&format!("error[{reason}]")),
            "expected the reason {reason}:\n{self}"
        );
        self
    }

    /// Returns stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}\n{}\n{}", self.line, self.stdout, self.stderr)?;
        write!(f, "({})", self.status)
    }
}

/// Returns the digest part of a reference.
pub(crate) fn digest(reference: &str) -> &str {
    reference
        .split_once('@')
        .map(|(_, digest)| digest)
        .expect("a reference by digest")
}

/// Asserts that two directories hold the same files, whatever modelctl keeps in `.modelctl`.
pub(crate) fn assert_same_files(left: &Path, right: &Path) {
    let (left, right) = (files(left), files(right));
    assert!(!left.is_empty(), "there are no files to compare");
    assert_eq!(left, right);
}

/// Returns the files below `directory` by relative path, with their digests.
fn files(directory: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_owned();
            if path.is_dir() && name != Path::new(".modelctl") {
                pending.push(path);
            } else if path.is_file() {
                found.insert(name, digest_of(&path));
            }
        }
    }
    found
}

/// Returns a file's digest, without holding the file in memory.
fn digest_of(path: &Path) -> Digest {
    let mut file = std::fs::File::open(path).unwrap();
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finish(),
            length => hasher.update(&buffer[..length]),
        }
    }
}
