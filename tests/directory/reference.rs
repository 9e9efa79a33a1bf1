//! The model signatures that the reference implementation's own tests verify, of each of its
//! versions and methods; among them certificates that are marked as an authority's by mistake.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use modelctl::certificate::Certificate;
use modelctl::error::Reason;
use modelctl::key::PublicKey;
use modelctl::model_signature::{self, Symlinks, TreeOptions, Unsigned, VerifyOptions, verify};
use modelctl::oms::IgnoredPaths;
use modelctl::policy::{Policy, Requirement};
use modelctl::progress::silent;
use modelctl::trust::pki::{Pki, Signers};
use modelctl::trust::sigstore::{Identity, Instance, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, TrustRoot};

/// Every case: the version, and how the model was signed.
const CASES: [(&str, Method); 13] = [
    ("v0.2.0", Method::Certificate),
    ("v0.3.1", Method::Certificate),
    ("v0.3.1", Method::EllipticKey),
    ("v0.3.1", Method::Sigstore),
    ("v1.0.0", Method::Certificate),
    ("v1.0.0", Method::EllipticKey),
    ("v1.0.0", Method::Sigstore),
    ("v1.0.1", Method::Certificate),
    ("v1.0.1", Method::EllipticKey),
    ("v1.0.1", Method::Sigstore),
    ("v1.1.0", Method::Certificate),
    ("v1.1.0", Method::EllipticKey),
    ("v1.1.0", Method::Sigstore),
];

/// A time at which the certificates are valid.
const NOW: &str = "2026-06-01T00:00:00Z";

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Certificate,
    EllipticKey,
    Sigstore,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::EllipticKey => "elliptic-key",
            Self::Sigstore => "sigstore",
        }
    }

    /// Returns trust in whoever signed the cases, and in somebody else.
    fn trust(self) -> (TrustRoot, TrustRoot) {
        let (right, wrong) = match self {
            Self::Certificate => (
                authority("CN=intermediate-ca", NOW),
                authority("CN=release", NOW),
            ),
            Self::EllipticKey => (
                key("model-transparency/signing-key-pub.pem"),
                key("keys/p384.pub"),
            ),
            Self::Sigstore => (identity("stefanb@us.ibm.com"), identity("evil@us.ibm.com")),
        };
        (only(right), only(wrong))
    }
}

fn only(authority: Authority) -> TrustRoot {
    TrustRoot::new([authority]).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).expect(name)
}

fn key(name: &str) -> Authority {
    Authority::key(name, PublicKey::from_pem(&read(name), name).unwrap())
}

fn authority(subject: &str, at: &str) -> Authority {
    let root = read("model-transparency/ca-cert.pem");
    let roots = vec![Certificate::from_pem(&root, "ca-cert.pem").unwrap()];
    let signers = Signers {
        subjects: vec![subject.parse().unwrap()],
        ..Signers::default()
    };
    Authority::pki(
        "it",
        Pki::with_roots(roots, signers, at.parse::<Timestamp>().unwrap()).unwrap(),
    )
}

fn identity(identity: &str) -> Authority {
    let root = Arc::new(SigstoreRoot::embedded(Instance::PublicGood).unwrap());
    let issuer = Match::exact("https://sigstore.verify.ibm.com/oauth2").unwrap();
    let identity = Identity::new(Match::exact(identity).unwrap(), issuer);
    Authority::keyless("it", Keyless { root, identity })
}

/// Copies a case's model, whose own signature is in it.
fn model(case: &str) -> (tempfile::TempDir, PathBuf) {
    let around = tempfile::tempdir().unwrap();
    let model = around.path().join(case);
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(fixtures().join("model-transparency").join(case)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    (around, model)
}

/// Verifies the model in `directory` as the reference implementation's tests do: of some, it is one
/// file.
async fn judged(directory: &Path, trust: &TrustRoot) -> Result<usize, Reason> {
    let signature = directory.join("model.sig");
    let model = match directory.join("signme-2").exists() {
        true => directory,
        false => &directory.join("signme-1"),
    };
    let bundles = model_signature::read(&signature).map_err(|error| error.reason())?;
    let mut ignored = IgnoredPaths::git();
    for path in ["model.sig", "ignore-me"] {
        ignored.add(path).unwrap();
    }
    let symlinks = Symlinks::Refuse;
    let options = VerifyOptions {
        tree: TreeOptions { ignored, symlinks },
        unsigned: Unsigned::Refuse,
    };
    let policy = Policy::new([Requirement::ModelSignature]).unwrap();
    let found = verify(model, bundles, trust, &policy, &options, silent()).await;
    let found = found.unwrap();
    let files = found.files();
    found.admit().map_err(|error| error.reason())?;
    Ok(files)
}

#[tokio::test]
async fn every_historical_signature_verifies_on_its_model_and_by_its_signer_only() {
    for (version, method) in CASES {
        let case = format!("{version}-{}", method.name());
        let (_around, model) = model(&case);
        let (right, wrong) = method.trust();
        let files = judged(&model, &right).await;
        assert!(files.is_ok_and(|files| files > 0), "{case}: {files:?}");
        let stranger = match method {
            Method::EllipticKey => Reason::UntrustedSigner,
            Method::Certificate | Method::Sigstore => Reason::IdentityMismatch,
        };
        assert_eq!(judged(&model, &wrong).await, Err(stranger), "{case}");
        std::fs::write(model.join("signme-1"), "changed").unwrap();
        let changed = judged(&model, &right).await;
        assert_eq!(changed, Err(Reason::FilesMismatch), "{case}");
    }
}

#[tokio::test]
async fn one_method_is_not_taken_for_another() {
    for (version, signed) in CASES {
        let (_around, model) = model(&format!("{version}-{}", signed.name()));
        for method in [Method::Certificate, Method::EllipticKey, Method::Sigstore] {
            let judged = judged(&model, &method.trust().0).await;
            assert_eq!(judged.is_ok(), method == signed, "{version}: {judged:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_judged_at_a_time_that_is_known() {
    let (_around, model) = model("v1.1.0-certificate");
    for (at, expected) in [
        ("2025-06-01T00:00:00Z", Ok(2)),
        ("2025-01-01T00:00:00Z", Err(Reason::CertificateExpired)),
        ("2036-01-01T00:00:00Z", Err(Reason::CertificateExpired)),
    ] {
        let trust = only(authority("CN=intermediate-ca", at));
        assert_eq!(judged(&model, &trust).await, expected, "{at}");
    }
}
