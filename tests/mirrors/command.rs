//! The command, reading through mirrors.

use serde_json::Value;

use crate::support::command::{Outcome, Workspace};
use crate::support::registry::{Action, Fault, Options, Registry};

/// A signed model in a registry, all of it also in a mirror, and a file that says so.
struct Lab {
    at: Workspace,
    origin: Registry,
    mirror: Registry,
    reference: String,
}

const NAME: &str = "acme/bert";

impl Lab {
    fn new() -> Self {
        let at = Workspace::with_model_and_key();
        let origin = Registry::start(Options::default());
        let mirror = Registry::start(Options::default());
        let reference = format!("{}/{NAME}:v1", origin.host());
        let push = [
            "push",
            &reference,
            "./model",
            "--sign",
            "--key",
            "cosign.key",
        ];
        at.run(&push).ok();
        for digest in origin.blobs(NAME) {
            mirror.put_blob(NAME, origin.blob(NAME, &digest).unwrap());
        }
        for digest in origin.manifests(NAME) {
            let manifest = origin.manifest(NAME, &digest).unwrap();
            mirror.put_manifest(NAME, &manifest.media_type, &manifest.bytes);
        }
        at.write(
            &format!(
                "certs.d/{}/hosts.toml",
                origin.host().replace(':', "_") + "_"
            ),
            format!("[host.{:?}]\ncapabilities = [\"pull\"]", mirror.url()),
        );
        origin.forget_requests();
        Self {
            at,
            origin,
            mirror,
            reference,
        }
    }

    fn pull(&self, flags: &[&str]) -> Outcome {
        let pull = [
            "pull",
            &self.reference,
            "./out",
            "--verify",
            "--key",
            "cosign.pub",
        ];
        self.at.run(&[&pull[..], flags].concat())
    }
}

fn source(json: &Value, index: usize) -> (&str, bool, bool) {
    let source = &json["sources"][index];
    let has_bytes = source["bytes"].as_u64().unwrap() > 0;
    let origin = source["origin"].as_bool().unwrap();
    (source["host"].as_str().unwrap(), origin, has_bytes)
}

#[test]
fn a_pull_takes_content_from_the_mirror_and_proof_of_who_signed_from_the_registry() {
    let lab = Lab::new();
    let pulled = lab.pull(&["--hosts-dir", "certs.d", "--json"]);
    pulled.ok();
    assert_eq!(lab.at.tree("out"), lab.at.tree("model"));
    // The tag and the list of referrers; every byte of content came from the mirror.
    assert_eq!(lab.origin.count("GET", "/blobs/"), 0);
    assert_eq!(lab.origin.count("GET", "/manifests/v1"), 1);
    assert!(lab.origin.count("GET", "/referrers/") > 0);
    assert_eq!(lab.mirror.count("*", "/referrers/"), 0);
    assert_eq!(lab.mirror.count("GET", "/manifests/v1"), 0);
    let json = pulled.json();
    assert_eq!(source(&json, 0), (&*lab.mirror.url(), false, true));
    assert_eq!(source(&json, 1), (&*lab.origin.url(), true, true));
    assert_eq!(json["sources"][0]["failures"], 0);
    assert_eq!(json["sources"][0]["setAside"], false);
    // The receipt names what was asked for, not where it came from.
    assert!(
        json["reference"]
            .as_str()
            .unwrap()
            .starts_with(&lab.reference)
    );
}

#[test]
fn a_mirror_that_lies_is_told_of_once_and_costs_nothing_else() {
    let lab = Lab::new();
    let lie = || Fault::on("GET", "/blobs/").does(Action::Corrupt(0));
    lab.mirror.fault(lie());
    let pulled = lab.pull(&["--hosts-dir", "certs.d", "--json"]);
    pulled.ok();
    assert_eq!(lab.at.tree("out"), lab.at.tree("model"));
    assert_eq!(pulled.stderr.matches("is not asked any more").count(), 1);
    assert_eq!(pulled.json()["sources"][0]["setAside"], true);
}

