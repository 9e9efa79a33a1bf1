//! The command tells publishers of code in their files, and keeps it from whoever pulls.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/command.rs"]
mod command;

use command::Workspace;

/// What CPython pickles of a call of `os.system`.
const PICKLE: &[u8] = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.";

fn with_pickle() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    at.write("model/notes.txt", PICKLE);
    at
}

#[test]
fn a_publisher_is_warned_and_can_ask_for_a_refusal() {
    let at = with_pickle();
    let strict = ["push", "oci:store:v1", "model", "--strict-content"];
    at.run(&strict).refused(4, "content-format-denied");
    assert!(!at.path("store").exists());
    at.run(&[&strict[..], &["--allow-format", "pickle"]].concat())
        .ok();

    let warned = at.run(&["push", "oci:store:v2", "model", "--json"]);
    warned.ok();
    assert!(warned.stderr.contains("warning: `notes.txt`"), "{warned:?}");
    assert!(warned.stderr.contains("posix.system"), "{warned:?}");
    let told = &warned.json()["content"][0];
    assert_eq!(told["path"], "notes.txt");
    assert_eq!(told["reason"], "content-format-denied");
    assert_eq!(told["finding"]["format"], "pickle");

    std::fs::remove_file(at.path("model/notes.txt")).unwrap();
    let clean = at.run(&[
        "push",
        "oci:store:v3",
        "model",
        "--strict-content",
        "--json",
    ]);
    clean.ok();
    assert_eq!(clean.json()["content"].as_array().unwrap().len(), 0);
    assert!(!clean.stderr.contains("warning"), "{clean:?}");
}

#[test]
fn a_pull_refuses_code_unless_it_is_allowed() {
    let at = with_pickle();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let pull = |target: &str, more: &[&str]| {
        at.run(&[&["pull", "oci:store:v1", target, "--json"][..], more].concat())
    };
    for more in [
        &[][..],
        &["--content", "strict"],
        &["--allow-format", "python"],
    ] {
        pull("out", more).refused(4, "content-format-denied");
        assert!(!at.path("out").exists(), "{more:?}");
    }
    let warned = pull("warned", &["--content", "warn"]);
    warned.ok();
    assert_eq!(warned.json()["content"][0]["path"], "notes.txt");
    assert!(warned.stderr.contains("warning: `notes.txt`"), "{warned:?}");
    for (target, more) in [
        ("allowed", &["--allow-format", "pickle"][..]),
        ("off", &["--content", "off"]),
        ("without", &["--exclude", "*.txt"]),
    ] {
        let pulled = pull(target, more);
        pulled.ok();
        assert_eq!(pulled.json()["content"].as_array().unwrap().len(), 0);
        assert_eq!(
            at.path(target).join("notes.txt").exists(),
            target != "without"
        );
    }
    assert_eq!(pull("typo", &["--allow-format", "zip"]).code, 2);
}

#[test]
fn what_an_earlier_pull_kept_is_looked_at_as_well() {
    let at = with_pickle();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let pull = |target: &str, rules: &str| {
        let cached = ["--cache-dir", "cache", "--content", rules];
        at.run(&[&["pull", "oci:store:v1", target][..], &cached].concat())
    };
    pull("first", "off").ok();
    pull("second", "no-code").refused(4, "content-format-denied");
    assert!(!at.path("second").exists());
    pull("third", "off").ok();
}
