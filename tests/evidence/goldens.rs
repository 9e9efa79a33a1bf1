//! Golden judgements: a policy file, what is attached, and what the verdict is.
//!
//! A case is written in words. Evidence is `KIND:KEY`: `sign:a` is a signature by the key `a` on
//! the artifact under its name; a rule is `KIND THRESHOLD AUTHORITIES`. The verdict is `admit`, or
//! the code of the first reason against.

mod attestations;
mod keyless;
mod names;
mod properties;
mod quorum;
mod revocations;
mod times;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::policy::file::{PolicyFile, Trusted};
use modelctl::policy::{Candidate, Circumstances, Pin, Pins, Policy, Subject, Verdict};
use modelctl::reference::Reference;
use modelctl::revocation::Revocations;
use modelctl::sign::key::PrivateKey;
use modelctl::statement::Statement;
use modelctl::trust::{Authority, TrustRoot};
use serde_json::{Value, json};

use crate::bundles::{PROVENANCE, changed, generate, signed};

const VSA: &str = "https://slsa.dev/verification_summary/v1";
const REPOSITORY: &str = "registry.example.com/acme/bert";
const NAME: &str = "registry.example.com/acme/bert:v1";
const NOW: &str = "2026-06-01T00:00:00Z";

/// The keys `a`, `b` and `c`, which authorities hold, and `x`, which none does.
static KEYS: LazyLock<BTreeMap<&str, PrivateKey>> =
    LazyLock::new(|| ["a", "b", "c", "x"].map(|name| (name, generate())).into());

/// The same bundle for the same words: signatures differ each time they are made.
static BUNDLES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let words = KINDS
        .iter()
        .flat_map(|kind| KEYS.keys().map(move |key| format!("{kind}:{key}")));
    words.map(|words| (words.clone(), made(&words))).collect()
});

const KINDS: [&str; 13] = [
    "sign", "bare", "moved", "retagged", "other", "altered", "prov", "evil", "old", "strange",
    "vsa", "failed", "mirrored",
];

/// `team` holds two keys, and `alias` is another name for `a`.
const AUTHORITIES: &str = r#"
[authorities.a]
keys = ["a"]
[authorities.b]
keys = ["b"]
[authorities.c]
keys = ["c"]
[authorities.team]
keys = ["a", "b"]
[authorities.alias]
keys = ["a"]
"#;

fn artifact() -> Digest {
    Digest::of(b"the artifact")
}

fn statement(kind: &str) -> Statement {
    let it = artifact();
    let named = |repository: &str, tag: &str| {
        let names = json!({"dev.modelctl.repository": repository, "dev.modelctl.tag": tag});
        Statement::signature(&it, names.as_object().unwrap().clone())
    };
    let attest = |predicate_type: &str, predicate: Value| {
        Statement::attestation(&it, REPOSITORY, predicate_type, predicate)
    };
    match kind {
        "bare" => Statement::signature(&it, Default::default()),
        "moved" => named("registry.example.com/acme/other", "v1"),
        "mirrored" => named("origin.example.com/models/bert", "v1"),
        "retagged" => named(REPOSITORY, "v2"),
        "other" => Statement::signature(&Digest::of(b"another"), Default::default()),
        "prov" => attest(
            PROVENANCE,
            provenance("https://ci.example", "refs/tags/v1", "2026-05-31T00:00:00Z"),
        ),
        "evil" => attest(
            PROVENANCE,
            provenance(
                "https://evil.example",
                "refs/tags/v1",
                "2026-05-31T00:00:00Z",
            ),
        ),
        "old" => attest(
            PROVENANCE,
            provenance("https://ci.example", "refs/tags/v1", "2020-01-01T00:00:00Z"),
        ),
        "strange" => attest(PROVENANCE, json!({"runDetails": 3})),
        "vsa" => attest(VSA, summary("PASSED")),
        "failed" => attest(VSA, summary("FAILED")),
        _ => named(REPOSITORY, "v1"),
    }
}

fn provenance(builder: &str, source: &str, finished: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://ci.example/train/v1",
            "externalParameters": {"workflow": {"ref": source}},
            "resolvedDependencies": [{"uri": "git+https://github.com/acme/models"}],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"finishedOn": finished}},
    })
}

fn summary(result: &str) -> Value {
    json!({
        "verifier": {"id": "https://verifier.example"},
        "verificationResult": result,
        "verifiedLevels": ["SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_3"],
    })
}

fn made(words: &str) -> Vec<u8> {
    let (kind, key) = words.split_once(':').unwrap();
    let bundle = signed(&KEYS[key], &statement(kind).to_bytes().unwrap());
    let bytes = bundle.to_bytes().unwrap();
    match kind {
        "altered" => changed(&bytes, "/dsseEnvelope/signatures/0/sig", |_| {
            json!("MAYCAQECAQE=")
        }),
        _ => bytes,
    }
}

