//! Golden judgements: a policy file, what is attached, and what the verdict is.
//!
//! A case is written in words. Evidence is `KIND:KEY`: `sign:a` is a signature by the key `a` on
//! the artifact under its name; a rule is `KIND THRESHOLD AUTHORITIES`. The verdict is `admit`, or
//! the code of the first reason against.

mod keyless;
mod properties;

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
fn so_many_different_authorities_must_sign() {
    const TWO: &[&str] = &["sig 2 a,b,c"];
    const TEAM: &[&str] = &["sig 2 team,c"];
    const ALIAS: &[&str] = &["sig 2 a,alias"];
    const OVERLAP: &[&str] = &["sig 2 team,a"];
    const ALL: &[&str] = &["sig 3 a,b,c"];
    const ONE: &[&str] = &["sig 1 a"];
    const BOTH: &[&str] = &["sig 1 a", "sig 1 b"];
    for (rules, evidence, expected) in [
        (ONE, "sign:a", "admit"),
        (ONE, "sign:b", "untrusted-signer"),
        (ONE, "sign:x", "untrusted-signer"),
        (ONE, "", "signature-missing"),
        (ONE, "prov:a", "signature-missing"),
        (ONE, "other:a", "subject-mismatch"),
        (ONE, "altered:a", "signature-invalid"),
        (ONE, "altered:a sign:a", "admit"),
        (ONE, "other:a sign:b", "subject-mismatch"),
        (ONE, "bare:a", "admit"),
        (ONE, "moved:a", "admit"),
        (TWO, "sign:a sign:b", "admit"),
        (TWO, "sign:a sign:c", "admit"),
        (TWO, "sign:b sign:c", "admit"),
        (TWO, "sign:a sign:b sign:c", "admit"),
        (TWO, "sign:a", "too-few-signers"),
        (TWO, "sign:a sign:a", "too-few-signers"),
        (TWO, "sign:a bare:a", "too-few-signers"),
        (TWO, "sign:a sign:x", "too-few-signers"),
        (TWO, "sign:a altered:b", "too-few-signers"),
        (TWO, "sign:a other:b", "too-few-signers"),
        (TWO, "sign:a prov:b", "too-few-signers"),
        (TWO, "altered:a altered:b", "signature-invalid"),
        (TWO, "sign:x", "untrusted-signer"),
        (TWO, "", "signature-missing"),
        (ALL, "sign:a sign:b sign:c", "admit"),
        (ALL, "sign:a sign:b", "too-few-signers"),
        (ALL, "sign:a sign:b bare:b", "too-few-signers"),
        (TEAM, "sign:a sign:c", "admit"),
        (TEAM, "sign:b sign:c", "admit"),
        (TEAM, "sign:a sign:b", "too-few-signers"),
        (TEAM, "sign:c", "too-few-signers"),
        (ALIAS, "sign:a", "too-few-signers"),
        (ALIAS, "sign:a bare:a", "too-few-signers"),
        (OVERLAP, "sign:a", "too-few-signers"),
        (OVERLAP, "sign:b", "too-few-signers"),
        (OVERLAP, "sign:a sign:b", "admit"),
        (BOTH, "sign:a sign:b", "admit"),
        (BOTH, "sign:a", "untrusted-signer"),
        (BOTH, "sign:b", "untrusted-signer"),
        (BOTH, "sign:c", "untrusted-signer"),
        (BOTH, "", "signature-missing"),
    ] {
        assert_case("", rules, evidence, NAME, expected);
    }
}

