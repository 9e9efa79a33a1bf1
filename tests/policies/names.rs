//! For which name and in which order: what was moved, and what is older.

use crate::support::registry::{Options, Registry};
use crate::{LAYOUT, THREE, policy, pull, signature, verify, workspace};

#[test]
fn a_signature_cannot_be_moved_to_another_repository_or_tag() {
    let at = workspace();
    let registry = Registry::start(Options::default());
    let host = registry.host();
    let (here, there) = (
        format!("{host}/acme/bert:v1"),
        format!("{host}/evil/bert:v1"),
    );
    at.run(&["push", &here, "model", "--sign", "--key", "a.key"])
        .ok();
    at.run(&["copy", &here, &there]).ok();
    at.run(&["tag", &here, "v2"]).ok();
    let again = format!("{host}/acme/bert:v2");
    let scope = format!("{host}/**");
    let with = |settings: &str| {
        at.write(
            "policy.toml",
            policy(THREE, &scope, settings, &signature("\"a\"", 1)),
        );
    };
    with("");
    for reference in [&here, &there, &again] {
        verify(&at, reference).ok();
    }
    with("names = \"repository\"");
    verify(&at, &here).ok();
    verify(&at, &again).ok();
    verify(&at, &there).refused(3, "name-mismatch");
    pull(&at, &there).refused(3, "name-mismatch");
    assert!(!at.path("out").exists());
    with("names = \"tag\"");
    verify(&at, &here).ok();
    verify(&at, &again).refused(3, "name-mismatch");
    with(&format!(
        "names = \"tag\"\nremap = {{ \"{host}/evil\" = \"{host}/acme\" }}"
    ));
    verify(&at, &there).ok();
    // What was pulled from there is still from there.
    pull(&at, &there).ok();
    verify(&at, "./out").ok();
    with("names = \"tag\"");
    verify(&at, "./out").refused(3, "name-mismatch");
}

#[test]
fn nothing_older_takes_the_place_of_what_is_installed() {
    let at = workspace();
    let push = |epoch: &str, file: &str| {
        at.write("model/version.txt", file);
        let push = ["push", LAYOUT, "model", "--sign", "--key", "a.key"];
        at.run_with(&push, &[("SOURCE_DATE_EPOCH", epoch)], "").ok();
    };
    let with = |settings: &str| {
        at.write(
            "policy.toml",
            policy(THREE, "oci:**", settings, &signature("\"a\"", 1)),
        );
    };
    let replace = || {
        at.run(&[
            "pull",
            LAYOUT,
            "./out",
            "--force",
            "--policy",
            "policy.toml",
        ])
    };
    with("downgrade = \"deny\"");
    push("1700000000", "one");
    replace().ok();
    replace().ok();
    push("1800000000", "two");
    replace().ok();
    push("1700000000", "one");
    replace().refused(3, "downgrade");
    assert_eq!(std::fs::read(at.path("out/version.txt")).unwrap(), b"two");
    with("");
    replace().ok();
}
