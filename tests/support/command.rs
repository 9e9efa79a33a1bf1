//! The built command in a directory of its own, away from the user's settings.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A temporary directory in which the command runs.
pub struct Workspace {
    directory: tempfile::TempDir,
}

/// What a run of the command came to.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Waits for what a started command comes to.
    pub fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Returns stdout as the one JSON document it must be.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Returns the reason of a failure, as stderr has it.
    pub fn reason(&self) -> &str {
        let line = self
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("error["));
        line.and_then(|line| line.split(']').next())
            .unwrap_or_default()
    }

    /// Asserts that the command succeeded and returns stdout without its last newline.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout.trim_end()
    }

    /// Asserts that the command was refused with this exit code and reason.
    pub fn refused(&self, code: i32, reason: &str) {
        assert_eq!(
            (self.code, self.reason()),
            (code, reason),
            "{}{}",
            self.stdout,
            self.stderr
        );
    }
}

impl Workspace {
    /// Returns an empty workspace.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns a workspace with a small model in `model` and a key pair in `cosign.key` and
    /// `cosign.pub`, its passphrase empty.
    pub fn with_model_and_key() -> Self {
        let workspace = Self::new();
        workspace.model("model");
        workspace.run(&["generate-key-pair"]).ok();
        workspace
    }

    /// Returns a workspace with a small model in `model` and a key pair of each name, without
    /// passphrases.
    pub fn with_model_and_keys(names: &[&str]) -> Self {
        let workspace = Self::new();
        workspace.model("model");
        for name in names {
            let pair = ["generate-key-pair", "--output-key-prefix", name];
            workspace.run(&pair).ok();
        }
        workspace
    }

    /// Returns a path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file inside, and the directories above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes a small but well-formed model into the directory `name`.
    pub fn model(&self, name: &str) {
        self.write(
            &format!("{name}/model.safetensors"),
            safetensors(b"abcdefgh"),
        );
        self.write(
            &format!("{name}/config.json"),
            r#"{"architectures":["BertModel"]}"#,
        );
        self.write(&format!("{name}/README.md"), "# A model\n");
        self.write(&format!("{name}/1_Pooling/config.json"), "{}");
    }

    /// Runs the command with `arguments`.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[], "")
    }

    /// Runs the command with `arguments`, more variables, and `input` on stdin.
    pub fn run_with(&self, arguments: &[&str], more: &[(&str, &str)], input: &str) -> Outcome {
        use std::io::Write;
        let mut child = self.start(arguments, more);
        // A command that needs no input may be gone before it is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Outcome::of(child)
    }

    /// Starts the command with `arguments` and more variables, all its streams being pipes.
    pub fn start(&self, arguments: &[&str], more: &[(&str, &str)]) -> Child {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_modelctl")))
            .args(arguments)
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Returns `command` to be run here, with nothing of the user's settings.
    pub fn prepared(&self, mut command: Command) -> Command {
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path().join("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MODELCTL_PASSWORD", "");
        command
    }

    /// Returns everything below the workspace's directory `name`: paths and contents.
    pub fn tree(&self, name: &str) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        walk(&self.path(name), &self.path(name), &mut found);
        found.sort();
        found
    }

    /// Returns what stands directly in the workspace, hidden or not, the user's home apart.
    pub fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != "home");
        names.sort();
        names
    }
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<(PathBuf, Option<Vec<u8>>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if name == Path::new(".modelctl") {
            continue;
        }
        if path.is_dir() {
            found.push((name, None));
            walk(root, &path, found);
        } else {
            found.push((name, Some(std::fs::read(&path).unwrap())));
        }
    }
}

/// Returns a safetensors file with one tensor of `data`.
pub fn safetensors(data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}