#[test]
fn without_the_registry_a_digest_can_be_pulled_and_not_verified() {
    let lab = Lab::new();
    let digest = lab.origin.tag(NAME, "v1").unwrap();
    lab.origin
        .fault(Fault::on("*", "").does(Action::Status(503, "{}".into())));
    let pinned = format!("{}@{digest}", lab.reference);
    let flags = ["--hosts-dir", "certs.d"];
    let verified = ["verify", &pinned, "--key", "cosign.pub"];
    let refused = lab.at.run(&[&verified[..], &flags].concat());
    refused.refused(7, "registry-failed");
    assert!(
        refused.stderr.contains("--resolve-at mirror"),
        "{}",
        refused.stderr
    );
    let mirror = lab.mirror.url();
    lab.at
        .write("believed/_default/hosts.toml", format!("[host.{mirror:?}]"));
    let flags_believed = ["--hosts-dir", "believed", "--resolve-at", "mirror"];
    lab.at.run(&[&verified[..], &flags_believed].concat()).ok();
    lab.at
        .run(&[&["pull", &pinned, "./plain"][..], &flags].concat())
        .ok();
    assert_eq!(lab.at.tree("plain"), lab.at.tree("model"));
}

#[test]
fn every_reading_command_takes_the_mirrors_of_the_environment() {
    let lab = Lab::new();
    let own = [("XDG_CONFIG_HOME", lab.at.path("config"))];
    let from = format!(
        "certs.d/{}_/hosts.toml",
        lab.origin.host().replace(':', "_")
    );
    let text = std::fs::read_to_string(lab.at.path(&from)).unwrap();
    lab.at.write(&format!("config/modelctl/{from}"), text);
    let named = [("MODELCTL_HOSTS_DIR", lab.at.path("certs.d"))];
    let off = [own[0].clone(), ("MODELCTL_HOSTS_DIR", "".into())];
    let reference = &*lab.reference;
    for command in [
        &["inspect", reference][..],
        &["verify", reference, "--key", "cosign.pub", "--no-cache"],
        &["tree", reference, "--key", "cosign.pub"],
        &["copy", reference, "oci:./copied:v1"],
    ] {
        for (variables, used) in [
            (&own[..], true),
            (&named, true),
            (&off, false),
            (&[], false),
        ] {
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, value)| (*name, value.to_str().unwrap()))
                .collect();
            lab.mirror.forget_requests();
            lab.at.run_with(command, &variables, "").ok();
            let asked = !lab.mirror.requests().is_empty();
            assert_eq!(asked, used, "{command:?} {variables:?}");
            let _ = std::fs::remove_dir_all(lab.at.path("copied"));
        }
    }
}

#[test]
fn what_writes_does_not_know_mirrors() {
    let lab = Lab::new();
    let hosts = lab.at.path("certs.d");
    let variables = [("MODELCTL_HOSTS_DIR", hosts.to_str().unwrap())];
    let second = lab.reference.replace(":v1", ":v2");
    for command in [
        &["push", &second, "./model"][..],
        &["sign", &second, "--key", "cosign.key"],
        &["tag", &second, "v3"],
        &["copy", "oci:./store:v4", &lab.reference],
    ] {
        if command[0] == "copy" {
            lab.at.run(&["push", "oci:./store:v4", "./model"]).ok();
        }
        lab.at.run_with(command, &variables, "").ok();
    }
    assert_eq!(lab.mirror.requests().len(), 0);
    let refused = lab
        .at
        .run(&["push", &second, "./model", "--hosts-dir", "certs.d"]);
    assert_eq!(refused.code, 2);
}

#[test]
fn a_file_that_cannot_be_read_stops_the_command() {
    let lab = Lab::new();
    lab.at.write(
        "bad/_default/hosts.toml",
        "\nmirror = \"https://m.example\"",
    );
    let refused = lab.pull(&["--hosts-dir", "bad"]);
    refused.refused(2, "hosts-file-invalid");
    assert!(refused.stderr.contains("line 2"), "{}", refused.stderr);
    lab.pull(&["--hosts-dir", "nowhere"])
        .refused(5, "file-not-found");
    assert_eq!(lab.origin.requests().len(), 0);
}
