//! Chains of models, as the command walks and carries them: four parties, one of them keyless, and
//! every way in which one link can be missing, changed, or by the wrong party.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "that is how a test fails"
)]

#[cfg(test)]
mod carrying;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod gaps;
mod parties;
#[cfg(test)]
mod registries;
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod vouching;
