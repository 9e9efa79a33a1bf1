//! Is it enough: what a policy admits, whatever else is attached and in whatever order.

use std::sync::LazyLock;

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::policy::{Candidate, Policy, Requirement, Verdict};
use modelctl::sign::key::PrivateKey;
use modelctl::statement::{SIGNATURE, Statement};
use modelctl::trust::{Authority, TrustRoot};
use proptest::prelude::*;
use serde_json::json;

use crate::bundles::{PROVENANCE, attestation, changed, fixture, generate, signed};

const TESTS: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What may be attached to an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attached {
    /// A signature by the trusted key.
    Signature,
    /// A second one, which says more.
    AnnotatedSignature,
    /// Provenance by the trusted key.
    Provenance,
    /// Test results by the trusted key.
    TestResults,
    /// The trusted key's signature on another artifact.
    OtherArtifact,
    /// The trusted key's signature, altered.
    Altered,
    /// A stranger's signature.
    Strangers,
    /// A stranger's provenance.
    StrangersProvenance,
    /// What the trusted key signed, but is no statement.
    Nonsense,
    /// A signature with a certificate, which cannot be verified.
    Certificate,
    /// A bundle that cannot be read.
    Garbage,
}

use Attached::*;

const ALL: [Attached; 11] = [
    Signature,
    AnnotatedSignature,
    Provenance,
    TestResults,
    OtherArtifact,
    Altered,
    Strangers,
    StrangersProvenance,
    Nonsense,
    Certificate,
    Garbage,
];

static TRUSTED: LazyLock<PrivateKey> = LazyLock::new(generate);
static BUNDLES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| ALL.into_iter().map(Attached::make).collect());

fn artifact() -> Digest {
    Digest::of(b"the artifact")
}

impl Attached {
    fn make(self) -> Vec<u8> {
        let it = artifact();
        let sign = |key: &PrivateKey, statement: Statement| {
            let bundle = signed(key, &statement.to_bytes().unwrap());
            bundle.to_bytes().unwrap()
        };
        let signature = Statement::signature(&it, Default::default());
        match self {
            Signature => sign(&TRUSTED, signature),
            AnnotatedSignature => {
                let more = json!({"a": "b"}).as_object().unwrap().clone();
                sign(&TRUSTED, Statement::signature(&it, more))
            }
            Provenance => sign(&TRUSTED, attestation(&it, PROVENANCE)),
            TestResults => sign(&TRUSTED, attestation(&it, TESTS)),
            OtherArtifact => {
                let other = Digest::of(b"another artifact");
                sign(&TRUSTED, Statement::signature(&other, Default::default()))
            }
            Altered => changed(
                &sign(&TRUSTED, signature),
                "/dsseEnvelope/signatures/0/sig",
                |_| json!("MAYCAQECAQE="),
            ),
            Strangers => sign(&generate(), signature),
            StrangersProvenance => sign(&generate(), attestation(&it, PROVENANCE)),
            Nonsense => signed(&TRUSTED, b"nonsense").to_bytes().unwrap(),
            Certificate => fixture("cosign/keyless/sign.bundle.json"),
            Garbage => b"{}".to_vec(),
        }
    }

    /// Returns the predicate type that someone without any key can read in the bundle.
    fn claims(self) -> Option<&'static str> {
        match self {
            Provenance | StrangersProvenance => Some(PROVENANCE),
            TestResults => Some(TESTS),
            Nonsense | Garbage => None,
            _ => Some(SIGNATURE),
        }
    }

    fn candidate(self) -> Candidate {
        let at = ALL.into_iter().position(|one| one == self).unwrap();
        let bytes = &BUNDLES[at];
        let authority = Authority::key("the key", TRUSTED.public_key().clone());
        let trust = TrustRoot::new([authority]).unwrap();
        Candidate {
            bundle: Digest::of(bytes),
            claims: self.claims().map(str::to_owned),
            outcome: Bundle::parse(bytes).and_then(|bundle| trust.authenticate(&bundle)),
            coverage: None,
        }
    }

    /// Whether this meets `requirement`, as the words of the policy promise.
    fn meets(self, requirement: &Requirement) -> bool {
        match requirement.predicate_type() {
            SIGNATURE => [Signature, AnnotatedSignature].contains(&self),
            PROVENANCE => self == Provenance,
            TESTS => self == TestResults,
            _ => false,
        }
    }
}

