//! Certificates of one's own authorities: what makes a signature theirs, and everything that looks
//! like it and is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use modelctl::bundle::{Bundle, Material, PublicKeyHint};
use modelctl::certificate::Certificate;
use modelctl::error::Reason;
use modelctl::identity::Match;
use modelctl::limits;
use modelctl::trust::pki::{Pki, Signers, TimestampAuthority};
use modelctl::trust::{Authority, SignerIdentity, TrustRoot};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use serde_json::{Value, json};

use crate::authority::{
    Ca, Holder, RELEASE, authority, certificate, chain, now, release, signer, trust, under,
};
use crate::bundles::{changed, fixture, public_key, trusting};

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
fn a_self_signed_certificate_is_trusted_only_for_being_itself() {
    let acme = Acme::new();
    let stranger = Holder::self_signed(&signer());
    assert_eq!(
        judge(acme.pki(), &stranger.sign()),
        Err(Reason::UntrustedSigner)
    );
    let refused = Pki::with_roots(vec![stranger.certificate.clone()], release(), now());
    assert_eq!(
        refused.unwrap_err().reason(),
        Reason::CertificateFileInvalid
    );
    let pinned = || Pki::pinned(stranger.certificate.clone(), now());
    assert_eq!(judge(pinned(), &stranger.sign()), Ok(()));
    let namesake = Holder::self_signed(&signer());
    assert_eq!(
        judge(pinned(), &namesake.sign()),
        Err(Reason::UntrustedSigner)
    );
    // Trusted for being itself, a certificate still is for what it says and as long as it says.
    let expired = with(|params| params.not_after = date_time_ymd(2027, 1, 1));
    let expired = Holder::self_signed(&expired);
    assert_eq!(
        judge(
            Pki::pinned(expired.certificate.clone(), now()),
            &expired.sign()
        ),
        Err(Reason::CertificateExpired)
    );
    let server = with(|params| params.extended_key_usages.clear());
    let server = Holder::self_signed(&server);
    assert_eq!(
        judge(
            Pki::pinned(server.certificate.clone(), now()),
            &server.sign()
        ),
        Err(Reason::CertificateInvalid)
    );
}

#[test]
fn certificates_that_are_not_for_signing_code_are_refused() {
    let acme = Acme::new();
    assert_eq!(acme.judge(&signer()), Ok(()));
    let without_key_usage = with(|params| params.key_usages.clear());
    assert_eq!(acme.judge(&without_key_usage), Ok(()));
    let refused: [fn(&mut CertificateParams); 6] = [
        |params| params.extended_key_usages.clear(),
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
        |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        },
    ];
    for (index, change) in refused.iter().enumerate() {
        assert_eq!(
            acme.judge(&with(change)),
            Err(Reason::CertificateInvalid),
            "{index}"
        );
    }
}

#[test]
fn nobody_issues_certificates_who_may_not() {
    let judge_under = |root: CertificateParams, intermediate: CertificateParams| {
        Acme::with(root, intermediate).judge(&signer())
    };
    let changed = |name, change: &dyn Fn(&mut CertificateParams)| {
        let mut params = authority(name);
        change(&mut params);
        params
    };
    let constrained = |length| {
        move |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        }
    };
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let for_code = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    };
    let (root, intermediate) = (|| authority("root"), || authority("intermediate"));
    for (good, root, intermediate) in [
        (true, root(), changed("intermediate", &constrained(0))),
        (true, changed("root", &constrained(1)), intermediate()),
        (false, changed("root", &constrained(0)), intermediate()),
        (true, root(), changed("intermediate", &for_code)),
        (false, root(), changed("intermediate", &for_servers)),
        (true, changed("root", &for_code), intermediate()),
        (false, changed("root", &for_servers), intermediate()),
        (
            true,
            root(),
            changed("intermediate", &|params| params.key_usages.clear()),
        ),
        (
            false,
            root(),
            changed("intermediate", &|params| {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            }),
        ),
        (
            false,
            root(),
            changed("intermediate", &|params| params.is_ca = IsCa::NoCa),
        ),
        (
            false,
            root(),
            changed("intermediate", &|params| params.is_ca = IsCa::ExplicitNoCa),
        ),
    ] {
        let expected = if good {
            Ok(())
        } else {
            Err(Reason::CertificateInvalid)
        };
        let shown = format!("{root:?}\n{intermediate:?}");
        assert_eq!(judge_under(root, intermediate), expected, "{shown}");
    }
    // A path of two under an authority that allows none.
    let root = Ca::root(authority("root"));
    let upper = root.below(changed("upper", &constrained(0)));
    let lower = upper.below(authority("lower"));
    let bundle = lower
        .issue(&signer())
        .sign_under(&[&lower.certificate, &upper.certificate]);
    assert_eq!(
        judge(under(&root.certificate), &bundle),
        Err(Reason::CertificateInvalid)
    );
    let bundle = upper.issue(&signer()).sign_under(&[&upper.certificate]);
    assert_eq!(judge(under(&root.certificate), &bundle), Ok(()));
}

