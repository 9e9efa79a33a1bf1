//! modelctl judges what cosign signed and attested.

use crate::cosign_reads::PROVENANCE;
use crate::keys;
use crate::lab::{Lab, assert_same_files};

/// Prepares cosign for signing without any network: a key pair and empty service lists.
pub(crate) fn prepare(lab: &Lab) {
    lab.write("provenance.json", PROVENANCE);
    lab.run("cosign signing-config create --out services.json")
        .succeeds();
    lab.run("cosign trusted-root create --out roots.json")
        .succeeds();
    if !lab.path("cosign.key").exists() {
        lab.run("cosign generate-key-pair").succeeds();
    }
}

const OFFLINE: &str =
    "--key cosign.key -y --signing-config services.json --trusted-root roots.json";

/// Signs with cosign.
pub(crate) fn sign(lab: &Lab, pinned: &str) {
    lab.run(format!("cosign sign {OFFLINE} {pinned}"))
        .succeeds();
}

/// Attests SLSA provenance with cosign.
pub(crate) fn attest(lab: &Lab, pinned: &str) {
    lab.run(format!(
        "cosign attest {OFFLINE} --type slsaprovenance1 --predicate provenance.json {pinned}"
    ))
    .succeeds();
}

#[test]
fn modelctl_accepts_what_cosign_signed_and_attested() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    prepare(&lab);
    for (round, registry) in lab.registries().iter().enumerate() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        sign(&lab, &pinned);
        lab.run(format!(
            "modelctl verify {pinned} --key cosign.pub --require slsaprovenance1"
        ))
        .refuses(3, "attestation-missing");
        attest(&lab, &pinned);
        lab.run(format!(
            "modelctl verify {pinned} --key cosign.pub --require slsaprovenance1"
        ))
        .succeeds();
        lab.run(format!(
            "modelctl pull {pinned} pulled-{round} --verify --key cosign.pub"
        ))
        .succeeds();
        assert_same_files(&lab.path("model"), &lab.path(&format!("pulled-{round}")));
        lab.run(format!(
            "modelctl verify ./pulled-{round} --deep --key cosign.pub"
        ))
        .succeeds();
    }
}

#[test]
fn what_cosign_signed_counts_after_oras_copied_it() {
    let Some(lab) = Lab::with(["cosign", "oras"]) else {
        return;
    };
    prepare(&lab);
    for (round, registry) in lab.registries().iter().enumerate() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        sign(&lab, &pinned);
        lab.run(format!(
            "oras cp -r --from-plain-http {pinned} --to-oci-layout copied-{round}:v1"
        ))
        .succeeds();
        lab.run(format!(
            "modelctl verify oci:./copied-{round}:v1 --key cosign.pub"
        ))
        .succeeds();
    }
}

#[test]
fn cosign_signs_with_a_key_pair_that_modelctl_made() {
    let Some(mut lab) = Lab::with(["cosign"]) else {
        return;
    };
    lab.set("COSIGN_PASSWORD", "correct horse");
    lab.run("modelctl generate-key-pair").succeeds();
    prepare(&lab);
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        sign(&lab, &pinned);
        lab.run(format!("modelctl verify {pinned} --key cosign.pub"))
            .succeeds();
        lab.run(format!(
            "cosign verify --key cosign.pub --insecure-ignore-tlog {pinned}"
        ))
        .succeeds();
    }
}

#[test]
fn a_stranger_is_refused_and_nothing_is_written() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    prepare(&lab);
    keys::write_pair(&lab, "stranger");
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        lab.run(format!(
            "modelctl pull {pinned} ./refused --verify --key cosign.pub"
        ))
        .refuses(3, "signature-missing");
        sign(&lab, &pinned);
        let before = names(&lab);
        lab.run(format!(
            "modelctl pull {pinned} ./refused --verify --key stranger.pub"
        ))
        .refuses(3, "untrusted-signer");
        assert_eq!(names(&lab), before, "a refused pull leaves nothing behind");
        lab.run(format!("modelctl verify {pinned} --key cosign.pub"))
            .succeeds();
    }
}

/// Returns the names in the lab's directory.
fn names(lab: &Lab) -> std::collections::BTreeSet<std::ffi::OsString> {
    std::fs::read_dir(lab.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect()
}

#[test]
fn an_attestation_alone_is_no_signature_whatever_cosign_says() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    prepare(&lab);
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        attest(&lab, &pinned);
        lab.run(format!(
            "cosign verify --key cosign.pub --insecure-ignore-tlog {pinned}"
        ))
        .succeeds();
        lab.run(format!("modelctl verify {pinned} --key cosign.pub"))
            .refuses(3, "signature-missing");
        sign(&lab, &pinned);
        lab.run(format!("modelctl verify {pinned} --key cosign.pub"))
            .succeeds();
    }
}
