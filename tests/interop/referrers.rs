//! Many tools attach to one artifact: everything is seen, repaired, and kept.

use serde_json::Value;

use crate::lab::Lab;
use crate::registry::Registry;
use crate::{cosign_writes, keys};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const NOTATION: &str = "application/vnd.cncf.notary.signature";
const SBOM: &str = "application/spdx+json";

/// Attaches an SBOM with oras.
fn attach_sbom(lab: &Lab, pinned: &str) {
    lab.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
    lab.run(format!(
        "oras attach --plain-http --artifact-type {SBOM} {pinned} sbom.json:{SBOM}"
    ))
    .succeeds();
}

/// Signs with notation and a certificate of its own.
fn sign_with_notation(lab: &Lab, pinned: &str) {
    if !lab.path(".config/notation/signingkeys.json").exists() {
        lab.run("notation cert generate-test --default interop")
            .succeeds();
    }
    lab.run(format!("notation sign --insecure-registry {pinned}"))
        .succeeds();
}

/// Returns the artifact types that oras sees attached, sorted.
fn types_by_oras(lab: &Lab, pinned: &str) -> Vec<String> {
    let seen = lab
        .run(format!("oras discover --plain-http --format json {pinned}"))
        .succeeds();
    types(seen.json()["referrers"].as_array().unwrap())
}

/// Returns the artifact types that modelctl sees attached, sorted.
fn types_by_modelctl(lab: &Lab, pinned: &str) -> Vec<String> {
    let seen = lab.run(format!("modelctl tree {pinned} --json")).succeeds();
    types(seen.json()["referrers"].as_array().unwrap())
}

fn types(referrers: &[Value]) -> Vec<String> {
    let mut types: Vec<_> = referrers
        .iter()
        .map(|referrer| {
            referrer["artifactType"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    types.sort();
    types
}

/// Asserts that what is attached is no signature, but one beside it is.
fn assert_only_a_signature_verifies(lab: &Lab, pinned: &str) {
    let verify = || lab.run(format!("modelctl verify {pinned} --key release.pub"));
    verify().refuses(3, "signature-missing");
    lab.run(format!("modelctl sign {pinned} --key release.key"))
        .succeeds();
    verify().succeeds();
}

#[test]
fn what_oras_attached_is_shown_but_proves_nothing() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    keys::write_pair(&lab, "release");
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        attach_sbom(&lab, &pinned);
        assert_eq!(types_by_modelctl(&lab, &pinned), [SBOM]);
        assert_only_a_signature_verifies(&lab, &pinned);
        assert_eq!(types_by_modelctl(&lab, &pinned), [SBOM, BUNDLE]);
        assert_eq!(types_by_oras(&lab, &pinned), [SBOM, BUNDLE]);
    }
}

/// Fetches the one bundle that is attached to `pinned` into `bundle.json`.
fn fetch_bundle(lab: &Lab, pinned: &str) {
    let repository = pinned.split_once('@').unwrap().0;
    let seen = lab
        .run(format!("oras discover --plain-http --format json {pinned}"))
        .succeeds();
    let referrer = seen.json()["referrers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = lab.run(format!(
        "oras manifest fetch --plain-http {repository}@{referrer}"
    ));
    let layer = manifest.succeeds().json()["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.run(format!(
        "oras blob fetch --plain-http -o bundle.json {repository}@{layer}"
    ))
    .succeeds();
}

#[test]
fn a_bundle_that_oras_attached_counts_for_the_artifact_that_it_is_about() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    keys::write_pair(&lab, "release");
    for registry in lab.registries() {
        let signed = registry.reference("acme/signed:v1");
        fetch_bundle(&lab, &lab.push(&signed, "--sign --key release.key"));
        let same = lab.push(&registry.reference("acme/same:v1"), "");
        let other = lab.push(
            &registry.reference("acme/other:v1"),
            "--annotation origin=other",
        );
        for pinned in [&same, &other] {
            lab.run(format!(
                "oras attach --plain-http --artifact-type {BUNDLE} {pinned} bundle.json:{BUNDLE}"
            ))
            .succeeds();
        }
        lab.run(format!("modelctl verify {same} --key release.pub"))
            .succeeds();
        lab.run(format!("modelctl verify {other} --key release.pub"))
            .refuses(3, "subject-mismatch");
    }
}

