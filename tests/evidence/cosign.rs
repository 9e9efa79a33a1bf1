//! What cosign 3.1.1 attached to an artifact, read as it lies in a registry.

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::manifest::{Document, is_bundle, media_type};
use modelctl::policy::{Candidate, Policy, Requirement};
use modelctl::statement;

use crate::bundles::{COSIGN, COSIGN_SUBJECT, PROVENANCE, fixture, trusting};

#[test]
fn every_list_names_every_referrer_and_every_referrer_its_bundle() {
    for directory in COSIGN.into_iter().chain(["cosign/keyless"]) {
        let read = |name: &str| fixture(&format!("{directory}/{name}"));
        let list = Document::parse(&read("referrers.json"), media_type::INDEX, "it").unwrap();
        let listed: Vec<_> = list.children().into_iter().map(|d| d.digest).collect();
        for what in ["sign", "attest"] {
            let bytes = read(&format!("{what}.manifest.json"));
            let document = Document::parse(&bytes, media_type::MANIFEST, "it").unwrap();
            assert!(listed.contains(&Digest::of(&bytes)), "{directory} {what}");
            let manifest = document.into_manifest("it").unwrap();
            let [layer] = manifest.layers.as_slice() else {
                panic!("{directory} {what} has not one layer");
            };
            assert!(is_bundle(&layer.media_type));
            assert_eq!(
                layer.digest,
                Digest::of(&read(&format!("{what}.bundle.json")))
            );
            assert!(manifest.subject.is_some());
        }
    }
}

#[test]
fn its_signatures_and_attestations_are_authenticated_with_its_key() {
    let subject: Digest = COSIGN_SUBJECT.parse().unwrap();
    let trust = trusting("cosign/cosign.pub");
    for directory in COSIGN {
        for (what, predicate_type) in [("sign", statement::SIGNATURE), ("attest", PROVENANCE)] {
            let bytes = fixture(&format!("{directory}/{what}.bundle.json"));
            let found = trust.authenticate(&Bundle::parse(&bytes).unwrap()).unwrap();
            assert_eq!(found.statement().predicate_type, predicate_type);
            assert!(found.statement().is_about(&subject), "{directory} {what}");
            assert!(!found.statement().is_about(&Digest::of(b"")));
            assert_eq!(found.signer().authority(), "cosign/cosign.pub");
        }
    }
}

#[test]
fn both_together_meet_a_policy_that_asks_for_both_and_one_does_not() {
    let subject: Digest = COSIGN_SUBJECT.parse().unwrap();
    let trust = trusting("cosign/cosign.pub");
    let attestation = Requirement::Attestation {
        predicate_type: PROVENANCE.to_owned(),
    };
    let policy = Policy::new([Requirement::Signature, attestation]).unwrap();
    let candidate = |name: &str| {
        let bytes = fixture(name);
        Candidate {
            bundle: Digest::of(&bytes),
            claims: None,
            outcome: Bundle::parse(&bytes).and_then(|bundle| trust.authenticate(&bundle)),
            coverage: None,
        }
    };
    for directory in COSIGN {
        let sign = || candidate(&format!("{directory}/sign.bundle.json"));
        let attest = || candidate(&format!("{directory}/attest.bundle.json"));
        assert!(policy.judge(&subject, &[attest(), sign()]).admits());
        assert!(!policy.judge(&subject, &[attest()]).admits());
        assert!(!policy.judge(&subject, &[sign()]).admits());
        assert!(!policy.judge(&Digest::of(b""), &[attest(), sign()]).admits());
    }
}
