//! A signer with a key of its own.

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use modelctl::bundle::Material;
use modelctl::error::Result;
use modelctl::key::PublicKey;
use modelctl::sign::Signer;
use modelctl::trust::{Authority, TrustRoot};

/// What stands before the raw key in an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A key in memory.
pub struct TestSigner(Ed25519KeyPair);

impl TestSigner {
    /// Returns a signer with a new key.
    pub fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    /// Returns a root that trusts this signer and nobody else.
    pub fn trust(&self) -> TrustRoot {
        TrustRoot::new([self.authority()]).unwrap()
    }
}

#[async_trait]
impl Signer for TestSigner {
    fn authority(&self) -> Authority {
        let spki = [&SPKI_PREFIX, self.0.public_key().as_ref()].concat();
        Authority::key("test.pub", PublicKey::from_spki(&spki).unwrap())
    }

    async fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, Material)> {
        Ok((self.0.sign(message).as_ref().to_vec(), Material::default()))
    }
}