/// Returns a policy file with `settings` and these `rules`.
fn file(settings: &str, rules: &[&str]) -> PolicyFile {
    let rules: String = rules.iter().map(|rule| toml(rule)).collect();
    let text = format!(
        "version = 1\ndefault = \"deny\"\n{AUTHORITIES}\n[[policies]]\nname = \"it\"\nscopes = \
         [\"registry.example.com/**\"]\n{settings}\n{rules}"
    );
    PolicyFile::parse(text.as_bytes(), Path::new("policy.toml")).unwrap_or_else(|e| panic!("{e}"))
}

/// Returns a rule as a policy file has it.
fn toml(rule: &str) -> String {
    let mut words = rule.splitn(4, ' ');
    let kind = match words.next().unwrap() {
        "sig" => "kind = \"signature\"",
        "prov" => "kind = \"attestation\"\npredicate_type = \"slsaprovenance1\"",
        "vsa" => {
            "kind = \"vsa\"\nverifier = \"https://verifier.example\"\nlevels = [\"SLSA_BUILD_LEVEL_3\"]"
        }
        other => panic!("{other}"),
    };
    let threshold = words.next().unwrap();
    let names: Vec<_> = words
        .next()
        .unwrap()
        .split(',')
        .map(|name| format!("{name:?}"))
        .collect();
    let constraints = words
        .next()
        .map(|text| format!("where = [{text}]"))
        .unwrap_or_default();
    format!(
        "[[policies.require]]\n{kind}\nthreshold = {threshold}\nauthorities = [{}]\n{constraints}\n",
        names.join(", ")
    )
}

/// Returns everyone whom `file` trusts; a key's file is its name.
fn trust(file: &PolicyFile) -> TrustRoot {
    let authorities = file.authorities.iter().flat_map(|(name, trusted)| {
        let Trusted::Keys { keys, .. } = trusted else {
            panic!("{name} is not by keys");
        };
        keys.iter().map(move |key| {
            let public = KEYS[key.file.to_str().unwrap()].public_key().clone();
            Authority::key(name, public).valid(key.validity)
        })
    });
    TrustRoot::new(authorities).unwrap()
}

fn candidates(evidence: &str, trust: &TrustRoot) -> Vec<Candidate> {
    let candidate = |words: &str| {
        let bytes = &BUNDLES[words];
        let bundle = Bundle::parse(bytes).unwrap();
        Candidate {
            bundle: Digest::of(bytes),
            claims: bundle.claimed_predicate_type(),
            outcome: trust.authenticate(&bundle),
            coverage: None,
        }
    };
    evidence.split_whitespace().map(candidate).collect()
}

fn judge(
    policy: &Policy,
    trust: &TrustRoot,
    evidence: &str,
    name: &str,
    created: Option<&str>,
) -> Verdict {
    let reference: Reference = name.parse().unwrap();
    let digest = artifact();
    let subject = Subject {
        digest: &digest,
        reference: Some(&reference),
        created: created.map(|time| time.parse().unwrap()),
        document: None,
    };
    policy.judge(subject, &candidates(evidence, trust))
}

/// Returns a verdict in a word.
fn word(verdict: &Verdict) -> &'static str {
    if let Some(objection) = verdict.objections.first() {
        return objection.reason.code();
    }
    match verdict.first_unmet() {
        Some((_, reason)) => reason.code(),
        None if verdict.admits() => "admit",
        None => "nothing",
    }
}

fn now() -> Circumstances {
    Circumstances {
        now: Some(NOW.parse().unwrap()),
        ..Circumstances::default()
    }
}

/// Asserts one case, whatever the order of the evidence.
fn assert_case(settings: &str, rules: &[&str], evidence: &str, name: &str, expected: &str) {
    let file = file(settings, rules);
    let policy = file.policies[0].policy.clone().under(now());
    let reversed: Vec<_> = evidence.split_whitespace().rev().collect();
    for evidence in [evidence, &reversed.join(" ")] {
        let verdict = judge(&policy, &trust(&file), evidence, name, None);
        assert_eq!(
            word(&verdict),
            expected,
            "{settings} {rules:?} {evidence} {name}"
        );
        assert_eq!(verdict.admits(), expected == "admit");
    }
}

#[test]
fn a_verdict_is_data_with_who_when_and_why() {
    let file = file("names = \"repository\"", &["sig 2 a,b"]);
    let policy = file.policies[0].policy.clone().under(now());
    let verdict = judge(&policy, &trust(&file), "sign:a moved:b", NAME, None);
    let json = serde_json::to_value(&verdict).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["authorities"], json!(["a", "b"]));
    assert_eq!(
        (&finding["threshold"], &finding["signers"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(finding["reason"], "too-few-signers");
    assert_eq!(finding["metBy"][0]["signer"]["name"], "a");
    assert_eq!(finding["refused"][0]["reason"], "name-mismatch");
    let says = "it was made for the repository \"registry.example.com/acme/other\", not for";
    assert!(
        finding["refused"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with(says)
    );
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn there_are_more_than_a_hundred_cases() {
    let tables = [
        quorum::CASES.len(),
        attestations::CASES.len(),
        names::CASES.len(),
    ];
    assert!(tables.iter().sum::<usize>() >= 100, "{tables:?}");
}