fn requires(predicate_type: &str) -> Requirement {
    Requirement::Attestation {
        predicate_type: predicate_type.to_owned(),
    }
}

fn judge(requirements: &[Requirement], attached: &[Attached]) -> Verdict {
    let candidates: Vec<_> = attached.iter().map(|one| one.candidate()).collect();
    let policy = Policy::new(requirements.to_vec()).unwrap();
    policy.judge(&artifact(), &candidates)
}

/// Returns everything that a verdict says.
fn said(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap()
}

#[test]
fn a_policy_that_asks_for_nothing_cannot_be_made() {
    let error = Policy::new([]).unwrap_err();
    assert_eq!(error.reason(), Reason::NothingToVerifyAgainst);
}

#[test]
fn a_signature_is_asked_for_and_what_is_nearest_to_one_is_told() {
    for (attached, reason) in [
        (&[Signature][..], None),
        (&[AnnotatedSignature], None),
        (&[Signature, AnnotatedSignature, Provenance], None),
        (&[Garbage, Strangers, Altered, Signature], None),
        (&[Signature, Altered, Strangers, Garbage], None),
        (&[], Some(Reason::SignatureMissing)),
        // An attestation is no signature, whoever made it.
        (&[Provenance], Some(Reason::SignatureMissing)),
        (&[Provenance, TestResults], Some(Reason::SignatureMissing)),
        (&[StrangersProvenance], Some(Reason::SignatureMissing)),
        (&[OtherArtifact], Some(Reason::SubjectMismatch)),
        (&[Strangers], Some(Reason::UntrustedSigner)),
        (&[Altered], Some(Reason::SignatureInvalid)),
        (&[Nonsense], Some(Reason::StatementInvalid)),
        (&[Certificate], Some(Reason::UntrustedSigner)),
        (&[Garbage], Some(Reason::BundleInvalid)),
        (&[Garbage, Certificate], Some(Reason::UntrustedSigner)),
        (&[Certificate, Strangers], Some(Reason::UntrustedSigner)),
        (&[Strangers, Altered], Some(Reason::SignatureInvalid)),
        (&[Altered, Nonsense], Some(Reason::StatementInvalid)),
        (&[Nonsense, OtherArtifact], Some(Reason::SubjectMismatch)),
        (&[Provenance, Strangers], Some(Reason::UntrustedSigner)),
    ] {
        let reversed: Vec<_> = attached.iter().rev().copied().collect();
        for attached in [attached, &reversed] {
            let verdict = judge(&[Requirement::Signature], attached);
            assert_eq!(verdict.admits(), reason.is_none(), "{attached:?}");
            let unmet = verdict.first_unmet().map(|(_, reason)| reason);
            assert_eq!(unmet, reason, "{attached:?}");
        }
    }
}

#[test]
fn every_requirement_must_be_met_by_its_own_kind_of_evidence() {
    let both = &[Requirement::Signature, requires(PROVENANCE)][..];
    let missing = Some((1, Reason::AttestationMissing));
    for (requirements, attached, unmet) in [
        (both, &[Signature, Provenance][..], None),
        (both, &[Signature], missing),
        (both, &[Signature, TestResults], missing),
        (both, &[Provenance], Some((0, Reason::SignatureMissing))),
        (both, &[], Some((0, Reason::SignatureMissing))),
        (
            both,
            &[Signature, StrangersProvenance],
            Some((1, Reason::UntrustedSigner)),
        ),
        (both, &[Signature, StrangersProvenance, Provenance], None),
        (&[requires(PROVENANCE)], &[Provenance], None),
        (
            &[requires(PROVENANCE)],
            &[Signature],
            Some((0, Reason::AttestationMissing)),
        ),
        (
            &[requires("https://slsa.dev/provenance/v1 ")],
            &[Provenance],
            Some((0, Reason::AttestationMissing)),
        ),
        (
            &[requires(PROVENANCE), requires(TESTS)],
            &[Provenance],
            missing,
        ),
        (
            &[requires(PROVENANCE), requires(TESTS)],
            &[Provenance, TestResults],
            None,
        ),
    ] {
        let verdict = judge(requirements, attached);
        assert_eq!(verdict.admits(), unmet.is_none(), "{attached:?}");
        let first = verdict.first_unmet().map(|(finding, reason)| {
            let at = verdict
                .findings
                .iter()
                .position(|one| std::ptr::eq(one, finding));
            (at.unwrap(), reason)
        });
        assert_eq!(first, unmet, "{attached:?}");
    }
}

