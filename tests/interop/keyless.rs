//! Keyless signatures, both ways, against a Sigstore that runs in this process.

use std::path::PathBuf;

use modelctl::bundle::Bundle;
use modelctl::trust::sigstore::{Identity, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, Blob, TrustRoot};
use serde_json::{Value, json};

use crate::cosign_reads::PROVENANCE;
use crate::lab::Lab;
use crate::registry::Registry;
use crate::support::sigstore::{Claims, Server, Version};

pub(crate) const CI: &str = "ci@example.com";

/// What cosign and modelctl are told about the services.
pub(crate) const SERVICES: &str = "--signing-config services.json --trusted-root root.json";

/// Writes down the services of `server`, and a token for somebody.
pub(crate) fn describe(lab: &Lab, server: &Server, logs: &[Version]) {
    let both = json!({
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": server.trusted_root(),
        "signingConfig": server.signing_config(logs),
    });
    lab.write("trust.json", both.to_string());
    lab.write("services.json", server.signing_config(logs).to_string());
    lab.write("root.json", server.trusted_root().to_string());
    lab.write("token", server.provider.mint(&Claims::email(CI)));
    lab.write("provenance.json", PROVENANCE);
}

/// Returns the flags by which both tools trust `identity`.
pub(crate) fn trust(server: &Server, identity: &str) -> String {
    format!(
        "--trusted-root root.json --certificate-identity {identity} \
         --certificate-oidc-issuer {}",
        server.provider.url
    )
}

#[test]
fn cosign_accepts_keyless_signatures_in_either_log() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let server = Server::start();
    for (name, logs) in [
        ("v1", &[Version::V1][..]),
        ("v2", &[Version::V2]),
        ("both", &[Version::V1, Version::V2]),
    ] {
        describe(&lab, &server, logs);
        let reference = registry.reference(&format!("acme/{name}:v1"));
        let who = format!("{SERVICES} --identity-token token");
        let pinned = lab.push(&reference, &format!("--sign {who}"));
        lab.run(format!(
            "modelctl attest {pinned} --type slsaprovenance1 --predicate provenance.json {who}"
        ))
        .succeeds();
        let (ci, eve) = (trust(&server, CI), trust(&server, "eve@example.com"));
        lab.run(format!("cosign verify {ci} {pinned}")).succeeds();
        lab.run(format!("cosign verify {eve} {pinned}")).fails();
        let attestation = "cosign verify-attestation --type slsaprovenance1";
        lab.run(format!("{attestation} {ci} {pinned}")).succeeds();
        lab.run(format!("{attestation} {eve} {pinned}")).fails();
    }
}

#[test]
fn cosign_accepts_signatures_by_a_key_that_a_log_holds() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let server = Server::start();
    lab.run("modelctl generate-key-pair").succeeds();
    for (name, logs) in [("v1", &[Version::V1][..]), ("v2", &[Version::V2])] {
        describe(&lab, &server, logs);
        let reference = registry.reference(&format!("acme/key-{name}:v1"));
        let pinned = lab.push(&reference, &format!("--sign {SERVICES} --key cosign.key"));
        // Without `--insecure-ignore-tlog`, cosign wants the entry.
        let verify = "cosign verify --key cosign.pub --trusted-root";
        lab.run(format!("{verify} root.json {pinned}")).succeeds();
        let stranger = Server::start();
        lab.write("other.json", stranger.trusted_root().to_string());
        lab.run(format!("{verify} other.json {pinned}")).fails();
    }
}

