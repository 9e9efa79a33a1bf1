//! `policy init`, `check`, `explain` and `test`.

use serde_json::{Value, json};

use crate::{LAYOUT, THREE, attest, policy, provenance, sign, signature, verify, workspace};

#[test]
fn a_policy_is_made_from_what_is_attached_checked_and_explained() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model"]).ok();
    let init = ["policy", "init", LAYOUT, "--key", "a.pub", "--key", "b.pub"];
    at.run(&init).refused(3, "signature-missing");
    sign(&at, LAYOUT, &["a", "b", "c"]);
    let predicate = provenance("https://ci.example", "https://github.com/acme/x");
    attest(&at, LAYOUT, "slsaprovenance1", &predicate, "a");
    let made = at.run(&init);
    at.write("policy.toml", made.ok());
    let checked = at.run(&["policy", "check", "policy.toml", "--json"]);
    checked.ok();
    assert_eq!(checked.json()["policies"][0]["requirements"], 2);
    assert_eq!(checked.json()["notes"], json!([]));
    verify(&at, LAYOUT).ok();
    let explained = at.run(&["policy", "explain", LAYOUT, "--policy", "policy.toml"]);
    let text = explained.ok();
    assert!(
        text.contains("signature by 2 of signer-1, signer-2"),
        "{text}"
    );

    let unused = std::fs::read_to_string(at.path("policy.toml")).unwrap();
    let unused = unused.replacen(
        "[[policies]]",
        "[authorities.x]\nkeys = [\"c.pub\"]\n[[policies]]",
        1,
    );
    at.write("policy.toml", unused);
    let checked = at.run(&["policy", "check", "policy.toml"]);
    assert!(
        checked.stderr.contains("nobody asks for the authority `x`"),
        "{checked:?}"
    );
    at.write("policy.toml", "version = 1\n");
    at.run(&["policy", "check", "policy.toml"])
        .refused(2, "policy-invalid");
    at.run(&["policy", "check", "missing.toml"])
        .refused(2, "policy-invalid");

    let other = "oci:./other:v1";
    at.run(&[
        "push",
        other,
        "model",
        "--exclude",
        "README.md",
        "--sign",
        "--key",
        "a.key",
    ])
    .ok();
    at.write("policy.toml", made.ok());
    let refused = at.run(&[
        "policy",
        "explain",
        other,
        "--policy",
        "policy.toml",
        "--json",
    ]);
    refused.refused(3, "too-few-signers");
    assert_eq!(refused.json()["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_policys_own_tests_run_offline_and_fail_when_it_changes() {
    let at = workspace();
    let push = |epoch: &str| {
        let push = [
            "push", LAYOUT, "model", "--sign", "--key", "a.key", "--json",
        ];
        at.run_with(&push, &[("SOURCE_DATE_EPOCH", epoch)], "")
            .json()
    };
    let blob = |digest: &Value| {
        let hex = digest
            .as_str()
            .unwrap()
            .strip_prefix("sha256:")
            .unwrap()
            .to_owned();
        std::fs::read(at.path(&format!("store/blobs/sha256/{hex}"))).unwrap()
    };
    let (older, newer) = (push("1700000000"), push("1800000000"));
    at.write("cases/older.json", blob(&older["digest"]));
    at.write("cases/newer.json", blob(&newer["digest"]));
    let referrer: Value =
        serde_json::from_slice(&blob(&newer["referrers"][0]["referrer"]["digest"])).unwrap();
    at.write(
        "cases/a.sigstore.json",
        blob(&referrer["layers"][0]["digest"]),
    );
    let case = |manifest: &str, more: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"{manifest} {more:.9} {expect}\"\nreference = \"oci:./store:v1\"\n\
             manifest = \"{manifest}.json\"\n{more}\nexpect = \"{expect}\"\n"
        )
    };
    let signed = "bundles = [\"a.sigstore.json\"]";
    let cases = [
        case("newer", signed, "admit"),
        case("older", signed, "subject-mismatch"),
        case("newer", "", "signature-missing"),
        case(
            "newer",
            &format!("{signed}\naccepted_before = \"older.json\""),
            "admit",
        ),
        case("older", "accepted_before = \"newer.json\"", "downgrade"),
    ];
    at.write("cases/cases.toml", cases.concat());
    at.write(
        "policy.toml",
        policy(
            THREE,
            "oci:**",
            "downgrade = \"deny\"",
            &signature("\"a\"", 1),
        ),
    );
    let test = || {
        at.run(&[
            "policy",
            "test",
            "cases/cases.toml",
            "--policy",
            "policy.toml",
            "--json",
        ])
    };
    assert_eq!(test().json()["cases"].as_array().unwrap().len(), 5);
    test().ok();
    at.write(
        "policy.toml",
        policy(
            THREE,
            "oci:**",
            "downgrade = \"deny\"",
            &signature("\"b\"", 1),
        ),
    );
    let failed = test();
    failed.refused(1, "policy-test-failed");
    assert_eq!(failed.json()["cases"][0]["found"], "untrusted-signer");
    at.write("cases/cases.toml", case("newer", signed, "admitted"));
    test().refused(2, "policy-invalid");
}
