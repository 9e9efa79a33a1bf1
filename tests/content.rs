//! The command tells publishers of code in their files, and keeps it from whoever pulls.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/command.rs"]
mod command;

use command::Workspace;

/// What CPython pickles of a call of `os.system`.
const PICKLE: &[u8] = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.";

fn with_pickle() -> Workspace {
    let at = Workspace::new();
    at.model("model");
    at.write("model/notes.txt", PICKLE);
    at
}

#[test]
fn a_publisher_is_warned_and_can_ask_for_a_refusal() {
    let at = with_pickle();
    let strict = ["push", "oci:store:v1", "model", "--strict-content"];
    at.run(&strict).refused(4, "content-format-denied");
    assert!(!at.path("store").exists());
    at.run(&[&strict[..], &["--allow-format", "pickle"]].concat())
        .ok();

    let warned = at.run(&["push", "oci:store:v2", "model", "--json"]);
    warned.ok();
    assert!(warned.stderr.contains("warning: `notes.txt`"), "{warned:?}");
    assert!(warned.stderr.contains("posix.system"), "{warned:?}");
    let told = &warned.json()["content"][0];
    assert_eq!(told["path"], "notes.txt");
    assert_eq!(told["reason"], "content-format-denied");
    assert_eq!(told["finding"]["format"], "pickle");

    std::fs::remove_file(at.path("model/notes.txt")).unwrap();
    let clean = at.run(&[
        "push",
        "oci:store:v3",
        "model",
        "--strict-content",
        "--json",
    ]);
    clean.ok();
    assert_eq!(clean.json()["content"].as_array().unwrap().len(), 0);
    assert!(!clean.stderr.contains("warning"), "{clean:?}");
}

#[test]
fn a_pull_refuses_code_unless_it_is_allowed() {
    let at = with_pickle();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let pull = |target: &str, more: &[&str]| {
        at.run(&[&["pull", "oci:store:v1", target, "--json"][..], more].concat())
    };
    for more in [
        &[][..],
        &["--content", "strict"],
        &["--allow-format", "python"],
    ] {
        pull("out", more).refused(4, "content-format-denied");
        assert!(!at.path("out").exists(), "{more:?}");
    }
    let warned = pull("warned", &["--content", "warn"]);
    warned.ok();
    assert_eq!(warned.json()["content"][0]["path"], "notes.txt");
    assert!(warned.stderr.contains("warning: `notes.txt`"), "{warned:?}");
    for (target, more) in [
        ("allowed", &["--allow-format", "pickle"][..]),
        ("off", &["--content", "off"]),
        ("without", &["--exclude", "*.txt"]),
    ] {
        let pulled = pull(target, more);
        pulled.ok();
        assert_eq!(pulled.json()["content"].as_array().unwrap().len(), 0);
        assert_eq!(
            at.path(target).join("notes.txt").exists(),
            target != "without"
        );
    }
    assert_eq!(pull("typo", &["--allow-format", "zip"]).code, 2);
}

#[test]
fn what_an_earlier_pull_kept_is_looked_at_as_well() {
    let at = with_pickle();
    at.run(&["push", "oci:store:v1", "model"]).ok();
    let pull = |target: &str, rules: &str| {
        let cached = ["--cache-dir", "cache", "--content", rules];
        at.run(&[&["pull", "oci:store:v1", target][..], &cached].concat())
    };
    pull("first", "off").ok();
    pull("second", "no-code").refused(4, "content-format-denied");
    assert!(!at.path("second").exists());
    pull("third", "off").ok();
}

/// Returns a policy for layouts, by the key `a`, with these rules for content.
fn policy(content: &str) -> String {
    format!(
        "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [\"a.pub\"]\n[[policies]]\nname = \
         \"models\"\nscopes = [\"oci:**\"]\n{content}\n[[policies.require]]\nkind = \"signature\"\n\
         authorities = [\"a\"]\n"
    )
}

