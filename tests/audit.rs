//! The audit log on the command: what is recorded, that nothing happens without it, and what
//! `audit verify` and `audit checkpoint` say of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;

use serde_json::Value;
use support::command::{Outcome, Workspace};

const LAYOUT: &str = "oci:./store:v1";
const LOG: [&str; 2] = ["--audit-log", "audit.log"];

/// Returns a workspace with a signed model in a layout, and a key that signed nothing.
fn workspace() -> Workspace {
    let at = Workspace::with_model_and_key();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "cosign.key"])
        .ok();
    at.run(&["generate-key-pair", "--output-key-prefix", "other"])
        .ok();
    at
}

fn run(at: &Workspace, command: &[&str]) -> Outcome {
    at.run(&[command, &LOG].concat())
}

fn pull(at: &Workspace, key: &str) -> Outcome {
    run(
        at,
        &["pull", LAYOUT, "./out", "--force", "--verify", "--key", key],
    )
}

fn verify_log(at: &Workspace, more: &[&str]) -> Outcome {
    at.run(&[&["audit", "verify", "audit.log"], more].concat())
}

fn checkpoint(at: &Workspace, output: &str) -> Outcome {
    let by = ["--key", "cosign.key", "-o", output];
    at.run(&[&["audit", "checkpoint", "audit.log"][..], &by].concat())
}

fn log(at: &Workspace) -> String {
    fs::read_to_string(at.path("audit.log")).unwrap()
}

fn records(at: &Workspace) -> Vec<Value> {
    let log = log(at);
    let lines = log.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns of each record what was done, what came of it, and for which reasons.
fn decisions(at: &Workspace) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let decision = |record: &Value| {
        let reasons = record["reasons"].clone();
        (text(&record["command"]), text(&record["verdict"]), reasons)
    };
    records(at).iter().map(decision).collect()
}

fn decision(command: &str, verdict: &str, reasons: &[&str]) -> (String, String, Value) {
    (command.to_owned(), verdict.to_owned(), reasons.into())
}

#[test]
fn every_decision_is_recorded_with_its_grounds() {
    let at = workspace();
    let verified = run(&at, &["verify", LAYOUT, "--key", "cosign.pub"]);
    let digest = verified.ok().rsplit_once('@').unwrap().1.to_owned();
    pull(&at, "other.pub").refused(3, "untrusted-signer");
    pull(&at, "cosign.pub").ok();
    run(&at, &["verify", "./out", "--key", "cosign.pub"]).ok();
    run(&at, &["pull", LAYOUT, "./out", "--force"]).ok();
    run(&at, &["policy", "explain", LAYOUT, "--key", "other.pub"]).refused(3, "untrusted-signer");
    assert_eq!(
        decisions(&at),
        [
            decision("verify", "admitted", &[]),
            decision("pull", "refused", &["untrusted-signer"]),
            decision("pull", "admitted", &[]),
            decision("verify", "admitted", &[]),
            decision("pull", "unverified", &[]),
            decision("policy explain", "refused", &["untrusted-signer"]),
        ]
    );
    let records = records(&at);
    for record in &records {
        assert_eq!(record["digest"], digest.as_str(), "{record}");
        assert!(record["tool"].as_str().unwrap().starts_with("modelctl/"));
    }
    let admitted = &records[0];
    assert_eq!(admitted["reference"], LAYOUT);
    assert_eq!(admitted["trust"][0]["name"], "cosign.pub");
    let evidence = &admitted["evidence"][0];
    assert_eq!(
        evidence["signer"]["fingerprint"],
        admitted["trust"][0]["fingerprints"][0]
    );
    assert_eq!(
        evidence["predicateType"],
        "https://sigstore.dev/cosign/sign/v1"
    );
    assert_eq!(records[4]["why"], "`--verify` was not asked for");
    assert_eq!(records[3]["reference"], "./out");
    verify_log(&at, &[]).ok();
}

