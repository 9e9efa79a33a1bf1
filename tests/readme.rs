//! Runs the commands that `README.md` shows, so that they stay true.
//!
//! Every fenced block marked `console` is run, from first to last, in one shell and one temporary
//! directory with the built `modelctl` first on `PATH`. In a block, a line that starts with `$ ` is
//! a command, `> ` continues it, and everything else is what it must print on stdout, line by line;
//! `…` stands for anything in a line. A command must succeed, unless it ends in a comment such as
//! `# exit 3`. The directory holds a small model in `model`; keys have an empty password. Blocks in
//! other languages (`sh`, `toml`) are not run.
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
    prints: Vec<String>,
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let steps = steps(&readme);
    assert!(
        !steps.is_empty(),
        "README.md has no `console` block with a command"
    );

    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let script = directory.path().join(".readme.sh");
    fs::write(&script, shell_script(&steps)).unwrap();
    let run = Command::new("bash")
        .arg(&script)
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", path_with_modelctl())
        .env("HOME", directory.path())
        .env("MODELCTL_PASSWORD", "")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    for (number, step) in steps.iter().enumerate() {
        let printed = fs::read_to_string(directory.path().join(output_file(number))).unwrap();
        if let Err(difference) = compare(&step.prints, &printed) {
            panic!("README.md:{}: {difference}\n{told}", step.line);
        }
    }
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
                prints: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) => step.text = format!("{}\n{more}", step.text),
                None => step.prints.push(line.to_owned()),
            }
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

/// Returns a script that runs the steps in one shell, keeps what each prints, and stops at the first
/// that ends otherwise than told.
fn shell_script(steps: &[Step]) -> String {
    let mut script = String::from("set -o pipefail\nhere=$PWD\n");
    for (number, step) in steps.iter().enumerate() {
        let Step {
            line, text, exit, ..
        } = step;
        let output = output_file(number);
        script.push_str(&format!(
            "echo 'README.md:{line}' >&2\n{{ {text}\n}} >\"$here/{output}\"\ncode=$?\n\
             [ $code -eq {exit} ] || {{ echo \"ended with exit code $code, not {exit}\" >&2; \
             exit 1; }}\n"
        ));
    }
    script
}

/// Returns the name of the file that keeps what a step prints.
fn output_file(number: usize) -> String {
    format!(".readme.{number}.out")
}

/// Compares what a step printed with what the README shows.
fn compare(shown: &[String], printed: &str) -> Result<(), String> {
    let printed: Vec<_> = printed.lines().collect();
    let same = shown.len() == printed.len()
        && std::iter::zip(shown, &printed).all(|(shown, printed)| matches(shown, printed));
    match same {
        true => Ok(()),
        false => Err(format!(
            "it shows\n{}\nbut the command prints\n{}",
            shown.join("\n"),
            printed.join("\n")
        )),
    }
}

/// Whether `line` is as `pattern` says, in which `…` stands for at least one character.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    let mut ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.any(|end| matches(rest, &line[end..]))
}

/// Lays out what the README's reader has: a model.
fn prepare(directory: &Path) {
    let model = directory.join("model");
    fs::create_dir(&model).unwrap();
    let header = br#"{"embedding":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}       "#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend_from_slice(header);
    weights.extend_from_slice(&[0; 64]);
    fs::write(model.join("model.safetensors"), weights).unwrap();
    fs::write(model.join("config.json"), r#"{"model_type":"bert"}"#).unwrap();
    fs::write(model.join("README.md"), "# BERT\n").unwrap();
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
    let step = |line, text: &str, exit, prints: &[&str]| Step {
        line,
        text: text.to_owned(),
        exit,
        prints: prints.iter().map(|&line| line.to_owned()).collect(),
    };
    let expected = [
        step(2, "one", 0, &["printed"]),
        step(4, "two <<END\n$ three\nEND", 0, &[]),
        step(7, "four # exit 3", 3, &[]),
    ];
    assert_eq!(steps(markdown), expected);
}

#[test]
fn a_step_that_ends_otherwise_than_told_stops_the_script() {
    let run = |text: &str, exit| {
        let directory = tempfile::tempdir().unwrap();
        let steps = [Step {
            line: 1,
            text: text.to_owned(),
            exit,
            prints: Vec::new(),
        }];
        let output = Command::new("bash")
            .arg("-c")
            .arg(shell_script(&steps))
            .current_dir(directory.path())
            .output()
            .unwrap();
        let kept = fs::read_to_string(directory.path().join(output_file(0))).unwrap();
        (output.status.success(), kept)
    };
    assert_eq!(run("(exit 3) # exit 3", 3), (true, String::new()));
    assert_eq!(run("(exit 4) # exit 3", 3), (false, String::new()));
    assert_eq!(run("false | true", 0), (false, String::new()));
    assert_eq!(
        run("cd /; cat <<END\nin\nEND", 0),
        (true, "in\n".to_owned())
    );
}

#[test]
fn an_ellipsis_stands_for_something_and_the_rest_for_itself() {
    for (pattern, line, is_match) in [
        ("out", "out", true),
        ("out", "outer", false),
        ("sha256:…", "sha256:00", true),
        ("sha256:…", "sha256:", false),
        ("a…c", "abc", true),
        ("a…c", "abcd", false),
        ("a… b…", "axé bx b", true),
        ("… (…)", "key (x)", true),
        ("… (…)", "key [x]", false),
    ] {
        assert_eq!(matches(pattern, line), is_match, "{pattern} {line}");
    }
    let shown = ["one".to_owned(), "t…".to_owned()];
    assert!(compare(&shown, "one\ntwo\n").is_ok());
    for printed in ["one\n", "one\ntwo\nthree\n", "two\none\n", ""] {
        assert!(compare(&shown, printed).is_err(), "{printed:?}");
    }
}
