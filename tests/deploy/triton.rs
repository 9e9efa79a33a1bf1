//! Triton's model repository: what is listed is verified, and there is nothing else.

use std::process::Command;

use crate::site::{REFERENCE, SERVED, push, record, site};
use crate::support::command::{Outcome, Workspace};

/// Serves the repository by a list.
fn serve(at: &Workspace, list: &str) -> Outcome {
    at.write("models.txt", list);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy/triton");
    let mut command = at.prepared(Command::new(script));
    command.arg(at.path("site")).arg("models.txt");
    crate::site::run(at, &mut command, &[("MODEL_KEY", "cosign.pub")])
}

/// Pushes another model, signed with `key`.
fn push_tiny(at: &Workspace, key: &str) {
    at.write(
        "tiny/model.safetensors",
        crate::support::command::safetensors(b"tiny"),
    );
    at.write("tiny/config.pbtxt", "name: \"tiny\"\n");
    at.run(&["push", "oci:./store:tiny", "tiny", "--sign", "--key", key])
        .ok();
}

const BOTH: &str = "bert 1 oci:./store:v1\ntiny 3 oci:./store:tiny\n";

#[test]
fn every_model_of_the_list_is_laid_out_with_its_configuration() {
    let at = site();
    push(&at, "cosign.key");
    push_tiny(&at, "cosign.key");
    let outcome = serve(&at, BOTH);
    assert_eq!(outcome.code, SERVED, "{outcome:?}");
    for file in ["bert/1/model.safetensors", "tiny/3/model.safetensors"] {
        assert!(at.path(&format!("site/{file}")).is_file(), "{file}");
    }
    for name in ["bert", "tiny"] {
        let config = std::fs::read_to_string(at.path(&format!("site/{name}/config.pbtxt")));
        assert_eq!(config.unwrap(), format!("name: \"{name}\"\n"));
    }
    // A configuration that somebody put there is replaced by the signed one.
    at.write("site/tiny/config.pbtxt", "name: \"evil\"\n");
    assert_eq!(serve(&at, BOTH).code, SERVED);
    let config = std::fs::read_to_string(at.path("site/tiny/config.pbtxt")).unwrap();
    assert_eq!(config, "name: \"tiny\"\n");
}

#[test]
fn one_model_that_is_refused_keeps_the_server_from_starting() {
    let at = site();
    push(&at, "cosign.key");
    push_tiny(&at, "other.key");
    let outcome = serve(&at, BOTH);
    outcome.refused(3, "untrusted-signer");
    assert!(outcome.stderr.contains("model tiny, version 3"));
    assert_eq!(record(&at), None);
    assert!(!at.path("site/tiny").exists(), "left behind");
}

#[test]
fn what_is_not_in_the_list_is_not_loaded() {
    let list = format!("bert 1 {REFERENCE}\n");
    for stranger in [
        "evil/1/model.pt",
        ".evil/1/model.pt",
        "bert/2/model.pt",
        "bert/labels.txt",
        "config.pbtxt",
    ] {
        let at = site();
        push(&at, "cosign.key");
        assert_eq!(serve(&at, &list).code, SERVED);
        at.write(&format!("site/{stranger}"), "evil");
        let outcome = serve(&at, &list);
        assert_eq!(
            (outcome.code, record(&at)),
            (4, None),
            "{stranger}: {outcome:?}"
        );
        assert!(
            outcome.stderr.contains("is not in models.txt"),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_list_that_leads_elsewhere_or_says_nothing_is_refused() {
    for (list, told) in [
        ("", "names no model"),
        ("# nothing\n", "names no model"),
        ("../bert 1 oci:./store:v1\n", "cannot be a model's name"),
        (".bert 1 oci:./store:v1\n", "cannot be a model's name"),
        ("bert ../1 oci:./store:v1\n", "cannot be a version"),
        ("bert 0 oci:./store:v1\n", "cannot be a version"),
        ("bert 1\n", "not `NAME VERSION REF`"),
        ("bert 1 oci:./store:v1 more\n", "not `NAME VERSION REF`"),
    ] {
        let at = site();
        push(&at, "cosign.key");
        let outcome = serve(&at, list);
        assert_eq!(
            (outcome.code, record(&at)),
            (2, None),
            "{list}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(told), "{list}: {outcome:?}");
        assert_eq!(at.tree("site"), []);
    }
}
