//! Certificates of one's own authorities: what makes a signature theirs, and everything that looks
//! like it and is not.

mod marked;
mod rules;
mod time;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::bundle::Bundle;
use modelctl::certificate::Certificate;
use modelctl::error::Reason;
use modelctl::identity::Match;
use modelctl::trust::SignerIdentity;
use modelctl::trust::pki::{Pki, Signers};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::authority::{Ca, Holder, RELEASE, authority, now, signer, trust, under};
use crate::bundles::{changed, fixture, trusting};

/// Three levels: a root, an intermediate authority, and whoever it issues certificates to.
struct Acme {
    root: Ca,
    intermediate: Ca,
}

impl Acme {
    fn new() -> Self {
        Self::with(authority("root"), authority("intermediate"))
    }

    fn with(root: CertificateParams, intermediate: CertificateParams) -> Self {
        let root = Ca::root(root);
        let intermediate = root.below(intermediate);
        Self { root, intermediate }
    }

    /// Says what comes of a signature by the holder of a certificate like this.
    fn judge(&self, params: &CertificateParams) -> Result<(), Reason> {
        judge(self.pki(), &self.intermediate.issue(params).sign())
    }

    fn pki(&self) -> Pki {
        under(&self.root.certificate).and_intermediates(vec![self.intermediate.certificate.clone()])
    }
}

fn judge(pki: Pki, bundle: &Bundle) -> Result<(), Reason> {
    let found = trust(pki).authenticate(bundle);
    found.map(|_| ()).map_err(|error| error.reason())
}

fn with(change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = signer();
    change(&mut params);
    params
}

fn pem(name: &str) -> Certificate {
    Certificate::from_pem(&fixture(name), name).expect(name)
}

#[test]
fn a_certificates_holder_is_recognised_and_described() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&signer());
    let found = trust(acme.pki()).authenticate(&holder.sign()).unwrap();
    assert_eq!(
        *found.signer(),
        SignerIdentity::Certificate {
            name: "acme".to_owned(),
            subject: "O=Acme,CN=release".to_owned(),
            identities: vec![RELEASE.to_owned()],
            issuer: "CN=intermediate".to_owned(),
            fingerprint: holder.certificate.fingerprint(),
            root: Some(acme.root.certificate.fingerprint()),
        }
    );
    assert_eq!(
        found.signer().to_string(),
        "certificate of O=Acme,CN=release (release@acme.example) by CN=intermediate"
    );
}

#[test]
fn a_chain_comes_from_the_bundle_or_from_the_verifier_but_its_root_only_from_the_verifier() {
    let acme = Acme::new();
    let root = &acme.root.certificate;
    let between = &acme.intermediate.certificate;
    let holder = acme.intermediate.issue(&signer());
    for above in [&[][..], &[between], &[between, root], &[root, between]] {
        assert_eq!(judge(acme.pki(), &holder.sign_under(above)), Ok(()));
    }
    assert_eq!(judge(under(root), &holder.sign_under(&[between])), Ok(()));
    // The intermediate is missing.
    let missing = trust(under(root)).authenticate(&holder.sign()).unwrap_err();
    assert_eq!(missing.reason(), Reason::UntrustedSigner);
    assert!(
        missing.message().contains("leads to CN=intermediate"),
        "{missing}"
    );
    // The root is there, in the bundle only.
    let other = Ca::root(authority("other"));
    let only = holder.sign_under(&[between, root]);
    let error = trust(under(&other.certificate))
        .authenticate(&only)
        .unwrap_err();
    assert_eq!(error.reason(), Reason::UntrustedSigner);
    assert!(error.message().contains("leads to CN=root"), "{error}");
    // A root of the same name is not the same root.
    let namesake = Ca::root(authority("root"));
    assert_eq!(
        judge(under(&namesake.certificate), &only),
        Err(Reason::CertificateInvalid)
    );
}

