//! Admission policies for Kubernetes: that they are what the controllers take, and that cosign, which
//! both controllers verify with, accepts a pushed model by the very values that stand in them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::keys;
use crate::lab::{Lab, Outcome};
use crate::registry::Registry;
use crate::support::sigstore::{Claims, Server, Version};

const KEY: [&str; 2] = ["kyverno-key.yaml", "cluster-image-policy-key.yaml"];
const KEYLESS: [&str; 2] = ["kyverno-keyless.yaml", "cluster-image-policy-keyless.yaml"];

const TRAINER: &str = "https://ci.example.com/trainer";
const HOSTED: &str = "https://github.com/actions/runner/github-hosted";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns an example's text.
fn example(name: &str) -> String {
    let path = root().join("examples/deploy/kubernetes").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Returns the command line that checks the manifest `name` of the lab.
fn check(name: &str) -> String {
    let script = root().join("scripts/check-manifests");
    format!("manifests {} {name}", script.display())
}

/// Returns what the manifest asks cosign for.
fn facts(lab: &Lab, name: &str) -> Vec<Value> {
    let checked = lab.run(check(name)).succeeds();
    let lines = checked.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Replaces the public key in a manifest by the one in `file`.
fn with_key(lab: &Lab, text: &str, file: &str) -> String {
    let key = std::fs::read_to_string(lab.path(file)).unwrap();
    let mut inside = false;
    let mut replaced = String::new();
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.ends_with("-----BEGIN PUBLIC KEY-----") {
            inside = true;
            for line in key.lines() {
                replaced.push_str(&format!("{indent}{line}\n"));
            }
        }
        if !inside {
            replaced.push_str(&format!("{line}\n"));
        }
        inside &= !line.ends_with("-----END PUBLIC KEY-----");
    }
    assert_ne!(replaced, text, "there is no key in it");
    replaced
}

fn provenance(builder: &str) -> String {
    format!(
        r#"{{"buildDefinition": {{"buildType": "https://example.com/training/v1",
            "externalParameters": {{}}}}, "runDetails": {{"builder": {{"id": "{builder}"}}}}}}"#
    )
}

#[test]
fn the_policies_of_the_examples_are_what_the_controllers_take() {
    let Some(lab) = Lab::with(["manifests"]) else {
        return;
    };
    for (name, policies) in KEY.into_iter().chain(KEYLESS).zip([1, 2, 1, 1]) {
        lab.write(name, example(name));
        assert_eq!(facts(&lab, name).len(), policies, "{name}");
    }
    let broken = [
        (KEY[0], "attestors:\n", "atestors:\n"),
        (
            KEY[0],
            "validationActions: [Deny]",
            "validationActions: [Audit]",
        ),
        (KEY[0], "failurePolicy: Fail", "failurePolicy: Ignore"),
        (
            KEY[0],
            ".filter(v, has(v.image))",
            ".filter(v, has(v.image)",
        ),
        (
            KEY[0],
            "images.models.all(image,",
            "images.models.all(image",
        ),
        (KEY[0], "BEGIN PUBLIC KEY", "BEGIN PRIVATE KEY"),
        (KEY[0], "https://slsa.dev/provenance/v1", "slsaprovenance1"),
        (KEY[1], "signatureFormat: legacy", "signatureFormat: bundle"),
        (KEY[1], "key:\n", "keys:\n"),
        (KEY[1], "type: cue", "type: cel"),
        (KEY[1], "mode: enforce", "mode: warn"),
        (KEYLESS[0], "subjectRegExp: ^", "subjectRegExp: "),
        (
            KEYLESS[0],
            "issuer: https://token.actions.githubusercontent.com",
            "issuer: ''",
        ),
        (
            KEYLESS[1],
            "url: https://fulcio.sigstore.dev\n",
            "insecureIgnoreSCT: true\n",
        ),
        (
            KEYLESS[1],
            "          - issuer:",
            "          - issuerRegExp: ^.*$\n            issuer:",
        ),
        (KEYLESS[1], "kind: ClusterImagePolicy", "kind: ImagePolicy"),
        (
            KEYLESS[1],
            "mode: enforce",
            "mode: enforce\n  mode: enforce",
        ),
    ];
    for (name, from, to) in broken {
        let text = example(name);
        assert!(text.contains(from), "{name} has no {from}");
        lab.write("broken.yaml", text.replace(from, to));
        let refused = lab.run(check("broken.yaml")).fails();
        let told = "check-manifests: broken.yaml: ";
        assert!(refused.stderr.contains(told), "{from}:\n{refused}");
    }
}

