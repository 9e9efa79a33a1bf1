//! What issuers and bundles may not do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use modelctl::bundle::{Bundle, Material, PublicKeyHint};
use modelctl::certificate::Certificate;
use modelctl::error::Reason;
use modelctl::limits;
use modelctl::trust::pki::{Pki, Signing};
use modelctl::trust::{Authority, TrustRoot};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use serde_json::json;

use super::{Acme, judge, pem, with};
use crate::authority::{
    Ca, Holder, RELEASE, authority, certificate, chain, now, release, signer, under,
};
use crate::bundles::{changed, fixture, public_key};

#[test]
fn certificates_are_counted_before_they_are_read() {
    let acme = Acme::new();
    let (root, between) = (&acme.root.certificate, &acme.intermediate.certificate);
    let holder = acme.intermediate.issue(&signer());
    let many = |count| std::iter::repeat_n(between, count).collect::<Vec<_>>();
    let most = many(limits::CERTIFICATES - 1);
    assert_eq!(judge(under(root), &holder.sign_under(&most)), Ok(()));
    for count in [limits::CERTIFICATES, 5000] {
        let bundle = holder.sign_under(&many(count));
        assert_eq!(judge(under(root), &bundle), Err(Reason::BundleInvalid));
        // Whatever they are: nobody looks.
        let text = String::from_utf8(bundle.to_bytes().unwrap()).unwrap();
        let rubbish = text.replace(&STANDARD.encode(between.der()), "AAAA");
        for bytes in [text, rubbish] {
            let error = Bundle::parse(bytes.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), Reason::BundleInvalid);
        }
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
            Err(Reason::BundleInvalid)
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
    assert_eq!(error.reason(), Reason::UntrustedSigner);
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
    let error = pinned.check(&critical, &[], Signing::Anything).unwrap_err();
    assert_eq!(error.reason(), Reason::CertificateInvalid);
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
