//! The GitHub Actions workflows: their steps are run as a runner runs them, against a registry and a
//! Sigstore of the test.
//!
//! What differs from GitHub: the variables that name the registry and the issuer; the identity comes
//! as a token in `SIGSTORE_ID_TOKEN`; and `modelctl` is told which Sigstore to use, by a wrapper on
//! the path that adds two flags. The steps `install` and `train` are not run.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::site;
use crate::support::command::{Outcome, Workspace};
use crate::support::registry::{Auth, Options, Registry};
use crate::support::sigstore::{Claims, Server, Version};
use crate::workflow::{Step, Workflow};

const RELEASE: &str = include_str!("../../examples/deploy/github/release.yml");
const DEPLOY: &str = include_str!("../../examples/deploy/github/deploy.yml");

const PASSWORD: &str = "a-token-of-the-run";

/// Adds what names the test's own services to the commands that sign or verify.
const WRAPPER: &str = r#"#!/bin/sh
case $1 in
  push) set -- "$@" --signing-config "$SERVICES/services.json" --trusted-root "$SERVICES/root.json" ;;
  verify) set -- "$@" --trusted-root "$SERVICES/root.json" ;;
esac
exec "$MODELCTL" "$@"
"#;

/// Writes down how it was called.
const KUBECTL: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$RECORD\"\n";

/// The smallest honest run.
const RUN: &str = "schema = 1\n[run]\ntype = \"train\"\n";

/// A runner, the registry that it pushes to, and the Sigstore that certifies it.
struct Runner {
    at: Workspace,
    registry: Registry,
    sigstore: Server,
}

impl Runner {
    fn new() -> Self {
        let auth = Auth::Basic {
            user: "octocat".to_owned(),
            password: PASSWORD.to_owned(),
        };
        let registry = Registry::start(Options {
            auth,
            ..Options::default()
        });
        let sigstore = Server::start();
        let at = Workspace::new();
        at.model("model");
        at.write("run.toml", RUN);
        let services = sigstore.signing_config(&[Version::V2]);
        at.write("services.json", services.to_string());
        at.write("root.json", sigstore.trusted_root().to_string());
        for (name, script) in [("modelctl", WRAPPER), ("kubectl", KUBECTL)] {
            let path = format!("bin/{name}");
            at.write(&path, script);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(at.path(&path), mode).unwrap();
        }
        Self {
            at,
            registry,
            sigstore,
        }
    }

    /// Runs a step as a runner does, and returns what it came to and what it gave on.
    fn run(&self, workflow: &Workflow, step: &Step, more: &[(&str, &str)]) -> (Outcome, String) {
        self.at.write("output", "");
        let mut command = self.at.prepared(Command::new("bash"));
        command.args([
            "--noprofile",
            "--norc",
            "-eo",
            "pipefail",
            "-c",
            &step.script,
        ]);
        let output = self.at.path("output");
        command
            .envs(&workflow.variables)
            .envs(&step.variables)
            .env_remove("MODELCTL_PASSWORD")
            .env("REGISTRY", self.registry.host())
            .env("ISSUER", &self.sigstore.provider.url)
            .env("GITHUB_ACTOR", "octocat")
            .env("GITHUB_OUTPUT", &output)
            .env("TOKEN", PASSWORD)
            .env("SERVICES", self.at.path("."))
            .env("MODELCTL", env!("CARGO_BIN_EXE_modelctl"));
        let outcome = site::run(&self.at, &mut command, more);
        let output = std::fs::read_to_string(output).unwrap();
        let output = output.trim_end().strip_prefix("model=").unwrap_or_default();
        (outcome, output.to_owned())
    }

    /// Releases a version as the workflow of `repository`, and returns the pinned reference.
    fn release(&self, repository: &str, version: &str) -> String {
        let workflow = Workflow::read(RELEASE);
        self.run(&workflow, workflow.step("log in"), &[]).0.ok();
        let identity = format!(
            "https://github.com/{repository}/.github/workflows/release.yml@refs/tags/{version}"
        );
        let token = self.sigstore.provider.mint(&Claims::uri(&identity));
        let settings = [
            ("GITHUB_REF_NAME", version),
            ("SIGSTORE_ID_TOKEN", token.as_str()),
        ];
        let (outcome, pinned) = self.run(&workflow, workflow.step("push"), &settings);
        outcome.ok();
        for told in [&outcome.stderr, &outcome.stdout, &pinned] {
            assert!(!told.contains(&token) && !told.contains(PASSWORD), "{told}");
        }
        pinned
    }

    /// Runs the deployment of a version from the log-in to its end, as far as it gets.
    fn deploy(&self, version: &str) -> Outcome {
        let workflow = Workflow::read(DEPLOY);
        self.run(&workflow, workflow.step("log in"), &[]).0.ok();
        let settings = [("VERSION", version)];
        let (outcome, verified) = self.run(&workflow, workflow.step("verify"), &settings);
        if outcome.code != 0 {
            assert_eq!(verified, "", "a refusal gives nothing on");
            return outcome;
        }
        let settings = [("VERIFIED", verified.as_str())];
        self.run(&workflow, workflow.step("deploy"), &settings).0
    }
}