#[test]
fn a_holder_of_a_certificate_issues_none() {
    let acme = Acme::new();
    let root = &acme.root.certificate;
    let holder = acme.root.below(signer());
    let forged = holder.issue(&signer()).sign_under(&[&holder.certificate]);
    assert_eq!(judge(under(root), &forged), Err(Reason::CertificateInvalid));
}

#[test]
fn the_whole_chain_must_be_valid_at_the_time_that_counts() {
    let expired = |mut params: CertificateParams| {
        params.not_after = date_time_ymd(2027, 1, 1);
        params
    };
    let future = |mut params: CertificateParams| {
        params.not_before = date_time_ymd(2028, 1, 1);
        params
    };
    let (root, between) = (|| authority("root"), || authority("intermediate"));
    for (root, between, leaf) in [
        (root(), between(), expired(signer())),
        (root(), between(), future(signer())),
        (root(), expired(between()), signer()),
        (root(), future(between()), signer()),
        (expired(root()), between(), signer()),
        (future(root()), between(), signer()),
    ] {
        assert_eq!(
            Acme::with(root, between).judge(&leaf),
            Err(Reason::CertificateExpired)
        );
    }
    assert_eq!(Acme::with(root(), between()).judge(&signer()), Ok(()));
}

#[test]
fn a_root_that_was_renewed_with_the_same_key_is_found() {
    let key = KeyPair::generate().unwrap();
    let mut params = authority("root");
    let new = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    params.not_after = date_time_ymd(2027, 1, 1);
    let old = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let holder = KeyPair::generate().unwrap();
    let leaf = signer().signed_by(&holder, &issuer).unwrap();
    let pki = |roots| Pki::with_roots(roots, release(), now()).unwrap();
    let leaf = Certificate::from_der(leaf.der()).unwrap();
    assert!(
        pki(vec![old.clone(), new.clone()])
            .check(&leaf, &[])
            .is_ok()
    );
    let error = pki(vec![old]).check(&leaf, &[]).unwrap_err();
    assert_eq!(error.reason(), Reason::CertificateExpired);
}