#[test]
fn the_signer_must_be_one_who_is_meant() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&signer());
    let signers = |identities: &[&str], patterns: &[&str], subjects: &[&str]| Signers {
        identities: identities
            .iter()
            .map(|identity| Match::exact(*identity).unwrap())
            .chain(
                patterns
                    .iter()
                    .map(|pattern| Match::pattern(pattern).unwrap()),
            )
            .collect(),
        subjects: subjects
            .iter()
            .map(|subject| subject.parse().unwrap())
            .collect(),
        certificates: vec![],
    };
    let judged = |signers| {
        let roots = vec![acme.root.certificate.clone()];
        let pki = Pki::with_roots(roots, signers, now()).unwrap();
        let between = vec![acme.intermediate.certificate.clone()];
        judge(pki.and_intermediates(between), &holder.sign())
    };
    for good in [
        signers(&["other@acme.example", RELEASE], &[], &[]),
        signers(&[], &[r"release@acme\.example"], &[]),
        signers(&[], &[], &["O=Acme, CN=release"]),
        signers(&[], &[], &["CN=other", "2.5.4.10=Acme,cn=release"]),
        signers(&[RELEASE], &[], &["O=Acme,CN=release"]),
        Signers {
            certificates: vec![holder.certificate.fingerprint()],
            ..Signers::default()
        },
    ] {
        assert_eq!(judged(good.clone()), Ok(()), "{good:?}");
    }
    for bad in [
        signers(&["other@acme.example"], &[], &[]),
        signers(&["RELEASE@acme.example"], &[], &[]),
        signers(&["acme.example"], &[], &[]),
        signers(&[], &["release"], &[]),
        signers(&[], &[], &["CN=release,O=Acme"]),
        signers(&[], &[], &["CN=release"]),
        signers(&[RELEASE], &[], &["CN=other"]),
        signers(&["other@acme.example"], &[], &["O=Acme,CN=release"]),
        Signers {
            certificates: vec![acme.root.certificate.fingerprint()],
            ..Signers::default()
        },
    ] {
        assert_eq!(
            judged(bad.clone()),
            Err(Reason::IdentityMismatch),
            "{bad:?}"
        );
    }
    let nobody = Pki::with_roots(vec![acme.root.certificate], Signers::default(), now());
    assert_eq!(nobody.unwrap_err().reason(), Reason::NothingToVerifyAgainst);
}

#[test]
fn keys_of_every_supported_kind_sign() {
    let acme = Acme::new();
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let holder = acme.intermediate.issue_for(&signer(), key);
        assert_eq!(judge(acme.pki(), &holder.sign()), Ok(()));
        // The certificate of one, the signature of another.
        let swapped = Holder {
            certificate: holder.certificate,
            key: acme.intermediate.issue(&signer()).key,
        };
        assert_eq!(
            judge(acme.pki(), &swapped.sign()),
            Err(Reason::SignatureInvalid)
        );
    }
}

#[test]
fn what_model_signing_signed_with_a_certificate_is_authenticated() {
    let bundle = Bundle::parse(&fixture("model-signing/certificate.sig")).unwrap();
    let subject = |name: &str| Signers {
        subjects: vec![name.parse().unwrap()],
        ..Signers::default()
    };
    let pki = |name: &str, at: &str| {
        let roots = vec![pem("model-signing/root.crt")];
        Pki::with_roots(roots, subject(name), at.parse().unwrap()).unwrap()
    };
    let found = trust(pki("CN=model-signer", "2027-01-01T00:00:00Z"))
        .authenticate(&bundle)
        .unwrap();
    assert_eq!(
        found.statement().predicate_type,
        "https://model_signing/signature/v1.0"
    );
    assert_eq!(
        judge(pki("CN=model-signer", "2037-01-01T00:00:00Z"), &bundle),
        Err(Reason::CertificateExpired)
    );
    assert_eq!(
        judge(pki("CN=other", "2027-01-01T00:00:00Z"), &bundle),
        Err(Reason::IdentityMismatch)
    );
    assert_eq!(
        judge(Acme::new().pki(), &bundle),
        Err(Reason::UntrustedSigner)
    );
    let altered = changed(
        &fixture("model-signing/certificate.sig"),
        "/dsseEnvelope/signatures/0/sig",
        |_| json!(STANDARD.encode("another")),
    );
    assert_eq!(
        judge(
            pki("CN=model-signer", "2027-01-01T00:00:00Z"),
            &Bundle::parse(&altered).unwrap()
        ),
        Err(Reason::SignatureInvalid)
    );
    let by_key = trusting("cosign/cosign.pub").authenticate(&bundle);
    assert_eq!(by_key.unwrap_err().reason(), Reason::UntrustedSigner);
}
