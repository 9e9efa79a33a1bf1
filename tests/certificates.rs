//! Signing and verifying with certificates of one's own authorities, as people and scripts do it.

#![allow(clippy::unwrap_used)]

mod support;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use support::command::Workspace;

const REFERENCE: &str = "oci:./store:v1";
const WHO: &str = "--certificate-identity=release@acme.example";
const VERIFY: [&str; 2] = ["verify", REFERENCE];
const SIGNED: [&str; 6] = [
    "push",
    REFERENCE,
    "model",
    "--sign",
    "--key=release.key",
    "--certificate=release.pem",
];

/// Returns a workspace with a model, and an authority of three levels: `root.pem`,
/// `intermediate.pem`, `chain.pem` (both), and the signer's `release.pem` and `release.key`.
fn acme() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    let root_key = KeyPair::generate().unwrap();
    let root = authority("root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let intermediate = authority("intermediate");
    let intermediate_pem = intermediate.signed_by(&key, &root).unwrap().pem();
    let intermediate = Issuer::new(intermediate, key);

    let key = KeyPair::generate().unwrap();
    let release = release().signed_by(&key, &intermediate).unwrap().pem();
    at.write("root.pem", &root_pem);
    at.write("intermediate.pem", &intermediate_pem);
    at.write("chain.pem", format!("{intermediate_pem}{root_pem}"));
    at.write("release.pem", release);
    at.write("release.key", key.serialize_pem());
    at.write("root.crl", list(&root, &[]));
    at.write("intermediate.crl", list(&intermediate, &[]));
    at.write("revoked.crl", list(&intermediate, &[1]));
    at
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn release() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "release");
    params.serial_number = Some(SerialNumber::from(1));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let address = "release@acme.example".try_into().unwrap();
    params.subject_alt_names = vec![SanType::Rfc822Name(address)];
    params
}

