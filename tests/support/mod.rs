//! What several test programs share.

// Each test program compiles this on its own and uses a part of it; a fault here must fail the
// test at once.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    unreachable_pub,
    unused_imports,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod command;
pub mod registry;
pub mod sigstore;
