//! A machine that serves models: the example scripts, the built command, and servers that only write
//! down how they were started.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::command::{Outcome, Workspace};

/// What a server wrote down when it was started.
const RECORD: &str = "started";

/// A server that writes down its name, its arguments and the digests of the files that it sees, in
/// the place of vLLM or Triton.
const SERVER: &str = r#"#!/bin/sh
{
  printf '%s\n' "${0##*/}" "$@"
  for argument do
    directory=${argument#--model-repository=}
    [ -d "$directory" ] && (cd "$directory" && find . -type f ! -path '*/.modelctl/*' |
      LC_ALL=C sort | xargs sha256sum)
  done
} >"$RECORD"
exit 42
"#;

/// The exit code of [`SERVER`], by which it is known that its answer is the script's.
pub(crate) const SERVED: i32 = 42;

/// What a model is called in the store of the workspace.
pub(crate) const REFERENCE: &str = "oci:./store:v1";

/// A script of the examples, and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Entrypoint,
    Vllm,
    Triton,
}

impl Gate {
    pub(crate) const ALL: [Self; 3] = [Self::Entrypoint, Self::Vllm, Self::Triton];

    /// Returns where the script puts the model, in the workspace.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Entrypoint | Self::Vllm => "site/model",
            Self::Triton => "site/bert/1",
        }
    }

    /// Returns the command that serves `reference`, with an argument of the server's own.
    fn command(self, at: &Workspace, reference: &str) -> Command {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy");
        let script = |name| Command::new(deploy.join(name));
        let site = at.path("site");
        let mut command = match self {
            Self::Entrypoint => {
                let mut command = script("entrypoint");
                command.args(["vllm", "serve", "{}"]);
                command
            }
            Self::Vllm => {
                let mut command = script("vllm");
                command.arg(reference);
                command
            }
            Self::Triton => {
                at.write(
                    "models.txt",
                    format!("# what is served\n\nbert 1 {reference}\n"),
                );
                let mut command = script("triton");
                command.arg(&site).arg("models.txt");
                command
            }
        };
        command.arg("--port=1 2");
        at.prepared(command)
    }

    /// Serves `reference` under the settings.
    pub(crate) fn serve(self, at: &Workspace, reference: &str, more: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(at, reference);
        command.env("MODEL", reference);
        command.env("MODEL_DIR", at.path("site/model"));
        run(at, &mut command, more)
    }
}

/// Runs a script in the workspace, with the servers and the command on its path.
pub(crate) fn run(at: &Workspace, command: &mut Command, more: &[(&str, &str)]) -> Outcome {
    let _ = std::fs::remove_file(at.path(RECORD));
    let binary = Path::new(env!("CARGO_BIN_EXE_modelctl"));
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = [at.path("bin"), binary.parent().unwrap().to_owned()];
    let folders = folders.into_iter().chain(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("RECORD", at.path(RECORD))
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Outcome::of(command.spawn().unwrap())
}

/// Returns a workspace with a model, two key pairs, servers on the path and a place for models.
pub(crate) fn site() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    at.write("model/config.pbtxt", "name: \"bert\"\n");
    for name in ["cosign", "other"] {
        let pair = rcgen::KeyPair::generate().unwrap();
        at.write(&format!("{name}.key"), pair.serialize_pem());
        at.write(&format!("{name}.pub"), pair.public_key_pem());
    }
    for server in ["vllm", "tritonserver"] {
        let name = format!("bin/{server}");
        at.write(&name, SERVER);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(at.path(&name), mode).unwrap();
    }
    std::fs::create_dir(at.path("site")).unwrap();
    at
}

/// Pushes the model and signs it, as `REFERENCE`, and returns the pinned reference.
pub(crate) fn push(at: &Workspace, key: &str) -> String {
    let pushed = at.run(&["push", REFERENCE, "model", "--sign", "--key", key]);
    pushed.ok().to_owned()
}

/// Returns the lines that a server wrote down, if one was started.
pub(crate) fn record(at: &Workspace) -> Option<Vec<String>> {
    let record = std::fs::read_to_string(at.path(RECORD)).ok()?;
    Some(record.lines().map(str::to_owned).collect())
}

/// Asserts that a server was started with the arguments, and saw `file` with its content.
pub(crate) fn assert_served(at: &Workspace, gate: Gate, outcome: &Outcome) {
    assert_eq!(outcome.code, SERVED, "{gate:?}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "stdout is the server's");
    let record = record(at).unwrap_or_else(|| panic!("{gate:?}: nothing was started"));
    let site = at.path("site");
    let site = site.display();
    let (arguments, below): (&[String], _) = match gate {
        Gate::Entrypoint | Gate::Vllm => {
            let model = format!("{site}/model");
            (
                &["vllm".into(), "serve".into(), model, "--port=1 2".into()],
                ".",
            )
        }
        Gate::Triton => {
            let repository = format!("--model-repository={site}");
            (
                &["tritonserver".into(), repository, "--port=1 2".into()],
                "./bert/1",
            )
        }
    };
    assert_eq!(record[..arguments.len()], *arguments, "{gate:?}");
    let seen = &record[arguments.len()..];
    let weights = std::fs::read(at.path("model/model.safetensors")).unwrap();
    let weights = modelctl::digest::Digest::of(&weights);
    let line = format!("{}  {below}/model.safetensors", weights.hex());
    assert!(seen.contains(&line), "{gate:?}: {line} is not in {seen:#?}");
    if gate == Gate::Triton {
        let config = |line: &String| line.ends_with("  ./bert/config.pbtxt");
        assert!(seen.iter().any(config), "{seen:#?}");
    }
}
