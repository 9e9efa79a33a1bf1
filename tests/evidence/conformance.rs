//! Every bundle of sigstore-conformance, with the bytes and with their digest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::key::PublicKey;
use modelctl::trust::sigstore::{Identity, Instance, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, Blob, Recognised, TrustRoot};

/// Who signed where a case does not say (`test/client.py` there).
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Why each case that must be refused is; all others must be verified.
const REFUSED: &[(&str, Reason)] = &[
    ("bundle-empty-certificate-chain_fail", Reason::BundleInvalid),
    ("bundle-from-wrong-instance_fail", Reason::LogEntryInvalid),
    (
        "bundle-invalid-base64-signature_fail",
        Reason::BundleInvalid,
    ),
    ("bundle-malformed-json_fail", Reason::BundleInvalid),
    ("bundle-negative-log-index_fail", Reason::BundleInvalid),
    ("bundle-unknown-version_fail", Reason::BundleUnsupported),
    ("bundle-with-root-cert_fail", Reason::LogEntryInvalid),
    ("checkpoint-bad-keyhint_fail", Reason::LogEntryInvalid),
    ("checkpoint-wrong-roothash_fail", Reason::LogEntryInvalid),
    ("dsse-invalid-sig_fail", Reason::SignatureInvalid),
    ("dsse-mismatch-envelope_fail", Reason::LogEntryInvalid),
    ("dsse-mismatch-sig_fail", Reason::LogEntryInvalid),
    (
        "inclusion-proof-corrupted-hash_fail",
        Reason::LogEntryInvalid,
    ),
    ("incorrect-public-key_fail", Reason::LogEntryInvalid),
    ("integrated-time-in-future_fail", Reason::CertificateInvalid),
    (
        "intoto-expired-certificate_fail",
        Reason::CertificateInvalid,
    ),
    ("intoto-log-entry-mismatch_fail", Reason::LogEntryInvalid),
    (
        "intoto-missing-inclusion-proof_fail",
        Reason::LogEntryInvalid,
    ),
    (
        "intoto-set-outside-signing-cert-validity_fail",
        Reason::CertificateInvalid,
    ),
    (
        "intoto-tsa-timestamp-outside-cert-validity_fail",
        Reason::CertificateInvalid,
    ),
    ("invalid-checkpoint-signature_fail", Reason::LogEntryInvalid),
    ("invalid-ct-key_fail", Reason::CertificateTimestampInvalid),
    ("invalid-inclusion-proof_fail", Reason::LogEntryInvalid),
    ("managed-key-no-key_fail", Reason::UntrustedSigner),
    ("managed-key-wrong-key_fail", Reason::KeyInvalid),
    ("message-digest-mismatch_fail", Reason::SubjectMismatch),
    (
        "rekor2-checkpoint-missing-log-signature_fail",
        Reason::BundleInvalid,
    ),
    (
        "rekor2-checkpoint-missing-origin_fail",
        Reason::BundleInvalid,
    ),
    (
        "rekor2-checkpoint-missing-root-hash_fail",
        Reason::BundleInvalid,
    ),
    ("rekor2-checkpoint-missing-size_fail", Reason::BundleInvalid),
    (
        "rekor2-checkpoint-no-matching-signature_fail",
        Reason::LogEntryInvalid,
    ),
    ("rekor2-dsse-invalid-sig_fail", Reason::SignatureInvalid),
    (
        "rekor2-dsse-mismatch-envelope_fail",
        Reason::LogEntryInvalid,
    ),
    ("rekor2-dsse-mismatch-sig_fail", Reason::LogEntryInvalid),
    ("rekor2-no-inclusion-proof_fail", Reason::LogEntryInvalid),
    ("rekor2-no-timestamp_fail", Reason::TimestampMissing),
    (
        "rekor2-timestamp-outside-trust-root-tsa-validity_fail",
        Reason::TimestampInvalid,
    ),
    (
        "rekor2-timestamp-outside-tsa-cert-validity_fail",
        Reason::TimestampInvalid,
    ),
    (
        "rekor2-timestamp-payload-mismatch_fail",
        Reason::TimestampInvalid,
    ),
    (
        "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail",
        Reason::TimestampInvalid,
    ),
    (
        "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail",
        Reason::TimestampInvalid,
    ),
    (
        "rekor2-timestamp-with-incorrect-time_fail",
        Reason::BundleInvalid,
    ),
    ("set-invalid-signature_fail", Reason::LogEntryInvalid),
    ("signature-mismatch_fail", Reason::SignatureInvalid),
    (
        "trust-root-tlog-missing-validity-start_fail",
        Reason::TrustRootInvalid,
    ),
    ("wrong-hashedrekord-artifact_fail", Reason::LogEntryInvalid),
    (
        "wrong-hashedrekord-cert-and-sig_fail",
        Reason::LogEntryInvalid,
    ),
    ("wrong-hashedrekord-entry_fail", Reason::LogEntryInvalid),
    ("wrong-material_fail", Reason::SubjectMismatch),
];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sigstore-conformance")
}

/// Verifies the case in `directory`, as the suite has its clients do.
fn verify(directory: &Path, blob: Blob<'_>) -> Result<Recognised> {
    let read = |name: &str| std::fs::read(directory.join(name)).ok();
    let text = |name: &str, default: &str| match read(name) {
        Some(bytes) => String::from_utf8(bytes).unwrap().trim().to_owned(),
        None => default.to_owned(),
    };
    let root = Arc::new(match read("trusted_root.json") {
        Some(bytes) => SigstoreRoot::from_json(&bytes, "trusted_root.json")?,
        None => SigstoreRoot::embedded(Instance::PublicGood)?,
    });
    let authority = match read("key.pub") {
        Some(pem) => Authority::key("key.pub", PublicKey::from_pem(&pem, "key.pub")?),
        None => {
            let identity = Match::exact(text("identity", IDENTITY))?;
            let identity = Identity::new(identity, Match::exact(text("issuer", ISSUER))?);
            let root = Arc::clone(&root);
            Authority::keyless("it", Keyless { root, identity })
        }
    };
    let bundle = Bundle::parse(&read("bundle.sigstore.json").unwrap())?;
    let trust = TrustRoot::new([authority])?.with_witnesses(root);
    trust.authenticate_blob(&bundle, blob)
}

#[test]
fn every_case_comes_out_as_the_suite_says_and_for_the_right_reason() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let mut verified = 0;
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let artifact = std::fs::read(case.join("artifact"));
        let artifact = artifact.unwrap_or_else(|_| std::fs::read(corpus().join("a.txt")).unwrap());
        let expected = REFUSED.iter().find(|(refused, _)| *refused == name);
        let expected = expected.map(|(_, reason)| *reason);
        assert_eq!(name.ends_with("_fail"), expected.is_some(), "{name}");
        for blob in [Blob::Bytes(&artifact), Blob::Digest(Digest::of(&artifact))] {
            match verify(case, blob) {
                Ok(found) => {
                    verified += 1;
                    assert!(!found.witnesses().is_empty(), "{name}");
                    assert_eq!(expected, None, "{name}");
                }
                Err(error) if Some(error.reason()) == expected => {}
                Err(error) => wrong.push(format!("{name}: {:?}: {error}", error.reason())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((cases.len(), REFUSED.len(), verified), (70, 49, 42));
}