#[test]
fn attestations_must_say_what_is_asked_for_and_by_whom_it_is_asked() {
    const BUILDER: &str =
        r#"prov 1 a { path = "/runDetails/builder/id", equals = "https://ci.example" }"#;
    const SOURCE: &str = r#"prov 1 a { path = "/buildDefinition/externalParameters/workflow/ref", glob = "refs/tags/v*" }, { path = "/buildDefinition/resolvedDependencies", each = [{ path = "/uri", below = "git+https://github.com/acme" }] }"#;
    const FRESH: &str = r#"prov 1 a { path = "/runDetails/metadata/finishedOn", max_age = "30d" }"#;
    const CLAIM: &str =
        r#"prov 1 a { path = "/runDetails/builder/id", equals_claim = "buildSignerUri" }"#;
    const TWO: &str = r#"prov 2 a,b { path = "/runDetails/builder/id", one_of = ["https://ci.example", "https://ci2.example"] }"#;
    for (rules, evidence, expected) in [
        (&["prov 1 a"][..], "prov:a", "admit"),
        (&["prov 1 a"], "strange:a", "admit"),
        (&["prov 1 a"], "sign:a", "attestation-missing"),
        (&["prov 1 a"], "vsa:a", "attestation-missing"),
        (&["prov 1 a"], "prov:b", "untrusted-signer"),
        (&[BUILDER], "prov:a", "admit"),
        (&[BUILDER], "evil:a", "constraint-unmet"),
        (&[BUILDER], "strange:a", "constraint-unmet"),
        (&[BUILDER], "evil:a prov:a", "admit"),
        (&[BUILDER], "evil:a prov:b", "constraint-unmet"),
        (&[BUILDER], "", "attestation-missing"),
        (&[SOURCE], "prov:a", "admit"),
        (&[SOURCE], "strange:a", "constraint-unmet"),
        (&[FRESH], "prov:a", "admit"),
        (&[FRESH], "old:a", "constraint-unmet"),
        (&[FRESH], "old:a prov:a", "admit"),
        (&[CLAIM], "prov:a", "constraint-unmet"),
        (&[TWO], "prov:a prov:b", "admit"),
        (&[TWO], "prov:a evil:b", "too-few-signers"),
        (&[TWO], "evil:a evil:b", "constraint-unmet"),
        (&[TWO], "prov:a old:a", "too-few-signers"),
        (&["vsa 1 c"], "vsa:c", "admit"),
        (&["vsa 1 c"], "failed:c", "constraint-unmet"),
        (&["vsa 1 c"], "failed:c vsa:c", "admit"),
        (&["vsa 1 c"], "vsa:a", "untrusted-signer"),
        (&["vsa 1 c"], "prov:c", "attestation-missing"),
        (&["sig 1 a", "vsa 1 c"], "sign:a vsa:c", "admit"),
        (&["sig 1 a", "vsa 1 c"], "sign:a", "attestation-missing"),
        (&["sig 1 a", "vsa 1 c"], "sign:c vsa:c", "untrusted-signer"),
        (
            &["sig 1 a", BUILDER, "vsa 1 c"],
            "sign:a prov:a vsa:c",
            "admit",
        ),
        (
            &["sig 1 a", BUILDER, "vsa 1 c"],
            "sign:a evil:a vsa:c",
            "constraint-unmet",
        ),
        // A scanner may attest, and not release.
        (
            &["sig 1 a", "prov 1 b"],
            "sign:b prov:b",
            "untrusted-signer",
        ),
    ] {
        assert_case("", rules, evidence, NAME, expected);
    }
}

