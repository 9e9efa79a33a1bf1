//! Runs the commands that `README.md` shows, so that they stay true.
//!
//! Every fenced block marked `console` is run, from first to last, in one shell and one temporary
//! directory with the built `modelctl` first on `PATH`. In a block, a line that starts with `$ ` is
//! a command, `> ` continues it, and everything else is what it prints, for the reader. A command
//! must succeed, unless it ends in a comment such as `# exit 3`. The directory holds a small model
//! in `model` and the repository's `examples`; keys have an empty password. Blocks in other
//! languages (`sh`, `toml`) are not run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and needs PATH"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command of the README.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    text: String,
    exit: i32,
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(repository.join("README.md")).unwrap();
    let steps = steps(&readme);
    assert!(
        !steps.is_empty(),
        "README.md has no `console` block with a command"
    );

    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), repository);
    let script = directory.path().join(".readme.sh");
    fs::write(&script, shell_script(&steps)).unwrap();
    let output = Command::new("bash")
        .arg(&script)
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", path_with_modelctl())
        .env("HOME", directory.path())
        .env("MODELCTL_PASSWORD", "")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Reads the commands in the `console` blocks of a Markdown text.
fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block = None;
    for (index, line) in markdown.lines().enumerate() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() {
                None
            } else {
                Some(info.trim() == "console")
            };
        } else if block != Some(true) {
            continue;
        } else if let Some(text) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: index + 1,
                text: text.to_owned(),
                exit: 0,
            });
        } else if let (Some(more), Some(step)) = (line.strip_prefix("> "), steps.last_mut()) {
            step.text = format!("{}\n{more}", step.text);
        }
    }
    for step in &mut steps {
        step.exit = expected_exit(&step.text);
    }
    steps
}

/// Returns the exit code that a comment at the end of a command announces.
fn expected_exit(text: &str) -> i32 {
    text.rsplit_once("# exit ")
        .map_or(0, |(_, code)| code.trim().parse().unwrap())
}

/// Returns a script that runs the steps, and stops at the first that ends otherwise than told.
fn shell_script(steps: &[Step]) -> String {
    let mut script = String::from("set -o pipefail\n");
    for Step { line, text, exit } in steps {
        script.push_str(&format!(
            "echo 'README.md:{line}' >&2\n{text}\ncode=$?\n\
             [ $code -eq {exit} ] || {{ echo \"ended with exit code $code, not {exit}\" >&2; \
             exit 1; }}\n"
        ));
    }
    script
}

/// Lays out what the README's reader has: a model, and the repository's examples.
fn prepare(directory: &Path, repository: &Path) {
    let model = directory.join("model");
    fs::create_dir(&model).unwrap();
    let header = br#"{"embedding":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}       "#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend_from_slice(header);
    weights.extend_from_slice(&[0; 64]);
    fs::write(model.join("model.safetensors"), weights).unwrap();
    fs::write(model.join("config.json"), r#"{"model_type":"bert"}"#).unwrap();
    fs::write(model.join("README.md"), "# BERT\n").unwrap();
    let examples = repository.join("examples");
    if examples.is_dir() {
        std::os::unix::fs::symlink(examples, directory.join("examples")).unwrap();
    }
}

/// Returns `PATH` with the built binary's directory in front.
fn path_with_modelctl() -> std::ffi::OsString {
    let binary = Path::new(env!("CARGO_BIN_EXE_modelctl"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(binary.parent().unwrap().to_owned());
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap()
}

#[test]
fn only_console_blocks_are_run() {
    let markdown = "\
```console
$ one
printed
$ two <<END
> $ three
> END
$ four # exit 3
```
$ no
```sh
$ no
```
";
    let step = |line, text: &str, exit| Step {
        line,
        text: text.to_owned(),
        exit,
    };
    let expected = [
        step(2, "one", 0),
        step(4, "two <<END\n$ three\nEND", 0),
        step(7, "four # exit 3", 3),
    ];
    assert_eq!(steps(markdown), expected);
}

#[test]
fn a_step_that_ends_otherwise_than_told_stops_the_script() {
    let run = |text: &str, exit| {
        let steps = [Step {
            line: 1,
            text: text.to_owned(),
            exit,
        }];
        Command::new("bash")
            .arg("-c")
            .arg(shell_script(&steps))
            .output()
            .unwrap()
    };
    assert!(run("(exit 3) # exit 3", 3).status.success());
    assert!(!run("(exit 4) # exit 3", 3).status.success());
    assert!(!run("false | true", 0).status.success());
}
