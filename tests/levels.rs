//! SLSA levels as people and scripts ask for them: by the policy's word, and never more than that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use support::command::{Outcome, Workspace};
use support::registry::{Options, Registry};

const LAYOUT: &str = "oci:./store:v1";
const HOSTED: &str = "https://ci.example/hosted";
const TRAIN: &str = "https://ci.example/train/v1";
const VERIFIER: &str = "https://acme.example/verifier";

/// `a` releases, `ci` is a platform, and `me` is anybody's key.
const HEAD: &str = r#"version = 1
default = "deny"
[authorities.a]
keys = ["a.pub"]
[authorities.ci]
keys = ["ci.pub"]
[authorities.me]
keys = ["me.pub"]
"#;

const BUILDERS: &str = r#"
[[builders]]
authority = "ci"
id = "https://ci.example/hosted"
build_types = ["https://ci.example/train/v1"]
level = 2
"#;

const POLICY: &str = r#"
[[policies]]
name = "models"
scopes = ["oci:**"]
[[policies.require]]
kind = "signature"
authorities = ["a"]
"#;

/// Returns a workspace with a model that `a` signed, and the key pairs `a`, `ci`, `me` and
/// `verifier`.
fn workspace() -> Workspace {
    let at = Workspace::with_model_and_keys(&["a", "ci", "me", "verifier"]);
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    at.write("policy.toml", format!("{HEAD}{BUILDERS}{POLICY}"));
    at
}

fn provenance(builder: &str, build_type: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": { "source": "https://github.com/acme/x" },
        },
        "runDetails": { "builder": { "id": builder } },
    })
}

fn attest(at: &Workspace, reference: &str, predicate: &Value, key: &str) {
    at.write("predicate.json", predicate.to_string());
    let key = format!("{key}.key");
    let kind = ["attest", reference, "--type", "slsaprovenance1"];
    let rest = ["--predicate", "predicate.json", "--key", &key];
    at.run(&[&kind[..], &rest].concat()).ok();
}

fn verify(at: &Workspace, more: &[&str]) -> Outcome {
    at.run(&[&["verify", LAYOUT, "--json"], more].concat())
}

fn with_policy(at: &Workspace, more: &[&str]) -> Outcome {
    verify(at, &[&["--policy", "policy.toml"], more].concat())
}

#[test]
fn a_level_is_what_the_policy_says_of_signer_builder_and_type_together() {
    // By whom, which builder, which type; and the level that is enough, of which the next is not.
    let cases = [
        ("ci", HOSTED, TRAIN, 2),
        ("a", HOSTED, TRAIN, 1),
        ("ci", "https://ci.example/other", TRAIN, 1),
        ("ci", HOSTED, "https://ci.example/other/v1", 1),
    ];
    for (key, builder, build_type, level) in cases {
        let at = workspace();
        attest(&at, LAYOUT, &provenance(builder, build_type), key);
        let asked = level.to_string();
        let verified = with_policy(&at, &["--slsa-level", &asked]);
        verified.ok();
        let slsa = &verified.json()["slsa"];
        assert_eq!(
            (&slsa["level"], &slsa["authority"], &slsa["builder"]),
            (&json!(level), &json!(key), &json!(builder)),
            "{slsa}"
        );
        let next = (level + 1).to_string();
        let refused = with_policy(&at, &["--slsa-level", &next]);
        refused.refused(3, "slsa-level");
        let data = refused.json();
        assert!(data.get("slsa").is_none(), "{data}");
        let found = &data["findings"][1]["refused"];
        let near = found.as_array().unwrap().iter();
        let near: Vec<_> = near.filter(|one| one["reason"] == "slsa-level").collect();
        assert_eq!(near.len(), 1, "{found}");
        assert_eq!(near[0]["slsa"]["level"], level);
        let hint = data["error"]["hint"].as_str().unwrap();
        assert!(
            hint.contains("[[builders]]") || hint.contains("`build_types`"),
            "{hint}"
        );
    }
}

