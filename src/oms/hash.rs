//! The hashes that a model signature may be made with (OMS, algorithm registry).

use blake2::Blake2b512;
use sha2::{Digest as _, Sha256};

/// A hash of file content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashType {
    /// SHA-256: what is written, and what every verifier must know.
    Sha256,
    /// BLAKE2b with 512 bits.
    Blake2b,
    /// BLAKE3 with 256 bits.
    Blake3,
}

impl HashType {
    /// Returns the hash called `name`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Blake2b, Self::Blake3]
            .into_iter()
            .find(|hash| hash.name() == name)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Returns the number of bytes of a digest.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }

    /// Returns the digest of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = StreamHasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A hash of bytes that come piece by piece.
#[derive(Debug)]
pub struct StreamHasher(Inner);

#[derive(Debug)]
enum Inner {
    Sha256(Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl StreamHasher {
    /// Returns the hash of nothing yet.
    pub fn new(hash: HashType) -> Self {
        Self(match hash {
            HashType::Sha256 => Inner::Sha256(Sha256::new()),
            HashType::Blake2b => Inner::Blake2b(Box::default()),
            HashType::Blake3 => Inner::Blake3(Box::default()),
        })
    }

    /// Adds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(hasher) => hasher.update(piece),
            Inner::Blake2b(hasher) => hasher.update(piece),
            Inner::Blake3(hasher) => {
                hasher.update(piece);
            }
        }
    }

    /// Returns the digest.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            Inner::Sha256(hasher) => hasher.finalize().to_vec(),
            Inner::Blake2b(hasher) => hasher.finalize().to_vec(),
            Inner::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}
