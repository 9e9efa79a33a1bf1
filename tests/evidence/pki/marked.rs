//! Signers' certificates that are marked as an authority's by mistake: good for model signatures,
//! and for nothing else.

use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::oms;
use modelctl::sign::certificate::CertificateSigner;
use modelctl::sign::key::KeySigner;
use modelctl::sign::{sign_statement, sign_written};
use modelctl::statement::Statement;
use modelctl::trust::Blob;
use modelctl::trust::pki::{Pki, Signing};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, SerialNumber, date_time_ymd,
};

use super::{Acme, judge, with};
use crate::authority::{Ca, Holder, authority, certificate, now, release, signer, trust, under};

/// The description of a signer's certificate, marked as an authority's.
fn marked() -> CertificateParams {
    with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

fn and(params: CertificateParams, change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = params;
    change(&mut params);
    params
}

/// Says what comes of a model signature by the holder of a certificate like `leaf`.
fn judge_model(acme: &Acme, leaf: &CertificateParams) -> Result<(), Reason> {
    judge(acme.pki(), &acme.intermediate.issue(leaf).sign_model(&[]))
}

#[test]
fn a_marked_certificate_signs_models_and_nothing_else() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&marked());
    let (root, between) = (&acme.root.certificate, &acme.intermediate.certificate);
    for above in [
        &[][..],
        &[between],
        &[between, root],
        &[&holder.certificate, between],
    ] {
        assert_eq!(judge(acme.pki(), &holder.sign_model(above)), Ok(()));
        let artifact = holder.sign_under(above);
        assert_eq!(
            judge(acme.pki(), &artifact),
            Err(Reason::CertificateInvalid)
        );
    }
    let pinned = || Pki::pinned(holder.certificate.clone(), now());
    assert_eq!(judge(pinned(), &holder.sign_model(&[])), Ok(()));
    assert_eq!(
        judge(pinned(), &holder.sign()),
        Err(Reason::CertificateInvalid)
    );
    // Who is not meant is still not meant, and another's signature is still another's.
    let other = and(marked(), |params| params.subject_alt_names.clear());
    assert_eq!(judge_model(&acme, &other), Err(Reason::IdentityMismatch));
    let swapped = Holder {
        certificate: holder.certificate.clone(),
        key: acme.intermediate.issue(&marked()).key,
    };
    assert_eq!(
        judge(acme.pki(), &swapped.sign_model(&[])),
        Err(Reason::SignatureInvalid)
    );
}

#[test]
fn a_list_of_files_vouches_for_no_single_content() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&marked());
    let list = holder.sign_model(&[]);
    let statement = Statement::parse(list.envelope().unwrap().unverified_payload()).unwrap();
    let root = statement.subject[0].digest["sha256"].clone();
    let root = format!("sha256:{root}").parse().unwrap();
    let error = trust(acme.pki()).authenticate_blob(&list, Blob::Digest(root));
    assert_eq!(error.unwrap_err().reason(), Reason::SubjectMismatch);
    // The same subject, attested by someone who may.
    let attested = Statement {
        predicate_type: "https://example.com/seen".to_owned(),
        ..statement
    };
    let attester = acme.intermediate.issue(&signer());
    let attested = attester.sign_statement(&attested, certificate(&attester.certificate));
    trust(acme.pki())
        .authenticate_blob(&attested, Blob::Digest(root))
        .unwrap();
}

#[test]
fn a_marked_certificate_is_for_signing_code_and_not_for_certificates() {
    let acme = Acme::new();
    assert_eq!(judge_model(&acme, &marked()), Ok(()));
    let refused: [fn(&mut CertificateParams); 5] = [
        // A real authority's.
        |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
        |params| params.key_usages.clear(),
        |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages.clear(),
    ];
    for (index, change) in refused.iter().enumerate() {
        let refused = judge_model(&acme, &and(marked(), change));
        assert_eq!(refused, Err(Reason::CertificateInvalid), "{index}");
    }
    // Nor does its holder issue any.
    let holder = acme.root.below(marked());
    let root = &acme.root.certificate;
    for leaf in [marked(), signer()] {
        let forged = holder.issue(&leaf).sign_model(&[&holder.certificate]);
        assert_eq!(judge(under(root), &forged), Err(Reason::CertificateInvalid));
    }
}