#[test]
fn a_level_is_told_with_whose_word_it_is_and_what_was_not_looked_at() {
    let at = workspace();
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    let verified = with_policy(&at, &["--slsa-level", "2"]);
    verified.ok();
    let text = &verified.stderr;
    let digest = verified.json()["slsa"]["accordingTo"]["digest"].clone();
    let said = format!(
        "SLSA Build L2 according to policy `policy.toml` ({})",
        digest.as_str().unwrap()
    );
    assert!(text.contains(&said), "{text}");
    assert!(!text.contains("is SLSA"), "{text}");
    for word in [
        "checked: signed by ECDSA P-256 key ci",
        "checked: it names this artifact's digest",
        "checked: the policy lists the signer \"ci\" with the builder",
        "checked: the build type \"https://ci.example/train/v1\" is one that the policy lists",
        "not checked: the external parameters: the policy says nothing of what was to be built",
        "not checked: whether all that went into it is named",
        "not checked: whether data and base model are",
        "not checked: whether the builder keeps builds apart",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let names = |field: &str| -> Vec<String> {
        let data = verified.json();
        let list = data["slsa"][field].as_array().unwrap().clone();
        let names = list
            .iter()
            .map(|one| one["aspect"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(
        names("checked"),
        ["signature", "subject", "builderAndSigner", "buildType"]
    );
    assert_eq!(
        names("notChecked"),
        [
            "externalParameters",
            "dependencies",
            "dataQuality",
            "builderIsolation"
        ]
    );
    // What the policy demands of the parameters was looked at, of the same provenance.
    let rule = "[[policies.require]]\nkind = \"provenance\"\nlevel = 2\nauthorities = [\"ci\"]\n\
                where = [{ path = \"/buildDefinition/externalParameters/source\", below = \
                \"https://github.com/acme\" }]\n";
    at.write("policy.toml", format!("{HEAD}{BUILDERS}{POLICY}{rule}"));
    let verified = with_policy(&at, &[]);
    verified.ok();
    let checked = &verified.json()["slsa"]["checked"][4];
    assert_eq!(checked["aspect"], "externalParameters");
    let evil = rule.replace("/acme", "/evil");
    at.write("policy.toml", format!("{HEAD}{BUILDERS}{POLICY}{evil}"));
    with_policy(&at, &[]).refused(3, "constraint-unmet");
}

#[test]
fn without_a_policy_file_nothing_is_more_than_level_one() {
    let at = workspace();
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    let keys = ["--key", "a.pub", "--key", "ci.pub"];
    let flags = |level: &str| verify(&at, &[&keys[..], &["--slsa-level", level]].concat());
    let verified = flags("1");
    verified.ok();
    assert!(
        verified
            .stderr
            .contains("SLSA Build L1 according to the flags"),
        "{}",
        verified.stderr
    );
    assert!(verified.json()["slsa"].get("accordingTo").is_none());
    let refused = flags("2");
    refused.refused(3, "slsa-level");
    assert!(
        refused.stderr.contains("modelctl policy init"),
        "{}",
        refused.stderr
    );
    // Provenance that nobody who is trusted signed is none, and so is what is not there.
    verify(&at, &["--key", "a.pub", "--slsa-level", "1"]).refused(3, "untrusted-signer");
    let bare = "oci:./bare:v1";
    at.run(&["push", bare, "model", "--sign", "--key", "a.key"])
        .ok();
    at.run(&["verify", bare, "--key", "a.pub", "--slsa-level", "1"])
        .refused(3, "attestation-missing");
    for level in ["0", "4", "two"] {
        assert_eq!(flags(level).code, 2);
    }
}

#[test]
fn a_policy_asks_for_a_level_of_everything_it_covers() {
    let at = workspace();
    let with = |level: &str| {
        let settings = format!("scopes = [\"oci:**\"]\nslsa_level = {level}");
        let policy = POLICY.replace("scopes = [\"oci:**\"]", &settings);
        at.write("policy.toml", format!("{HEAD}{BUILDERS}{policy}"));
    };
    with("2");
    with_policy(&at, &[]).refused(3, "attestation-missing");
    // What a key on somebody's desk says of a platform is not that platform's word.
    for key in ["me", "a"] {
        attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), key);
    }
    with_policy(&at, &[]).refused(3, "slsa-level");
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    with_policy(&at, &[]).ok();
    let pull = ["pull", LAYOUT, "./out", "--policy", "policy.toml"];
    let pulled = at.run(&pull);
    pulled.ok();
    assert!(
        pulled
            .stderr
            .contains("SLSA Build L2 according to policy `policy.toml`"),
        "{}",
        pulled.stderr
    );
    // Offline, by the same words.
    let offline = at.run(&["verify", "./out", "--policy", "policy.toml", "--json"]);
    offline.ok();
    assert_eq!(offline.json()["slsa"]["level"], 2);
    let three = BUILDERS.replace("level = 2", "level = 3");
    let text = std::fs::read_to_string(at.path("policy.toml")).unwrap();
    at.write("policy.toml", text.replace(BUILDERS, &three));
    with_policy(&at, &["--slsa-level", "3"]).ok();
    with("1");
    with_policy(&at, &[]).ok();
    with("3");
    with_policy(&at, &[]).refused(2, "policy-invalid");
    with("2");
    let explained = at.run(&["policy", "explain", LAYOUT, "--policy", "policy.toml"]);
    let text = explained.ok();
    assert!(
        text.contains("provenance of SLSA Build L2 by 1 of a, ci"),
        "{text}"
    );
    let checked = at.run(&["policy", "check", "policy.toml", "--json"]).json();
    assert_eq!(
        checked["builders"],
        json!([{ "authority": "ci", "id": HOSTED, "level": 2 }])
    );
}

#[test]
fn a_pull_asks_for_a_level_before_it_fetches_anything() {
    let at = workspace();
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    let pull = |more: &[&str]| {
        let pull = ["pull", LAYOUT, "./out", "--policy", "policy.toml"];
        at.run(&[&pull[..], more].concat())
    };
    // Asked for without `--verify` it would be asked of nobody.
    pull(&["--slsa-level", "2"]).refused(2, "usage");
    pull(&["--verify", "--slsa-level", "3"]).refused(3, "slsa-level");
    assert!(!at.path("out").exists());
    pull(&["--verify", "--slsa-level", "2"]).ok();
}

#[test]
fn what_is_required_besides_a_policy_is_required_of_those_whom_it_trusts() {
    let at = workspace();
    let required = ["--require", "slsaprovenance1"];
    with_policy(&at, &[]).ok();
    with_policy(&at, &required).refused(3, "attestation-missing");
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "me");
    with_policy(&at, &required).refused(3, "untrusted-signer");
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "a");
    with_policy(&at, &required).ok();
}