#[test]
fn names_are_constrained_by_the_authorities_above() {
    let permitting = |subtree| {
        let mut params = authority("intermediate");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![subtree],
            excluded_subtrees: vec![],
        });
        Acme::with(authority("root"), params)
    };
    let named = |name: &str| {
        with(|params| {
            let host = SanType::DnsName(name.try_into().unwrap());
            params.subject_alt_names.push(host);
        })
    };
    let acme = permitting(GeneralSubtree::DnsName("acme.example".to_owned()));
    assert_eq!(acme.judge(&named("build.acme.example")), Ok(()));
    assert_eq!(
        acme.judge(&named("evil.example")),
        Err(Reason::CertificateInvalid)
    );
    // What the path builder cannot compare is refused, not passed over.
    let acme = permitting(GeneralSubtree::Rfc822Name("acme.example".to_owned()));
    assert_eq!(acme.judge(&signer()), Err(Reason::CertificateInvalid));
    // An authority for hosts names no mailbox by calling it a host.
    let disguised = with(|params| {
        params.subject_alt_names = vec![SanType::DnsName(RELEASE.try_into().unwrap())];
    });
    let der = disguised
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    let error = Certificate::from_der(der.der()).unwrap_err();
    assert_eq!(error.reason(), Reason::CertificateInvalid);
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
fn revocation_is_looked_at_when_lists_are_given_and_then_nothing_is_unknown() {
    let acme = Acme::new();
    let (leaf, between) = (signer(), authority("intermediate"));
    let bundle = acme.intermediate.issue(&leaf).sign();
    let judged = |lists: Vec<Vec<_>>| judge(acme.pki().and_revocations(lists.concat()), &bundle);
    let (root, issuer) = (&acme.root, &acme.intermediate);
    assert_eq!(judged(vec![]), Ok(()));
    assert_eq!(judged(vec![root.revoke(&[]), issuer.revoke(&[])]), Ok(()));
    for revoked in [
        vec![root.revoke(&[]), issuer.revoke(&[&leaf])],
        vec![root.revoke(&[&between]), issuer.revoke(&[])],
    ] {
        assert_eq!(judged(revoked), Err(Reason::CertificateRevoked));
    }
    let impostor = Ca::root(authority("intermediate"));
    for unknown in [
        vec![issuer.revoke(&[])],
        vec![root.revoke(&[])],
        vec![root.revoke(&[]), impostor.revoke(&[])],
        vec![root.revoke(&[]), issuer.revoke_in(&[], 2026)],
        vec![root.revoke(&[]), issuer.revoke_in(&[], 2028)],
    ] {
        assert_eq!(judged(unknown), Err(Reason::RevocationUnknown));
    }
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
fn weak_and_incomprehensible_certificates_are_refused() {
    let at: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    let pki = || {
        Pki::with_roots(vec![pem("pki/root.pem")], release(), at)
            .unwrap()
            .and_intermediates(vec![pem("pki/intermediate.pem")])
    };
    let bundle = fixture("pki/bundle.json");
    let replaced = |name: &str| {
        let der = STANDARD.encode(pem(name).der());
        changed(
            &bundle,
            "/verificationMaterial/certificate/rawBytes",
            |_| json!(der),
        )
    };
    assert_eq!(judge(pki(), &Bundle::parse(&bundle).unwrap()), Ok(()));
    for name in [
        "pki/refused.sha1.pem",
        "pki/refused.rsa1024.pem",
        "pki/refused.critical.pem",
    ] {
        let bundle = Bundle::parse(&replaced(name)).unwrap();
        assert_eq!(
            judge(pki(), &bundle),
            Err(Reason::CertificateInvalid),
            "{name}"
        );
    }
    let critical = pem("pki/refused.critical.pem");
    let pinned = Pki::pinned(critical.clone(), at);
    let error = pinned.check(&critical, &[]).unwrap_err();
    assert_eq!(error.reason(), Reason::CertificateInvalid);
}

#[test]
fn certificates_are_counted_before_they_are_read() {
    let acme = Acme::new();
    let (root, between) = (&acme.root.certificate, &acme.intermediate.certificate);
    let holder = acme.intermediate.issue(&signer());
    let many = |count| std::iter::repeat_n(between, count).collect::<Vec<_>>();
    let most = many(limits::CERTIFICATES - 1);
    assert_eq!(judge(under(root), &holder.sign_under(&most)), Ok(()));
    for count in [limits::CERTIFICATES, 5000] {
        let mut bundle = holder.sign_under(&many(count));
        assert_eq!(judge(under(root), &bundle), Err(Reason::CertificateInvalid));
        // Whatever they are: nobody looks.
        let text = String::from_utf8(bundle.to_bytes().unwrap()).unwrap();
        let rubbish = text.replace(&STANDARD.encode(between.der()), "AAAA");
        bundle = Bundle::parse(rubbish.as_bytes()).unwrap();
        let error = trust(under(root)).authenticate(&bundle).unwrap_err();
        assert!(error.message().contains("too many"), "{error}");
    }
}

#[test]
fn a_bundle_names_one_signer() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&signer());
    let one = certificate(&holder.certificate);
    let two = Material {
        x509_certificate_chain: chain([&holder.certificate].into_iter()).x509_certificate_chain,
        ..one.clone()
    };
    let key_too = Material {
        public_key: Some(PublicKeyHint::default()),
        ..one
    };
    for ambiguous in [two, key_too, chain(std::iter::empty())] {
        assert_eq!(
            judge(acme.pki(), &holder.sign_with(ambiguous)),
            Err(Reason::CertificateInvalid)
        );
    }
    let hint = PublicKeyHint {
        hint: holder.key.public_key().hint(),
    };
    let key_only = Material {
        public_key: Some(hint),
        ..Material::default()
    };
    assert_eq!(
        judge(acme.pki(), &holder.sign_with(key_only)),
        Err(Reason::UntrustedSigner)
    );
    for rubbish in ["", "AAAA", "MAA="] {
        let bundle = holder.sign().to_bytes().unwrap();
        let pointer = "/verificationMaterial/certificate/rawBytes";
        let bundle = changed(&bundle, pointer, |_| json!(rubbish));
        let bundle = Bundle::parse(&bundle).unwrap();
        assert_eq!(judge(acme.pki(), &bundle), Err(Reason::CertificateInvalid));
    }
}