#[test]
fn a_marked_certificate_leads_to_a_root_by_authorities_only() {
    let (root, between) = (|| authority("root"), || authority("intermediate"));
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
    let naming = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("acme.example".to_owned())],
            excluded_subtrees: vec![],
        });
    };
    for (good, root, between) in [
        (true, root(), between()),
        (true, root(), and(between(), constrained(0))),
        (true, and(root(), constrained(1)), between()),
        (false, and(root(), constrained(0)), between()),
        (true, and(root(), for_code), and(between(), for_code)),
        (false, and(root(), for_servers), between()),
        (false, root(), and(between(), for_servers)),
        (false, and(root(), naming), between()),
        (false, root(), and(between(), naming)),
        (false, root(), and(between(), |p| p.is_ca = IsCa::NoCa)),
        (
            false,
            root(),
            and(between(), |p| {
                p.key_usages = vec![KeyUsagePurpose::DigitalSignature]
            }),
        ),
    ] {
        let expected = match good {
            true => Ok(()),
            false => Err(Reason::CertificateInvalid),
        };
        let shown = format!("{root:?}\n{between:?}");
        assert_eq!(
            judge_model(&Acme::with(root, between), &marked()),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn names_make_no_path() {
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&marked());
    let between = &acme.intermediate.certificate;
    // A root of the same name that has another key, and one of another name.
    let namesake = Ca::root(authority("root"));
    let list = holder.sign_model(&[between]);
    assert_eq!(
        judge(under(&namesake.certificate), &list),
        Err(Reason::CertificateInvalid)
    );
    let other = Ca::root(authority("other"));
    assert_eq!(
        judge(under(&other.certificate), &list),
        Err(Reason::UntrustedSigner)
    );
    assert_eq!(
        judge(under(&acme.root.certificate), &holder.sign_model(&[])),
        Err(Reason::UntrustedSigner)
    );
    // An intermediate authority of the same name that the root did not make; the right one beside
    // it is found.
    let false_between = namesake.below(authority("intermediate"));
    let pretended = &false_between.certificate;
    let forged = false_between.issue(&marked());
    let root = || under(&acme.root.certificate);
    assert_eq!(
        judge(root(), &forged.sign_model(&[pretended, between])),
        Err(Reason::CertificateInvalid)
    );
    assert_eq!(
        judge(root(), &holder.sign_model(&[pretended, between])),
        Ok(())
    );
}

#[test]
fn a_path_is_no_longer_than_others_may_be() {
    let root = Ca::root(authority("root"));
    let judged = |length: usize| {
        let mut chain = vec![root.below(authority("1"))];
        for number in 2..=length {
            let next = chain[chain.len() - 1].below(authority(&number.to_string()));
            chain.push(next);
        }
        let above: Vec<_> = chain.iter().rev().map(|ca| &ca.certificate).collect();
        let lowest = &chain[chain.len() - 1];
        let by = |leaf: &CertificateParams| lowest.issue(leaf).sign_model(&above);
        let pki = || under(&root.certificate);
        (judge(pki(), &by(&signer())), judge(pki(), &by(&marked())))
    };
    assert_eq!(judged(6), (Ok(()), Ok(())));
    let (ordinary, marked) = judged(7);
    assert!(ordinary.is_err());
    assert_eq!(marked, Err(Reason::UntrustedSigner));
}

#[test]
fn made_up_chains_cost_no_more_than_a_bounded_number_of_signatures() {
    // Each of these issued all the others: there are millions of ways up, and none leads to a root.
    let ring = Ca::root(authority("ring"));
    let renewed = |number: u64| {
        let serial = Some(SerialNumber::from(number));
        ring.renew(&and(authority("ring"), |p| {
            p.serial_number = serial.clone()
        }))
    };
    let twins: Vec<_> = (1..15).map(renewed).collect();
    let above: Vec<_> = twins.iter().collect();
    let list = ring.issue(&marked()).sign_model(&above);
    let root = Ca::root(authority("root"));
    let judged = judge(under(&root.certificate), &list);
    assert_eq!(judged, Err(Reason::CertificateInvalid));
    assert_eq!(judge(under(&ring.certificate), &list), Ok(()));
    let list = ring.issue(&marked()).sign_model(&above[..1]);
    let judged = judge(under(&root.certificate), &list);
    assert_eq!(judged, Err(Reason::UntrustedSigner));
}

#[test]
fn every_certificate_of_the_path_is_valid_at_the_time() {
    let over = |params: CertificateParams| {
        and(params, |params| {
            params.not_after = date_time_ymd(2027, 1, 1)
        })
    };
    let (root, between) = (|| authority("root"), || authority("intermediate"));
    for (root, between, leaf) in [
        (over(root()), between(), marked()),
        (root(), over(between()), marked()),
        (root(), between(), over(marked())),
    ] {
        let judged = judge_model(&Acme::with(root, between), &leaf);
        assert_eq!(judged, Err(Reason::CertificateExpired));
    }
    assert_eq!(
        judge_model(&Acme::with(root(), between()), &marked()),
        Ok(())
    );
}

#[test]
fn revocation_that_cannot_be_looked_at_is_not_passed_over() {
    let acme = Acme::new();
    let judged = |leaf: &CertificateParams| {
        let lists = [acme.root.revoke(&[]), acme.intermediate.revoke(&[])].concat();
        let pki = acme.pki().and_revocations(lists);
        judge(pki, &acme.intermediate.issue(leaf).sign_model(&[]))
    };
    assert_eq!(judged(&signer()), Ok(()));
    assert_eq!(judged(&marked()), Err(Reason::RevocationUnknown));
}

#[tokio::test]
async fn who_holds_one_signs_models_with_it_if_that_is_said() {
    let now = jiff::Timestamp::now();
    let acme = Acme::new();
    let holder = acme.intermediate.issue(&marked());
    let list = holder.sign_model(&[]);
    let payload = list.envelope().unwrap().unverified_payload().to_vec();
    let signing = |signing, holder: Holder| {
        let key = holder.key.public_key().clone();
        let signer = Box::new(KeySigner::new("key", holder.key));
        CertificateSigner::signing(signing, signer, &key, holder.certificate, now)
    };
    let refused = signing(Signing::Anything, acme.intermediate.issue(&marked()));
    assert_eq!(
        refused.err().unwrap().reason(),
        Reason::CertificateFileInvalid
    );
    let signer = signing(Signing::Models, holder).unwrap();
    let between = acme.intermediate.certificate.clone();
    let root = acme.root.certificate.clone();
    signer
        .check_chain(vec![between.clone(), root.clone()])
        .unwrap();
    let signer = signer.with_intermediates(vec![between]);
    let bundle = sign_written(&payload, &signer).await.unwrap();
    let pki = Pki::with_roots(vec![root], release(), now).unwrap();
    let found = trust(pki).authenticate(&bundle).unwrap();
    assert!(oms::is_model_signature(&found.statement().predicate_type));
    // What it would make of anything else, it does not hand out.
    let other = Statement::signature(&Digest::of(b""), Default::default());
    let refused = sign_statement(&other, &signer).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Internal);
}