#[test]
fn inspecting_shows_the_level_that_a_policy_believes_in_and_demands_nothing() {
    let at = workspace();
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "me");
    let inspect = |more: &[&str]| {
        let inspect = ["inspect", LAYOUT, "--provenance", "--policy", "policy.toml"];
        at.run(&[&inspect[..], more].concat())
    };
    // A key that is called like the policy's authority is not that authority.
    std::fs::copy(at.path("me.pub"), at.path("ci")).unwrap();
    for flags in [&["--json"][..], &["--json", "--key", "ci"]] {
        let nothing = inspect(flags);
        nothing.ok();
        assert!(nothing.json().get("slsa").is_none(), "{nothing:?}");
    }
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    let shown = inspect(&[]);
    let said = "SLSA Build L2 according to policy `policy.toml`";
    assert!(shown.ok().contains(said), "{shown:?}");
    assert_eq!(inspect(&["--json"]).json()["slsa"]["level"], 2);
    at.write("policy.toml", HEAD);
    inspect(&[]).refused(3, "no-policy");
    at.run(&["inspect", LAYOUT, "--policy", "policy.toml"])
        .refused(2, "usage");
}

const EMIT: [&str; 5] = [
    "--emit-vsa",
    "--vsa-key",
    "verifier.key",
    "--verifier-id",
    VERIFIER,
];

