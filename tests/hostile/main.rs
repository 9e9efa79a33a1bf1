//! What a hostile or failing registry, or a signal, can bring the command to: an exit code, a
//! reason, and nothing on disk. `docs/threats.md` names these tests by the attack.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how a test fails"
)]

mod again;
mod answers;
mod canaries;
mod faults;
mod moments;
mod proxies;
#[cfg(target_os = "linux")]
mod questions;
mod secrets;
mod signals;
#[path = "../support/mod.rs"]
mod support;

use support::command::{Outcome, Workspace};
use support::registry::{Options, Referrers, Registry};

/// Returns a workspace with a model and a key that needs no passphrase, and so no time.
fn with_model_and_key() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    at.write("cosign.key", include_str!("../../fixtures/keys/p256.key"));
    at.write("cosign.pub", include_str!("../../fixtures/keys/p256.pub"));
    at
}

/// A signed model in a registry, and a place to pull it to.
struct Scene {
    registry: Registry,
    at: Workspace,
    reference: String,
    digest: String,
    weights: String,
    before: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        Self::with(Options::default())
    }

    /// Returns a scene whose registry keeps its lists of referrers under tags.
    fn with_tag_schema() -> Self {
        Self::with(Options {
            referrers: Referrers::TagSchema,
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        let registry = Registry::start(options);
        let at = with_model_and_key();
        let reference = format!("{}/acme/bert:v1", registry.host());
        let push = ["push", &reference, "model", "--sign", "--key", "cosign.key"];
        let pushed = at.run(&[&push[..], &["--json"]].concat()).json();
        let digest = pushed["digest"].as_str().unwrap().to_owned();
        let weights = std::fs::read(at.path("model/model.safetensors")).unwrap();
        registry.forget_requests();
        Self {
            weights: support::registry::contents::digest(&weights),
            before: at.entries(),
            registry,
            at,
            reference,
            digest,
        }
    }

    /// Pulls and verifies to `out`.
    fn pull(&self) -> Outcome {
        let reference = &self.reference;
        self.at
            .run(&["pull", reference, "out", "--verify", "--key", "cosign.pub"])
    }

    /// Asserts that nothing came to be in the workspace.
    #[track_caller]
    fn no_trace(&self, what: &str) {
        assert_eq!(self.at.entries(), self.before, "{what}");
    }

    /// Asserts that a pull works now.
    #[track_caller]
    fn twin_passes(&self) {
        self.pull().ok();
        assert_eq!(self.at.tree("model"), self.at.tree("out"));
    }
}
