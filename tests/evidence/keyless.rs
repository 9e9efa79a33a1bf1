//! Keyless signatures that cosign, sigstore-python and model_signing made with private Sigstore
//! instances, and everything that can be wrong with them.

mod damage;

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::policy::{Candidate, Demand, Policy, Requirement};
use modelctl::referrer::RawBundle;
use modelctl::trust::sigstore::{Claim, Identity, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, Blob, LogProof, Recognised, SignerIdentity, TrustRoot, Witness};
use serde_json::{Value, json};

use crate::bundles::{fixture, generate, public_key};

const IDENTITY: &str = "https://example.com/ci/model-release@refs/heads/main";
const ISSUER: &str = "http://127.0.0.1:3009";
const COSIGN_ISSUER: &str = "http://127.0.0.1:3710";

/// What cosign signed.
const COSIGN_SUBJECT: &str =
    "sha256:164a35034b0ac54697cb652308f7d3a27ea2d432a27956790fd2ff629f6ed0c8";

const REKOR1: &str = "keyless/blob.rekor1.sigstore.json";
const REKOR2: &str = "keyless/blob.rekor2.sigstore.json";
const ROOT: &str = "keyless/trusted_root.json";
const COSIGN_ROOT: &str = "keyless/cosign.trusted_root.json";

const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
const ENTRIES: &str = "/verificationMaterial/tlogEntries";
const PROMISE: &str = "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
const TIMESTAMPS: &str = "/verificationMaterial/timestampVerificationData";
const TOKEN: &str =
    "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";

/// Trusts the first private instance's identity.
static PRIVATE: LazyLock<TrustRoot> =
    LazyLock::new(|| trusting(&json(ROOT), named(IDENTITY, ISSUER)));

fn json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn root(json: &Value) -> Arc<SigstoreRoot> {
    let bytes = serde_json::to_vec(json).unwrap();
    Arc::new(SigstoreRoot::from_json(&bytes, "it").unwrap())
}

fn named(identity: &str, issuer: &str) -> Identity {
    Identity::new(
        Match::exact(identity).unwrap(),
        Match::exact(issuer).unwrap(),
    )
}

fn trusting(root: &Value, identity: Identity) -> TrustRoot {
    let keyless = Keyless {
        root: self::root(root),
        identity,
    };
    TrustRoot::new([Authority::keyless("ci", keyless)]).unwrap()
}

fn parsed(bundle: &Value) -> Result<Bundle> {
    Bundle::parse(&serde_json::to_vec(bundle).unwrap())
}

fn verify(trust: &TrustRoot, bundle: &Value) -> Result<Recognised> {
    let text = fixture("keyless/art.txt");
    trust.authenticate_blob(&parsed(bundle)?, Blob::Bytes(&text))
}

/// Returns base64 `text` with one bit of what it encodes flipped.
fn flipped(text: &Value) -> Value {
    let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    json!(STANDARD.encode(bytes))
}

/// Returns `document` with what stands at `pointer` put through `change`.
fn altered(document: &Value, pointer: &str, change: impl Fn(&Value) -> Value) -> Value {
    let mut document = document.clone();
    let place = document.pointer_mut(pointer).expect(pointer);
    let new = change(place);
    assert_ne!(*place, new, "nothing was changed at {pointer}");
    *place = new;
    document
}

fn without(document: &Value, pointer: &str, field: &str) -> Value {
    altered(document, pointer, |value| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove(field);
        value
    })
}