#[test]
fn keys_and_certificates_are_not_taken_for_each_other() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&signer());
    // Trust in the key itself does not make a certificate good, nor the other way round.
    let key = Authority::key("key", holder.key.public_key().clone());
    let by_key = TrustRoot::new([key.clone()]).unwrap();
    let error = by_key.authenticate(&holder.sign()).unwrap_err();
    assert_eq!(error.reason(), Reason::BundleUnsupported);
    // With both trusted, in any order, the refusal is that of the one that is concerned.
    let servers = with(|params| params.extended_key_usages.clear());
    let bad = acme.intermediate.issue(&servers).sign();
    let pki = || Authority::pki("acme", acme.pki());
    for both in [[key.clone(), pki()], [pki(), key.clone()]] {
        let both = TrustRoot::new(both).unwrap();
        assert!(both.authenticate(&holder.sign()).is_ok());
        let error = both.authenticate(&bad).unwrap_err();
        assert_eq!(error.reason(), Reason::CertificateInvalid);
    }
    assert_eq!(
        judge(
            acme.pki(),
            &Bundle::parse(&fixture("cosign/referrers-api/sign.bundle.json")).unwrap()
        ),
        Err(Reason::UntrustedSigner)
    );
    let mixed = TrustRoot::new([pki(), Authority::key("k", public_key("cosign/cosign.pub"))]);
    let cosigns = Bundle::parse(&fixture("cosign/referrers-api/sign.bundle.json")).unwrap();
    assert!(mixed.unwrap().authenticate(&cosigns).is_ok());
}

/// Returns the fixture's bundle with these timestamps.
fn stamped(names: &[&str]) -> Bundle {
    let timestamps = names.iter().map(|name| {
        let token = STANDARD.encode(fixture(name));
        json!({"signedTimestamp": token})
    });
    with_timestamps(json!({"rfc3161Timestamps": timestamps.collect::<Vec<_>>()}))
}

fn with_timestamps(data: Value) -> Bundle {
    let mut bundle: Value = serde_json::from_slice(&fixture("pki/bundle.json")).unwrap();
    bundle["verificationMaterial"]["timestampVerificationData"] = data;
    Bundle::parse(&serde_json::to_vec(&bundle).unwrap()).unwrap()
}

fn timestamping(name: &str) -> TimestampAuthority {
    let chain = Certificate::all_from_pem(&fixture(name), name).unwrap();
    TimestampAuthority::from_chain(chain).expect(name)
}

