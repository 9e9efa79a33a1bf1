//! The test Sigstore itself, checked with a verifier that is not ours: what other tests stand on
//! must hold.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use modelctl::digest::Digest;
use modelctl::key::PublicKey;
use serde_json::Value;
use sigstore_trust_root::TrustedRoot;
use sigstore_types::DerPublicKey;
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};
use support::sigstore::{By, Claims, Flaw, Recipe, Sigstore, Subject, Version, new_key};

const ARTIFACT: &[u8] = b"an artifact";

/// Keys take a moment to make, so that all tests share them.
static SIGSTORE: LazyLock<Sigstore> = LazyLock::new(Sigstore::new);

fn signature() -> Recipe<'static> {
    Recipe::signature(&Digest::of(ARTIFACT))
}

fn verifier() -> Verifier {
    let root = SIGSTORE.trusted_root().to_string();
    Verifier::new(&TrustedRoot::from_json(&root).unwrap()).unwrap()
}

/// Verifies a bundle as one by `identity` of `issuer`.
fn verify_as(bundle: &Value, identity: &str, issuer: &str) -> Result<(), String> {
    let bundle = sigstore_types::Bundle::from_json(&bundle.to_string())
        .map_err(|error| error.to_string())?;
    let policy = VerificationPolicy::new(identity, issuer);
    verifier()
        .verify(ARTIFACT, &bundle, &policy)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn verify(bundle: &Value) -> Result<(), String> {
    verify_as(bundle, "ci@example.com", "https://issuer.example")
}

fn verify_key(bundle: &Value, key: &PublicKey) -> Result<(), String> {
    let bundle = sigstore_types::Bundle::from_json(&bundle.to_string())
        .map_err(|error| error.to_string())?;
    let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.spki().to_vec()));
    verifier()
        .verify(ARTIFACT, &bundle, &policy)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Every shape of a good keyless bundle.
fn shapes() -> Vec<(&'static str, Recipe<'static>)> {
    let both = Recipe {
        logs: vec![Version::V1, Version::V2],
        stamps: 2,
        ..signature()
    };
    let stamped = Recipe {
        stamps: 1,
        ..signature()
    };
    vec![
        ("a statement in Rekor v1", signature()),
        ("a statement in Rekor v2", signature().in_v2()),
        ("a statement in Rekor v1 with a timestamp", stamped),
        ("a statement in both, timestamped twice", both),
        ("a blob in Rekor v1", Recipe::blob(ARTIFACT)),
        ("a blob in Rekor v2", Recipe::blob(ARTIFACT).in_v2()),
    ]
}

#[test]
fn good_bundles_of_every_shape_verify() {
    for (shape, recipe) in shapes() {
        verify(&SIGSTORE.forge(&recipe)).unwrap_or_else(|error| panic!("{shape}: {error}"));
    }
}

#[test]
fn every_flaw_in_every_shape_is_found() {
    let mut tried = 0;
    for (shape, recipe) in shapes() {
        for flaw in Flaw::ALL.into_iter().filter(|flaw| recipe.can_have(*flaw)) {
            let bundle = SIGSTORE.forge(&recipe.with(flaw));
            assert!(verify(&bundle).is_err(), "{shape} passed with {flaw:?}");
            tried += 1;
        }
    }
    assert!(tried > 150, "only {tried} were tried");
}

#[test]
fn every_flaw_is_listed_once() {
    for (number, flaw) in Flaw::ALL.into_iter().enumerate() {
        assert_eq!(flaw as usize, number);
    }
}

#[test]
fn a_bundle_is_its_signers_only() {
    let uri = "https://ci.example/train@main";
    let recipe = Recipe {
        subject: Subject::Uri(uri.to_owned()),
        ..signature()
    };
    let bundle = SIGSTORE.forge(&recipe);
    verify_as(&bundle, uri, "https://issuer.example").unwrap();
    verify_as(
        &bundle,
        "https://ci.example/other",
        "https://issuer.example",
    )
    .unwrap_err();
    verify_as(&bundle, uri, "https://other.example").unwrap_err();
}

#[test]
fn a_signature_from_the_future_does_not_verify() {
    let recipe = Recipe {
        signed_at: Timestamp::now() + SignedDuration::from_hours(1),
        ..signature()
    };
    verify(&SIGSTORE.forge(&recipe)).unwrap_err();
}

#[test]
fn bundles_by_a_key_verify_with_that_key_only() {
    let (key, other) = (new_key(), new_key());
    for recipe in [signature(), signature().in_v2(), Recipe::blob(ARTIFACT)] {
        let recipe = Recipe {
            by: By::Key(&key),
            ..recipe
        };
        let bundle = SIGSTORE.forge(&recipe);
        verify_key(&bundle, key.public_key()).unwrap();
        verify_key(&bundle, other.public_key()).unwrap_err();
        for flaw in Flaw::ALL.into_iter().filter(|flaw| recipe.can_have(*flaw)) {
            // Nothing limits when a key may sign.
            if flaw == Flaw::StampTooEarly {
                continue;
            }
            let bundle = SIGSTORE.forge(&recipe.with(flaw));
            let verified = verify_key(&bundle, key.public_key());
            assert!(verified.is_err(), "passed with {flaw:?}");
        }
    }
}

#[test]
fn tokens_are_checked() {
    let provider = &SIGSTORE.provider;
    let good = Claims::email("ci@example.com");
    let token = provider.mint(&good);
    assert_eq!(provider.check(&token).unwrap()["email"], "ci@example.com");
    let expired = Claims {
        expires_in: -1,
        ..good.clone()
    };
    let elsewhere = Claims {
        audience: "elsewhere".into(),
        ..good
    };
    for claims in [expired, elsewhere] {
        assert_eq!(provider.check(&provider.mint(&claims)), None);
    }
    let stranger = Sigstore::new();
    assert_eq!(stranger.provider.check(&token), None);
}
