//! The command line: what is written, and what is read where no bundle is.

use serde_json::Value;

use crate::bench::fixture;
use crate::support::command::{Outcome, Workspace};
use crate::support::registry::{Action, Fault, Options, Registry};
use crate::support::sigstore::{Claims, Server, Version};

const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
const REPOSITORY: &str = "acme/bert";
const KEY: [&str; 2] = ["--key", "cosign.key"];
const TRUST: [&str; 2] = ["--key", "cosign.pub"];
const LEGACY: [&str; 2] = ["--compat", "legacy"];

/// A registry, and a workspace with a model, a key and a predicate.
struct Scene {
    registry: Registry,
    at: Workspace,
    reference: String,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start(Options::default());
        let at = Workspace::with_model_and_key();
        at.write("slsa.json", fixture("cosign/slsa.json"));
        let reference = format!("{}/{REPOSITORY}:v1", registry.host());
        Self {
            registry,
            at,
            reference,
        }
    }

    /// Pushes the model signed and attested in both forms.
    fn push(&self) -> Outcome {
        let attest = ["--attest", "slsaprovenance1=slsa.json"];
        let push = ["push", &self.reference, "model", "--sign", "--json"];
        let pushed = self.at.run(&[&push[..], &attest, &KEY, &LEGACY].concat());
        pushed.ok();
        pushed
    }

    /// Pushes the model so that only the older form is left, and returns its digest.
    fn push_legacy_only(&self) -> String {
        let pushed = self.push().json();
        for attached in pushed["referrers"].as_array().unwrap() {
            let digest = attached["referrer"]["digest"].as_str().unwrap();
            assert!(self.registry.remove_manifest(REPOSITORY, digest));
        }
        pushed["digest"].as_str().unwrap().to_owned()
    }

    fn verify(&self, more: &[&str]) -> Outcome {
        let verify = ["verify", &self.reference, "--json", "--no-cache"];
        self.at.run(&[&verify[..], more].concat())
    }

    /// Returns the manifest at the tag of `digest` that ends so.
    fn image(&self, digest: &str, end: &str) -> Option<Value> {
        let manifest = self.registry.manifest(REPOSITORY, &tag(digest, end))?;
        Some(serde_json::from_slice(&manifest.bytes).unwrap())
    }

    fn layers(&self, digest: &str, end: &str) -> usize {
        let image = self.image(digest, end).unwrap();
        image["layers"].as_array().unwrap().len()
    }
}

fn tag(digest: &str, end: &str) -> String {
    format!("{}.{end}", digest.replace(':', "-"))
}

#[test]
fn both_forms_are_written_and_each_is_enough_by_itself() {
    let scene = Scene::new();
    let both = [&TRUST[..], &["--require", "slsaprovenance1"]].concat();
    let digest = scene.push_legacy_only();
    let verified = scene.verify(&both);
    verified.ok();
    for finding in verified.json()["findings"].as_array().unwrap() {
        assert_eq!(finding["metBy"][0]["format"], "legacy", "{finding}");
    }
    scene
        .verify(&["--key", "cosign.pub", "--require", "spdxjson"])
        .refused(3, "attestation-missing");
    for end in ["sig", "att"] {
        let name = tag(&digest, end);
        let image = scene.registry.tag(REPOSITORY, &name).unwrap();
        assert!(scene.registry.remove_tag(REPOSITORY, &name));
        let expected = match end {
            "sig" => "signature-missing",
            _ => "attestation-missing",
        };
        scene.verify(&both).refused(3, expected);
        scene.registry.put_tag(REPOSITORY, &name, &image);
    }
    scene.push();
    // The bundles are there again, and nothing else is asked for.
    scene.registry.forget_requests();
    let verified = scene.verify(&both);
    verified.ok();
    assert!(!verified.stdout.contains("legacy"), "{verified:?}");
    assert_eq!(scene.registry.count("GET", ".sig"), 0);
}