#[test]
fn a_signature_counts_for_the_name_that_it_was_made_for() {
    const REPO: &str = "names = \"repository\"";
    const TAG: &str = "names = \"tag\"";
    const MIRROR: &str = "names = \"tag\"\nremap = { \"registry.example.com/acme\" = \"origin.example.com/models\" }";
    const LONGEST: &str = "names = \"repository\"\nremap = { \"registry.example.com\" = \"wrong.example.com\", \"registry.example.com/acme\" = \"origin.example.com/models\" }";
    const BESIDE: &str = "names = \"repository\"\nremap = { \"registry.example.com/ac\" = \"origin.example.com/models\" }";
    const PINNED: &str = "registry.example.com/acme/bert@sha256:164a35034b0ac54697cb652308f7d3a27ea2d432a27956790fd2ff629f6ed0c8";
    for (settings, rule, evidence, name, expected) in [
        ("names = \"any\"", "sig 1 a", "moved:a", NAME, "admit"),
        (REPO, "sig 1 a", "sign:a", NAME, "admit"),
        (REPO, "sig 1 a", "retagged:a", NAME, "admit"),
        (REPO, "sig 1 a", "moved:a", NAME, "name-mismatch"),
        (REPO, "sig 1 a", "bare:a", NAME, "name-mismatch"),
        (REPO, "sig 1 a", "moved:a sign:a", NAME, "admit"),
        (REPO, "sig 1 a", "moved:a sign:b", NAME, "name-mismatch"),
        (
            REPO,
            "sig 1 a",
            "sign:a",
            "registry.example.com/evil/bert:v1",
            "name-mismatch",
        ),
        (
            REPO,
            "sig 1 a",
            "sign:a",
            "registry.example.com/acme/bert:v2",
            "admit",
        ),
        (TAG, "sig 1 a", "sign:a", NAME, "admit"),
        (TAG, "sig 1 a", "retagged:a", NAME, "name-mismatch"),
        (TAG, "sig 1 a", "moved:a", NAME, "name-mismatch"),
        (TAG, "sig 1 a", "bare:a", NAME, "name-mismatch"),
        (
            TAG,
            "sig 1 a",
            "sign:a",
            "registry.example.com/acme/bert:v2",
            "name-mismatch",
        ),
        // Who names the content itself does not rely on the tag.
        (TAG, "sig 1 a", "sign:a", PINNED, "admit"),
        (TAG, "sig 1 a", "moved:a", PINNED, "name-mismatch"),
        (MIRROR, "sig 1 a", "mirrored:a", NAME, "admit"),
        (MIRROR, "sig 1 a", "sign:a", NAME, "name-mismatch"),
        (
            MIRROR,
            "sig 1 a",
            "mirrored:a",
            "registry.example.com/evil/bert:v1",
            "name-mismatch",
        ),
        (LONGEST, "sig 1 a", "mirrored:a", NAME, "admit"),
        (BESIDE, "sig 1 a", "mirrored:a", NAME, "name-mismatch"),
        (BESIDE, "sig 1 a", "sign:a", NAME, "admit"),
        (REPO, "sig 2 a,b", "sign:a moved:b", NAME, "too-few-signers"),
        (REPO, "prov 1 a", "prov:a", NAME, "admit"),
        (
            REPO,
            "prov 1 a",
            "prov:a",
            "registry.example.com/evil/bert:v1",
            "name-mismatch",
        ),
        (TAG, "prov 1 a", "prov:a", NAME, "admit"),
        (TAG, "sig 1 a", "sign:a", "oci:./store:v1", "name-mismatch"),
    ] {
        assert_case(settings, &[rule], evidence, name, expected);
    }
}

#[test]
fn a_key_counts_for_the_time_for_which_it_is_trusted() {
    // Nothing proves when a key signed: what counts is that it is still trusted now.
    for (validity, expected) in [
        ("valid_until = 2026-12-31T00:00:00Z", "admit"),
        ("valid_until = 2026-06-01T00:00:00Z", "admit"),
        ("valid_until = 2026-05-31T23:59:59Z", "outside-validity"),
        ("valid_from = 2026-06-01T00:00:00Z", "admit"),
        ("valid_from = 2026-06-01T00:00:01Z", "outside-validity"),
        (
            "valid_from = 2026-01-01T00:00:00Z, valid_until = 2026-12-31T00:00:00Z",
            "admit",
        ),
    ] {
        let text = format!(
            "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [{{ file = \"a\", {validity} }}]\n\
             [[policies]]\nname = \"it\"\nscopes = [\"registry.example.com/**\"]\n{}",
            toml("sig 1 a")
        );
        let file = PolicyFile::parse(text.as_bytes(), Path::new("p")).unwrap();
        let policy = &file.policies[0].policy;
        let verdict = judge(
            &policy.clone().under(now()),
            &trust(&file),
            "sign:a",
            NAME,
            None,
        );
        assert_eq!(word(&verdict), expected, "{validity}");
        let timeless = judge(policy, &trust(&file), "sign:a", NAME, None);
        assert_eq!(word(&timeless), "time-unproven", "{validity}");
    }
}

