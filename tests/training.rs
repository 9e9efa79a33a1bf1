//! The command with a training run: what is signed is what was said and found, and no more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use support::command::Workspace;

const RUN: &str = "schema = 1\n[run]\ntype = \"fine-tune\"\n[parameters]\nepochs = 3\n\
                   [[output]]\npath = \"model.safetensors\"\n";

/// Returns the predicates of a type that are attached to what was pushed to `oci:./store:v1`.
fn predicates(workspace: &Workspace, predicate_type: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let blobs = workspace.path("store/blobs/sha256");
    for entry in std::fs::read_dir(blobs).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let Ok(bundle) = serde_json::from_slice::<Value>(&bytes) else {
            continue;
        };
        let Some(payload) = bundle["dsseEnvelope"]["payload"].as_str() else {
            continue;
        };
        let statement: Value = serde_json::from_slice(&decoded(payload)).unwrap();
        if statement["predicateType"] == predicate_type {
            found.push(statement);
        }
    }
    found
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

const SLSA: &str = "https://slsa.dev/provenance/v1";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

const PUSH: [&str; 8] = [
    "push",
    "oci:./store:v1",
    "model",
    "--sign",
    "--key",
    "cosign.key",
    "--training-run",
    "run.toml",
];

#[test]
fn a_push_signs_and_tells_the_run_in_one_go() {
    let workspace = Workspace::with_model_and_key();
    workspace.write("data/a", "1");
    let run = format!(
        "{RUN}[[data]]\npath = \"data\"\n[[evaluation]]\nname = \"e\"\ndataset = \"data\"\n\
         metrics = {{ accuracy = 0.9 }}\nthresholds = {{ accuracy = {{ min = 0.8 }} }}\n"
    );
    workspace.write("run.toml", run);
    let pushed = workspace.run(&[&PUSH[..], &["--json"]].concat()).json();
    let types: Vec<_> = pushed["referrers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["predicateType"].as_str().unwrap())
        .collect();
    assert_eq!(types[0], "https://sigstore.dev/cosign/sign/v1");
    assert_eq!(types[types.len() - 2..], [SLSA, TEST_RESULT]);
    for required in ["slsaprovenance1", "testresult"] {
        let verify = [
            "verify",
            "oci:./store:v1",
            "--key",
            "cosign.pub",
            "--require",
        ];
        workspace.run(&[&verify[..], &[required]].concat()).ok();
    }
    let statement = &predicates(&workspace, SLSA)[0];
    let names: Vec<_> = statement["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| subject["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["oci:./store", "model.safetensors"]);
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["parameters"]["epochs"], 3);
    let results = predicates(&workspace, TEST_RESULT);
    assert_eq!(results[0]["predicate"]["result"], "PASSED");
    assert_eq!(results[0]["predicate"]["configuration"][0]["name"], "data");

    // The same again adds nothing: nothing in it depends on when it was made.
    let again = workspace.run(&[&PUSH[..], &["--json"]].concat()).json();
    let existed = again["referrers"].as_array().unwrap();
    assert!(
        existed.iter().all(|found| found["existed"] == true),
        "{again}"
    );
}

#[test]
fn no_secret_of_the_environment_is_signed() {
    let workspace = Workspace::with_model_and_key();
    workspace.write("run.toml", RUN);
    workspace.write(".git/HEAD", "ref: refs/heads/main\n");
    workspace.write(
        ".git/refs/heads/main",
        "3f786850e387550fdab836ed7e6dc881de23001b\n",
    );
    let config = "[remote \"origin\"]\n\turl = https://j0e:c4n4ry@example.com/acme/train.git\n";
    workspace.write(".git/config", config);
    let canaries = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://x:c4n4ry@github.com"),
        ("GITHUB_REPOSITORY", "acme/train"),
        ("GITHUB_RUN_ID", "42"),
        (
            "GITHUB_WORKFLOW_REF",
            "ghp_c4n4ry000000000000000000000000000",
        ),
        ("GITHUB_TOKEN", "c4n4ry"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "c4n4ry"),
        ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
        ("HF_TOKEN", "c4n4ry"),
        ("CI_JOB_TOKEN", "c4n4ry"),
        (
            "CI_REPOSITORY_URL",
            "https://gitlab-ci-token:c4n4ry@gitlab.com/a",
        ),
        ("ARGO_TEMPLATE", "c4n4ry"),
        ("SM_TRAINING_ENV", "c4n4ry"),
    ];
    let outcome = workspace.run_with(&[&PUSH[..], &["-vv"]].concat(), &canaries, "");
    outcome.ok();
    let statement = &predicates(&workspace, SLSA)[0];
    let told = statement.to_string();
    for secret in ["c4n4ry", "j0e"] {
        assert!(!told.contains(secret), "{told}");
        assert!(!outcome.stderr.contains(secret), "{}", outcome.stderr);
    }
    // What may be told is.
    let details = &statement["predicate"]["runDetails"];
    let run = "https://github.com/acme/train/actions/runs/42";
    assert_eq!(details["metadata"]["invocationId"], run);
    let code = &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!(
        code["digest"]["gitCommit"],
        "3f786850e387550fdab836ed7e6dc881de23001b"
    );
    assert_eq!(
        code["uri"],
        "git+https://example.com/acme/train.git@refs/heads/main"
    );
    let collected = &statement["predicate"]["buildDefinition"]["internalParameters"];
    let collected = collected["modelctl_collected"].to_string();
    assert!(collected.contains("\"code.commit\""), "{collected}");
}

