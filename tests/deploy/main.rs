//! Deployment gates: the scripts and workflows of `examples/deploy`, run with the built command, a
//! layout or a registry of the test, and servers that only write down how they were started.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and needs PATH"
)]

#[path = "../support/mod.rs"]
mod support;

mod site;

mod manifests;
mod refusals;
mod restarts;
mod triton;
mod workflow;
mod workflows;