#[test]
fn signatures_by_several_tools_are_recognised_with_who_saw_them() {
    let trust = trusting(&json(ROOT), named(IDENTITY, ISSUER));
    for (name, is_v2) in [(REKOR1, false), (REKOR2, true)] {
        let found = verify(&trust, &json(name)).expect(name);
        let SignerIdentity::Keyless {
            name: authority,
            identity,
            issuer,
            claims,
        } = found.signer()
        else {
            panic!("{name} is not keyless");
        };
        assert_eq!((authority.as_str(), identity.as_str()), ("ci", IDENTITY));
        assert!(issuer == ISSUER && claims.is_empty());
        let (log, rest) = found.witnesses().split_first().unwrap();
        let Witness::Log {
            proof, time, index, ..
        } = log
        else {
            panic!("{log}");
        };
        assert_eq!(*proof, LogProof::Inclusion);
        assert_eq!((time.is_none(), *index == 6), (is_v2, is_v2), "{log}");
        match rest {
            [Witness::Timestamp { authority, .. }] if is_v2 => {
                assert_eq!(authority, "http://127.0.0.1:3006/api/v1/timestamp");
            }
            [] if !is_v2 => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    for name in ["keyless/model.rekor1.sig", "keyless/model.rekor2.sig"] {
        let bundle = Bundle::parse(&fixture(name)).unwrap();
        let found = trust.authenticate(&bundle).expect(name);
        let statement = found.statement();
        assert_eq!(
            statement.predicate_type,
            "https://model_signing/signature/v1.0"
        );
    }
}

#[test]
fn cosigns_bundles_verify_about_what_they_are_attached_to_and_nothing_else() {
    let subject: Digest = COSIGN_SUBJECT.parse().unwrap();
    let trust = trusting(&json(COSIGN_ROOT), named(IDENTITY, COSIGN_ISSUER));
    for name in [
        "keyless/cosign.sign.bundle.json",
        "keyless/cosign.attest.bundle.json",
    ] {
        let bundle = RawBundle::new(fixture(name).into()).bundle().unwrap();
        let found = trust.authenticate(&bundle).expect(name);
        assert!(found.statement().is_about(&subject));
        trust
            .authenticate_blob(&bundle, Blob::Digest(subject))
            .unwrap();
        let other = Blob::Bytes(b"other");
        let error = trust.authenticate_blob(&bundle, other).unwrap_err();
        assert_eq!(error.reason(), Reason::SubjectMismatch);
    }
}

#[test]
fn only_the_named_identity_by_the_named_issuer_is_recognised() {
    let pattern = |text: &str| Match::pattern(text).unwrap();
    let exact = |text: &str| Match::exact(text).unwrap();
    let claiming = |claim, value: &str| Identity {
        claims: vec![(claim, value.to_owned())],
        ..named(IDENTITY, ISSUER)
    };
    for (identity, refused) in [
        (named(IDENTITY, ISSUER), None),
        (
            named("https://example.com/ci/model-release", ISSUER),
            Some(Reason::IdentityMismatch),
        ),
        (
            named(
                "https://example.com/ci/model-release@refs/heads/Main",
                ISSUER,
            ),
            Some(Reason::IdentityMismatch),
        ),
        (
            named(IDENTITY, "http://127.0.0.1:3009/"),
            Some(Reason::IssuerMismatch),
        ),
        (named(ISSUER, IDENTITY), Some(Reason::IdentityMismatch)),
        (
            Identity::new(pattern(r"https://example\.com/ci/.*"), exact(ISSUER)),
            None,
        ),
        (
            Identity::new(pattern(r"https://example\.com/ci/"), exact(ISSUER)),
            Some(Reason::IdentityMismatch),
        ),
        (
            Identity::new(exact(IDENTITY), pattern(r"http://127\.0\.0\.1:\d+")),
            None,
        ),
        (
            Identity::new(exact(IDENTITY), pattern(r"127\.0\.0\.1:\d+")),
            Some(Reason::IssuerMismatch),
        ),
        (
            claiming(Claim::GithubWorkflowRepository, "acme/bert"),
            Some(Reason::ClaimMismatch),
        ),
    ] {
        let shown = identity.to_string();
        let trust = trusting(&json(ROOT), identity);
        for name in [REKOR1, REKOR2] {
            let reason = verify(&trust, &json(name)).err().map(|e| e.reason());
            assert_eq!(reason, refused, "{shown}");
        }
    }
}

#[test]
fn claims_of_a_build_are_told_and_can_be_required() {
    let case = "sigstore-conformance/happy-path-v0.3";
    let bundle = Bundle::parse(&fixture(&format!("{case}/bundle.sigstore.json"))).unwrap();
    let text = fixture("sigstore-conformance/a.txt");
    let verify = |claims: &[(Claim, &str)]| {
        let identity = Match::pattern("https://github\\.com/sigstore-conformance/.*").unwrap();
        let issuer = Match::exact("https://token.actions.githubusercontent.com").unwrap();
        let keyless = Keyless {
            root: Arc::new(
                SigstoreRoot::embedded(modelctl::trust::sigstore::Instance::PublicGood).unwrap(),
            ),
            identity: Identity {
                claims: claims.iter().map(|(c, v)| (*c, (*v).to_owned())).collect(),
                ..Identity::new(identity, issuer)
            },
        };
        let trust = TrustRoot::new([Authority::keyless("ci", keyless)]).unwrap();
        trust.authenticate_blob(&bundle, Blob::Bytes(&text))
    };
    let repository = "sigstore-conformance/extremely-dangerous-public-oidc-beacon";
    let uri = format!("https://github.com/{repository}");
    let found = verify(&[
        (Claim::GithubWorkflowRepository, repository),
        (Claim::SourceRepositoryUri, &uri),
        (Claim::GithubWorkflowRef, "refs/heads/main"),
        (Claim::RunnerEnvironment, "github-hosted"),
    ])
    .unwrap();
    let told = serde_json::to_value(found.signer()).unwrap();
    assert_eq!(told["kind"], "keyless");
    assert_eq!(told["claims"]["sourceRepositoryUri"], json!(uri));
    for wrong in [
        (Claim::GithubWorkflowRepository, "sigstore-conformance"),
        (Claim::GithubWorkflowRef, "refs/heads/other"),
        (Claim::DeploymentEnvironment, "production"),
    ] {
        let error = verify(&[(Claim::RunnerEnvironment, "github-hosted"), wrong]).unwrap_err();
        assert_eq!(error.reason(), Reason::ClaimMismatch, "{wrong:?}");
    }
}

#[test]
fn an_older_version_needs_no_proof_and_is_told_apart_and_not_taken_as_attached() {
    let trust = trusting(&json(COSIGN_ROOT), named(IDENTITY, COSIGN_ISSUER));
    let good = json("keyless/cosign.sign.bundle.json");
    let label = |_: &Value| json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
    let relabelled = altered(&good, "/mediaType", label);
    let relabelled = without(&relabelled, ENTRY, "inclusionProof");
    let bytes = serde_json::to_vec(&relabelled).unwrap();
    let found = trust.authenticate(&Bundle::parse(&bytes).unwrap()).unwrap();
    let [Witness::Log { proof, .. }] = found.witnesses() else {
        panic!("{:?}", found.witnesses());
    };
    assert_eq!(*proof, LogProof::Promise);
    let error = RawBundle::new(bytes.into()).bundle().unwrap_err();
    assert_eq!(error.reason(), Reason::BundleUnsupported);

    let judge = |bundle: &Value, demand| {
        let candidate = Candidate {
            bundle: Digest::of(b"it"),
            claims: None,
            outcome: trust.authenticate(&parsed(bundle).unwrap()),
            coverage: None,
        };
        let policy = Policy::new([Requirement::Signature])
            .unwrap()
            .demanding([demand]);
        let verdict = policy.judge(&COSIGN_SUBJECT.parse().unwrap(), &[candidate]);
        verdict.first_unmet().map(|(_, reason)| reason)
    };
    assert_eq!(judge(&relabelled, Demand::Logged), None);
    assert_eq!(
        judge(&relabelled, Demand::Included),
        Some(Reason::LogEntryMissing)
    );
    assert_eq!(judge(&good, Demand::Included), None);
    assert_eq!(
        judge(&good, Demand::Timestamped),
        Some(Reason::TimestampMissing)
    );
}

#[test]
fn a_keys_signature_may_be_logged_and_is_then_held_to_it() {
    let key = || Authority::key("k", public_key("cosign/cosign.pub"));
    let alone = TrustRoot::new([key()]).unwrap();
    let witnessed = TrustRoot::new([key()])
        .unwrap()
        .with_witnesses(root(&json(COSIGN_ROOT)));
    let good = json("keyless/cosign.key-sign.bundle.json");
    let bad = altered(&good, PROMISE, flipped);
    let authenticate = |trust: &TrustRoot, bundle: &Value| trust.authenticate(&parsed(bundle)?);
    let found = authenticate(&witnessed, &good).unwrap();
    assert!(matches!(found.witnesses(), [Witness::Log { .. }]));
    let error = authenticate(&witnessed, &bad).unwrap_err();
    assert_eq!(error.reason(), Reason::LogEntryInvalid);
    // Without an instance nothing is checked, and nothing is claimed.
    for bundle in [&good, &bad] {
        assert!(authenticate(&alone, bundle).unwrap().witnesses().is_empty());
    }
    // A signature without evidence stays what it is: a key's.
    let bare = without(&good, "/verificationMaterial", "tlogEntries");
    assert!(
        authenticate(&witnessed, &bare)
            .unwrap()
            .witnesses()
            .is_empty()
    );
    // The entry is another signature's.
    let other = json("keyless/cosign.sign.bundle.json");
    let swapped = altered(&good, ENTRIES, |_| other.pointer(ENTRIES).unwrap().clone());
    let error = authenticate(&witnessed, &swapped).unwrap_err();
    assert_eq!(error.reason(), Reason::LogEntryInvalid);
}

#[test]
fn whose_it_nearly_is_is_told_whatever_the_order() {
    let key = || Authority::key("k", public_key("cosign/cosign.pub"));
    let other = || {
        let keyless = Keyless {
            root: root(&json(ROOT)),
            identity: named("nobody@example.com", ISSUER),
        };
        Authority::keyless("other", keyless)
    };
    let bundle = parsed(&json("keyless/model.rekor1.sig")).unwrap();
    for authorities in [vec![key(), other()], vec![other(), key()]] {
        let error = TrustRoot::new(authorities).unwrap().authenticate(&bundle);
        assert_eq!(error.unwrap_err().reason(), Reason::IdentityMismatch);
    }
}