#[test]
fn what_is_wrong_shows_before_anything_is_stored() {
    let workspace = Workspace::with_model_and_key();
    for (run, code, reason) in [
        ("schema = 1\n[run]\ntypo = 1\n", 2, "run-file-invalid"),
        ("schema = 1\n", 2, "run-file-invalid"),
        (
            "schema = 1\nrun.type = \"train\"\n[[output]]\npath = \"other.bin\"\n",
            2,
            "run-file-invalid",
        ),
        (
            "schema = 1\nrun.type = \"train\"\n[[data]]\npath = \"absent\"\n",
            5,
            "file-not-found",
        ),
        (
            "schema = 1\nrun.type = \"train\"\n[parameters]\nx = \"https://u:p@e.com\"\n",
            2,
            "run-file-invalid",
        ),
        (
            "schema = 1\nrun.type = \"train\"\n[[base]]\nreference = \"oci:./absent:v1\"\n",
            5,
            "file-not-found",
        ),
    ] {
        workspace.write("run.toml", run);
        workspace.run(&PUSH).refused(code, reason);
        assert!(!workspace.path("store").exists(), "{run}");
    }
    workspace.write("run.toml", RUN);
    workspace.run(&PUSH[..3]).ok();
    workspace.run(&PUSH).ok();
}

#[test]
fn an_output_with_another_digest_is_not_signed_or_tagged() {
    let workspace = Workspace::with_model_and_key();
    let digest = format!("{RUN}digest = \"sha256:{}\"\n", "0".repeat(64));
    workspace.write("run.toml", digest);
    workspace.run(&PUSH).refused(4, "digest-mismatch");
    workspace
        .run(&["inspect", "oci:./store:v1"])
        .refused(5, "reference-not-found");
    assert_eq!(predicates(&workspace, SLSA), [] as [Value; 0]);
}

#[test]
fn a_base_model_is_pinned_and_must_be_signed_by_whom_is_named() {
    let workspace = Workspace::with_model_and_key();
    let signed = ["--sign", "--key", "cosign.key"];
    let base = ["push", "oci:./base:v1", "model"];
    let pinned = workspace.run(&[&base[..], &signed].concat());
    let pinned = pinned.ok().to_owned();
    workspace.run(&["push", "oci:./unsigned:v1", "model"]).ok();
    let run = |reference: &str| {
        format!("{RUN}[[base]]\nreference = \"{reference}\"\nkey = \"cosign.pub\"\n")
    };
    workspace.write("run.toml", run("oci:./unsigned:v1"));
    workspace.run(&PUSH).refused(3, "signature-missing");
    assert!(!workspace.path("store").exists());

    workspace.write("run.toml", run("oci:./base:v1"));
    workspace.run(&PUSH).ok();
    let statement = &predicates(&workspace, SLSA)[0];
    let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        .as_array()
        .unwrap();
    let base = dependencies
        .iter()
        .find(|found| found["annotations"]["modelctl_role"] == "base_model")
        .unwrap();
    assert_eq!(base["annotations"]["modelctl_reference"], pinned);
    let hex = pinned.rsplit(':').next().unwrap();
    assert_eq!(base["digest"]["sha256"], hex);
    assert!(base["annotations"]["modelctl_verifiedBy"].is_string());
    assert!(base["annotations"]["modelctl_omsRoot"].is_string());
}

