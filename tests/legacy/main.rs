//! cosign's `.sig` and `.att` tags: what cosign 2.5 stored, what is forged in its form, and what is
//! written in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bench;

mod command;
mod key;
mod keyless;
