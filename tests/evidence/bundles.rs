//! Bundles to be judged: read from fixtures, or signed here.

use modelctl::bundle::{Bundle, IN_TOTO, Material, PublicKeyHint, pre_authentication_encoding};
use modelctl::digest::Digest;
use modelctl::key::{Algorithm, PublicKey};
use modelctl::sign::key::PrivateKey;
use modelctl::statement::Statement;
use modelctl::trust::{Authority, TrustRoot};
use serde_json::{Value, json};

/// The directories of fixtures with what cosign signed and attested with one key.
pub(crate) const COSIGN: [&str; 3] = [
    "cosign/referrers-api",
    "cosign/referrers-api-no-annotations",
    "cosign/fallback-tag",
];

/// What the fixtures of [`COSIGN`] are attached to.
pub(crate) const COSIGN_SUBJECT: &str =
    "sha256:495b64672eb8d6f8058ecb957d2a7d235059efabc4105f46856bceefc97aa360";

pub(crate) const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

pub(crate) fn public_key(name: &str) -> PublicKey {
    PublicKey::from_pem(&fixture(name), name).expect(name)
}

/// Returns a root that trusts the key in the fixture `name` under that name.
pub(crate) fn trusting(name: &str) -> TrustRoot {
    TrustRoot::new([Authority::key(name, public_key(name))]).unwrap()
}

pub(crate) fn generate() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).unwrap()
}

pub(crate) fn attestation(digest: &Digest, predicate_type: &str) -> Statement {
    Statement::attestation(digest, "example.com/m", predicate_type, json!({"a": 1}))
}

/// Returns a bundle of `payload`, signed by `key`, that hints at it.
pub(crate) fn signed(key: &PrivateKey, payload: &[u8]) -> Bundle {
    let signature = key.sign(&pre_authentication_encoding(IN_TOTO, payload));
    let hint = PublicKeyHint {
        hint: key.public_key().hint(),
    };
    let material = Material {
        public_key: Some(hint),
        ..Material::default()
    };
    Bundle::new(payload, &signature.unwrap(), material)
}

/// Returns the bundle `bytes` with the string at `pointer` put through `change`.
pub(crate) fn changed(bytes: &[u8], pointer: &str, change: impl Fn(&str) -> Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(bytes).unwrap();
    let place = json.pointer_mut(pointer).expect(pointer);
    let new = change(place.as_str().unwrap_or_default());
    assert_ne!(*place, new, "nothing was changed at {pointer}");
    *place = new;
    serde_json::to_vec(&json).unwrap()
}
