//! Evidence that is judged again without asking for it again.

use std::path::PathBuf;

use serde_json::json;

use crate::support::command::Outcome;
use crate::{PROVENANCE, Scene, attest, heeding, lost, provenance, revoke};

impl Scene {
    /// Verifies the model by what `more` says, and returns the paths that the registry was asked
    /// for.
    fn verify(&self, more: &[&str]) -> (Outcome, usize) {
        self.run(&[&["verify", &self.reference][..], more].concat())
    }

    fn run(&self, arguments: &[&str]) -> (Outcome, usize) {
        self.registry.forget_requests();
        let outcome = self.at.run(arguments);
        (outcome, self.registry.requests().len())
    }

    /// Returns the files in which evidence is kept.
    fn records(&self) -> Vec<PathBuf> {
        let directory = self.at.path("home/.cache/modelctl/evidence");
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Removes everything that is attached to the model.
    fn strip(&self) {
        let model = self.registry.tag("acme/bert", "v1").unwrap();
        for digest in self.registry.manifests("acme/bert") {
            assert!(digest == model || self.registry.remove_manifest("acme/bert", &digest));
        }
    }
}

const KEY: [&str; 2] = ["--key", "a.pub"];

#[test]
fn verifying_again_asks_for_the_manifest_alone() {
    let scene = Scene::new();
    let (first, asked) = scene.verify(&KEY);
    first.ok();
    assert!(asked > 1, "{asked}");
    let (again, asked) = scene.verify(&["--key", "a.pub", "--json"]);
    assert_eq!(asked, 1);
    assert_eq!(scene.registry.count("GET", "/manifests/v1"), 1);
    assert!(again.json()["evidenceCollected"].is_string(), "{again:?}");
    let digest = again.json()["digest"].as_str().unwrap().to_owned();
    let pinned = format!("{}/acme/bert@{digest}", scene.registry.host());
    let (by_digest, asked) = scene.run(&["verify", &pinned, "--key", "a.pub"]);
    by_digest.ok();
    assert_eq!(asked, 1);

    for afresh in [&["--no-cache"][..], &["--evidence-max-age", "0s"]] {
        let (outcome, asked) = scene.verify(&[&KEY[..], afresh].concat());
        outcome.ok();
        assert!(asked > 1, "{afresh:?}");
    }
    let pull = [
        "pull",
        &scene.reference,
        "./out",
        "--verify",
        "--key",
        "a.pub",
    ];
    scene.run(&pull).0.ok();
    assert_eq!(scene.registry.count("*", "/referrers/"), 0);
    // What is kept with the directory is what was attached.
    let offline = ["verify", "./out", "--key", "a.pub", "--require", "oms"];
    scene.at.run(&offline).ok();
}

#[test]
fn another_policy_judges_for_itself_and_what_it_lacks_is_looked_for() {
    let scene = Scene::new();
    scene.verify(&KEY).0.ok();
    let (refused, asked) = scene.verify(&["--key", "b.pub"]);
    refused.refused(3, "untrusted-signer");
    assert!(asked > 1);
    let asking = ["--key", "a.pub", "--require", PROVENANCE];
    scene.verify(&asking).0.refused(3, "attestation-missing");
    attest(
        &scene.at,
        &scene.reference,
        PROVENANCE,
        &provenance(),
        "a.key",
    );
    let (found, asked) = scene.verify(&asking);
    found.ok();
    assert!(asked > 1);
    assert_eq!(scene.verify(&asking).1, 1);
    assert_eq!(scene.verify(&KEY).1, 1);
}

#[test]
fn a_signer_who_was_revoked_since_is_refused_whatever_is_kept() {
    let scene = Scene::new();
    let scope = format!("{}/**", scene.registry.host());
    scene
        .at
        .write("policy.toml", heeding("a.pub").replace("oci:**", &scope));
    revoke(&scene.at, 1, &json!([]));
    let by_policy = ["--policy", "policy.toml"];
    scene.verify(&by_policy).0.ok();
    let (again, asked) = scene.verify(&by_policy);
    again.ok();
    assert_eq!(asked, 1);
    revoke(&scene.at, 2, &lost(&scene.at, "a.pub"));
    scene.verify(&by_policy).0.refused(3, "revoked");
}

#[test]
fn a_record_that_was_changed_is_none() {
    let scene = Scene::new();
    scene.verify(&KEY).0.ok();
    assert_eq!(scene.verify(&KEY).1, 1);
    let records = scene.records();
    let [record] = &records[..] else {
        panic!("{records:?}");
    };
    let mut bytes = std::fs::read(record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(record, bytes).unwrap();
    let (outcome, asked) = scene.verify(&KEY);
    outcome.ok();
    assert!(asked > 1);
    assert_eq!(scene.verify(&KEY).1, 1);
}

#[test]
fn a_tag_that_was_moved_is_another_artifact() {
    let scene = Scene::new();
    scene.verify(&KEY).0.ok();
    scene.at.write("model/config.json", "{\"moved\": true}");
    scene.at.run(&["push", &scene.reference, "model"]).ok();
    scene.verify(&KEY).0.refused(3, "signature-missing");
    assert_eq!(scene.records().len(), 1, "what is refused is not kept");
}

/// What is traded for the requests, and for how long.
#[test]
fn that_a_signature_was_removed_is_noticed_when_the_registry_is_asked() {
    let scene = Scene::new();
    scene.verify(&KEY).0.ok();
    scene.strip();
    scene.verify(&KEY).0.ok();
    for afresh in [&["--no-cache"][..], &["--evidence-max-age", "0s"]] {
        let (outcome, _) = scene.verify(&[&KEY[..], afresh].concat());
        outcome.refused(3, "signature-missing");
    }
}

#[test]
fn the_cache_shows_and_removes_what_it_has() {
    let scene = Scene::new();
    scene.verify(&KEY).0.ok();
    let info = scene.at.run(&["cache", "info", "--json"]).json();
    assert_eq!(info["evidence"], 1);
    assert!(info["evidenceBytes"].as_u64().unwrap() > 100, "{info}");
    scene.at.run(&["cache", "prune"]).ok();
    assert!(scene.records().is_empty());
    let info = scene.at.run(&["cache", "info", "--json"]).json();
    assert_eq!(
        (&info["evidence"], &info["evidenceBytes"]),
        (&json!(0), &json!(0))
    );
    assert!(scene.verify(&KEY).1 > 1);

    let elsewhere = ["--key", "a.pub", "--cache-dir", "elsewhere"];
    scene.verify(&elsewhere).0.ok();
    assert_eq!(
        std::fs::read_dir(scene.at.path("elsewhere/evidence"))
            .unwrap()
            .count(),
        1
    );
}
