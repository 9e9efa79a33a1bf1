//! Keyless signatures and attestations, right and wrong, in a Sigstore of our own.

use std::sync::Arc;

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::legacy::{Kind, Layer};
use modelctl::policy::{Demand, Policy, Requirement};
use modelctl::statement::Statement;
use modelctl::trust::sigstore::{Identity, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authenticated, Authority, LogProof, TrustRoot, Witness};
use serde_json::json;

use crate::bench::{layer, payload, reason, signed, trusting};
use crate::support::sigstore::{By, Flaw, Recipe, Sigstore, new_key};

const ENTRY: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

fn trust(sigstore: &Sigstore, identity: &str) -> TrustRoot {
    let identity = Identity::new(
        Match::exact(identity).unwrap(),
        Match::exact("https://issuer.example").unwrap(),
    );
    let root = root(sigstore);
    TrustRoot::new([Authority::keyless("ci", Keyless { root, identity })]).unwrap()
}

fn root(sigstore: &Sigstore) -> Arc<SigstoreRoot> {
    let root = sigstore.trusted_root().to_string();
    Arc::new(SigstoreRoot::from_json(root.as_bytes(), "root").unwrap())
}

fn artifact() -> Digest {
    Digest::of(b"an artifact")
}

fn forge(sigstore: &Sigstore, recipe: &Recipe<'_>) -> Bundle {
    Bundle::parse(sigstore.forge(recipe).to_string().as_bytes()).unwrap()
}

/// Returns the layer of a signature, with `flaw` in it.
fn signature(sigstore: &Sigstore, flaw: Option<Flaw>) -> Result<Layer> {
    let payload = payload(&artifact());
    let recipe = Recipe {
        flaw,
        ..Recipe::blob(&payload)
    };
    Layer::of_signature(&payload, &forge(sigstore, &recipe))
}

/// Returns the layer of an attestation, with `flaw` in it.
fn attestation(sigstore: &Sigstore, flaw: Option<Flaw>) -> Result<Layer> {
    let statement = Statement::attestation(&artifact(), "it", "https://type.example", json!({}));
    let recipe = Recipe {
        flaw,
        ..Recipe::payload(statement.to_bytes().unwrap())
    };
    Layer::of_attestation(&forge(sigstore, &recipe))
}

/// Who makes a layer with a flaw.
type Make = fn(&Sigstore, Option<Flaw>) -> Result<Layer>;

const MAKERS: [Make; 2] = [signature, attestation];

#[test]
fn a_promised_signature_is_its_signers_and_says_that_it_was_only_promised() {
    let sigstore = Sigstore::new();
    for make in MAKERS {
        let layer = make(&sigstore, None).unwrap();
        let found = trust(&sigstore, "ci@example.com").authenticate_legacy(&layer);
        let found: Authenticated = found.unwrap();
        assert!(found.statement().is_about(&artifact()));
        let [Witness::Log { proof, time, .. }] = found.witnesses() else {
            panic!("{:?}", found.witnesses());
        };
        assert_eq!((*proof, time.is_some()), (LogProof::Promise, true));
        let eve = trust(&sigstore, "eve@example.com").authenticate_legacy(&layer);
        assert_eq!(reason(eve), Reason::IdentityMismatch);
        trust(&Sigstore::new(), "ci@example.com")
            .authenticate_legacy(&layer)
            .unwrap_err();
    }
}

#[test]
fn a_policy_that_demands_a_proof_of_the_log_is_not_met_by_a_promise() {
    let sigstore = Sigstore::new();
    let layer = signature(&sigstore, None).unwrap();
    let judge = |demand| {
        let candidate = modelctl::policy::Candidate {
            bundle: artifact(),
            claims: None,
            outcome: trust(&sigstore, "ci@example.com").authenticate_legacy(&layer),
            coverage: None,
        };
        let policy = Policy::new([Requirement::Signature]).unwrap();
        let verdict = policy.demanding([demand]).judge(&artifact(), &[candidate]);
        verdict.first_unmet().map(|(_, reason)| reason)
    };
    assert_eq!(judge(Demand::Logged), None);
    assert_eq!(judge(Demand::Included), Some(Reason::LogEntryMissing));
}