#[test]
fn a_trusted_timestamp_proves_when_an_expired_certificate_was_valid() {
    // The certificate was valid for one day in 2026; it is judged in 2027.
    let pki = |authorities: &[&str]| {
        Pki::with_roots(vec![pem("pki/root.pem")], release(), now())
            .unwrap()
            .and_intermediates(vec![pem("pki/intermediate.pem")])
            .and_timestamping(authorities.iter().map(|name| timestamping(name)).collect())
    };
    let (tsa, other) = ("pki/tsa.pem", "pki/other-tsa.pem");
    for (authorities, timestamps, expected) in [
        (&[tsa][..], &["pki/tsa.tsr"][..], Ok(())),
        (&[other, tsa], &["pki/tsa.tsr"], Ok(())),
        (&[tsa, other], &["pki/tsa.tsr", "pki/other-tsa.tsr"], Ok(())),
        // None is trusted, or none is there: only now counts.
        (&[], &["pki/tsa.tsr"], Err(Reason::CertificateExpired)),
        (&[tsa], &[], Err(Reason::CertificateExpired)),
        // Not one may be by anybody else, or on anything else.
        (
            &[tsa],
            &["pki/other-tsa.tsr"],
            Err(Reason::TimestampInvalid),
        ),
        (
            &[tsa],
            &["pki/tsa.tsr", "pki/other-tsa.tsr"],
            Err(Reason::TimestampInvalid),
        ),
        (&[tsa], &["pki/make.sh"], Err(Reason::TimestampInvalid)),
    ] {
        assert_eq!(
            judge(pki(authorities), &stamped(timestamps)),
            expected,
            "{authorities:?} {timestamps:?}"
        );
    }
    let many = vec!["pki/tsa.tsr"; limits::TIMESTAMPS + 1];
    for refused in [
        stamped(&many),
        with_timestamps(json!({"rfc3161Timestamps": [{"signedTimestamp": "!"}]})),
        with_timestamps(json!({"rfc3161Timestamps": [{}]})),
        with_timestamps(json!({"x": 1})),
        with_timestamps(json!(1)),
    ] {
        assert_eq!(judge(pki(&[tsa]), &refused), Err(Reason::TimestampInvalid));
    }
    // The timestamp is on another signature.
    let acme = Acme::new();
    let pki = acme.pki().and_timestamping(vec![timestamping(tsa)]);
    let material = Material {
        timestamp_verification_data: stamped(&["pki/tsa.tsr"])
            .material()
            .timestamp_verification_data
            .clone(),
        ..certificate(&acme.intermediate.issue(&signer()).certificate)
    };
    let moved = acme.intermediate.issue(&signer()).sign_with(material);
    assert_eq!(judge(pki, &moved), Err(Reason::TimestampInvalid));
}

#[test]
fn a_proven_time_counts_instead_of_now() {
    let acme = Acme::new();
    let at = |time: &str| {
        Pki::with_roots(vec![pem("pki/root.pem")], release(), time.parse().unwrap())
            .unwrap()
            .and_intermediates(vec![pem("pki/intermediate.pem")])
            .and_timestamping(vec![timestamping("pki/tsa.pem")])
    };
    // The clock does not matter once the time is proven.
    for time in [
        "1980-01-01T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2099-01-01T00:00:00Z",
    ] {
        assert_eq!(
            judge(at(time), &stamped(&["pki/tsa.tsr"])),
            Ok(()),
            "{time}"
        );
    }
    // What is revoked is not good because a timestamp is older.
    let list = acme.root.revoke(&[]);
    assert_eq!(
        judge(
            at("2027-06-01T00:00:00Z").and_revocations(list),
            &stamped(&["pki/tsa.tsr"])
        ),
        Err(Reason::RevocationUnknown)
    );
}

#[test]
fn a_timestamp_authority_is_a_whole_chain() {
    let chain = |name| Certificate::all_from_pem(&fixture(name), name).unwrap();
    let (tsa, other) = (chain("pki/tsa.pem"), chain("pki/other-tsa.pem"));
    let reversed = tsa.iter().rev().cloned().collect();
    assert!(TimestampAuthority::from_chain(reversed).is_ok());
    for bad in [
        vec![],
        tsa[..1].to_vec(),
        tsa[1..].to_vec(),
        [&tsa[..], &other[..]].concat(),
        [&tsa[..], &other[1..]].concat(),
    ] {
        let error = TimestampAuthority::from_chain(bad).unwrap_err();
        assert_eq!(error.reason(), Reason::CertificateFileInvalid);
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
    assert_eq!(by_key.unwrap_err().reason(), Reason::BundleUnsupported);
}
