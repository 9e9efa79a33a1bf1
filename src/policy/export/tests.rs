use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

const DIRECTORY: &str = "fixtures/policy-export";

const TARGETS: [(Target, &str); 4] = [
    (Target::ClusterImagePolicy, "cluster-image-policy.yaml"),
    (Target::Kyverno, "kyverno.yaml"),
    (Target::Containers, "containers.json"),
    (Target::Notation, "notation.json"),
];

const AUTHORITIES: &str = r#"version = 1
default = "deny"
[authorities.a]
keys = ["a.pub"]
[authorities.b]
keys = ["b.pub"]
[authorities.c]
keys = ["c.pub"]
[authorities.also-a]
keys = ["a.pub"]
[authorities.ci]
identity = "ci@acme.example"
issuer = "https://accounts.acme.example"
[authorities.corporate]
ca_roots = ["root.pem"]
subject = "CN=release,O=Acme,ST=Zurich,C=CH"
"#;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(DIRECTORY)
}

/// Returns the files that policies here name, as if they stood beside the policy.
fn files(at: &Path) -> Files {
    let key = |name: &str| {
        let bytes = std::fs::read(fixtures().join(name)).unwrap();
        (at.join(name), bytes)
    };
    let mut files: Files = ["a.pub", "b.pub", "c.pub"].map(key).into();
    files.insert(at.join("root.json"), b"{}".to_vec());
    files
}

fn read(text: &str) -> PolicyFile {
    PolicyFile::parse(text.as_bytes(), Path::new("policy.toml")).unwrap()
}

/// Returns the policy `it` with these settings and rules.
fn policy(settings: &str, rules: &str) -> PolicyFile {
    let scopes = match settings.contains("scopes") {
        true => "",
        false => "scopes = [\"registry.example.com/acme/**\"]\n",
    };
    read(&format!(
        "{AUTHORITIES}[[policies]]\nname = \"it\"\n{scopes}{settings}\n{rules}"
    ))
}

fn signed(by: &str, threshold: usize) -> String {
    format!(
        "[[policies.require]]\nkind = \"signature\"\nauthorities = [{by}]\nthreshold = {threshold}\n"
    )
}

fn exported(file: &PolicyFile, target: Target) -> Export {
    export(file, Some("it"), &files(Path::new("")), target).unwrap()
}

fn effects(export: &Export, effect: Effect) -> Vec<&str> {
    let losses = export.losses.iter().filter(|loss| loss.effect == effect);
    losses.map(|loss| loss.what.as_str()).collect()
}

#[test]
fn the_golden_exports_are_what_is_written() {
    let bytes = std::fs::read(fixtures().join("policy.toml")).unwrap();
    let file = PolicyFile::parse(&bytes, Path::new("policy.toml")).unwrap();
    for (target, name) in TARGETS {
        let name_of_policy = (target == Target::Notation).then_some("Released by hand");
        let export = export(&file, name_of_policy, &files(Path::new("")), target).unwrap();
        let golden = std::fs::read_to_string(fixtures().join(name)).unwrap();
        assert_eq!(export.text, golden, "{name}");
        for loss in &export.losses {
            let is_comment = golden.contains(&format!("# {loss}"));
            assert!(is_comment || name.ends_with(".json"), "{name}: {loss}");
        }
    }
}

