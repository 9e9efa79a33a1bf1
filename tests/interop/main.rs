//! Interop: the built `modelctl` against the real tools and registries of its field.
//!
//! `scripts/peers` installs them; a test whose peer is absent says `SKIPPED` and passes, unless
//! `MODELCTL_REQUIRE_PEERS` names the peer. A [`lab::Lab`] is a temporary directory in which
//! command lines run as a person would type them; a [`registry::Registry`] is a real server on a
//! free port. Run it with `cargo test --features interop --test interop`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its settings come from the environment"
)]

mod certificate;
mod content;
mod counting;
mod keys;
mod lab;
mod model;
mod peers;
mod registry;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod token;

mod auth;
mod big;
mod cosign_reads;
mod cosign_writes;
mod fleet;
mod keyless;
mod legacy;
mod manifests;
mod model_signing;
mod pki;
mod referrers;
mod tampering;
mod tokens;
mod training;
mod transfer;
mod workflows;