#[test]
fn a_signature_is_recorded_before_it_is_made() {
    let at = Workspace::with_model_and_key();
    run(
        &at,
        &["push", LAYOUT, "model", "--sign", "--key", "cosign.key"],
    )
    .ok();
    run(&at, &["sign", LAYOUT, "--key", "cosign.key", "-a", "a=b"]).ok();
    at.write("predicate.json", "{}");
    let predicate = [
        "--type",
        "https://example.com/p",
        "--predicate",
        "predicate.json",
    ];
    let by = ["--key", "cosign.key"];
    run(&at, &[&["attest", LAYOUT][..], &predicate, &by].concat()).ok();
    run(&at, &["sign", "./model", "--key", "cosign.key"]).ok();
    let said: Vec<_> = records(&at)
        .iter()
        .map(|record| {
            assert_eq!(record["event"], "signing", "{record}");
            assert_eq!(record["signer"], "cosign.key");
            format!("{} {}", record["command"], record["predicateType"]).replace('"', "")
        })
        .collect();
    let (signature, oms) = (
        "https://sigstore.dev/cosign/sign/v1",
        modelctl::oms::PREDICATE,
    );
    assert_eq!(
        said,
        [
            format!("push {signature}"),
            format!("push {oms}"),
            format!("sign {signature}"),
            "attest https://example.com/p".to_owned(),
            format!("sign {oms}"),
        ]
    );
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let at = workspace();
    at.write("directory/file", "");
    at.write("notes", "not a log\n");
    for (log, code, reason) in [
        ("directory", 8, "disk"),
        ("missing/audit.log", 8, "disk"),
        ("/dev/null", 8, "disk"),
        ("notes", 4, "audit-broken"),
    ] {
        let more = ["--audit-log", log];
        let pull = ["pull", LAYOUT, "./out", "--verify", "--key", "cosign.pub"];
        let refused = at.run(&[&pull[..], &more].concat());
        refused.refused(code, reason);
        assert!(refused.stderr.contains(log), "{}", refused.stderr);
        let push = [
            "push",
            "oci:./new:v1",
            "model",
            "--sign",
            "--key",
            "cosign.key",
        ];
        at.run(&[&push[..], &more].concat()).refused(code, reason);
        at.run(&[&["verify", LAYOUT, "--key", "cosign.pub"][..], &more].concat())
            .refused(code, reason);
    }
    assert!(!at.path("out").exists() && !at.path("new").exists());
    assert_eq!(fs::read(at.path("notes")).unwrap(), b"not a log\n");
    pull(&at, "cosign.pub").ok();
    assert!(at.path("out/config.json").exists());
}

#[test]
fn the_environment_can_name_the_log_and_the_output_says_where_the_record_is() {
    let at = workspace();
    let named = at.path("named.log");
    let more = [("MODELCTL_AUDIT_LOG", named.to_str().unwrap())];
    let verify = ["verify", LAYOUT, "--key", "cosign.pub", "--json"];
    let verified = at.run_with(&verify, &more, "").json();
    assert_eq!(verified["audit"]["seq"], 1);
    let line = fs::read_to_string(&named).unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["hash"], verified["audit"]["hash"]);
    // A flag names another; without either there is none.
    let flagged = at.run_with(&[&verify[..], &LOG].concat(), &more, "").json();
    assert_eq!(flagged["audit"]["log"], "audit.log");
    assert!(at.run(&verify).json().get("audit").is_none());
    assert_eq!(fs::read_to_string(&named).unwrap(), line);
    let refuse = ["verify", LAYOUT, "--key", "other.pub", "--json"];
    let refused = at.run_with(&refuse, &more, "").json();
    assert_eq!(refused["audit"]["seq"], 2);
    assert_eq!(refused["error"]["reason"], "untrusted-signer");
}