#[test]
fn what_the_release_workflow_pushed_is_deployed_by_its_digest() {
    let runner = Runner::new();
    let pinned = runner.release("acme/bert", "v1.2.0");
    assert!(pinned.contains("acme/bert:v1.2.0@sha256:"), "{pinned}");
    runner.deploy("v1.2.0").ok();
    let called = site::record(&runner.at).expect("kubectl was not called");
    assert_eq!(called.last().unwrap(), &format!("MODEL={pinned}"));
    assert_eq!(called[..3], ["set", "env", "deployment/bert"]);
    let kept = runner.at.path("home/.docker/config.json");
    assert!(std::fs::read_to_string(&kept).unwrap().contains("auth"));
    let workflow = Workflow::read(DEPLOY);
    runner.run(&workflow, workflow.step("log out"), &[]).0.ok();
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(!kept.contains(&runner.registry.host()), "{kept}");
}

#[test]
fn what_another_workflow_or_nobody_signed_is_not_deployed() {
    let runner = Runner::new();
    runner.release("eve/bert", "v1.2.0");
    runner.deploy("v1.2.0").refused(3, "identity-mismatch");
    assert_eq!(site::record(&runner.at), None);

    // A version under the name of another: the tag is in the identity.
    let runner = Runner::new();
    runner.release("acme/bert", "v1.0.0");
    let host = runner.registry.host();
    let reference = format!("{host}/acme/bert:v1.0.0");
    runner.at.run(&["tag", &reference, "v9.9.9"]).ok();
    runner.deploy("v9.9.9").refused(3, "identity-mismatch");
    assert_eq!(site::record(&runner.at), None);

    // By the right one, but from another provider.
    let workflow = Workflow::read(DEPLOY);
    let mut step = BTreeMap::new();
    step.insert("VERSION", "v1.0.0");
    step.insert("ISSUER", "https://idp.example.com");
    let settings: Vec<_> = step.into_iter().collect();
    let (outcome, _) = runner.run(&workflow, workflow.step("verify"), &settings);
    outcome.refused(3, "issuer-mismatch");

    let runner = Runner::new();
    let workflow = Workflow::read(DEPLOY);
    runner.run(&workflow, workflow.step("log in"), &[]).0.ok();
    let reference = format!("{}/acme/bert:v1.0.0", runner.registry.host());
    runner.at.run(&["push", &reference, "model"]).ok();
    runner.deploy("v1.0.0").refused(3, "signature-missing");
    assert_eq!(site::record(&runner.at), None);
}

#[test]
fn without_provenance_a_signed_model_is_not_deployed() {
    let runner = Runner::new();
    let workflow = Workflow::read(RELEASE);
    let mut push = Workflow::read(RELEASE).step("push").script.clone();
    assert!(push.contains(" --training-run run.toml"));
    push = push.replace(" --training-run run.toml", "");
    let step = Step {
        script: push,
        ..Step::default()
    };
    runner.run(&workflow, workflow.step("log in"), &[]).0.ok();
    let identity = "https://github.com/acme/bert/.github/workflows/release.yml@refs/tags/v1.0.0";
    let token = runner.sigstore.provider.mint(&Claims::uri(identity));
    let settings = [
        ("GITHUB_REF_NAME", "v1.0.0"),
        ("SIGSTORE_ID_TOKEN", token.as_str()),
    ];
    runner.run(&workflow, &step, &settings).0.ok();
    runner.deploy("v1.0.0").refused(3, "attestation-missing");
}

#[test]
fn a_code_file_keeps_a_release_from_being_pushed() {
    let runner = Runner::new();
    runner.at.write("model/modeling.py", "import os\n");
    let workflow = Workflow::read(RELEASE);
    runner.run(&workflow, workflow.step("log in"), &[]).0.ok();
    let token = runner.sigstore.provider.mint(&Claims::uri("https://x"));
    let settings = [
        ("GITHUB_REF_NAME", "v1.0.0"),
        ("SIGSTORE_ID_TOKEN", token.as_str()),
    ];
    let (outcome, pushed) = runner.run(&workflow, workflow.step("push"), &settings);
    outcome.refused(4, "content-format-denied");
    assert_eq!(pushed, "");
}

#[test]
fn actions_are_pinned_rights_are_few_and_no_expression_is_in_a_script() {
    for (text, rights) in [
        (
            RELEASE,
            &["contents: read", "packages: write", "id-token: write"][..],
        ),
        (DEPLOY, &["packages: read"]),
    ] {
        assert!(text.contains("\npermissions: {}\n"));
        let lines: Vec<_> = text.lines().collect();
        let head = lines.iter().position(|line| *line == "    permissions:");
        let given = lines[head.unwrap() + 1..].iter();
        let given: Vec<_> = given
            .map_while(|line| line.strip_prefix("      "))
            .collect();
        assert_eq!(given, rights);
        for action in lines.iter().filter_map(|line| line.split_once("uses: ")) {
            let (_, pin) = action.1.split_once('@').unwrap();
            let digits = pin.bytes().take_while(u8::is_ascii_hexdigit).count();
            assert_eq!(digits, 40, "{} is not pinned", action.1);
        }
        for step in Workflow::read(text).steps {
            assert!(!step.script.contains("${{"), "{}", step.name);
        }
    }
}
