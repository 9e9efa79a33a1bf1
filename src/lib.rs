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
pub mod blob;
pub mod bundle;
pub mod content_store;
pub mod digest;
pub mod digest_cache;
pub mod directory;
pub mod error;
pub mod json;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod path;
pub mod policy;
mod private_directory;
pub mod progress;
pub mod reference;
pub mod referrer;
pub mod selection;
pub mod sign;
pub mod statement;
pub mod store;
pub mod trust;
pub mod verify;
pub mod walk;
