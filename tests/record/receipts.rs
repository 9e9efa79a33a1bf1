//! A pulled directory keeps what is attached, and is judged anew by whoever asks.

use modelctl::digest::Digest;
use serde_json::{Value, json};

use crate::support::command::{Outcome, Workspace};
use crate::{PROVENANCE, attest, heeding, lost, policy, provenance, push, revoke, workspace};

const LAYOUT: &str = "oci:./store:v1";

/// Pulls the model into `out` and takes its store away.
fn pull_and_part(at: &Workspace, more: &[&str]) {
    at.run(&[&["pull", LAYOUT, "./out", "--no-cache"][..], more].concat())
        .ok();
    std::fs::rename(at.path("store"), at.path("gone")).unwrap();
}

fn verify(at: &Workspace, more: &[&str]) -> Outcome {
    at.run(&[&["verify", "./out"][..], more].concat())
}

fn receipt(at: &Workspace) -> Value {
    serde_json::from_slice(&std::fs::read(at.path("out/.modelctl/receipt.json")).unwrap()).unwrap()
}

#[test]
fn what_the_pull_did_not_ask_for_can_be_asked_for_later_and_offline() {
    let at = workspace();
    push(&at, LAYOUT);
    let asking = ["--key", "a.pub", "--require", PROVENANCE];
    let key = ["--verify", "--key", "a.pub"];
    at.run(&[&["pull", LAYOUT, "./out"][..], &key].concat())
        .ok();
    verify(&at, &asking).refused(3, "attestation-missing");

    attest(&at, LAYOUT, PROVENANCE, &provenance(), "a.key");
    pull_and_part(&at, &[&key[..], &["--force"]].concat());
    verify(&at, &asking).ok();
    verify(&at, &["--key", "b.pub", "--require", PROVENANCE]).refused(3, "untrusted-signer");
}

#[test]
fn a_receipt_that_names_only_what_counted_is_still_read() {
    let at = workspace();
    push(&at, LAYOUT);
    attest(&at, LAYOUT, PROVENANCE, &provenance(), "a.key");
    pull_and_part(&at, &["--verify", "--key", "a.pub"]);
    let asking = ["--key", "a.pub", "--require", PROVENANCE];
    verify(&at, &asking).ok();

    let mut older = receipt(&at);
    let others = older["verification"]
        .as_object_mut()
        .unwrap()
        .remove("alsoAttached");
    // The provenance, and the model signature.
    assert_eq!(others.unwrap().as_array().unwrap().len(), 2);
    at.write("out/.modelctl/receipt.json", older.to_string());
    verify(&at, &["--key", "a.pub"]).ok();
    verify(&at, &asking).refused(3, "attestation-missing");
}

#[test]
fn a_bundle_that_did_not_count_is_missed_all_the_same() {
    let at = workspace();
    push(&at, LAYOUT);
    pull_and_part(&at, &["--verify", "--key", "a.pub"]);
    verify(&at, &["--key", "a.pub"]).ok();
    let other = receipt(&at)["verification"]["alsoAttached"][0].clone();
    let name = other.as_str().unwrap().replace("sha256:", "");
    let file = at.path(&format!("out/.modelctl/bundles/{name}.sigstore.json"));
    std::fs::remove_file(file).unwrap();
    verify(&at, &["--key", "a.pub"]).refused(3, "receipt-invalid");
}

#[test]
fn what_a_policy_only_warned_of_can_be_verified_by_another() {
    let at = workspace();
    push(&at, LAYOUT);
    at.write("policy.toml", policy("", "warn", "b.pub"));
    pull_and_part(&at, &["--policy", "policy.toml"]);
    assert_eq!(receipt(&at)["verification"]["verified"], json!(false));
    verify(&at, &["--key", "a.pub"]).ok();
    verify(&at, &["--key", "b.pub"]).refused(3, "untrusted-signer");
}

#[test]
fn a_directory_whose_signer_was_revoked_since_is_refused() {
    let at = workspace();
    push(&at, LAYOUT);
    at.write("policy.toml", heeding("a.pub"));
    revoke(&at, 1, &json!([]));
    pull_and_part(&at, &["--policy", "policy.toml"]);
    let with_policy = ["--policy", "policy.toml"];
    verify(&at, &with_policy).ok();
    revoke(&at, 2, &lost(&at, "a.pub"));
    let refused = verify(&at, &with_policy);
    refused.refused(3, "revoked");
    assert!(refused.stderr.contains("\"lost\""), "{}", refused.stderr);
}

#[test]
fn a_directory_whose_signer_is_trusted_no_more_is_refused() {
    let at = workspace();
    push(&at, LAYOUT);
    let admitting = policy("", "enforce", "a.pub");
    at.write("policy.toml", &admitting);
    pull_and_part(&at, &["--policy", "policy.toml"]);
    let recorded = json!({"name": "it", "digest": Digest::of(admitting.as_bytes())});
    assert_eq!(receipt(&at)["verification"]["policy"], recorded);
    verify(&at, &["--policy", "policy.toml"]).ok();
    at.write("policy.toml", policy("", "enforce", "b.pub"));
    verify(&at, &["--policy", "policy.toml"]).refused(3, "untrusted-signer");
}

#[test]
fn a_directory_of_which_a_byte_changed_is_refused() {
    let at = workspace();
    push(&at, LAYOUT);
    at.write("policy.toml", policy("", "enforce", "a.pub"));
    pull_and_part(&at, &["--policy", "policy.toml"]);
    verify(&at, &["--policy", "policy.toml"]).ok();
    let mut bytes = std::fs::read(at.path("out/config.json")).unwrap();
    bytes[2] ^= 1;
    at.write("out/config.json", bytes);
    verify(&at, &["--policy", "policy.toml"]).refused(4, "directory-changed");
}
