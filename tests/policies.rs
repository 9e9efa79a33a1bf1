//! Policy files, as people and scripts use them: the command, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::command::{Outcome, Workspace};
use support::registry::{Options, Registry};

const LAYOUT: &str = "oci:./store:v1";

/// Three keys, each an authority, for the layouts.
const THREE: &str = r#"version = 1
default = "deny"
[authorities.a]
keys = ["a.pub"]
[authorities.b]
keys = ["b.pub"]
[authorities.c]
keys = ["c.pub"]
"#;

/// Returns a workspace with a model, and the key pairs `a`, `b` and `c`.
fn workspace() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    for key in ["a", "b", "c"] {
        at.run(&["generate-key-pair", "--output-key-prefix", key])
            .ok();
    }
    at
}

/// Returns a policy for `scope` with `settings` and `rules`.
fn policy(head: &str, scope: &str, settings: &str, rules: &str) -> String {
    format!("{head}\n[[policies]]\nname = \"it\"\nscopes = [\"{scope}\"]\n{settings}\n{rules}")
}

fn signature(authorities: &str, threshold: usize) -> String {
    format!(
        "[[policies.require]]\nkind = \"signature\"\nauthorities = [{authorities}]\nthreshold = \
         {threshold}\n"
    )
}

fn sign(at: &Workspace, reference: &str, keys: &[&str]) {
    for key in keys {
        at.run(&["sign", reference, "--key", &format!("{key}.key")])
            .ok();
    }
}

fn attest(at: &Workspace, reference: &str, kind: &str, predicate: &Value, key: &str) {
    at.write("predicate.json", predicate.to_string());
    let key = format!("{key}.key");
    let predicate = ["--predicate", "predicate.json", "--key", &key];
    at.run(&[&["attest", reference, "--type", kind][..], &predicate].concat())
        .ok();
}

fn verify(at: &Workspace, reference: &str) -> Outcome {
    at.run(&["verify", reference, "--policy", "policy.toml"])
}

fn pull(at: &Workspace, reference: &str) -> Outcome {
    at.run(&["pull", reference, "./out", "--policy", "policy.toml"])
}

fn fingerprint(at: &Workspace, key: &str) -> String {
    let public = std::fs::read(at.path(&format!("{key}.pub"))).unwrap();
    let key = modelctl::key::PublicKey::from_pem(&public, key).unwrap();
    key.fingerprint().to_string()
}

/// Returns a list of revocations of this version, good for `hours` from an hour ago.
fn revocations(version: u64, hours: i64, entries: Value) -> Value {
    let issued = Timestamp::now() - SignedDuration::from_hours(1);
    let expires = issued + SignedDuration::from_hours(hours) + SignedDuration::from_secs(60);
    json!({
        "version": version,
        "issued": issued.to_string(),
        "expires": expires.to_string(),
        "entries": entries,
    })
}

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

fn provenance(builder: &str, source: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://ci.example/train/v1",
            "externalParameters": {"source": source},
        },
        "runDetails": {"builder": {"id": builder}},
    })
}

#[test]
fn provenance_must_name_the_builder_and_the_source() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let rules = r#"[[policies.require]]
kind = "attestation"
predicate_type = "slsaprovenance1"
authorities = ["a"]
where = [
  { path = "/runDetails/builder/id", equals = "https://ci.example" },
  { path = "/buildDefinition/externalParameters/source", below = "https://github.com/acme" },
]
"#;
    at.write("policy.toml", policy(THREE, "oci:**", "", rules));
    verify(&at, LAYOUT).refused(3, "attestation-missing");
    let cases = [
        (
            "https://evil.example",
            "https://github.com/acme/x",
            "`/runDetails/builder/id` is",
        ),
        (
            "https://ci.example",
            "https://github.com/acme-evil/x",
            "not below",
        ),
    ];
    for (builder, source, said) in cases {
        attest(
            &at,
            LAYOUT,
            "slsaprovenance1",
            &provenance(builder, source),
            "a",
        );
        let refused = verify(&at, LAYOUT);
        refused.refused(3, "constraint-unmet");
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let good = provenance("https://ci.example", "https://github.com/acme/x");
    attest(&at, LAYOUT, "slsaprovenance1", &good, "b");
    verify(&at, LAYOUT).refused(3, "constraint-unmet");
    attest(&at, LAYOUT, "slsaprovenance1", &good, "a");
    verify(&at, LAYOUT).ok();
}

#[test]
fn a_verification_summary_stands_for_provenance() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let rules = "[[policies.require]]\nkind = \"vsa\"\nauthorities = [\"c\"]\nverifier = \
                 \"https://verifier.example\"\nlevels = [\"SLSA_BUILD_LEVEL_3\"]\n";
    at.write("policy.toml", policy(THREE, "oci:**", "", rules));
    let summary = |result: &str, level: &str| {
        json!({
            "verifier": {"id": "https://verifier.example"},
            "timeVerified": "2026-01-01T00:00:00Z",
            "resourceUri": "oci:./store",
            "policy": {"uri": "https://verifier.example/policy"},
            "verificationResult": result,
            "verifiedLevels": [level],
        })
    };
    verify(&at, LAYOUT).refused(3, "attestation-missing");
    for (result, level) in [
        ("FAILED", "SLSA_BUILD_LEVEL_3"),
        ("PASSED", "SLSA_BUILD_LEVEL_1"),
    ] {
        attest(&at, LAYOUT, "vsa", &summary(result, level), "c");
        verify(&at, LAYOUT).refused(3, "constraint-unmet");
    }
    attest(
        &at,
        LAYOUT,
        "vsa",
        &summary("PASSED", "SLSA_BUILD_LEVEL_3"),
        "c",
    );
    verify(&at, LAYOUT).ok();
}

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