/// Writes each attestation that cosign verified, as a controller hands it to its policy.
fn write_statements(lab: &Lab, verified: &Outcome, name: &str) {
    let first = verified.stdout.lines().next().expect("cosign prints it");
    let envelope: Value = serde_json::from_str(first).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap());
    lab.write(name, payload.unwrap());
}

/// Has cosign verify what one attestor or authority of a manifest asks for, and returns the outcomes.
fn verify(lab: &Lab, fact: &Value, more: &str, pinned: &str) -> Vec<Outcome> {
    let mut trust = more.to_owned();
    if let Some(key) = fact["key"].as_str() {
        lab.write("named.pub", key);
        trust.push_str(" --key named.pub --insecure-ignore-tlog");
    }
    for identity in fact["identities"].as_array().into_iter().flatten() {
        let identity = |name: &str| identity[name].as_str().unwrap();
        trust.push_str(&format!(
            " --certificate-oidc-issuer {} --certificate-identity-regexp {}",
            identity("issuer"),
            identity("subjectRegExp")
        ));
    }
    if fact["form"] == "legacy" {
        trust.push_str(" --new-bundle-format=false");
    }
    let attestations = fact["attestations"].as_array().unwrap();
    if attestations.is_empty() {
        return vec![lab.run(format!("cosign verify {trust} {pinned}"))];
    }
    let verified = attestations
        .iter()
        .enumerate()
        .map(|(number, attestation)| {
            let predicate_type = attestation["type"].as_str().unwrap();
            let mut line = format!("cosign verify-attestation {trust} --type {predicate_type}");
            if let Some(policy) = attestation["cue"].as_str() {
                lab.write("policy.cue", policy);
                line.push_str(" --policy policy.cue");
            }
            let outcome = lab.run(format!("{line} {pinned}"));
            if outcome.is_success() {
                write_statements(lab, &outcome, &format!("statement-{number}.json"));
            }
            outcome
        });
    verified.collect()
}

/// Asserts whether all that the manifest asks for is there, in cosign's eyes.
fn assert_judged(lab: &Lab, name: &str, more: &str, pinned: &str, admits: bool) {
    let facts = facts(lab, name);
    let outcomes: Vec<_> = facts
        .iter()
        .flat_map(|fact| verify(lab, fact, more, pinned))
        .collect();
    assert!(!outcomes.is_empty());
    let all = outcomes.iter().all(Outcome::is_success);
    assert_eq!(all, admits, "{name}, {pinned}: {outcomes:#?}");
}

/// Asserts whether Kyverno's policy would admit a Pod that mounts the model, when what cosign
/// verified last is all there is.
fn assert_admitted(lab: &Lab, name: &str, image: &str, admits: bool) {
    let pod = example("image-volume.yaml");
    let at = pod.find("reference: ").unwrap() + "reference: ".len();
    let end = at + pod[at..].find('\n').unwrap();
    lab.write("pod.yaml", format!("{}{image}{}", &pod[..at], &pod[end..]));
    let mut line = format!("{} --object pod.yaml", check(name));
    for number in 0..2 {
        let statement = format!("statement-{number}.json");
        if lab.path(&statement).exists() {
            line.push_str(&format!(" --statement {statement}"));
        }
    }
    let outcome = lab.run(line);
    match admits {
        true => drop(outcome.succeeds()),
        false => assert!(outcome.fails().stderr.contains("not admitted")),
    }
}

fn forget_statements(lab: &Lab) {
    for number in 0..2 {
        let _ = std::fs::remove_file(lab.path(&format!("statement-{number}.json")));
    }
}