#[test]
fn modelctl_accepts_what_cosign_signed_without_a_key() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let server = Server::start();
    for (name, logs) in [("v1", &[Version::V1][..]), ("v2", &[Version::V2])] {
        describe(&lab, &server, logs);
        let pinned = lab.push(&registry.reference(&format!("acme/theirs-{name}:v1")), "");
        let who = format!("{SERVICES} --identity-token token -y");
        lab.run(format!("cosign sign {who} {pinned}")).succeeds();
        lab.run(format!(
            "cosign attest {who} --type slsaprovenance1 --predicate provenance.json {pinned}"
        ))
        .succeeds();
        let (ci, eve) = (trust(&server, CI), trust(&server, "eve@example.com"));
        let both = "--require slsaprovenance1";
        lab.run(format!("modelctl verify {pinned} {both} {ci}"))
            .succeeds();
        lab.run(format!(
            "modelctl pull {pinned} {name} --verify {both} {ci}"
        ))
        .succeeds();
        lab.run(format!("modelctl verify {pinned} {eve}"))
            .refuses(3, "identity-mismatch");
        // Both tools' signatures stand side by side.
        lab.run(format!(
            "modelctl sign {pinned} {SERVICES} --identity-token token"
        ))
        .succeeds();
        lab.run(format!("cosign verify {ci} {pinned}")).succeeds();
    }
}

/// Returns the file that holds the blob `digest` of the layout `store`.
fn blob(lab: &Lab, digest: &Value) -> PathBuf {
    let digest = digest.as_str().unwrap().replace(':', "/");
    lab.path(&format!("store/blobs/{digest}"))
}

fn read_json(path: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn sigstore_python_accepts_what_modelctl_attested_without_a_key() {
    let Some(lab) = Lab::with(["sigstore"]) else {
        return;
    };
    let server = Server::start();
    for (name, logs) in [("v1", &[Version::V1][..]), ("v2", &[Version::V2])] {
        describe(&lab, &server, logs);
        // In cosign's own statement the subject has no name, which sigstore-python wants.
        let pushed = lab.run(format!(
            "modelctl push oci:./store:{name} ./model --annotation n={name} \
             --attest slsaprovenance1=provenance.json {SERVICES} \
             --identity-token token --json"
        ));
        let pushed = pushed.succeeds().json();
        let referrer = read_json(&blob(&lab, &pushed["referrers"][0]["referrer"]["digest"]));
        let bundle = blob(&lab, &referrer["layers"][0]["digest"]);
        let artifact = blob(&lab, &pushed["digest"]);
        let verify = |identity: &str| {
            lab.run(format!(
                "sigstore --trust-config trust.json verify identity --bundle {} \
                 --cert-identity {identity} --cert-oidc-issuer {} {}",
                bundle.display(),
                server.provider.url,
                artifact.display()
            ))
        };
        verify(CI).succeeds();
        verify("eve@example.com").fails();
    }
}

#[test]
fn modelctl_accepts_what_sigstore_python_signed() {
    let Some(lab) = Lab::with(["sigstore"]) else {
        return;
    };
    let server = Server::start();
    for logs in [&[Version::V1][..], &[Version::V2]] {
        describe(&lab, &server, logs);
        lab.write("blob", "a blob");
        let token = server.provider.mint(&Claims::email(CI));
        lab.run(format!(
            "sigstore --trust-config trust.json sign --identity-token {token} --overwrite \
             --bundle bundle.json blob"
        ))
        .succeeds();
        let bundle = std::fs::read(lab.path("bundle.json")).unwrap();
        let bundle = Bundle::parse(&bundle).unwrap();
        let root = server.trusted_root().to_string();
        let root = SigstoreRoot::from_json(root.as_bytes(), "root").unwrap();
        let identity = Identity::new(
            Match::exact(CI).unwrap(),
            Match::exact(server.provider.url.clone()).unwrap(),
        );
        let root = root.into();
        let authority = Authority::keyless("ci", Keyless { root, identity });
        let trust = TrustRoot::new([authority]).unwrap();
        trust
            .authenticate_blob(&bundle, Blob::Bytes(b"a blob"))
            .unwrap();
        trust
            .authenticate_blob(&bundle, Blob::Bytes(b"another"))
            .unwrap_err();
    }
}
