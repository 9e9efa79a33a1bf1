//! cosign accepts what modelctl signed and attested, by every kind of key.

use crate::keys;
use crate::lab::Lab;
use crate::registry::Registry;

/// A SLSA v1 provenance predicate.
pub(crate) const PROVENANCE: &str = r#"{
  "buildDefinition": {
    "buildType": "https://example.com/training/v1",
    "externalParameters": {"epochs": 3}
  },
  "runDetails": {"builder": {"id": "https://example.com/trainer"}}
}"#;

/// Signs and attests with `NAME.key` on every registry, and lets cosign judge with `NAME.pub`.
fn assert_cosign_accepts(lab: &Lab, key: &str) {
    lab.write("provenance.json", PROVENANCE);
    for registry in lab.registries() {
        let reference = registry.reference(&format!("acme/{key}:v1"));
        let pinned = lab.push(&reference, &format!("--sign --key {key}.key"));
        lab.run(format!(
            "modelctl attest {pinned} --type slsaprovenance1 --predicate provenance.json \
             --key {key}.key"
        ))
        .succeeds();
        let trust = format!("--key {key}.pub --insecure-ignore-tlog");
        lab.run(format!("cosign verify {trust} {pinned}"))
            .succeeds();
        lab.run(format!(
            "cosign verify-attestation {trust} --type slsaprovenance1 {pinned}"
        ))
        .succeeds();
        lab.run(format!(
            "cosign verify-attestation {trust} --type spdxjson {pinned}"
        ))
        .fails();
        let tree = lab.run(format!("cosign tree {pinned}")).succeeds();
        assert!(tree.stdout.contains("sha256:"), "{tree}");
    }
}

#[test]
fn cosign_accepts_signatures_by_unencrypted_keys_of_every_kind() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    for (name, algorithm) in keys::PKCS8 {
        keys::write_pkcs8(&lab, name, algorithm);
        assert_cosign_accepts(&lab, name);
    }
}

#[test]
fn cosign_accepts_signatures_by_a_key_pair_that_modelctl_made() {
    let Some(mut lab) = Lab::with(["cosign"]) else {
        return;
    };
    lab.set("COSIGN_PASSWORD", "correct horse");
    lab.run("modelctl generate-key-pair").succeeds();
    assert_cosign_accepts(&lab, "cosign");
}

#[test]
fn cosign_accepts_signatures_by_a_key_pair_that_cosign_made() {
    let Some(mut lab) = Lab::with(["cosign"]) else {
        return;
    };
    lab.set("COSIGN_PASSWORD", "battery staple");
    lab.run("cosign generate-key-pair --output-key-prefix theirs")
        .succeeds();
    assert_cosign_accepts(&lab, "theirs");
}

#[test]
fn cosign_accepts_a_verification_summary() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    keys::write_pair(&lab, "maker");
    keys::write_pair(&lab, "verifier");
    lab.write("provenance.json", PROVENANCE);
    for registry in lab.registries() {
        let policy = format!(
            "version = 1\ndefault = \"deny\"\n[authorities.maker]\nkeys = [\"maker.pub\"]\n\
             [[policies]]\nname = \"acme\"\nscopes = [\"{}\"]\nslsa_level = 1\n\
             [[policies.require]]\nkind = \"signature\"\nauthorities = [\"maker\"]\n",
            registry.reference("**")
        );
        lab.write("policy.toml", policy);
        let pinned = lab.push(
            &registry.reference("acme/summed:v1"),
            "--sign --key maker.key --attest slsaprovenance1=provenance.json",
        );
        lab.run(format!(
            "modelctl verify {pinned} --policy policy.toml --emit-vsa --vsa-key verifier.key \
             --verifier-id https://acme.example/verifier"
        ))
        .succeeds();
        let accepts = |key: &str| {
            lab.run(format!(
                "cosign verify-attestation --key {key}.pub --insecure-ignore-tlog --type \
                 https://slsa.dev/verification_summary/v1 {pinned}"
            ))
        };
        accepts("verifier").succeeds();
        accepts("maker").fails();
    }
}

#[test]
fn cosign_refuses_what_another_key_signed() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    keys::write_pair(&lab, "release");
    keys::write_pair(&lab, "stranger");
    let pinned = lab.push(
        &registry.reference("acme/bert:v1"),
        "--sign --key release.key",
    );
    lab.run(format!(
        "cosign verify --key release.pub --insecure-ignore-tlog {pinned}"
    ))
    .succeeds();
    lab.run(format!(
        "cosign verify --key stranger.pub --insecure-ignore-tlog {pinned}"
    ))
    .fails();
}