#[test]
fn an_age_that_nothing_proves_is_no_age() {
    for limit in [
        "max_signature_age = \"9000d\"",
        "min_signature_age = \"1s\"",
    ] {
        assert_case(limit, &["sig 1 a"], "sign:a", NAME, "time-unproven");
        assert_case("", &["sig 1 a"], "sign:a", NAME, "admit");
    }
}

#[test]
fn nothing_older_takes_the_place_of_what_was_accepted() {
    let pin = |name: &str, digest: Digest, created: Option<&str>| Pin {
        reference: name.parse().unwrap(),
        digest,
        created: created.map(|time| time.parse().unwrap()),
    };
    let other = Digest::of(b"the artifact of before");
    let (before, after) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let elsewhere = "registry.example.com/acme/bert:v2";
    for (pins, created, expected) in [
        (vec![], None, "admit"),
        (vec![pin(NAME, artifact(), None)], None, "admit"),
        (
            vec![pin(NAME, artifact(), Some(after))],
            Some(before),
            "admit",
        ),
        (vec![pin(NAME, other, Some(before))], Some(after), "admit"),
        (
            vec![pin(NAME, other, Some(after))],
            Some(before),
            "downgrade",
        ),
        (
            vec![pin(NAME, other, Some(after))],
            Some(after),
            "downgrade",
        ),
        (vec![pin(NAME, other, None)], Some(after), "downgrade"),
        (vec![pin(NAME, other, Some(before))], None, "downgrade"),
        (vec![pin(NAME, other, None)], None, "downgrade"),
        (
            vec![pin(elsewhere, other, Some(after))],
            Some(before),
            "admit",
        ),
        (
            vec![pin(NAME, other, Some(before)), pin(elsewhere, other, None)],
            Some(after),
            "admit",
        ),
        (
            vec![pin(NAME, other, Some(before)), pin(NAME, other, None)],
            Some(after),
            "downgrade",
        ),
        (
            vec![pin(NAME, other, Some(after)), pin(NAME, artifact(), None)],
            None,
            "admit",
        ),
    ] {
        for (settings, expected) in [("downgrade = \"deny\"", expected), ("", "admit")] {
            let file = file(settings, &["sig 1 a"]);
            let pins: Pins = pins.iter().cloned().collect();
            let policy = file.policies[0]
                .policy
                .clone()
                .under(Circumstances { pins, ..now() });
            let verdict = judge(&policy, &trust(&file), "sign:a", NAME, created);
            assert_eq!(
                word(&verdict),
                expected,
                "{pins:?} {created:?}",
                pins = policy
            );
        }
    }
}

fn revoking(entries: Value, issued: &str, expires: &str) -> Revocations {
    let list = json!({"version": 3, "issued": issued, "expires": expires, "entries": entries});
    Revocations::read(&list).unwrap()
}