#[test]
fn a_pull_keeps_the_older_form_and_judges_it_again_offline() {
    let scene = Scene::new();
    scene.push_legacy_only();
    let pull = ["pull", &scene.reference, "out", "--verify"];
    scene.at.run(&[&pull[..], &TRUST].concat()).ok();
    let verify = ["verify", "./out", "--deep"];
    scene.at.run(&[&verify[..], &TRUST].concat()).ok();
    scene
        .at
        .run(&["generate-key-pair", "--output-key-prefix", "stranger"])
        .ok();
    scene
        .at
        .run(&[&verify[..], &["--key", "stranger.pub"]].concat())
        .refused(3, "untrusted-signer");
}

#[test]
fn a_signature_for_another_artifact_or_by_a_stranger_does_not_count() {
    let scene = Scene::new();
    let digest = scene.push_legacy_only();
    scene.at.write("model/config.json", "{\"changed\": 1}");
    let other = scene
        .at
        .run(&["push", &scene.reference, "model", "--json"])
        .json();
    let other = other["digest"].as_str().unwrap();
    assert_ne!(other, digest);
    scene.verify(&TRUST).refused(3, "signature-missing");
    let theirs = scene
        .registry
        .tag(REPOSITORY, &tag(&digest, "sig"))
        .unwrap();
    scene
        .registry
        .put_tag(REPOSITORY, &tag(other, "sig"), &theirs);
    scene.verify(&TRUST).refused(3, "subject-mismatch");
    let pull = ["pull", &scene.reference, "out", "--verify"];
    scene
        .at
        .run(&[&pull[..], &TRUST].concat())
        .refused(3, "subject-mismatch");
    assert!(!scene.at.path("out").exists());
}

#[test]
fn a_registry_that_does_not_say_whether_a_tag_is_there_is_no_unsigned_artifact() {
    let scene = Scene::new();
    scene.at.run(&["push", &scene.reference, "model"]).ok();
    scene.verify(&TRUST).refused(3, "signature-missing");
    let forbidden = Action::Status(403, "DENIED".to_owned());
    scene
        .registry
        .fault(Fault::on("GET", ".sig").does(forbidden));
    let refused = scene.verify(&TRUST);
    assert_eq!(refused.reason(), "forbidden", "{refused:?}");
}

#[test]
fn signing_again_adds_nothing_and_another_key_adds_a_layer() {
    let scene = Scene::new();
    let digest = scene.push().json()["digest"].as_str().unwrap().to_owned();
    scene.push();
    let sign = ["sign", &scene.reference];
    scene.at.run(&[&sign[..], &KEY, &LEGACY].concat()).ok();
    assert_eq!(
        (scene.layers(&digest, "sig"), scene.layers(&digest, "att")),
        (1, 1)
    );
    scene
        .at
        .run(&["generate-key-pair", "--output-key-prefix", "second"])
        .ok();
    let second = ["--key", "second.key"];
    scene.at.run(&[&sign[..], &second, &LEGACY].concat()).ok();
    assert_eq!(scene.layers(&digest, "sig"), 2);
    let image = scene.image(&digest, "sig").unwrap();
    let config = image["config"]["digest"].as_str().unwrap();
    let config = scene.registry.blob(REPOSITORY, config).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
    // Without the flag, no tag is written.
    let other = format!("{}/acme/other:v1", scene.registry.host());
    scene
        .at
        .run(&[&["push", &other, "model", "--sign"][..], &KEY].concat())
        .ok();
    assert_eq!(scene.registry.tags("acme/other"), ["v1"]);
}