#[test]
fn a_policy_is_recorded_by_its_digest_and_what_it_does_not_cover_is_refused() {
    let at = workspace();
    let policy = "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [\"cosign.pub\"]\n\
        [[policies]]\nname = \"release\"\nscopes = [\"SCOPE\"]\nmode = \"MODE\"\n\
        [[policies.require]]\nkind = \"signature\"\nauthorities = [\"a\"]\n";
    let pull = [
        "pull",
        LAYOUT,
        "./out",
        "--force",
        "--policy",
        "policy.toml",
    ];
    for (scope, mode, verdict, reasons) in [
        ("oci:**", "enforce", "admitted", &[][..]),
        ("oci:**", "warn", "unverified", &[]),
        ("example.com/a", "enforce", "refused", &["no-policy"]),
    ] {
        let text = policy.replace("SCOPE", scope).replace("MODE", mode);
        at.write("policy.toml", &text);
        let outcome = run(&at, &pull);
        let last = records(&at).pop().unwrap();
        assert_eq!(last["verdict"], verdict, "{outcome:?}");
        assert_eq!(last["reasons"], Value::from(reasons));
        if verdict == "refused" {
            outcome.refused(3, "no-policy");
            continue;
        }
        assert_eq!(last["policy"]["name"], "release");
        let digest = modelctl::digest::Digest::of(text.as_bytes());
        assert_eq!(last["policy"]["digest"], digest.to_string());
        assert_eq!(last["evidence"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn content_that_is_refused_after_the_verdict_is_a_refusal_too() {
    let at = Workspace::with_model_and_key();
    at.write("model/modeling.py", "import os\n");
    run(
        &at,
        &["push", LAYOUT, "model", "--sign", "--key", "cosign.key"],
    )
    .ok();
    pull(&at, "cosign.pub").refused(4, "content-format-denied");
    let decided = decisions(&at).split_off(2);
    assert_eq!(
        decided,
        [
            decision("pull", "admitted", &[]),
            decision("pull", "refused", &["content-format-denied"]),
        ]
    );
}

#[test]
fn a_push_that_asks_for_a_signature_is_a_decision() {
    let at = workspace();
    let push = [
        "push",
        "oci:./gated:v1",
        "model",
        "--require-signature",
        "--key",
    ];
    let push = |key: &str| run(&at, &[&push[..], &[key]].concat());
    push("cosign.pub").refused(3, "signature-missing");
    at.run(&["sign", "./model", "--key", "cosign.key"]).ok();
    push("cosign.pub").ok();
    push("other.pub").refused(3, "untrusted-signer");
    assert_eq!(
        decisions(&at),
        [
            decision("push", "refused", &["signature-missing"]),
            decision("push", "admitted", &[]),
            decision("push", "refused", &["untrusted-signer"]),
        ]
    );
}

#[test]
fn a_log_that_was_tampered_with_is_told_line_by_line() {
    let at = workspace();
    for _ in 0..4 {
        pull(&at, "other.pub").refused(3, "untrusted-signer");
    }
    let sound = verify_log(&at, &["--json"]).json();
    assert_eq!(
        (&sound["holds"], &sound["records"]),
        (&true.into(), &4.into())
    );
    assert_eq!(sound["head"]["hash"], records(&at)[3]["hash"]);
    let told = verify_log(&at, &[]);
    assert!(told.ok().contains("4 records"), "{told:?}");
    assert!(told.stderr.contains("not detectable here"), "{told:?}");

    let honest = log(&at);
    let lines: Vec<&str> = honest.lines().collect();
    let edited = honest.replacen("refused", "admitted", 1);
    for (text, line, kind) in [
        (edited, 1, "edited"),
        (lines[1..].join("\n") + "\n", 1, "removed"),
        (
            [lines[0], lines[1], lines[3]].join("\n") + "\n",
            3,
            "removed",
        ),
        (
            [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n",
            2,
            "reordered",
        ),
        (format!("{honest}hello\n"), 5, "foreign"),
        (honest[..honest.len() - 20].to_owned(), 4, "torn"),
    ] {
        at.write("audit.log", &text);
        let broken = verify_log(&at, &["--json"]);
        broken.refused(4, "audit-broken");
        let first = &broken.json()["breaks"][0];
        assert_eq!(
            (&first["line"], &first["kind"]),
            (&line.into(), &kind.into())
        );
        assert!(
            broken.stderr.contains(&format!("line {line}: {kind}")),
            "{broken:?}"
        );
    }
    at.run(&["audit", "verify", "missing.log"])
        .refused(5, "file-not-found");
    // A torn line is marked by the next record, and the log holds again.
    pull(&at, "other.pub").refused(3, "untrusted-signer");
    let marked = verify_log(&at, &["--json"]).json();
    assert_eq!(
        (&marked["holds"], &marked["torn"][0]["line"]),
        (&true.into(), &4.into())
    );
}

#[test]
fn a_checkpoint_shows_what_the_chain_cannot() {
    let at = workspace();
    for _ in 0..3 {
        pull(&at, "other.pub").refused(3, "untrusted-signer");
    }
    assert_eq!(checkpoint(&at, "three.json").ok(), "three.json");
    checkpoint(&at, "three.json").refused(2, "target-exists");
    pull(&at, "other.pub").refused(3, "untrusted-signer");
    let printed = [
        "audit",
        "checkpoint",
        "audit.log",
        "--sign",
        "--key",
        "cosign.key",
    ];
    at.write("four.json", at.run(&printed).ok());
    let both = ["--checkpoint", "three.json", "--checkpoint", "four.json"];
    let signed_by = |key| verify_log(&at, &[&both[..], &["--key", key, "--json"]].concat());
    let sound = signed_by("cosign.pub").json();
    assert_eq!(sound["holds"], true);
    assert_eq!(sound["checkpoints"][1]["head"]["seq"], 4);
    signed_by("other.pub").refused(3, "untrusted-signer");

    let honest = log(&at);
    let cut: String = honest.split_inclusive('\n').take(3).collect();
    at.write("audit.log", &cut);
    verify_log(&at, &[]).ok();
    let shorter = signed_by("cosign.pub");
    shorter.refused(4, "audit-broken");
    let held: Vec<_> = shorter.json()["checkpoints"].as_array().unwrap().to_vec();
    assert_eq!(
        (&held[0]["holds"], &held[1]["holds"]),
        (&true.into(), &false.into())
    );
    // The same number of records, and others.
    fs::remove_file(at.path("audit.log")).unwrap();
    for _ in 0..4 {
        pull(&at, "cosign.pub").ok();
    }
    verify_log(&at, &[]).ok();
    signed_by("cosign.pub").refused(4, "audit-broken");

    at.write("audit.log", honest.replacen("refused", "admitted", 1));
    checkpoint(&at, "broken.json").refused(4, "audit-broken");
    at.write("audit.log", "");
    checkpoint(&at, "empty.json").refused(4, "audit-broken");
    assert!(!at.path("broken.json").exists() && !at.path("empty.json").exists());
}

#[test]
fn only_a_checkpoint_by_someone_who_is_named_is_one() {
    let at = workspace();
    pull(&at, "cosign.pub").ok();
    checkpoint(&at, "one.json").ok();
    let one = ["--checkpoint", "one.json"];
    verify_log(&at, &one).refused(2, "nothing-to-verify-against");
    verify_log(&at, &["--key", "cosign.pub"]).refused(2, "usage");
    at.run(&["sign", "./model", "--key", "cosign.key"]).ok();
    let other = ["--checkpoint", "model/model.sig", "--key", "cosign.pub"];
    verify_log(&at, &other).refused(3, "predicate-type-mismatch");
    let text = fs::read_to_string(at.path("one.json")).unwrap();
    at.write(
        "one.json",
        text.replacen("payload\":\"ey", "payload\":\"eX", 1),
    );
    let by = [&one[..], &["--key", "cosign.pub"]].concat();
    verify_log(&at, &by).refused(3, "signature-invalid");
    at.write("one.json", text);
    verify_log(&at, &by).ok();
}

#[test]
fn processes_that_write_at_once_write_one_chain() {
    let at = workspace();
    let command = ["verify", LAYOUT, "--key", "cosign.pub"];
    let running: Vec<_> = (0..6)
        .map(|_| at.start(&[&command[..], &LOG].concat(), &[]))
        .collect();
    for child in running {
        Outcome::of(child).ok();
    }
    let found = verify_log(&at, &["--json"]).json();
    assert_eq!(
        (&found["holds"], &found["records"]),
        (&true.into(), &6.into())
    );
}