#[test]
fn attest_tells_a_run_or_its_evaluations_of_what_is_there() {
    let workspace = Workspace::with_model_and_key();
    workspace.run(&["push", "oci:./store:v1", "model"]).ok();
    let attest = ["attest", "oci:./store:v1", "--key", "cosign.key"];
    workspace.write("run.toml", RUN);
    workspace
        .run(&[&attest[..], &["--evaluation", "run.toml"]].concat())
        .refused(2, "run-file-invalid");
    workspace
        .run(&[&attest[..], &["--training-run", "run.toml"]].concat())
        .ok();
    assert_eq!(predicates(&workspace, SLSA).len(), 1);

    let tested = "schema = 1\n[[evaluation]]\nname = \"e\"\nresult = \"failed\"\n";
    workspace.write("tested.toml", tested);
    workspace
        .run(&[&attest[..], &["--evaluation", "tested.toml"]].concat())
        .ok();
    let results = predicates(&workspace, TEST_RESULT);
    assert_eq!(results[0]["predicate"]["result"], "FAILED");
    assert_eq!(predicates(&workspace, SLSA).len(), 1);
}

#[test]
fn init_writes_a_run_file_that_can_be_used_and_never_over_another() {
    let workspace = Workspace::with_model_and_key();
    assert_eq!(workspace.run(&["attest", "--init"]).ok(), "run.toml");
    workspace
        .run(&["attest", "--init"])
        .refused(2, "target-exists");
    workspace.run(&PUSH).ok();
    workspace.run(&["attest", "--init", "other.toml"]).ok();
    let both = workspace.run(&["attest", "--init", "x.toml", "oci:./store:v1"]);
    assert_eq!(both.code, 2, "{both:?}");
    assert!(!workspace.path("x.toml").exists());
}

#[test]
fn inspect_tells_what_is_proven_what_is_claimed_and_what_is_not_said() {
    let workspace = Workspace::with_model_and_key();
    workspace.write(
        "run.toml",
        RUN.replace("[run]\n", "[run]\npipeline = \"p-1\"\n"),
    );
    workspace.run(&PUSH).ok();
    let inspect = ["inspect", "oci:./store:v1", "--provenance", "--json"];
    let standing = |outcome: &Value, field: &str| -> Vec<String> {
        let rows = outcome["provenance"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["field"] == field);
        rows.map(|row| row["standing"].as_str().unwrap().to_owned())
            .collect()
    };
    let trusted = workspace
        .run(&[&inspect[..], &["--key", "cosign.pub"]].concat())
        .json();
    assert_eq!(standing(&trusted, "model_hash"), ["proven"]);
    assert_eq!(standing(&trusted, "signer_identity"), ["proven", "proven"]);
    assert_eq!(standing(&trusted, "training_pipeline_id"), ["claimed"]);
    assert_eq!(standing(&trusted, "training_data_hash"), ["unsaid"]);

    let unknown = workspace.run(&inspect).json();
    assert_eq!(standing(&unknown, "signer_identity"), ["unsaid"]);
    assert_eq!(standing(&unknown, "training_pipeline_id"), ["unverified"]);

    let text = workspace.run(&[
        "inspect",
        "oci:./store:v1",
        "--provenance",
        "--key",
        "cosign.pub",
    ]);
    for field in ["model_hash", "training_environment", "evaluation_results"] {
        assert!(text.ok().contains(field), "{}", text.stdout);
    }
    workspace
        .run(&["inspect", "oci:./store:v1", "--key", "cosign.pub"])
        .refused(2, "usage");
    let plain = workspace.run(&["inspect", "oci:./store:v1"]);
    assert!(!plain.ok().contains("model_hash"));
}

#[test]
fn a_bill_of_materials_is_attached_in_the_same_go() {
    let workspace = Workspace::with_model_and_key();
    let run = RUN.replace("[run]\n", "[run]\nfinished = 2026-01-31T12:00:00Z\n");
    workspace.write("run.toml", run);
    for (format, name, predicate_type) in [
        ("cyclonedx", "cyclonedx", "https://cyclonedx.org/bom"),
        ("spdx", "spdxjson", "https://spdx.dev/Document"),
    ] {
        workspace
            .run(&[&PUSH[..], &["--ml-bom", format]].concat())
            .ok();
        let verify = [
            "verify",
            "oci:./store:v1",
            "--key",
            "cosign.pub",
            "--require",
            name,
        ];
        workspace.run(&verify).ok();
        let told = predicates(&workspace, predicate_type)[0].to_string();
        assert!(
            told.contains("BertModel") && told.contains("model.safetensors"),
            "{told}"
        );
    }
    let alone = workspace.run(&[&PUSH[..6], &["--ml-bom", "spdx"]].concat());
    assert_eq!(alone.code, 2, "{alone:?}");
}
