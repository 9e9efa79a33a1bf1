//! Policies for other tools, as people ask for them: the command, what it tells, and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::disallowed_methods)]

#[path = "support/command.rs"]
mod command;

use std::path::Path;

use command::{Outcome, Workspace};

/// Returns a workspace with the fixtures' policy and the files that it names.
fn workspace() -> Workspace {
    let at = Workspace::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/policy-export");
    for name in ["policy.toml", "a.pub", "b.pub", "c.pub", "root.json"] {
        at.write(name, std::fs::read(fixtures.join(name)).unwrap());
    }
    at
}

fn export(at: &Workspace, format: &str, more: &[&str]) -> Outcome {
    let exported = [
        "policy",
        "export",
        "--policy",
        "policy.toml",
        "--format",
        format,
    ];
    at.run(&[&exported[..], more].concat())
}

#[test]
fn an_export_that_would_be_weaker_is_written_only_when_that_is_said() {
    let at = workspace();
    let refused = export(&at, "kyverno", &[]);
    refused.refused(1, "policy-export-weaker");
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("weaker: `models`: "), "{refused:?}");
    let written = export(&at, "kyverno", &["--allow-weaker"]);
    written.ok();
    assert!(written.stdout.contains("kind: ImageValidatingPolicy"));
    assert!(written.stderr.contains("weaker: `models`: "), "{written:?}");

    let json = export(&at, "kyverno", &["--json"]).json();
    assert_eq!(json["weaker"], true);
    assert_eq!(json["text"], serde_json::Value::Null);
    let json = export(&at, "containers", &["--allow-weaker", "--json"]).json();
    assert_eq!(
        (&json["format"], &json["weaker"]),
        (&"containers".into(), &true.into())
    );
    assert!(json["text"].as_str().unwrap().contains("sigstoreSigned"));
    assert!(json["losses"][0]["what"].is_string(), "{json}");
}

#[test]
fn an_export_that_is_as_strict_needs_no_flag() {
    let at = workspace();
    let text = "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [\"a.pub\"]\n[[policies]]\nname = \
                \"it\"\nscopes = [\"registry.example.com/acme/**\"]\n[[policies.require]]\nkind = \
                \"signature\"\nauthorities = [\"a\"]\n";
    at.write("policy.toml", text);
    let exported = export(&at, "cluster-image-policy", &[]);
    exported.ok();
    assert!(
        exported.stdout.contains("no-match-policy: deny"),
        "{exported:?}"
    );
    export(&at, "containers", &[]).ok();
    // What no policy covers is let through by Kyverno; of one policy alone that is not said.
    export(&at, "kyverno", &[]).refused(1, "policy-export-weaker");
    export(&at, "kyverno", &["--name", "it"]).ok();
    export(&at, "kyverno", &["--name", "other"]).refused(2, "usage");
    export(&at, "notation", &["--allow-weaker"]).refused(2, "usage");
    at.write(
        "layouts.toml",
        text.replace("registry.example.com/acme/**", "oci:**"),
    );
    let layouts = ["--allow-weaker", "--policy", "layouts.toml"];
    let exported = ["policy", "export", "--format", "kyverno"];
    at.run(&[&exported[..], &layouts].concat())
        .refused(2, "usage");
    at.write("a.pub", "no key");
    export(&at, "containers", &[]).refused(2, "policy-invalid");
}
