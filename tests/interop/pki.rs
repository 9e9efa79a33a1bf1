//! Certificates of one's own authorities: cosign and modelctl accept what the other signed.

use crate::certificate::Authority;
use crate::keys;
use crate::lab::Lab;

const WHO: &str = "--certificate-identity release@acme.example";

/// Writes the pair `NAME.key` and `NAME.pub`, its certificate `NAME.pem`, and `root.pem`.
fn write_signer(lab: &Lab, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) {
    let key = keys::write_pkcs8(lab, name, algorithm);
    let authority = Authority::new();
    let (_, pem) = authority.issue_for_signer("release@acme.example", &key);
    lab.write(&format!("{name}.pem"), pem);
    lab.write("root.pem", authority.certificate());
    // cosign takes roots for new bundles only in this form.
    lab.run(
        "cosign trusted-root create --fulcio url=https://ca.acme.example,certificate-chain=root.pem \
         --out trusted-root.json",
    )
    .succeeds();
}

#[test]
fn cosign_accepts_a_signature_with_a_certificate_under_the_same_root() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    // P-384 too: by certificate, cosign takes the curve's own hash.
    let p384: (_, &rcgen::SignatureAlgorithm) = ("p384", &rcgen::PKCS_ECDSA_P384_SHA384);
    for (name, algorithm) in keys::PKCS8.into_iter().chain([p384]) {
        write_signer(&lab, name, algorithm);
        for registry in lab.registries() {
            let reference = registry.reference(&format!("acme/{name}:v1"));
            let sign = format!("--sign --key {name}.key --certificate {name}.pem");
            let pinned = lab.push(&reference, &sign);
            lab.run(format!(
                "modelctl verify {pinned} --ca-roots root.pem {WHO}"
            ))
            .succeeds();
            // There is neither a log nor a signed certificate timestamp, and the certificate names
            // no OIDC issuer.
            let verify = format!(
                "cosign verify --trusted-root trusted-root.json --insecure-ignore-tlog \
                 --insecure-ignore-sct --certificate-oidc-issuer-regexp .* {pinned}"
            );
            lab.run(format!("{verify} {WHO}")).succeeds();
            lab.run(format!(
                "{verify} --certificate-identity other@acme.example"
            ))
            .fails();
        }
    }
}

#[test]
fn modelctl_accepts_a_signature_that_cosign_made_with_a_certificate() {
    let Some(lab) = Lab::with(["cosign"]) else {
        return;
    };
    write_signer(&lab, "release", &rcgen::PKCS_ECDSA_P256_SHA256);
    lab.run("cosign import-key-pair --key release.key --output-key-prefix imported")
        .succeeds();
    lab.run("cosign signing-config create --out services.json")
        .succeeds();
    for registry in lab.registries() {
        let pinned = lab.push(&registry.reference("acme/bert:v1"), "");
        lab.run(format!(
            "cosign sign -y --key imported.key --certificate release.pem --certificate-chain \
             root.pem --signing-config services.json --trusted-root trusted-root.json {pinned}"
        ))
        .succeeds();
        let verify = format!("modelctl verify {pinned} {WHO}");
        lab.run(format!("{verify} --ca-roots root.pem")).succeeds();
        lab.run(format!("{verify} --certificate-chain root.pem"))
            .succeeds();
        lab.run(format!(
            "modelctl verify {pinned} --ca-roots root.pem --certificate-identity other@acme.example"
        ))
        .refuses(3, "identity-mismatch");
        let other = Authority::new();
        lab.write("other.pem", other.certificate());
        // An authority of the same name, with another key.
        lab.run(format!("{verify} --ca-roots other.pem"))
            .refuses(3, "certificate-invalid");
    }
}
