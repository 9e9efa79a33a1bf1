//! Mutated input at every parser of what others wrote: none panics, none takes long or much memory,
//! and what is accepted means what it says.
//!
//! A target (`targets/`) is a function of bytes that panics when a property does not hold. Plain
//! `cargo test --features fuzz` throws a fixed number of fixed mutations at each; `scripts/fuzz` goes
//! on for a time and is led by coverage. docs/fuzzing.md says how to use it and what to do with a
//! finding.

// A fault here must fail the test at once, and settings come from `scripts/fuzz` by the environment.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod corpus;
mod coverage;
mod driver;
mod forgery;
mod memory;
mod mutation;
mod random;
mod targets;

use std::time::Duration;

use crate::driver::Budget;
use crate::targets::{TARGETS, Target};

/// Mutations of each target's corpus in a plain test run, which is unoptimised.
const ITERATIONS: u64 = 1000;

/// Runs `targets` within `budget` each, and fails with all that was found.
fn run<'a>(targets: impl IntoIterator<Item = &'a Target>, budget: Budget) {
    let mut findings = Vec::new();
    for target in targets {
        match driver::drive(target, budget) {
            Ok(report) => eprintln!("{report}"),
            Err(finding) => {
                eprintln!("{finding}");
                findings.push(finding.to_string());
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn no_parser_fails_on_what_is_kept_or_on_fixed_mutations_of_it() {
    run(TARGETS, Budget::Iterations(ITERATIONS));
}

/// The bounded run of `scripts/fuzz`.
#[test]
#[ignore = "scripts/fuzz runs it, for a time"]
fn no_parser_fails_in_the_time_that_is_given() {
    let setting = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let seconds: f64 = setting("MODELCTL_FUZZ_SECONDS").map_or(10.0, |text| text.parse().unwrap());
    let only = setting("MODELCTL_FUZZ_TARGET");
    let is_meant = |target: &&Target| only.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<_> = TARGETS.iter().filter(is_meant).collect();
    assert!(!targets.is_empty(), "there is no target {only:?}");
    let each = Duration::from_secs_f64(seconds / targets.len() as f64);
    run(targets, Budget::Time(each));
}
