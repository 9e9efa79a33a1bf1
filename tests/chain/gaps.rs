//! Every other kind of gap, beside a twin that is whole.

use serde_json::json;

use crate::parties::{
    MERGED, PROVENANCE, attest, detach, digest, key, push, ruled, verify, workspace,
};
use crate::support::command::{Outcome, Workspace};

const X: &str = "oci:./x:v1";
const Y: &str = "oci:./y:v1";

fn from(reference: &str) -> String {
    format!("[[base]]\nreference = \"{reference}\"\n")
}

/// Verifies `x` and everything below it, all by one key.
fn verify_x(at: &Workspace, more: &[&str]) -> Outcome {
    at.run(&[&["verify", X, "--key", "base.pub", "--chain"][..], more].concat())
}

#[test]
fn a_model_that_is_made_from_itself_is_a_cycle() {
    let at = workspace();
    push(&at, Y, "y", "train", "", &key("base.key"));
    push(&at, X, "x", "fine-tune", &from(Y), &key("base.key"));
    verify_x(&at, &[]).ok();
    let x = digest(&at, X);
    let resource = json!([{
        "name": "x",
        "digest": { "sha256": x.strip_prefix("sha256:").unwrap() },
        "annotations": { "modelctl_role": "base_model", "modelctl_reference": format!("{X}@{x}") },
    }]);
    attest(&at, Y, resource, "base");
    let told = verify_x(&at, &[]);
    told.refused(3, "chain-cycle");
    let named = format!("broken at the base_model `{X}@{x}`");
    assert!(told.stderr.contains(&named), "{told:?}");
}

#[test]
fn a_reference_and_a_digest_must_name_one_artifact() {
    let at = workspace();
    push(&at, Y, "y", "train", "", &key("base.key"));
    push(&at, X, "x", "train", "", &key("base.key"));
    let y = digest(&at, Y);
    for (sha256, reference, reason) in [
        (y.clone(), format!("{Y}@{y}"), None),
        (
            digest(&at, MERGED),
            format!("{Y}@{y}"),
            Some("statement-invalid"),
        ),
        (
            y.clone(),
            "no reference".to_owned(),
            Some("statement-invalid"),
        ),
        // Without a digest of its own, a reference is only where to look.
        (y.clone(), Y.to_owned(), None),
    ] {
        assert!(detach(&at, "x", PROVENANCE));
        let resource = json!([{
            "name": "y",
            "digest": { "sha256": sha256.strip_prefix("sha256:").unwrap() },
            "annotations": { "modelctl_role": "base_model", "modelctl_reference": reference },
        }]);
        attest(&at, X, resource, "base");
        let told = verify_x(&at, &[]);
        match reason {
            None => drop(told.ok()),
            Some(reason) => told.refused(3, reason),
        }
    }
}

#[test]
fn what_is_no_artifact_is_an_end_only_where_that_is_said() {
    let at = workspace();
    let base = "[[base]]\nuri = \"https://huggingface.co/a/b\"\nrevision = \
                \"722cf37b1afa9454edce342e7895e588b6ff1d59\"\n";
    push(&at, X, "x", "fine-tune", base, &key("base.key"));
    let told = verify_x(&at, &[]);
    told.refused(3, "chain-link-missing");
    assert!(
        told.stderr
            .contains("base_model `https://huggingface.co/a/b`"),
        "{told:?}"
    );
    let told = verify_x(&at, &["--chain-end", "base_model"]);
    assert!(told.ok().contains("its origin is not stated"), "{told:?}");
    verify_x(&at, &["--chain-end", "teacher"]).refused(3, "chain-link-missing");
}

#[test]
fn a_model_without_provenance_is_an_end_only_where_that_is_said() {
    let at = workspace();
    assert!(detach(&at, "base", PROVENANCE));
    verify(&at).refused(3, "attestation-missing");
    let told = ruled(&at, &["verify", MERGED, "--chain-end", "teacher"]);
    assert!(
        told.ok()
            .contains("no provenance: its origin is not stated"),
        "{told:?}"
    );
    ruled(&at, &["verify", MERGED, "--chain-end", "base_model"]).refused(3, "attestation-missing");
}

#[test]
fn data_and_code_are_shown_and_not_followed() {
    let at = workspace();
    at.write("data/a", "1");
    let data = "[[data]]\npath = \"data\"\n";
    push(&at, X, "x", "train", data, &key("base.key"));
    let told = verify_x(&at, &[]);
    assert!(
        told.ok().contains("training_data data  sha256:"),
        "{told:?}"
    );
}

const POLICY: &str = "version = 1\ndefault = \"deny\"\n[authorities.one]\nkeys = [\"base.pub\"]\n\
    [[policies]]\nname = \"it\"\nscopes = [\"oci:**\"]\n[[policies.require]]\n\
    kind = \"signature\"\nauthorities = [\"one\"]\n[policies.chain]\n";

#[test]
fn a_chain_is_followed_so_far_and_no_farther() {
    let at = workspace();
    push(&at, "oci:./z:v1", "z", "train", "", &key("base.key"));
    push(
        &at,
        Y,
        "y",
        "fine-tune",
        &from("oci:./z:v1"),
        &key("base.key"),
    );
    push(&at, X, "x", "fine-tune", &from(Y), &key("base.key"));
    for (limits, reason) in [
        ("max_depth = 2", None),
        ("max_depth = 1", Some("chain-too-long")),
        ("max_nodes = 3", None),
        ("max_nodes = 2", Some("chain-too-long")),
    ] {
        at.write("policy.toml", format!("{POLICY}{limits}\n"));
        let told = at.run(&["verify", X, "--policy", "policy.toml"]);
        match reason {
            None => drop(told.ok()),
            Some(reason) => told.refused(3, reason),
        }
    }
}

#[test]
fn a_policy_can_ask_for_the_chain_of_everything_that_is_pulled() {
    let at = workspace();
    push(&at, Y, "y", "train", "", &key("base.key"));
    push(&at, X, "x", "fine-tune", &from(Y), &key("base.key"));
    at.write("policy.toml", POLICY);
    let pull = |to| at.run(&["pull", X, to, "--policy", "policy.toml", "--json"]);
    assert_eq!(pull("./out").json()["chain"]["whole"], true);
    assert!(detach(&at, "y", PROVENANCE));
    let told = pull("./other");
    assert_eq!(
        (told.code, &told.json()["error"]["reason"]),
        (3, &json!("attestation-missing"))
    );
    assert!(!at.path("other").exists());
    at.write("policy.toml", format!("{POLICY}required = false\n"));
    pull("./unasked").json();
    assert!(at.path("unasked").exists());
    at.write(
        "policy.toml",
        POLICY.replace(
            "[[policies.require]]",
            "mode = \"warn\"\n[[policies.require]]",
        ),
    );
    let told = pull("./warned");
    assert!(
        told.json()["unverified"]
            .as_str()
            .unwrap()
            .contains("is broken"),
        "{told:?}"
    );
    at.write("policy.toml", format!("{POLICY}ends = [\"base_model\"]\n"));
    assert_eq!(pull("./ended").json()["chain"]["whole"], true);
}
