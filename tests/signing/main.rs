//! Signing without a key, and with witnesses: against a Sigstore that runs in this process, and
//! that misbehaves where a test says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bench;

mod command;
mod keyless;
mod login;
mod services;
