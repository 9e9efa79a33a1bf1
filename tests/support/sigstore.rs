//! A small Sigstore of our own: a certificate authority with a certificate transparency log, both
//! kinds of Rekor, a timestamp authority and an identity provider, with keys made anew for each.
//!
//! It does two things. [`Sigstore::forge`] makes a bundle without any network, right or wrong in
//! one chosen place ([`Flaw`]); [`Server`] answers on a loopback port as the real services do, for
//! any client that signs. What both make, [`Sigstore::trusted_root`] verifies.
//!
//! ```ignore
//! let sigstore = Sigstore::new();
//! let bundle = sigstore.forge(&Recipe::statement(b"{…}"));
//! let wrong = sigstore.forge(&Recipe { flaw: Some(Flaw::SctByAnotherLog), ..recipe });
//! ```

pub mod asn1;
pub mod authority;
pub mod certificate;
pub mod flaw;
pub mod forge;
pub mod identity;
pub mod log;
pub mod root;
pub mod server;
pub mod timestamp;

use modelctl::key::Algorithm;
use modelctl::sign::key::PrivateKey;

pub use authority::{Authority, Subject};
pub use flaw::Flaw;
pub use forge::{By, Content, Recipe};
pub use identity::{Claims, Provider};
pub use log::{Log, Version};
pub use server::{Misdeed, Server};
pub use timestamp::Timestamper;

/// The keys and the state of one Sigstore.
pub struct Sigstore {
    /// What the services' addresses begin with.
    pub url: String,
    /// Issues certificates.
    pub authority: Authority,
    /// Rekor of version 1.
    pub log_v1: Log,
    /// Rekor of version 2.
    pub log_v2: Log,
    /// Signs timestamps.
    pub timestamper: Timestamper,
    /// Says who somebody is.
    pub provider: Provider,
}

impl Sigstore {
    /// Returns a Sigstore that no server stands for.
    pub fn new() -> Self {
        Self::at("http://localhost:1")
    }

    /// Returns a Sigstore whose services are to be found at `url`, whose host must be `localhost`:
    /// the second Rekor signs with that name.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            authority: Authority::new(),
            log_v1: Log::new(Version::V1),
            log_v2: Log::new(Version::V2),
            timestamper: Timestamper::new(),
            provider: Provider::new(url),
        }
    }

    /// Returns the log of this version.
    pub fn log(&self, version: Version) -> &Log {
        match version {
            Version::V1 => &self.log_v1,
            Version::V2 => &self.log_v2,
        }
    }
}

/// Returns a new ECDSA key on P-256, which is what most of Sigstore signs with.
pub fn new_key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).unwrap()
}

/// Returns the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    *modelctl::digest::Digest::of(bytes).as_bytes()
}

/// Returns `bytes` in base64, as JSON has them.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Returns what `text` is in base64, if it is.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Returns a PEM section.
pub fn pem(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}