#[test]
fn a_tree_shows_the_older_form_and_by_whom_it_is() {
    let scene = Scene::new();
    let digest = scene.push_legacy_only();
    let tree = ["tree", &scene.reference, "--json"];
    let shown = scene.at.run(&[&tree[..], &TRUST].concat());
    shown.ok();
    let nodes = shown.json()["referrers"].as_array().unwrap().clone();
    let [signature, attestation] = nodes.as_slice() else {
        panic!("{shown:?}");
    };
    assert_eq!(signature["tag"], tag(&digest, "sig"));
    assert_eq!(signature["predicateType"], SIGNATURE);
    assert_eq!(attestation["tag"], tag(&digest, "att"));
    for node in [signature, attestation] {
        assert_eq!(node["signer"]["kind"], "key", "{node}");
    }
    let drawn = scene.at.run(&["tree", &scene.reference]);
    assert!(drawn.ok().contains("cosign's older form"), "{drawn:?}");
}

#[test]
fn a_copy_takes_the_older_form_along_and_loses_nothing_at_the_target() {
    let scene = Scene::new();
    let digest = scene.push_legacy_only();
    let target = "oci:./store:v1";
    scene.at.run(&["copy", &scene.reference, target]).ok();
    let verify = ["verify", target, "--require", "slsaprovenance1"];
    scene.at.run(&[&verify[..], &TRUST].concat()).ok();

    // At the target, somebody else signed too.
    let mirror = format!("{}/acme/mirror:v1", scene.registry.host());
    scene
        .at
        .run(&["copy", &scene.reference, &mirror, "--no-referrers"])
        .ok();
    assert_eq!(scene.registry.tags("acme/mirror"), ["v1"]);
    scene
        .at
        .run(&["generate-key-pair", "--output-key-prefix", "second"])
        .ok();
    let second = ["--key", "second.key"];
    scene
        .at
        .run(&[&["sign", &mirror][..], &second, &LEGACY].concat())
        .ok();
    scene.at.run(&["copy", &scene.reference, &mirror]).ok();
    let merged = scene
        .registry
        .manifest("acme/mirror", &tag(&digest, "sig"))
        .unwrap();
    let merged: Value = serde_json::from_slice(&merged.bytes).unwrap();
    assert_eq!(merged["layers"].as_array().unwrap().len(), 2);
    for key in ["cosign.pub", "second.pub"] {
        scene.at.run(&["verify", &mirror, "--key", key]).ok();
    }
}

#[test]
fn keyless_signatures_are_written_with_the_promise_of_their_log() {
    let server = Server::start();
    let scene = Scene::new();
    let token = server.provider.mint(&Claims::email("ci@example.com"));
    scene.at.write("token", token);
    scene
        .at
        .write("root.json", server.trusted_root().to_string());
    scene.at.run(&["push", &scene.reference, "model"]).ok();
    let sign = |logs: &[Version]| {
        let services = server.signing_config(logs).to_string();
        scene.at.write("services.json", services);
        let sign = [
            "sign",
            &scene.reference,
            "--json",
            "--identity-token",
            "token",
            "--signing-config",
            "services.json",
            "--trusted-root",
            "root.json",
        ];
        scene.at.run(&[&sign[..], &LEGACY].concat())
    };
    // Rekor v2 promises nothing.
    sign(&[Version::V2]).refused(3, "bundle-unsupported");
    let signed = sign(&[Version::V1]).json();
    assert!(signed["referrers"][0]["legacy"].is_object(), "{signed}");
    for referrer in scene.registry.manifests(REPOSITORY) {
        let manifest = scene.registry.manifest(REPOSITORY, &referrer).unwrap();
        if String::from_utf8_lossy(&manifest.bytes).contains("sigstore.bundle") {
            scene.registry.remove_manifest(REPOSITORY, &referrer);
        }
    }
    let url = &server.provider.url;
    let as_whom = |identity| {
        scene.verify(&[
            "--trusted-root",
            "root.json",
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            url,
        ])
    };
    let verified = as_whom("ci@example.com");
    verified.ok();
    let evidence = &verified.json()["findings"][0]["metBy"][0];
    assert_eq!(evidence["format"], "legacy");
    assert_eq!(evidence["witnesses"][0]["proof"], "promise");
    as_whom("eve@example.com").refused(3, "identity-mismatch");
}