fn list(issuer: &Issuer<'_, KeyPair>, revoked: &[u64]) -> String {
    let revoked = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2126, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

/// Runs `verify` with more arguments.
fn verify(at: &Workspace, arguments: &[&str]) -> support::command::Outcome {
    at.run(&[&VERIFY[..], arguments].concat())
}

#[test]
fn a_certificate_goes_along_with_the_signature_and_its_authority_is_trusted() {
    let at = acme();
    let signed = at.run(&[&SIGNED[..], &["--certificate-chain=chain.pem"]].concat());
    let pinned = signed.ok().to_owned();
    let between = "--ca-intermediates=intermediate.pem";
    for trust in [
        &["--ca-roots=root.pem", between, WHO][..],
        &["--certificate-chain=chain.pem", WHO],
        &[
            "--ca-roots=root.pem",
            between,
            "--certificate-identity-regexp=release@.*",
        ],
        &["--ca-roots=root.pem", between, "--certificate=release.pem"],
        &["--certificate=release.pem"],
        &[
            "--certificate-chain=chain.pem",
            WHO,
            "--crl=root.crl",
            "--crl=intermediate.crl",
        ],
    ] {
        assert_eq!(verify(&at, trust).ok(), pinned, "{trust:?}");
    }
    let pull = [
        "pull",
        REFERENCE,
        "out",
        "--verify",
        "--certificate-chain=chain.pem",
        WHO,
    ];
    at.run(&pull).ok();
    assert_eq!(at.tree("model"), at.tree("out"));
    at.run(&["verify", "./out", "--certificate-chain=chain.pem", WHO])
        .ok();
    let json = verify(&at, &["--certificate-chain=chain.pem", WHO, "--json"]).json();
    let signer = &json["findings"][0]["metBy"][0]["signer"];
    assert_eq!(signer["kind"], "certificate");
    assert_eq!(signer["identities"][0], "release@acme.example");
    // Signing again with the same certificate does nothing.
    let again = [
        "sign",
        REFERENCE,
        "--key=release.key",
        "--certificate=release.pem",
        "--json",
    ];
    assert_eq!(at.run(&again).json()["referrers"][0]["existed"], true);
}

#[test]
fn refusals_have_their_reason() {
    let at = acme();
    at.run(&SIGNED).ok();
    at.run(&["generate-key-pair"]).ok();
    let chain = "--certificate-chain=chain.pem";
    for (trust, code, reason) in [
        (&["--ca-roots=root.pem", WHO][..], 3, "untrusted-signer"),
        (&["--ca-roots=intermediate.pem", WHO], 0, ""),
        (
            &[chain, "--certificate-identity=other@acme.example"],
            3,
            "identity-mismatch",
        ),
        (
            &[chain, "--certificate-subject-dn=CN=other"],
            3,
            "identity-mismatch",
        ),
        (&[chain, WHO, "--crl=root.crl"], 3, "revocation-unknown"),
        (
            &[chain, WHO, "--crl=root.crl", "--crl=revoked.crl"],
            3,
            "certificate-revoked",
        ),
        (&["--key=cosign.pub"], 3, "untrusted-signer"),
        // What cannot be meant.
        (&[chain], 2, "nothing-to-verify-against"),
        (&["--ca-roots=root.pem"], 2, "nothing-to-verify-against"),
        (&[WHO], 2, "nothing-to-verify-against"),
        (&["--certificate=release.pem", WHO], 2, "usage"),
        (
            &["--ca-roots=release.pem", WHO],
            2,
            "certificate-file-invalid",
        ),
        (
            &["--ca-roots=release.key", WHO],
            2,
            "certificate-file-invalid",
        ),
        (&["--certificate=chain.pem"], 2, "certificate-file-invalid"),
        (&["--ca-roots=model", WHO], 2, "certificate-file-invalid"),
        (&["--ca-roots=absent", WHO], 5, "file-not-found"),
        (
            &[chain, WHO, "--crl=root.pem"],
            2,
            "certificate-file-invalid",
        ),
        (
            &[chain, WHO, "--timestamp-certificate-chain=chain.pem"],
            2,
            "certificate-file-invalid",
        ),
        (
            &[chain, "--certificate-identity-regexp=("],
            2,
            "identity-invalid",
        ),
        (&[chain, "--certificate-identity="], 2, "identity-invalid"),
    ] {
        let outcome = verify(&at, trust);
        assert_eq!(
            (outcome.code, outcome.reason()),
            (code, reason),
            "{trust:?} {outcome:?}"
        );
    }
    assert_eq!(
        verify(&at, &[chain, "--certificate-subject-dn=release"]).code,
        2
    );
    assert_eq!(verify(&at, &[chain, "--ca-roots=root.pem", WHO]).code, 2);
    let unasked = at.run(&["pull", REFERENCE, "out", chain, WHO]);
    unasked.refused(2, "usage");
}

#[test]
fn an_organisation_may_keep_whom_it_trusts_in_a_directory() {
    let at = acme();
    at.run(&SIGNED).ok();
    let text = |name: &str| std::fs::read(at.path(name)).unwrap();
    at.write("trusted/README", "Whom we trust.");
    at.write("trusted/root.pem", text("root.pem"));
    at.write("trusted/other.crt", text("intermediate.pem"));
    verify(&at, &["--ca-roots=trusted", WHO]).ok();
    at.write("trusted/broken.pem", "nothing");
    verify(&at, &["--ca-roots=trusted", WHO]).refused(2, "certificate-file-invalid");
}

#[test]
fn nothing_is_signed_that_nobody_would_accept() {
    let at = acme();
    at.run(&["generate-key-pair"]).ok();
    let key = KeyPair::generate().unwrap();
    at.write("self.key", key.serialize_pem());
    let mut params = release();
    at.write("self.pem", params.self_signed(&key).unwrap().pem());
    params.not_after = date_time_ymd(2020, 1, 1);
    at.write("expired.pem", params.self_signed(&key).unwrap().pem());
    params = release();
    params.extended_key_usages.clear();
    at.write("server.pem", params.self_signed(&key).unwrap().pem());
    at.run(&["push", REFERENCE, "model"]).ok();
    let sign = |key: &str, certificate: &str, chain: &str| {
        let mut arguments = vec![
            "sign",
            REFERENCE,
            "--key",
            key,
            "--certificate",
            certificate,
        ];
        if !chain.is_empty() {
            arguments.extend(["--certificate-chain", chain]);
        }
        at.run(&arguments)
    };
    for (key, certificate, chain) in [
        ("cosign.key", "release.pem", ""),
        ("self.key", "expired.pem", ""),
        ("self.key", "server.pem", ""),
        ("self.key", "self.pem", "chain.pem"),
        ("release.key", "release.pem", "root.pem"),
        ("release.key", "chain.pem", ""),
    ] {
        sign(key, certificate, chain).refused(2, "certificate-file-invalid");
    }
    verify(&at, &["--certificate=self.pem"]).refused(3, "signature-missing");
    sign("self.key", "self.pem", "").ok();
    verify(&at, &["--certificate=self.pem"]).ok();
}

#[test]
fn tokens_are_asked_for_by_their_uri() {
    let at = acme();
    at.run(&["push", REFERENCE, "model"]).ok();
    let sign = |key: &str| at.run(&["sign", REFERENCE, "--key", key]);
    let outcome = sign("pkcs11:object=k");
    outcome.refused(2, "key-invalid");
    assert!(
        outcome.stderr.contains("MODELCTL_PKCS11_MODULE"),
        "{outcome:?}"
    );
    for uri in [
        "pkcs11:token=t",
        "pkcs11:object=k;x=y",
        "pkcs11:object=k?module-path=/nowhere/p11.so",
        "pkcs11:object=k?module-path=/etc/hostname",
    ] {
        sign(uri).refused(2, "key-invalid");
        verify(&at, &["--key", uri]).refused(2, "key-invalid");
    }
    let shown = sign("pkcs11:object=k?module-path=/nowhere&pin-value=987654");
    shown.refused(2, "key-invalid");
    assert!(shown.stderr.contains("warning: `pin-value`"), "{shown:?}");
    assert!(!shown.stderr.contains("987654"), "{shown:?}");
}