#[test]
fn evidence_about_one_artifact_admits_no_other() {
    let candidates = [Signature.candidate()];
    let policy = Policy::new([Requirement::Signature]).unwrap();
    assert!(policy.judge(&artifact(), &candidates).admits());
    let verdict = policy.judge(&Digest::of(b"another artifact"), &candidates);
    assert_eq!(verdict.first_unmet().unwrap().1, Reason::SubjectMismatch);
}

#[test]
fn what_counts_is_told_once_and_what_does_not_with_its_reason() {
    let attached = [Provenance, Signature, Strangers, Signature, Strangers];
    let verdict = judge(&[Requirement::Signature, requires(PROVENANCE)], &attached);
    assert_eq!(verdict.evidence().len(), 2);
    let [signature, provenance] = verdict.findings.as_slice() else {
        panic!("two requirements, {} findings", verdict.findings.len());
    };
    assert_eq!((signature.met_by.len(), signature.refused.len()), (1, 2));
    assert_eq!((provenance.met_by.len(), provenance.refused.len()), (1, 2));
    assert_eq!(signature.met_by[0].signer.authority(), "the key");

    let json = serde_json::to_value(judge(&[requires(PROVENANCE)], &[Signature])).unwrap();
    let message = format!("it states {SIGNATURE:?}, not {PROVENANCE:?}");
    assert_eq!(
        json,
        json!({"findings": [{
            "requirement": {"kind": "attestation", "predicateType": PROVENANCE},
            "threshold": 1,
            "signers": 0,
            "metBy": [],
            "refused": [{
                "bundle": Signature.candidate().bundle,
                "reason": "predicate-type-mismatch",
                "message": message,
            }],
            "reason": "attestation-missing",
        }]})
    );
}

fn some_attached() -> impl Strategy<Value = Vec<Attached>> {
    prop::collection::vec(prop::sample::select(&ALL[..]), 0..8)
}

fn some_requirements() -> impl Strategy<Value = Vec<Requirement>> {
    let all = [
        Requirement::Signature,
        requires(PROVENANCE),
        requires(TESTS),
    ];
    prop::sample::subsequence(all.to_vec(), 1..=3)
}

proptest! {
    #[test]
    fn a_policy_admits_exactly_when_every_requirement_is_met(
        requirements in some_requirements(),
        attached in some_attached(),
    ) {
        let all_met = requirements.iter().all(|r| attached.iter().any(|one| one.meets(r)));
        prop_assert_eq!(judge(&requirements, &attached).admits(), all_met);
    }

    #[test]
    fn the_order_of_what_is_attached_never_shows(
        requirements in some_requirements(),
        (attached, shuffled) in some_attached().prop_flat_map(|attached| {
            (Just(attached.clone()), Just(attached).prop_shuffle())
        }),
    ) {
        let verdict = judge(&requirements, &attached);
        prop_assert_eq!(said(&verdict), said(&judge(&requirements, &shuffled)));
    }

    #[test]
    fn what_does_not_count_never_changes_the_decision(
        requirements in some_requirements(),
        attached in some_attached(),
        (at, added) in (any::<prop::sample::Index>(), prop::sample::select(&ALL[..])),
    ) {
        prop_assume!(!requirements.iter().any(|r| added.meets(r)));
        let before = judge(&requirements, &attached);
        let mut more = attached.clone();
        more.insert(at.index(attached.len() + 1), added);
        let after = judge(&requirements, &more);
        prop_assert_eq!(before.admits(), after.admits());
        prop_assert_eq!(before.evidence(), after.evidence());
    }
}

/// A registry's annotations may lie about what the same bundle claims to be.
#[test]
fn a_bundle_that_is_listed_twice_under_other_claims_is_told_in_one_order() {
    let claiming = |claims: &str| Candidate {
        claims: Some(claims.to_owned()),
        ..Strangers.candidate()
    };
    let policy = Policy::new([Requirement::Signature]).unwrap();
    let one = policy.judge(&artifact(), &[claiming(SIGNATURE), claiming(TESTS)]);
    let other = policy.judge(&artifact(), &[claiming(TESTS), claiming(SIGNATURE)]);
    assert_eq!(said(&one), said(&other));
    assert_eq!(one.first_unmet().unwrap().1, Reason::UntrustedSigner);
}
