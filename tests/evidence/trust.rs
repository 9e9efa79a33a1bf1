//! Who said what: the one way to an authenticated statement, and every way that is closed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::key::Algorithm;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::sign::{Signer, sign_statement};
use modelctl::statement::Statement;
use modelctl::trust::{Authenticated, Authority, TrustRoot};
use serde_json::{Value, json};

use crate::bundles::{changed, fixture, generate, public_key, signed, trusting};

const PAYLOAD: &str = "/dsseEnvelope/payload";
const SIGNATURE: &str = "/dsseEnvelope/signatures/0/sig";
const HINT: &str = "/verificationMaterial/publicKey/hint";

fn cosigns() -> Vec<u8> {
    fixture("cosign/referrers-api/sign.bundle.json")
}

fn authenticate(trust: &TrustRoot, bytes: &[u8]) -> Result<Authenticated> {
    trust.authenticate(&Bundle::parse(bytes)?)
}

fn refusal(trust: &TrustRoot, bytes: &[u8]) -> Reason {
    authenticate(trust, bytes).unwrap_err().reason()
}

/// Returns base64 `text` with one bit of what it encodes flipped.
fn flipped(text: &str) -> Value {
    let mut bytes = STANDARD.decode(text).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    json!(STANDARD.encode(bytes))
}

/// Returns a base64 statement about another artifact.
fn about_another(text: &str) -> Value {
    let statement = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
    json!(STANDARD.encode(statement.replace("495b", "495c")))
}

#[test]
fn a_root_that_trusts_nobody_cannot_be_made() {
    let error = TrustRoot::new([]).unwrap_err();
    assert_eq!(error.reason(), Reason::NothingToVerifyAgainst);
    assert!(error.advice().is_some());
}

#[test]
fn a_signature_by_a_key_that_is_not_trusted_is_refused_and_says_whose_it_is() {
    let error = authenticate(&trusting("cosign/imported.pub"), &cosigns()).unwrap_err();
    assert_eq!(error.reason(), Reason::UntrustedSigner);
    let hint = public_key("cosign/cosign.pub").hint();
    assert!(error.message().contains(&hint), "{error}");
    authenticate(&trusting("cosign/cosign.pub"), &cosigns()).unwrap();
}

#[test]
fn one_of_several_trusted_keys_is_enough_and_is_named() {
    let authorities = ["cosign/imported.pub", "cosign/cosign.pub", "keys/rsa.pub"]
        .map(|name| Authority::key(name, public_key(name)));
    let trust = TrustRoot::new(authorities).unwrap();
    let found = authenticate(&trust, &cosigns()).unwrap();
    assert_eq!(found.signer().authority(), "cosign/cosign.pub");
    assert!(
        found
            .signer()
            .to_string()
            .starts_with("ECDSA P-256 key cosign/cosign.pub (sha256:")
    );
    let found = authenticate(&trust, &fixture("model-signing/key.sig")).unwrap();
    assert_eq!(found.signer().authority(), "cosign/imported.pub");
    assert_eq!(
        found.statement().predicate_type,
        "https://model_signing/signature/v1.0"
    );
}

#[test]
fn what_was_altered_after_a_trusted_key_signed_it_is_refused() {
    let trust = trusting("cosign/cosign.pub");
    for (pointer, change) in [
        (PAYLOAD, about_another as fn(&str) -> Value),
        (PAYLOAD, flipped),
        (SIGNATURE, flipped),
        (SIGNATURE, |_| json!("")),
    ] {
        let altered = changed(&cosigns(), pointer, change);
        assert_eq!(
            refusal(&trust, &altered),
            Reason::SignatureInvalid,
            "{pointer}"
        );
        // Who is not hinted at is not suspected.
        let unnamed = changed(&altered, HINT, |_| json!(""));
        assert_eq!(
            refusal(&trust, &unnamed),
            Reason::UntrustedSigner,
            "{pointer}"
        );
    }
}

#[test]
fn a_signature_is_bound_to_its_payload_and_to_the_payloads_type() {
    let trust = trusting("cosign/cosign.pub");
    let other = fixture("cosign/referrers-api/attest.bundle.json");
    let other: Value = serde_json::from_slice(&other).unwrap();
    let swapped = changed(&cosigns(), SIGNATURE, |_| {
        other.pointer(SIGNATURE).unwrap().clone()
    });
    assert_eq!(refusal(&trust, &swapped), Reason::SignatureInvalid);
    let relabelled = changed(&cosigns(), "/dsseEnvelope/payloadType", |_| {
        json!("application/json")
    });
    assert_eq!(refusal(&trust, &relabelled), Reason::PayloadTypeMismatch);

    let key = generate();
    let statement = Statement::signature(&Digest::of(b"x"), Default::default());
    let payload = statement.to_bytes().unwrap();
    let trust = TrustRoot::new([Authority::key("k", key.public_key().clone())]).unwrap();
    let good = signed(&key, &payload);
    trust.authenticate(&good).unwrap();
    // A signature on the payload as it is, without its type.
    let bare = key.sign(&payload).unwrap();
    let bare = Bundle::new(&payload, &bare, good.material().clone());
    let error = trust.authenticate(&bare).unwrap_err();
    assert_eq!(error.reason(), Reason::SignatureInvalid);
}