#[test]
fn flags_can_only_tighten_what_a_policy_says_of_content() {
    let at = with_pickle();
    at.run(&["generate-key-pair", "--output-key-prefix", "a"])
        .ok();
    at.run(&["push", "oci:store:v1", "model", "--sign", "--key", "a.key"])
        .ok();
    let pull = |target: &str, more: &[&str]| {
        let judged = ["pull", "oci:store:v1", target, "--policy", "policy.toml"];
        at.run(&[&judged[..], more].concat())
    };
    at.write("policy.toml", policy(""));
    pull("out", &[]).refused(4, "content-format-denied");
    for more in [
        &["--content", "off"][..],
        &["--content", "warn"],
        &["--allow-format", "pickle"],
        &["--content", "no-code", "--allow-format", "pickle"],
    ] {
        let refused = pull("out", more);
        refused.refused(2, "usage");
        let place = "would loosen the policy `models` of `policy.toml`";
        assert!(refused.stderr.contains(place), "{refused:?}");
        assert!(!at.path("out").exists(), "{more:?}");
    }
    pull("whole", &["--exclude", "*.txt"]).ok();

    let pickles = "[policies.content]\nallow = [\"data\", \"opaque\", \"pickle\"]";
    at.write("policy.toml", policy(pickles));
    pull("allowed", &[]).ok();
    pull("again", &["--allow-format", "pickle"]).ok();
    for rules in ["strict", "no-code"] {
        pull("out", &["--content", rules]).refused(4, "content-format-denied");
    }
    pull(
        "listed",
        &["--content", "no-code", "--allow-format", "pickle"],
    )
    .ok();

    let warns = policy("mode = \"warn\"");
    at.write("policy.toml", warns);
    pull("out", &[]).refused(4, "content-format-denied");
    pull("warned", &["--allow-format", "pickle"]).ok();
}

#[test]
fn what_the_manifest_says_is_refused_before_anything_is_fetched() {
    let at = Workspace::new();
    at.model("model");
    at.run(&["generate-key-pair", "--output-key-prefix", "a"])
        .ok();
    let push = ["push", "oci:store:v1", "model", "--sign", "--key", "a.key"];
    at.run(&push).ok();
    let files = at.run(&["inspect", "oci:store:v1", "--json"]).json();
    let sizes: Vec<u64> = files["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["size"].as_u64().unwrap())
        .collect();
    let (count, most) = (sizes.len(), *sizes.iter().max().unwrap());
    let total: u64 = sizes.iter().sum();
    for (field, enough, less) in [
        ("max_files", format!("{count}"), format!("{}", count - 1)),
        (
            "max_file_size",
            format!("\"{most}B\""),
            format!("\"{}B\"", most - 1),
        ),
        (
            "max_total_size",
            format!("\"{total}B\""),
            format!("\"{}B\"", total - 1),
        ),
    ] {
        let verify = |limit: &str| {
            let content = format!("[policies.content]\n{field} = {limit}");
            at.write("policy.toml", policy(&content));
            at.run(&["verify", "oci:store:v1", "--policy", "policy.toml"])
        };
        verify(&enough).ok();
        let refused = verify(&less);
        refused.refused(4, "model-unsuitable");
        assert!(refused.stderr.contains("[policies.content]"), "{refused:?}");
        // A part of it is no smaller: what is judged is the model.
        let part = ["pull", "oci:store:v1", "out", "--include", "*.json"];
        at.run(&[&part[..], &["--policy", "policy.toml"]].concat())
            .refused(4, "model-unsuitable");
        assert!(!at.path("out").exists());
    }

    let content = "[policies.content]\nallow = [\"data\", \"torch-zip\"]\nmax_files = 9";
    at.write("policy.toml", policy(content));
    let checked = at.run(&["policy", "check", "policy.toml", "--json"]);
    checked.ok();
    let content = &checked.json()["policies"][0]["content"];
    assert_eq!(content["limits"], serde_json::json!({"files": 9}));
    assert_eq!(content["executableBit"], "allow");
    let formats = content["formats"].as_array().unwrap();
    assert!(formats.iter().any(|name| name == "torch-zip"), "{content}");
    assert!(checked.stderr.contains("allows `torch-zip`"), "{checked:?}");
    let explained = at.run(&[
        "policy",
        "explain",
        "oci:store:v1",
        "--policy",
        "policy.toml",
    ]);
    explained.ok();
    assert!(
        explained.stdout.contains("at most 9 files"),
        "{explained:?}"
    );
}
