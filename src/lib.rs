//! Carries machine-learning models through OCI registries with proof of who made them and how.
//!
//! A model directory becomes an artifact of one raw layer per file; signatures and attestations are
//! attached to it as referrers; and a model comes back only when all of it is right. The library
//! never prints, prompts, reads the environment or knows a home directory: everything is passed in,
//! and everything that happens is returned as data ([`error::Error`], [`policy::Verdict`]) or told
//! to a [`progress::Progress`].
//!
//! `ARCHITECTURE.md` says which file does what, and in which direction they may import each other.

pub mod attest;
pub mod audit;
mod backoff;
pub mod blob;
pub mod buffer;
pub mod bundle;
pub mod certificate;
pub mod chain;
pub mod content;
pub mod content_store;
pub mod copy;
pub mod digest;
pub mod digest_cache;
pub mod directory;
pub mod download;
pub mod error;
pub mod evidence_cache;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hashing;
pub mod identity;
pub mod installed;
pub mod json;
pub mod key;
pub mod legacy;
pub mod limits;
pub mod lockfile;
pub mod manifest;
pub mod model;
pub mod model_signature;
pub mod oms;
pub mod pack;
pub mod path;
pub mod policy;
pub mod position;
pub mod predicate;
mod private_directory;
pub mod progress;
pub mod provenance;
pub mod push;
mod random;
pub mod receipt;
pub mod reference;
pub mod referrer;
pub mod registry;
pub mod revocation;
pub mod secret;
pub mod selection;
pub mod sha256;
pub mod sign;
pub mod sink;
pub mod slsa;
pub mod statement;
pub mod store;
pub mod summary;
pub mod trust;
pub mod unpack;
pub mod verify;
pub mod walk;
mod writer;
