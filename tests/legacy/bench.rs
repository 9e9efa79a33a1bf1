//! What the tests share: layers, of fixtures and made here.

use bytes::Bytes;
use modelctl::bundle::{Bundle, Material};
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::key::{Algorithm, PublicKey};
use modelctl::legacy::{Kind, Layer, SimpleSigning};
use modelctl::manifest::{Annotations, Descriptor, Document, media_type};
use modelctl::policy::{Candidate, Policy, Requirement, Verdict};
use modelctl::reference::{Location, Reference};
use modelctl::sign::key::PrivateKey;
use modelctl::trust::{Authenticated, Authority, TrustRoot};

/// What the fixtures are about.
pub(crate) const SUBJECT: &str =
    "sha256:067c5593f16eb7678b88172f9775da13142e7bfb14cdaf877a5ff4bff53c8da5";

pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

/// Returns the one layer of the fixture `name`, and its bytes.
pub(crate) fn stored(name: &str, content: &str) -> (Descriptor, Bytes) {
    let manifest = fixture(&format!("cosign/legacy/{name}.manifest.json"));
    let document = Document::parse(&manifest, media_type::MANIFEST, "it").unwrap();
    let layer = document.into_manifest("it").unwrap().layers.remove(0);
    let content = fixture(&format!("cosign/legacy/{name}.{content}.json"));
    assert_eq!(layer.digest, Digest::of(&content));
    (layer, content.into())
}

pub(crate) fn signature() -> Layer {
    let (descriptor, content) = stored("sig", "payload");
    Layer::new(&descriptor, content).unwrap()
}

pub(crate) fn attestation() -> Layer {
    let (descriptor, content) = stored("att", "envelope");
    Layer::new(&descriptor, content).unwrap()
}

/// Returns the trust in the key of the fixtures.
pub(crate) fn cosign() -> TrustRoot {
    let key = PublicKey::from_pem(&fixture("cosign/cosign.pub"), "cosign.pub").unwrap();
    TrustRoot::new([Authority::key("cosign", key)]).unwrap()
}

pub(crate) fn generate() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).unwrap()
}

pub(crate) fn trusting(key: &PrivateKey) -> TrustRoot {
    TrustRoot::new([Authority::key("key", key.public_key().clone())]).unwrap()
}

pub(crate) fn location(text: &str) -> Location {
    text.parse::<Reference>().unwrap().location().clone()
}

/// Returns cosign's payload about the artifact with this digest.
pub(crate) fn payload(digest: &Digest) -> Vec<u8> {
    let at = location("registry.example/acme/bert");
    let payload = SimpleSigning::new(digest, &at, serde_json::Map::new());
    payload.to_bytes().unwrap()
}

/// Returns the layer with the signature of `key` on `payload`.
pub(crate) fn signed(key: &PrivateKey, payload: &[u8]) -> Layer {
    let signature = key.sign(payload).unwrap();
    let bundle = Bundle::of_message(&Digest::of(payload), &signature, Material::default());
    Layer::of_signature(payload, &bundle).unwrap()
}

/// Returns a layer with other content, or other annotations.
pub(crate) fn layer(kind: Kind, content: &[u8], annotations: &Annotations) -> Layer {
    let mut descriptor = Descriptor::of(kind.media_type(), content);
    descriptor.annotations = annotations.clone();
    Layer::new(&descriptor, Bytes::copy_from_slice(content)).unwrap()
}

pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T>) -> Reason {
    result.unwrap_err().reason()
}

/// Judges whether the artifact with this digest is signed.
pub(crate) fn judge(digest: &Digest, outcome: Result<Authenticated>) -> Verdict {
    let policy = Policy::new([Requirement::Signature]).unwrap();
    let candidate = Candidate {
        bundle: Digest::of(b"it"),
        claims: None,
        outcome,
        coverage: None,
    };
    policy.judge(digest, &[candidate])
}
