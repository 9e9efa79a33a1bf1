//! A model directory goes into a store and comes back, or nothing happens at all.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/memory.rs"]
mod memory;
#[path = "support/model.rs"]
mod model;

#[path = "directory/cache.rs"]
mod cache;
#[path = "directory/content.rs"]
mod content;
#[path = "directory/forged_lists.rs"]
mod forged_lists;
#[path = "directory/installed.rs"]
mod installed;
#[path = "directory/model_signature.rs"]
mod model_signature;
#[path = "directory/pull.rs"]
mod pull;
#[path = "directory/push.rs"]
mod push;
#[path = "directory/receipt.rs"]
mod receipt;
#[path = "directory/reference.rs"]
mod reference;
#[path = "directory/refusals.rs"]
mod refusals;