#[test]
fn whatever_is_wrong_with_the_evidence_is_noticed() {
    use Flaw::{
        CertificateByAnotherAuthority, CertificateExpired, CertificateForAnotherPurpose,
        CertificateNotYetValid, CertificateOfAnotherKey, ContentChanged, EntryBodyChanged,
        EntryIndexChanged, EntryOfAnotherContent, EntryOfAnotherSignature, EntryOfAnotherSigner,
        IssuerMissing, LogUnknown, PromiseChanged, PromiseTimeChanged, SctByAnotherLog, SctMissing,
        SctOfAnotherCertificate,
    };
    let sigstore = Sigstore::new();
    for flaw in [
        CertificateByAnotherAuthority,
        CertificateForAnotherPurpose,
        CertificateOfAnotherKey,
        CertificateExpired,
        CertificateNotYetValid,
        IssuerMissing,
        SctMissing,
        SctByAnotherLog,
        SctOfAnotherCertificate,
        EntryOfAnotherSignature,
        EntryOfAnotherContent,
        EntryOfAnotherSigner,
        EntryIndexChanged,
        EntryBodyChanged,
        PromiseChanged,
        PromiseTimeChanged,
        LogUnknown,
    ] {
        for make in MAKERS {
            let layer = make(&sigstore, Some(flaw)).unwrap();
            let found = trust(&sigstore, "ci@example.com").authenticate_legacy(&layer);
            assert!(found.is_err(), "{flaw:?}: {:?}", layer.kind());
        }
    }
    let changed = attestation(&sigstore, Some(ContentChanged)).unwrap();
    trust(&sigstore, "ci@example.com")
        .authenticate_legacy(&changed)
        .unwrap_err();
}

#[test]
fn evidence_of_another_signature_does_not_count() {
    let sigstore = Sigstore::new();
    let trust = trust(&sigstore, "ci@example.com");
    let (one, other) = (
        signature(&sigstore, None).unwrap(),
        signature(&sigstore, None).unwrap(),
    );
    for name in [ENTRY, CERTIFICATE] {
        let mut annotations = one.descriptor().annotations;
        let theirs = other.descriptor().annotations[name].clone();
        annotations.insert(name.to_owned(), theirs);
        let mixed = layer(Kind::Signature, one.content(), &annotations);
        trust.authenticate_legacy(&mixed).unwrap_err();
    }
    let mut annotations = one.descriptor().annotations;
    annotations.remove(ENTRY);
    let bare = layer(Kind::Signature, one.content(), &annotations);
    assert_eq!(
        reason(trust.authenticate_legacy(&bare)),
        Reason::LogEntryMissing
    );
    trust.authenticate_legacy(&one).unwrap();
}

#[test]
fn without_a_promise_a_certificate_has_no_legacy_form() {
    let sigstore = Sigstore::new();
    let payload = payload(&artifact());
    let bundle = forge(&sigstore, &Recipe::blob(&payload).in_v2());
    let refused = Layer::of_signature(&payload, &bundle);
    assert_eq!(reason(refused), Reason::BundleUnsupported);
}

#[test]
fn a_logged_signature_by_key_is_checked_where_its_log_is_known() {
    let sigstore = Sigstore::new();
    let key = new_key();
    let payload = payload(&artifact());
    let recipe = Recipe {
        by: By::Key(&key),
        ..Recipe::blob(&payload)
    };
    let with = |sigstore: &Sigstore| trusting(&key).with_witnesses(root(sigstore));
    let logged = Layer::of_signature(&payload, &forge(&sigstore, &recipe)).unwrap();
    let found = with(&sigstore).authenticate_legacy(&logged).unwrap();
    assert_eq!(found.witnesses().len(), 1);
    let stranger = with(&Sigstore::new()).authenticate_legacy(&logged);
    assert_eq!(reason(stranger), Reason::LogEntryInvalid);
    let flawed = forge(&sigstore, &recipe.with(Flaw::PromiseChanged));
    let flawed = Layer::of_signature(&payload, &flawed).unwrap();
    with(&sigstore).authenticate_legacy(&flawed).unwrap_err();
    // A key needs no log.
    with(&sigstore)
        .authenticate_legacy(&signed(&key, &payload))
        .unwrap();
}
