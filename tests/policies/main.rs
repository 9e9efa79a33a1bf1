//! Policy files, as people and scripts use them: the command, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod attestations;
mod commands;
mod files;
mod names;
mod signers;
#[path = "../support/mod.rs"]
mod support;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::command::{Outcome, Workspace};

const LAYOUT: &str = "oci:./store:v1";

/// Three keys, each an authority, for the layouts.
const THREE: &str = r#"version = 1
default = "deny"
[authorities.a]
keys = ["a.pub"]
[authorities.b]
keys = ["b.pub"]
[authorities.c]
keys = ["c.pub"]
"#;

/// Returns a workspace with a model, and the key pairs `a`, `b` and `c`.
fn workspace() -> Workspace {
    Workspace::with_model_and_keys(&["a", "b", "c"])
}

/// Returns a policy for `scope` with `settings` and `rules`.
fn policy(head: &str, scope: &str, settings: &str, rules: &str) -> String {
    format!("{head}\n[[policies]]\nname = \"it\"\nscopes = [\"{scope}\"]\n{settings}\n{rules}")
}

fn signature(authorities: &str, threshold: usize) -> String {
    format!(
        "[[policies.require]]\nkind = \"signature\"\nauthorities = [{authorities}]\nthreshold = \
         {threshold}\n"
    )
}

fn sign(at: &Workspace, reference: &str, keys: &[&str]) {
    for key in keys {
        at.run(&["sign", reference, "--key", &format!("{key}.key")])
            .ok();
    }
}

fn attest(at: &Workspace, reference: &str, kind: &str, predicate: &Value, key: &str) {
    at.write("predicate.json", predicate.to_string());
    let key = format!("{key}.key");
    let predicate = ["--predicate", "predicate.json", "--key", &key];
    at.run(&[&["attest", reference, "--type", kind][..], &predicate].concat())
        .ok();
}

fn verify(at: &Workspace, reference: &str) -> Outcome {
    at.run(&["verify", reference, "--policy", "policy.toml"])
}

fn pull(at: &Workspace, reference: &str) -> Outcome {
    at.run(&["pull", reference, "./out", "--policy", "policy.toml"])
}

fn fingerprint(at: &Workspace, key: &str) -> String {
    let public = std::fs::read(at.path(&format!("{key}.pub"))).unwrap();
    let key = modelctl::key::PublicKey::from_pem(&public, key).unwrap();
    key.fingerprint().to_string()
}

/// Returns a list of revocations of this version, good for `hours` from an hour ago.
fn revocations(version: u64, hours: i64, entries: Value) -> Value {
    let issued = Timestamp::now() - SignedDuration::from_hours(1);
    let expires = issued + SignedDuration::from_hours(hours) + SignedDuration::from_secs(60);
    json!({
        "version": version,
        "issued": issued.to_string(),
        "expires": expires.to_string(),
        "entries": entries,
    })
}

fn provenance(builder: &str, source: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://ci.example/train/v1",
            "externalParameters": {"source": source},
        },
        "runDetails": {"builder": {"id": builder}},
    })
}