/// Returns the payload of the bundle that an attached referrer carries.
fn payload(at: &Workspace, referrer: &Value) -> Value {
    use base64::Engine as _;
    let blob = |digest: &Value| -> Value {
        let digest = digest.as_str().unwrap();
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = at.path(&format!("store/blobs/sha256/{hex}"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let manifest = blob(&referrer["digest"]);
    let bundle = blob(&manifest["layers"][0]["digest"]);
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(payload)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_summary_says_what_was_verified_and_a_policy_relies_on_it() {
    let at = workspace();
    attest(&at, LAYOUT, &provenance(HOSTED, TRAIN), "ci");
    let relying = format!(
        "version = 1\ndefault = \"deny\"\n[authorities.v]\nkeys = [\"verifier.pub\"]\n\
         [[policies]]\nname = \"relying\"\nscopes = [\"oci:**\"]\n[[policies.require]]\n\
         kind = \"vsa\"\nauthorities = [\"v\"]\nverifier = \"{VERIFIER}\"\nlevels = \
         [\"SLSA_BUILD_LEVEL_2\"]\n"
    );
    at.write("relying.toml", relying);
    let rely = || verify(&at, &["--policy", "relying.toml"]);
    // A refusal gives no summary, and one without a level is none of a level.
    with_policy(&at, &[&EMIT[..], &["--slsa-level", "3"]].concat()).refused(3, "slsa-level");
    rely().refused(3, "attestation-missing");
    let unevaluated = with_policy(&at, &EMIT);
    unevaluated.ok();
    let said = payload(&at, &unevaluated.json()["summary"]["referrer"]);
    assert_eq!(
        said["predicate"]["verifiedLevels"],
        json!(["SLSA_BUILD_LEVEL_UNEVALUATED"])
    );
    rely().refused(3, "constraint-unmet");

    let level = [
        &EMIT[..],
        &[
            "--slsa-level",
            "2",
            "--policy-uri",
            "https://acme.example/p",
        ],
    ];
    let emitted = with_policy(&at, &level.concat());
    emitted.ok();
    let data = emitted.json();
    let summary = &data["summary"];
    assert_eq!(summary["existed"], false);
    let said = payload(&at, &summary["referrer"]);
    let digest = data["digest"].as_str().unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert_eq!(said["subject"][0]["digest"]["sha256"], hex);
    let predicate = &said["predicate"];
    assert_eq!(predicate["verifier"]["id"], VERIFIER);
    assert_eq!(predicate["resourceUri"], LAYOUT);
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(predicate["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_2"]));
    assert_eq!(predicate["policy"]["name"], "models");
    assert_eq!(predicate["policy"]["uri"], "https://acme.example/p");
    let policy = data["policy"]["digest"].as_str().unwrap();
    let named = predicate["policy"]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(policy, format!("sha256:{named}"));
    // Whatever counted is named: the signature and the provenance.
    let counted: Vec<_> = data["findings"].as_array().unwrap().iter().collect();
    let mut counted: Vec<_> = counted
        .iter()
        .map(|finding| finding["metBy"][0]["bundle"].as_str().unwrap().to_owned())
        .collect();
    counted.sort();
    let inputs = predicate["inputAttestations"].as_array().unwrap().iter();
    let inputs: Vec<_> = inputs
        .map(|input| format!("sha256:{}", input["digest"]["sha256"].as_str().unwrap()))
        .collect();
    assert_eq!(inputs, counted);
    assert!(predicate.get("dependencyLevels").is_none());
    rely().ok();
    // A level implies those below it, and none above.
    let other = std::fs::read_to_string(at.path("relying.toml")).unwrap();
    for (asked, code) in [("LEVEL_1", 0), ("LEVEL_3", 3)] {
        at.write("relying.toml", other.replace("LEVEL_2", asked));
        assert_eq!(rely().code, code, "{asked}");
    }
    // Another verifier's key says nothing for this one.
    at.write("relying.toml", other.replace("verifier.pub", "me.pub"));
    rely().refused(3, "untrusted-signer");
    // The same again within the day is nothing new.
    let again = with_policy(&at, &level.concat()).json();
    assert_eq!(again["summary"]["existed"], true);
    assert_eq!(again["summary"]["referrer"], summary["referrer"]);
}

#[test]
fn a_summary_needs_a_policy_a_key_and_a_name_and_an_artifact_to_be_attached_to() {
    let at = workspace();
    verify(&at, &[&EMIT[..], &["--key", "a.pub"]].concat()).refused(2, "usage");
    for lacking in [1, 3] {
        let mut flags = EMIT.to_vec();
        flags.drain(lacking..lacking + 2);
        assert_eq!(with_policy(&at, &flags).code, 2, "{flags:?}");
    }
    assert_eq!(with_policy(&at, &["--vsa-key", "verifier.key"]).code, 2);
    let unnamed = with_policy(&at, &[&EMIT[..4], &["acme"]].concat());
    assert_eq!(unnamed.code, 2, "{unnamed:?}");
    with_policy(&at, &[&EMIT[..2], &["missing.key"], &EMIT[3..]].concat())
        .refused(2, "key-invalid");
    at.run(&["pull", LAYOUT, "./out", "--policy", "policy.toml"])
        .ok();
    let directory = ["verify", "./out", "--policy", "policy.toml"];
    at.run(&[&directory[..], &EMIT].concat())
        .refused(2, "usage");
    at.run(&directory).ok();
}

#[test]
fn a_summary_is_attached_in_a_registry_as_anything_else_is() {
    let at = workspace();
    let registry = Registry::start(Options::default());
    let reference = format!("{}/acme/bert:v1", registry.host());
    at.run(&["push", &reference, "model", "--sign", "--key", "a.key"])
        .ok();
    attest(&at, &reference, &provenance(HOSTED, TRAIN), "ci");
    let policy = POLICY.replace("oci:**", &format!("{}/**", registry.host()));
    let named = policy.replace(
        "[[policies.require]]",
        "names = \"repository\"\n[[policies.require]]",
    );
    at.write("policy.toml", format!("{HEAD}{BUILDERS}{named}"));
    let verify = [
        "verify",
        &reference,
        "--policy",
        "policy.toml",
        "--slsa-level",
        "2",
    ];
    at.run(&[&verify[..], &EMIT].concat()).ok();
    // What is moved to another name takes its level along as little as its signature.
    let moved = format!("{}/evil/bert:v1", registry.host());
    at.run(&["copy", &reference, &moved]).ok();
    for (binding, is_shown) in [("any", true), ("repository", false)] {
        let names = format!("names = \"{binding}\"\n[[policies.require]]");
        let named = policy.replace("[[policies.require]]", &names);
        at.write("policy.toml", format!("{HEAD}{BUILDERS}{named}"));
        let inspect = [
            "inspect",
            &moved,
            "--provenance",
            "--policy",
            "policy.toml",
            "--json",
        ];
        let data = at.run(&inspect).json();
        assert_eq!(data.get("slsa").is_some(), is_shown, "{binding}: {data}");
    }
    let tree = at
        .run(&["tree", &reference, "--key", "verifier.pub", "--json"])
        .json();
    let kinds = tree["referrers"].as_array().unwrap().iter();
    let mut summaries = kinds.filter(|one| {
        one["predicateType"] == "https://slsa.dev/verification_summary/v1"
            && one["signer"]["name"] == "verifier.pub"
    });
    assert!(summaries.next().is_some(), "{tree}");
}