#[test]
fn cosign_accepts_by_the_keys_and_types_of_the_policies_what_was_pushed() {
    let Some(lab) = Lab::with(["cosign", "manifests"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    keys::write_pair(&lab, "release");
    keys::write_pair(&lab, "stranger");
    for name in KEY {
        lab.write(name, with_key(&lab, &example(name), "release.pub"));
    }
    let attest = "--sign --attest slsaprovenance1=provenance.json --compat legacy";
    for (repository, builder, flags, admits) in [
        ("good", TRAINER, format!("{attest} --key release.key"), true),
        (
            "stranger",
            TRAINER,
            format!("{attest} --key stranger.key"),
            false,
        ),
        (
            "builder",
            HOSTED,
            format!("{attest} --key release.key"),
            false,
        ),
        (
            "bare",
            TRAINER,
            "--sign --compat legacy --key release.key".to_owned(),
            false,
        ),
    ] {
        lab.write("provenance.json", provenance(builder));
        let pinned = lab.push(
            &registry.reference(&format!("acme/{repository}:v1")),
            &flags,
        );
        forget_statements(&lab);
        assert_judged(&lab, KEY[1], "", &pinned, admits);
        forget_statements(&lab);
        // Kyverno has the builder in an expression, which cosign does not see.
        assert_judged(&lab, KEY[0], "", &pinned, admits || repository == "builder");
        assert_admitted(&lab, KEY[0], &pinned, admits);
    }
}

#[test]
fn cosign_accepts_by_the_identities_of_the_policies_what_was_pushed() {
    let Some(lab) = Lab::with(["cosign", "manifests"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    let server = Server::start();
    let services = server.signing_config(&[Version::V2]);
    lab.write("services.json", services.to_string());
    lab.write("root.json", server.trusted_root().to_string());
    let issuer = "https://token.actions.githubusercontent.com";
    for name in KEYLESS {
        let text = example(name);
        assert!(text.contains(issuer));
        lab.write(name, text.replace(issuer, &server.provider.url));
    }
    lab.write("provenance.json", provenance(HOSTED));
    let workflow = "https://github.com/acme/bert/.github/workflows";
    for (repository, identity, admits) in [
        (
            "good",
            format!("{workflow}/release.yml@refs/tags/v1.2.0"),
            true,
        ),
        (
            "branch",
            format!("{workflow}/release.yml@refs/heads/main"),
            false,
        ),
        (
            "other",
            format!("{workflow}/test.yml@refs/tags/v1.2.0"),
            false,
        ),
        (
            "longer",
            format!("{workflow}/release.yml@refs/tags/v1-eve"),
            false,
        ),
    ] {
        let token = server.provider.mint(&Claims::uri(&identity));
        lab.write("token", token);
        let flags = "--sign --attest slsaprovenance1=provenance.json --identity-token token \
                     --signing-config services.json --trusted-root root.json";
        let reference = registry.reference(&format!("acme/{repository}:v1"));
        let pinned = lab.push(&reference, flags);
        for name in KEYLESS {
            forget_statements(&lab);
            assert_judged(&lab, name, "--trusted-root root.json", &pinned, admits);
        }
        assert_admitted(&lab, KEYLESS[0], &pinned, admits);
    }
}

#[test]
fn an_exported_policy_is_what_the_controllers_take() {
    let Some(lab) = Lab::with(["manifests"]) else {
        return;
    };
    let fixtures = root().join("fixtures/policy-export");
    for name in ["policy.toml", "a.pub", "b.pub", "c.pub", "root.json"] {
        lab.write(name, std::fs::read(fixtures.join(name)).unwrap());
    }
    for format in ["kyverno", "cluster-image-policy"] {
        let export = format!(
            "modelctl policy export --policy policy.toml --name models --format {format} \
             --allow-weaker"
        );
        let text = lab.run(export).succeeds().stdout;
        lab.write("exported.yaml", &text);
        assert!(!facts(&lab, "exported.yaml").is_empty(), "{text}");
        lab.write("exported.yaml", text.replace("metadata:", "metadatum:"));
        lab.run(check("exported.yaml")).fails();
    }
}
