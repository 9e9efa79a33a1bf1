//! cosign's older form, both ways: the tags `.sig` and `.att`.

use crate::cosign_reads::PROVENANCE;
use crate::keys;
use crate::lab::Lab;
use crate::registry::Registry;
use crate::support::sigstore::{Claims, Server, Version};

/// Makes cosign 3 read and write what cosign 2 did.
const OLDER: &str = "--new-bundle-format=false";

const CI: &str = "ci@example.com";

#[test]
fn cosign_accepts_the_older_form_by_key() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    lab.write("provenance.json", PROVENANCE);
    keys::write_pair(&lab, "release");
    keys::write_pair(&lab, "stranger");
    for registry in lab.registries() {
        let pinned = lab.push(
            &registry.reference("acme/bert:v1"),
            "--sign --attest slsaprovenance1=provenance.json --key release.key --compat legacy",
        );
        for form in [OLDER, ""] {
            let trust = format!("{form} --insecure-ignore-tlog --key");
            let attestation = "cosign verify-attestation --type slsaprovenance1";
            for (tool, key, accepts) in [
                ("cosign verify", "release.pub", true),
                ("cosign verify", "stranger.pub", false),
                (attestation, "release.pub", true),
                (attestation, "stranger.pub", false),
            ] {
                let outcome = lab.run(format!("{tool} {trust} {key} {pinned}"));
                match accepts {
                    true => outcome.succeeds(),
                    false => outcome.fails(),
                };
            }
        }
    }
}

#[test]
fn modelctl_accepts_the_older_form_by_key() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    lab.write("provenance.json", PROVENANCE);
    keys::write_pair(&lab, "stranger");
    lab.run("cosign generate-key-pair").succeeds();
    let flags =
        format!("{OLDER} --key cosign.key -y --use-signing-config=false --tlog-upload=false");
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        lab.run(format!("cosign sign {flags} -a stage=release {pinned}"))
            .succeeds();
        let verify = format!("modelctl verify {pinned} --key");
        lab.run(format!("{verify} cosign.pub")).succeeds();
        lab.run(format!("{verify} stranger.pub"))
            .refuses(3, "untrusted-signer");
        let both = "--require slsaprovenance1";
        lab.run(format!("{verify} cosign.pub {both}"))
            .refuses(3, "attestation-missing");
        lab.run(format!(
            "cosign attest {flags} --type slsaprovenance1 --predicate provenance.json {pinned}"
        ))
        .succeeds();
        lab.run(format!("{verify} cosign.pub {both}")).succeeds();
        // What cosign wrote is added to, and stays.
        lab.run(format!(
            "modelctl sign {pinned} --key stranger.key --compat legacy"
        ))
        .succeeds();
        for key in ["cosign.pub", "stranger.pub"] {
            lab.run(format!(
                "cosign verify {OLDER} --insecure-ignore-tlog --key {key} {pinned}"
            ))
            .succeeds();
        }
    }
}

/// Returns the flags by which both tools trust `identity`.
fn trust(server: &Server, identity: &str) -> String {
    format!(
        "--trusted-root root.json --certificate-identity {identity} \
         --certificate-oidc-issuer {}",
        server.provider.url
    )
}

#[test]
fn keyless_signatures_in_the_older_form_go_both_ways() {
    let (Some(lab), Some(registry)) = (Lab::with(["cosign"]), Registry::open()) else {
        return;
    };
    let server = Server::start();
    let services = server.signing_config(&[Version::V1]);
    lab.write("services.json", services.to_string());
    lab.write("root.json", server.trusted_root().to_string());
    lab.write("token", server.provider.mint(&Claims::email(CI)));
    lab.write("provenance.json", PROVENANCE);
    let (ci, eve) = (trust(&server, CI), trust(&server, "eve@example.com"));
    let attestation = "cosign verify-attestation --type slsaprovenance1";

    let who = "--signing-config services.json --trusted-root root.json --identity-token token";
    let ours = lab.push(
        &registry.reference("acme/ours:v1"),
        &format!("--sign --attest slsaprovenance1=provenance.json {who} --compat legacy"),
    );
    for tool in ["cosign verify", attestation] {
        lab.run(format!("{tool} {OLDER} {ci} {ours}")).succeeds();
        lab.run(format!("{tool} {OLDER} {eve} {ours}")).fails();
    }

    let theirs = lab.push(&registry.reference("acme/theirs:v1"), "");
    let url = &server.url;
    let who = format!(
        "{OLDER} --use-signing-config=false --fulcio-url {url} --rekor-url {url} \
         --trusted-root root.json --identity-token token -y"
    );
    lab.run(format!("cosign sign {who} {theirs}")).succeeds();
    lab.run(format!(
        "cosign attest {who} --type slsaprovenance1 --predicate provenance.json {theirs}"
    ))
    .succeeds();
    let verify = format!("modelctl verify {theirs} --require slsaprovenance1");
    lab.run(format!("{verify} {ci}")).succeeds();
    lab.run(format!("{verify} {eve}"))
        .refuses(3, "identity-mismatch");
    lab.run(format!("modelctl pull {theirs} out --verify {ci}"))
        .succeeds();
    lab.run(format!("modelctl verify ./out {ci}")).succeeds();
}
