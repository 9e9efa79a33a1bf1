//! What is remembered from one run to the next: receipts, lock files, and cached evidence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod evidence;
mod lock;
mod receipts;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::command::Workspace;
use support::registry::{Options, Registry};

const PROVENANCE: &str = "slsaprovenance1";

/// Returns a workspace with a model, and the key pairs `a` and `b`.
fn workspace() -> Workspace {
    Workspace::with_model_and_keys(&["a", "b"])
}

/// Pushes the model to `reference`, signed by the key `a`.
fn push(at: &Workspace, reference: &str) {
    at.run(&["push", reference, "model", "--sign", "--key", "a.key"])
        .ok();
}

/// Attests `predicate` about `reference` with one of the keys.
fn attest(at: &Workspace, reference: &str, kind: &str, predicate: &Value, key: &str) {
    at.write("predicate.json", predicate.to_string());
    let signed = ["--predicate", "predicate.json", "--key", key];
    at.run(&[&["attest", reference, "--type", kind][..], &signed].concat())
        .ok();
}

/// Returns provenance of the least extent.
fn provenance() -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://ci.example/train/v1",
            "externalParameters": {"source": "https://github.com/acme/x"},
        },
        "runDetails": {"builder": {"id": "https://ci.example"}},
    })
}

/// Returns a policy that asks for a signature by `key`, with more in front.
fn policy(head: &str, mode: &str, key: &str) -> String {
    format!(
        "version = 1\ndefault = \"deny\"\n{head}\n[authorities.signer]\nkeys = [\"{key}\"]\n\
         [authorities.security]\nkeys = [\"b.pub\"]\n[[policies]]\nname = \"it\"\n\
         scopes = [\"oci:**\"]\nmode = \"{mode}\"\n[[policies.require]]\n\
         kind = \"signature\"\nauthorities = [\"signer\"]\n"
    )
}

/// Returns a policy like [`policy`] that heeds the list of revocations at `oci:./lists:v1`.
fn heeding(key: &str) -> String {
    let list = "[revocations]\nreference = \"oci:./lists:v1\"\nauthorities = [\"security\"]";
    policy(list, "enforce", key)
}

/// Publishes a list of revocations at `oci:./lists:v1`.
fn revoke(at: &Workspace, version: u64, entries: &Value) {
    if version == 1 {
        at.run(&["push", "oci:./lists:v1", "model"]).ok();
    }
    let issued = Timestamp::now() - SignedDuration::from_hours(1);
    let list = json!({
        "version": version,
        "issued": issued.to_string(),
        "expires": (issued + SignedDuration::from_hours(24)).to_string(),
        "entries": entries,
    });
    let kind = modelctl::revocation::PREDICATE_TYPE;
    attest(at, "oci:./lists:v1", kind, &list, "b.key");
}

/// Returns an entry that revokes the key `name`.
fn lost(at: &Workspace, name: &str) -> Value {
    let public = std::fs::read(at.path(name)).unwrap();
    let key = modelctl::key::PublicKey::from_pem(&public, name).unwrap();
    json!([{"kind": "key", "fingerprint": key.fingerprint().to_string(), "why": "lost"}])
}

/// A registry with a model at `acme/bert:v1`, signed by the key `a`.
struct Scene {
    at: Workspace,
    registry: Registry,
    reference: String,
}

impl Scene {
    fn new() -> Self {
        let (at, registry) = (workspace(), Registry::start(Options::default()));
        let reference = format!("{}/acme/bert:v1", registry.host());
        push(&at, &reference);
        Self {
            at,
            registry,
            reference,
        }
    }
}
