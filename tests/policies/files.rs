//! Which file applies to what, and files that cannot be read.

use serde_json::json;

use crate::{LAYOUT, THREE, policy, pull, sign, signature, verify, workspace};

#[test]
fn a_policy_applies_to_what_it_covers_without_being_asked() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model"]).ok();
    let place = "home/.config/modelctl/policy.toml";
    at.write(
        place,
        policy(THREE, "oci:**", "", &signature("\"a\"", 1))
            .replace("\"a.pub\"", "\"../../../a.pub\""),
    );
    let pull = |more: &[&str]| at.run(&[&["pull", LAYOUT, "./out", "--json"], more].concat());
    pull(&[]).refused(3, "signature-missing");
    sign(&at, LAYOUT, &["a"]);
    let pulled = pull(&[]);
    let data = pulled.json();
    assert_eq!(data["verified"], true, "{pulled:?}");
    assert_eq!(
        (&data["policy"]["name"], &data["policy"]["mode"]),
        (&json!("it"), &json!("enforce"))
    );
    // Flags ask for more than the policy does, and not for less.
    pull(&["--force", "--verify", "--key", "b.pub"]).refused(3, "untrusted-signer");
    sign(&at, LAYOUT, &["b"]);
    pull(&["--force", "--verify", "--key", "b.pub"]).ok();
    at.run(&["verify", LAYOUT]).ok();
    at.run(&["verify", "./out"]).ok();
}

#[test]
fn what_no_policy_covers_is_dealt_with_as_the_file_says() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let rules = signature("\"a\"", 1);
    let with = |default: &str, scope: &str, settings: &str| {
        let head = THREE.replace("\"deny\"", &format!("{default:?}"));
        at.write("policy.toml", policy(&head, scope, settings, &rules));
    };
    with("deny", "registry.example.com/**", "");
    pull(&at, LAYOUT).refused(3, "no-policy");
    verify(&at, LAYOUT).refused(3, "no-policy");
    for default in ["warn", "allow"] {
        with(default, "registry.example.com/**", "");
        verify(&at, LAYOUT).refused(2, "nothing-to-verify-against");
        let pulled = at.run(&[
            "pull",
            LAYOUT,
            "./out",
            "--force",
            "--policy",
            "policy.toml",
            "--json",
        ]);
        assert_eq!(
            (pulled.code, &pulled.json()["verified"]),
            (0, &json!(false))
        );
        assert!(
            pulled.stderr.contains("UNVERIFIED: no policy in"),
            "{}",
            pulled.stderr
        );
    }
    // Who warns does not verify, whether or not it would have been admitted.
    for rule in ["a.pub", "b.pub"] {
        let head = THREE
            .replace("\"a.pub\"", &format!("{rule:?}"))
            .replace("[\"b.pub\"]\n[auth", "[\"c.pub\"]\n[auth");
        at.write(
            "policy.toml",
            policy(&head, "oci:**", "mode = \"warn\"", &rules),
        );
        let pulled = at.run(&[
            "pull",
            LAYOUT,
            "./out",
            "--force",
            "--policy",
            "policy.toml",
            "--json",
        ]);
        assert_eq!(
            (pulled.code, &pulled.json()["verified"]),
            (0, &json!(false)),
            "{pulled:?}"
        );
        assert!(
            pulled.stderr.contains("the policy only warns"),
            "{}",
            pulled.stderr
        );
        verify(&at, LAYOUT).refused(2, "nothing-to-verify-against");
    }
}

#[test]
fn a_policy_that_cannot_be_read_is_a_mistake_and_nothing_is_pulled() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    pull(&at, LAYOUT).refused(2, "policy-invalid");
    let good = policy(THREE, "oci:**", "", &signature("\"a\"", 1));
    at.write("policy.toml", good.replace("threshold", "threshhold"));
    let refused = pull(&at, LAYOUT);
    refused.refused(2, "policy-invalid");
    assert!(
        refused.stderr.contains("is `threshold` meant?"),
        "{}",
        refused.stderr
    );
    at.write("policy.toml", good.replace("a.pub", "missing.pub"));
    pull(&at, LAYOUT).refused(2, "policy-invalid");
    assert!(!at.path("out").exists());
    // A policy in the working directory is somebody else's.
    at.write("policy.toml", good);
    at.run(&["verify", LAYOUT])
        .refused(2, "nothing-to-verify-against");
    pull(&at, LAYOUT).ok();
}