#[test]
fn a_hint_proves_nothing_and_hides_nothing() {
    let trust = trusting("cosign/cosign.pub");
    for hint in [json!(""), json!("cosign/imported.pub"), json!("\u{1b}[2J")] {
        let hinted = changed(&cosigns(), HINT, |_| hint.clone());
        authenticate(&trust, &hinted).unwrap();
    }
    let without = changed(&cosigns(), "/verificationMaterial/publicKey", |_| json!({}));
    authenticate(&trust, &without).unwrap();
    let without = changed(&cosigns(), "/verificationMaterial", |_| json!({}));
    authenticate(&trust, &without).unwrap();

    // A stranger who claims to be the trusted key.
    let statement = Statement::signature(&Digest::of(b"x"), Default::default());
    let strangers = signed(&generate(), &statement.to_bytes().unwrap());
    let claimed = changed(&strangers.to_bytes().unwrap(), HINT, |_| {
        json!(public_key("cosign/cosign.pub").hint())
    });
    assert_eq!(refusal(&trust, &claimed), Reason::SignatureInvalid);
    let claimed = changed(&claimed, HINT, |_| {
        json!(format!("\u{1b}[2J{}", "x".repeat(999)))
    });
    let error = authenticate(&trust, &claimed).unwrap_err();
    assert_eq!(error.reason(), Reason::UntrustedSigner);
    assert!(
        !error.message().contains('\u{1b}') && error.message().len() < 200,
        "{error}"
    );
}

#[test]
fn certificates_are_not_passed_over() {
    let trust = trusting("cosign/cosign.pub");
    for name in [
        "cosign/keyless/sign.bundle.json",
        "cosign/keyless/attest.bundle.json",
        "model-signing/certificate.sig",
    ] {
        assert_eq!(
            refusal(&trust, &fixture(name)),
            Reason::UntrustedSigner,
            "{name}"
        );
    }
    // Not even beside a key that is trusted.
    let both = changed(
        &cosigns(),
        "/verificationMaterial",
        |_| json!({"publicKey": {"hint": ""}, "certificate": {"rawBytes": ""}}),
    );
    assert_eq!(refusal(&trust, &both), Reason::BundleInvalid);
}

#[test]
fn what_a_trusted_key_signed_must_still_be_one_clear_statement() {
    let key = generate();
    let trust = TrustRoot::new([Authority::key("k", key.public_key().clone())]).unwrap();
    let good = Statement::signature(&Digest::of(b"x"), Default::default());
    let good = String::from_utf8(good.to_bytes().unwrap()).unwrap();
    trust.authenticate(&signed(&key, good.as_bytes())).unwrap();
    let twice = good.replace("\"predicate\":{}", "\"predicate\":{},\"predicate\":{}");
    let version = good.replace("Statement/v1", "Statement/v2");
    assert!(twice != good && version != good);
    for bad in [
        "",
        "rubbish",
        "{}",
        &twice,
        &version,
        &format!("{good}{good}"),
    ] {
        let error = trust
            .authenticate(&signed(&key, bad.as_bytes()))
            .expect_err(bad);
        assert_eq!(error.reason(), Reason::StatementInvalid, "{bad}");
    }
}

#[tokio::test]
async fn a_signer_of_every_kind_is_found_to_have_signed() {
    let statement = Statement::signature(&Digest::of(b"x"), Default::default());
    for (name, algorithm) in [
        ("p256", Algorithm::EcdsaP256),
        ("p384", Algorithm::EcdsaP384),
        ("p521", Algorithm::EcdsaP521),
        ("ed25519", Algorithm::Ed25519),
        ("rsa", Algorithm::Rsa),
    ] {
        let file = fixture(&format!("keys/{name}.key"));
        let key = PrivateKey::from_pem(&file, || panic!("it has no password"), name).unwrap();
        assert_eq!(key.public_key().algorithm(), algorithm);
        let signer = KeySigner::new(name, key);
        let bundle = sign_statement(&statement, &signer).await.expect(name);
        let found = TrustRoot::new([signer.authority()])
            .and_then(|trust| trust.authenticate(&bundle))
            .expect(name);
        assert_eq!(found.statement(), &statement);
        assert_eq!(found.signer().authority(), name);
        let error = trusting("cosign/cosign.pub")
            .authenticate(&bundle)
            .unwrap_err();
        assert_eq!(error.reason(), Reason::UntrustedSigner);
    }
}
