//! Who must have signed: thresholds, kinds of signers, and what was revoked.

use std::path::Path;

use serde_json::json;

use crate::support::command::Workspace;
use crate::{
    LAYOUT, THREE, attest, fingerprint, policy, pull, revocations, sign, signature, verify,
    workspace,
};

#[test]
fn two_of_three_must_sign_and_a_revoked_key_is_none_of_them() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model"]).ok();
    let rules = signature("\"a\", \"b\", \"c\"", 2);
    at.write("policy.toml", policy(THREE, "oci:**", "", &rules));
    verify(&at, LAYOUT).refused(3, "signature-missing");
    sign(&at, LAYOUT, &["a"]);
    let refused = verify(&at, LAYOUT);
    refused.refused(3, "too-few-signers");
    assert!(
        refused.stderr.contains("1 of 2 trusted signers"),
        "{}",
        refused.stderr
    );
    pull(&at, LAYOUT).refused(3, "too-few-signers");
    assert!(!at.path("out").exists());
    sign(&at, LAYOUT, &["c"]);
    verify(&at, LAYOUT).ok();

    let lists = "oci:./lists:v1";
    at.run(&["push", lists, "model"]).ok();
    let revoked = "[revocations]\nreference = \"oci:./lists:v1\"\nauthorities = [\"b\"]\n";
    let head = format!("{THREE}{revoked}");
    at.write("policy.toml", policy(&head, "oci:**", "", &rules));
    verify(&at, LAYOUT).refused(3, "revocations-unavailable");
    let lost = json!([{"kind": "key", "fingerprint": fingerprint(&at, "c"), "why": "lost"}]);
    let kind = modelctl::revocation::PREDICATE_TYPE;
    attest(&at, lists, kind, &revocations(1, 24, json!([])), "a");
    verify(&at, LAYOUT).refused(3, "revocations-unavailable");
    attest(&at, lists, kind, &revocations(1, 24, json!([])), "b");
    verify(&at, LAYOUT).ok();
    attest(&at, lists, kind, &revocations(2, 24, lost), "b");
    let refused = verify(&at, LAYOUT);
    refused.refused(3, "too-few-signers");
    assert!(
        refused.stderr.contains("the key was revoked: \"lost\""),
        "{}",
        refused.stderr
    );
    sign(&at, LAYOUT, &["b"]);
    verify(&at, LAYOUT).ok();
}

#[test]
fn a_list_of_revocations_must_be_current_and_none_older_than_one_that_was_seen() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let head =
        format!("{THREE}[revocations]\nreference = \"oci:./lists:v1\"\nauthorities = [\"b\"]\n");
    at.write(
        "policy.toml",
        policy(&head, "oci:**", "", &signature("\"a\"", 1)),
    );
    let kind = modelctl::revocation::PREDICATE_TYPE;
    let publish = |version, hours| {
        let _ = std::fs::remove_dir_all(at.path("lists"));
        at.run(&["push", "oci:./lists:v1", "model"]).ok();
        attest(
            &at,
            "oci:./lists:v1",
            kind,
            &revocations(version, hours, json!([])),
            "b",
        );
    };
    publish(5, 24);
    verify(&at, LAYOUT).ok();
    publish(4, 24);
    let older = verify(&at, LAYOUT);
    older.refused(3, "revocations-unavailable");
    assert!(
        older.stderr.contains("version 5 was seen before"),
        "{}",
        older.stderr
    );
    publish(6, -2);
    verify(&at, LAYOUT).refused(3, "revocations-unavailable");
    publish(7, 24);
    verify(&at, LAYOUT).ok();
    let aged = format!("{head}max_age = \"30m\"\n");
    at.write(
        "policy.toml",
        policy(&aged, "oci:**", "", &signature("\"a\"", 1)),
    );
    verify(&at, LAYOUT).refused(3, "revocations-unavailable");
}

#[test]
fn a_key_and_an_identity_must_both_sign() {
    let at = Workspace::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    copy(&fixtures.join("keyless/layout"), &at.path("store"));
    for (from, to) in [
        ("keyless/cosign.trusted_root.json", "root.json"),
        ("cosign/cosign.pub", "a.pub"),
    ] {
        std::fs::copy(fixtures.join(from), at.path(to)).unwrap();
    }
    let head = |identity: &str| {
        format!(
            "version = 1\ndefault = \"deny\"\n[instances.own]\ntrusted_root = \"root.json\"\n\
             [authorities.ci]\nidentity_glob = \"{identity}\"\nissuer = \"http://127.0.0.1:3710\"\n\
             instance = \"own\"\n[authorities.a]\nkeys = [\"a.pub\"]\ninstance = \"own\"\n"
        )
    };
    let good = "https://example.com/ci/model-release@refs/heads/*";
    let both = signature("\"a\", \"ci\"", 2);
    at.write("policy.toml", policy(&head(good), "oci:**", "", &both));
    let verified = verify(&at, LAYOUT);
    verified.ok();
    assert!(verified.stderr.contains("logged in"), "{}", verified.stderr);
    let other = head("https://example.com/ci/*@refs/tags/*");
    at.write("policy.toml", policy(&other, "oci:**", "", &both));
    verify(&at, LAYOUT).refused(3, "too-few-signers");
    let young = policy(
        &head(good),
        "oci:**",
        "min_signature_age = \"36500d\"",
        &both,
    );
    at.write("policy.toml", young);
    verify(&at, LAYOUT).refused(3, "signature-too-young");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