#[test]
fn what_was_revoked_no_longer_counts_nor_does_an_old_list() {
    let key = |name: &str| KEYS[name].public_key().fingerprint();
    let bundle = |words: &str| Digest::of(&BUNDLES[words]);
    let (issued, expires) = ("2026-05-31T00:00:00Z", "2026-06-02T00:00:00Z");
    let of = |entry: Value| revoking(json!([entry]), issued, expires);
    let a = of(json!({"kind": "key", "fingerprint": key("a"), "why": "lost"}));
    let c = of(json!({"kind": "key", "fingerprint": key("c"), "why": "lost"}));
    let later = of(
        json!({"kind": "key", "fingerprint": key("a"), "after": "2026-09-01T00:00:00Z", "why": "lost"}),
    );
    let artifact = of(json!({"kind": "artifact", "digest": artifact(), "why": "backdoor"}));
    let another =
        of(json!({"kind": "artifact", "digest": Digest::of(b"another"), "why": "backdoor"}));
    let one = of(json!({"kind": "bundle", "digest": bundle("sign:a"), "why": "mistake"}));
    let who = of(json!({"kind": "identity", "identity": "a", "issuer": "a", "why": "left"}));
    let none = revoking(json!([]), issued, expires);
    let expired = revoking(json!([]), "2026-05-01T00:00:00Z", NOW);
    let future = revoking(json!([]), "2026-06-01T00:00:01Z", expires);
    let day = jiff::SignedDuration::from_hours(24);
    let aged = |issued: &str| revoking(json!([]), issued, expires).for_at_most(day);
    const ONE: &str = "sig 1 a";
    const TWO: &str = "sig 2 a,b,c";
    for (revocations, rule, evidence, expected) in [
        (&none, ONE, "sign:a", "admit"),
        (&a, ONE, "sign:a", "revoked"),
        (&c, ONE, "sign:a", "admit"),
        // Nothing proves that it was signed before.
        (&later, ONE, "sign:a", "revoked"),
        (&a, TWO, "sign:a sign:b", "too-few-signers"),
        (&a, TWO, "sign:b sign:c", "admit"),
        (&c, TWO, "sign:a sign:b", "admit"),
        (&c, TWO, "sign:a sign:c", "too-few-signers"),
        (&c, TWO, "sign:a sign:b sign:c", "admit"),
        (&artifact, ONE, "sign:a", "revoked"),
        (&another, ONE, "sign:a", "admit"),
        (&one, ONE, "sign:a", "revoked"),
        (&one, ONE, "bare:a", "admit"),
        (&one, ONE, "sign:a bare:a", "admit"),
        (&who, ONE, "sign:a", "admit"),
        (&expired, ONE, "sign:a", "revocations-unavailable"),
        (&future, ONE, "sign:a", "revocations-unavailable"),
        (&aged("2026-05-31T00:00:00Z"), ONE, "sign:a", "admit"),
        (
            &aged("2026-05-30T23:59:59Z"),
            ONE,
            "sign:a",
            "revocations-unavailable",
        ),
    ] {
        let file = file("", &[rule]);
        let revocations = Some(revocations.clone());
        let circumstances = Circumstances {
            revocations,
            ..now()
        };
        let policy = file.policies[0].policy.clone().under(circumstances);
        let verdict = judge(&policy, &trust(&file), evidence, NAME, None);
        assert_eq!(word(&verdict), expected, "{rule} {evidence}");
    }
    // Without a clock no list is current.
    let file = file("", &[ONE]);
    let timeless = Circumstances {
        revocations: Some(none),
        ..Circumstances::default()
    };
    let policy = file.policies[0].policy.clone().under(timeless);
    let verdict = judge(&policy, &trust(&file), "sign:a", NAME, None);
    assert_eq!(word(&verdict), "revocations-unavailable");
}

#[test]
fn lists_of_revocations_are_read_strictly_and_never_go_back() {
    let good = json!({"version": 3, "issued": "2026-01-01T00:00:00Z", "expires": "2026-02-01T00:00:00Z", "entries": [
        {"kind": "artifact", "digest": artifact(), "why": "x"},
    ]});
    let read = Revocations::read(&good).unwrap();
    assert_eq!((read.version(), read.count()), (3, 1));
    read.not_before(3).unwrap();
    read.not_before(4).unwrap_err();
    for (pointer, value) in [
        ("/version", json!(-1)),
        ("/version", json!("3")),
        ("/issued", json!("yesterday")),
        ("/expires", json!("2026-01-01T00:00:00Z")),
        ("/entries", json!({})),
        ("/entries/0/kind", json!("everything")),
        ("/entries/0/digest", json!("sha256:00")),
        (
            "/entries/0",
            json!({"kind": "artifact", "digest": artifact()}),
        ),
        (
            "/entries/0",
            json!({"kind": "artifact", "digest": artifact(), "why": "x", "unless": 1}),
        ),
        ("", json!({"version": 3})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(Revocations::read(&bad).is_err(), "{bad}");
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