#[test]
fn what_can_be_said_is_said_without_getting_weaker() {
    use Target::{ClusterImagePolicy as Cluster, Containers, Kyverno};
    let provenance = "[[policies.require]]\nkind = \"attestation\"\npredicate_type = \
                      \"slsaprovenance1\"\nauthorities = [\"a\"]\n";
    for (settings, rules, targets) in [
        ("", signed("\"a\"", 1), &[Cluster, Kyverno, Containers][..]),
        (
            "",
            signed("\"a\", \"b\", \"c\"", 2),
            &[Cluster, Kyverno, Containers],
        ),
        (
            "",
            signed("\"a\", \"ci\"", 2),
            &[Cluster, Kyverno, Containers],
        ),
        ("", provenance.to_owned(), &[Cluster, Kyverno]),
        (
            "mode = \"warn\"",
            signed("\"a\"", 1),
            &[Cluster, Kyverno, Containers],
        ),
        ("names = \"repository\"", signed("\"a\"", 1), &[Containers]),
        ("names = \"tag\"", signed("\"a\"", 1), &[Containers]),
    ] {
        let file = policy(settings, &rules);
        for target in [Cluster, Kyverno, Containers] {
            let export = exported(&file, target);
            let weaker = effects(&export, Effect::Weaker);
            assert_eq!(
                weaker.is_empty(),
                targets.contains(&target),
                "{target:?} {settings} {rules} {weaker:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_said_is_told_as_weaker_everywhere() {
    let one = signed("\"a\"", 1);
    let revocations = AUTHORITIES.to_owned()
        + "[revocations]\nfile = \"list\"\nauthorities = [\"a\"]\n[[policies]]\nname = \"it\"\nscopes = \
           [\"registry.example.com/acme/bert\"]\n"
        + &one;
    let bounded = AUTHORITIES.replace(
        "keys = [\"b.pub\"]",
        "keys = [{ file = \"b.pub\", valid_until = 2030-01-01T00:00:00Z }]",
    );
    let bounded = format!(
        "{bounded}[[policies]]\nname = \"it\"\nscopes = [\"r.example/x/**\"]\n{}",
        signed("\"b\"", 1)
    );
    for file in [
        read(&revocations),
        read(&bounded),
        policy("downgrade = \"deny\"", &one),
        policy("max_signature_age = \"3d\"", &one),
        policy("min_signature_age = \"3d\"", &one),
        policy("[policies.content]\nmax_files = 3", &one),
        policy("", &signed("\"a\", \"also-a\"", 2)),
        policy("", &one.replace("signature", "model-signature")),
        policy("", &format!("{one}demand = [\"timestamped\"]\n")),
    ] {
        for (target, _) in TARGETS {
            match export(&file, Some("it"), &files(Path::new("")), target) {
                Ok(export) => assert!(export.is_weaker(), "{target:?}: {}", export.text),
                Err(error) => assert_eq!(target, Target::Notation, "{error}"),
            }
        }
    }
}

#[test]
fn who_cannot_be_named_is_left_out_and_where_nobody_is_left_all_is_refused() {
    let file = policy("", &signed("\"corporate\"", 1));
    let refusals = [
        (Target::ClusterImagePolicy, "action: fail"),
        (Target::Kyverno, "image, false)"),
        (Target::Containers, "\"type\": \"reject\""),
    ];
    for (target, refusal) in refusals {
        let export = exported(&file, target);
        assert!(export.text.contains(refusal), "{}", export.text);
        assert!(!effects(&export, Effect::Stricter).is_empty());
        assert!(!export.is_weaker(), "{:?}", export.losses);
    }
    // Two of those who are left can still be asked for, three cannot.
    for (threshold, refused) in [(2, false), (3, true)] {
        let rules = signed("\"a\", \"b\", \"corporate\"", threshold);
        for (target, refusal) in refusals {
            let export = exported(&policy("", &rules), target);
            let found = match target {
                // The default is to refuse, too.
                Target::Containers => export.text.matches(refusal).count() == 2,
                _ => export.text.contains(refusal),
            };
            assert_eq!(found, refused, "{}", export.text);
        }
    }
}

#[test]
fn notation_takes_whole_repositories_and_subjects_and_refuses_the_rest() {
    let rules = signed("\"corporate\", \"a\"", 1);
    let whole = policy("scopes = [\"r.example/acme/bert\"]", &rules);
    let export = exported(&whole, Target::Notation);
    let json: Value = serde_json::from_str(&export.text).unwrap();
    let one = &json["trustPolicies"][0];
    assert_eq!(
        one["registryScopes"],
        serde_json::json!(["r.example/acme/bert"])
    );
    assert_eq!(one["signatureVerification"]["level"], "strict");
    let identity = "x509.subject: CN=release,O=Acme,ST=Zurich,C=CH";
    assert_eq!(one["trustedIdentities"], serde_json::json!([identity]));
    for (settings, rules) in [
        ("", rules.as_str()),
        ("scopes = [\"r.example/acme/bert\"]", &signed("\"a\"", 1)),
    ] {
        let file = policy(settings, rules);
        let error = super::export(&file, None, &files(Path::new("")), Target::Notation);
        assert_eq!(error.unwrap_err().reason(), Reason::Usage);
    }
}

#[test]
fn no_name_or_value_breaks_out_of_the_format() {
    let hostile = r#"name = "it"
scopes = ["registry.example.com/acme/**"]
[[policies.require]]
kind = "attestation"
predicate_type = "https://evil.example/x"
authorities = ["a\"\n---\n}"]
where = [{ path = "/a\"]\n}/b", equals = "\"\n} isCompliant if { true" }]
"#;
    let text = AUTHORITIES.replace("[authorities.b]", "[authorities.\"a\\\"\\n---\\n}\"]");
    let file = read(&format!("{text}[[policies]]\n{hostile}"));
    let export_of = |target| exported(&file, target).text;
    for target in [Target::ClusterImagePolicy, Target::Kyverno] {
        let text = export_of(target);
        assert_eq!(text.matches("\n---\n").count(), 1, "{text}");
        assert_eq!(text.matches("kind: ").count(), 1, "{text}");
    }
    let rego = export_of(Target::ClusterImagePolicy);
    let quoted = r#"["a\"]\n}"]["b"] == "\"\n} isCompliant if { true""#;
    assert!(
        rego.contains(quoted) || rego.contains(&quoted.replace('\\', "\\\\")),
        "{rego}"
    );
    serde_json::from_str::<Value>(&export_of(Target::Containers)).unwrap();
}

#[test]
fn a_policy_that_is_not_there_and_a_key_that_is_not_are_errors() {
    let file = policy("", &signed("\"a\"", 1));
    let missing = export(&file, Some("other"), &Files::new(), Target::Kyverno).unwrap_err();
    assert_eq!(missing.reason(), Reason::Usage);
    let no_key = export(&file, None, &Files::new(), Target::Kyverno).unwrap_err();
    assert_eq!(no_key.reason(), Reason::PolicyInvalid);
}