#[test]
fn what_notation_signed_is_shown_but_no_trusted_key_made_it() {
    let Some(lab) = Lab::with(["notation"]) else {
        return;
    };
    keys::write_pair(&lab, "release");
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        sign_with_notation(&lab, &pinned);
        assert_eq!(types_by_modelctl(&lab, &pinned), [NOTATION]);
        assert_only_a_signature_verifies(&lab, &pinned);
        let listed = lab
            .run(format!("notation ls --insecure-registry {pinned}"))
            .succeeds();
        assert!(listed.stdout.contains(NOTATION), "{listed}");
    }
}

/// cosign writes the config's media type into the fallback tag's entries, so that oras finds no
/// bundle by its type. Whoever attaches next with modelctl puts that right.
#[test]
fn entries_that_cosign_mistyped_are_repaired_and_none_is_lost() {
    let Some(lab) = Lab::with(["cosign", "oras", "notation"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    cosign_writes::prepare(&lab);
    let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
    cosign_writes::sign(&lab, &pinned);
    cosign_writes::attest(&lab, &pinned);
    attach_sbom(&lab, &pinned);
    sign_with_notation(&lab, &pinned);
    let empty = "application/vnd.oci.empty.v1+json";
    assert_eq!(types_by_oras(&lab, &pinned), [SBOM, NOTATION, empty, empty]);

    lab.write("evaluation.json", r#"{"accuracy":0.93}"#);
    lab.run(format!(
        "modelctl attest {pinned} --type https://example.com/evaluation/v1 \
         --predicate evaluation.json --key cosign.key"
    ))
    .succeeds();
    let all = [SBOM, NOTATION, BUNDLE, BUNDLE, BUNDLE];
    assert_eq!(types_by_oras(&lab, &pinned), all);
    assert_eq!(types_by_modelctl(&lab, &pinned), all);
    let trust = "--key cosign.pub --insecure-ignore-tlog";
    lab.run(format!("cosign verify {trust} {pinned}"))
        .succeeds();
    lab.run(format!(
        "cosign verify-attestation {trust} --type slsaprovenance1 {pinned}"
    ))
    .succeeds();
}

#[test]
fn cosign_and_notation_attach_beside_modelctl_without_loss() {
    let Some(lab) = Lab::with(["cosign", "notation"]) else {
        return;
    };
    cosign_writes::prepare(&lab);
    keys::write_pair(&lab, "release");
    for registry in lab.registries() {
        let pinned = lab.push(
            &registry.reference("acme/bert:v1"),
            "--sign --key release.key",
        );
        cosign_writes::attest(&lab, &pinned);
        sign_with_notation(&lab, &pinned);
        let expected = [NOTATION, BUNDLE, BUNDLE, BUNDLE];
        assert_eq!(types_by_modelctl(&lab, &pinned), expected);
        lab.run(format!("modelctl verify {pinned} --key release.pub"))
            .succeeds();
    }
}

/// The tag schema is a list that each writer reads and writes back: of six at once, oras keeps
/// three.
#[test]
fn six_attestations_at_once_are_all_kept() {
    let Some(lab) = Lab::with([]) else { return };
    keys::write_pair(&lab, "release");
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        let running: Vec<_> = (0..6)
            .map(|number| {
                lab.write(
                    &format!("run-{number}.json"),
                    format!(r#"{{"run":{number}}}"#),
                );
                lab.start(format!(
                    "modelctl attest {pinned} --type https://example.com/run/v1 \
                     --predicate run-{number}.json --key release.key"
                ))
            })
            .collect();
        for attest in running {
            attest.outcome().succeeds();
        }
        assert_eq!(types_by_modelctl(&lab, &pinned), [BUNDLE; 6]);
    }
}
