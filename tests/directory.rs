//! A model directory goes into a store and comes back, or nothing happens at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and nobody imports it"
)]

#[path = "support/memory.rs"]
mod memory;
#[path = "support/model.rs"]
mod model;

#[path = "directory/installed.rs"]
mod installed;
#[path = "directory/pull.rs"]
mod pull;
#[path = "directory/push.rs"]
mod push;
