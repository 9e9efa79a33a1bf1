//! What holds of every policy and all evidence.

use std::sync::Mutex;

use modelctl::error::{Error, Reason};
use modelctl::trust::Authenticated;
use proptest::prelude::*;

use super::*;

const RULES: [&str; 9] = [
    "sig 1 a",
    "sig 1 a,b",
    "sig 2 a,b,c",
    "sig 2 team,c",
    "sig 2 a,alias,b",
    "sig 3 a,b,c",
    "prov 1 a",
    r#"prov 1 a,b { path = "/runDetails/builder/id", equals = "https://ci.example" }"#,
    "vsa 1 c",
];

const SETTINGS: [&str; 3] = ["", "names = \"repository\"", "names = \"tag\""];

fn some_rules() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(RULES.to_vec(), 1..=3)
}

fn some_evidence() -> impl Strategy<Value = Vec<String>> {
    let all: Vec<_> = BUNDLES.keys().cloned().collect();
    prop::collection::vec(prop::sample::select(all), 0..8)
}

/// Cases of each property: a verdict is cheap once everything is authenticated.
const COUNT: u32 = 10_000;

/// Whom not to trust, besides nobody: any one of the authorities.
const REMOVED: [&str; 6] = ["", "a", "b", "c", "team", "alias"];

/// A bundle, and what authentication made of it.
struct Kept {
    bundle: Digest,
    claims: Option<String>,
    outcome: Result<Authenticated, (Reason, String)>,
}

/// Every bundle, by whom not to trust and by its words: authentication is the dear part, and
/// depends on nothing else.
static KEPT: LazyLock<BTreeMap<&str, BTreeMap<&str, Kept>>> = LazyLock::new(|| {
    let file = file("", &["sig 1 a"]);
    let under = |removed: &'static str| {
        let trust = without(&file, removed);
        let kept = BUNDLES.keys().map(|words| {
            let one = candidates(words, &trust).remove(0);
            let outcome = one.outcome.map_err(|e| (e.reason(), e.to_string()));
            let kept = Kept {
                bundle: one.bundle,
                claims: one.claims,
                outcome,
            };
            (words.as_str(), kept)
        });
        (removed, kept.collect())
    };
    REMOVED.map(under).into()
});

/// Policies by their settings and rules.
type Policies = BTreeMap<(String, Vec<String>), Policy>;

/// Every policy that was asked for, read once.
static POLICIES: LazyLock<Mutex<Policies>> = LazyLock::new(Mutex::default);

fn policy(settings: &str, rules: &[&str]) -> Policy {
    let key = (
        settings.to_owned(),
        rules.iter().map(|r| (*r).to_owned()).collect(),
    );
    let mut policies = POLICIES.lock().unwrap();
    let read = || {
        file(settings, rules).policies[0]
            .policy
            .clone()
            .under(now())
    };
    policies.entry(key).or_insert_with(read).clone()
}

fn verdict(policy: &Policy, removed: &str, evidence: &[String]) -> Verdict {
    let candidate = |words: &String| {
        let kept = &KEPT[removed][words.as_str()];
        let outcome = kept.outcome.clone();
        Candidate {
            bundle: kept.bundle,
            claims: kept.claims.clone(),
            outcome: outcome.map_err(|(reason, message)| Error::new(reason, message)),
            coverage: None,
        }
    };
    let candidates: Vec<_> = evidence.iter().map(candidate).collect();
    let (reference, digest): (Reference, _) = (NAME.parse().unwrap(), artifact());
    let subject = Subject {
        reference: Some(&reference),
        ..Subject::from(&digest)
    };
    policy.judge(subject, &candidates)
}

/// Returns everyone whom `file` trusts but `name`.
fn without(file: &PolicyFile, name: &str) -> TrustRoot {
    let mut file = file.clone();
    file.authorities.remove(name);
    trust(&file)
}

fn said(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(COUNT))]

    #[test]
    fn order_never_matters(
        settings in prop::sample::select(&SETTINGS[..]),
        rules in some_rules(),
        (evidence, shuffled) in some_evidence().prop_flat_map(|all| {
            (Just(all.clone()), Just(all).prop_shuffle())
        }),
    ) {
        let policy = policy(settings, &rules);
        let (one, other) = (verdict(&policy, "", &evidence), verdict(&policy, "", &shuffled));
        prop_assert_eq!(said(&one), said(&other));
    }

    #[test]
    fn more_evidence_never_turns_admitted_into_refused_nor_bad_evidence_the_reverse(
        settings in prop::sample::select(&SETTINGS[..]),
        rules in some_rules(),
        evidence in some_evidence(),
        added in some_evidence(),
    ) {
        let policy = policy(settings, &rules);
        let before = verdict(&policy, "", &evidence);
        let more = verdict(&policy, "", &[evidence.clone(), added.clone()].concat());
        prop_assert!(more.admits() || !before.admits());
        // What counts for nothing alone counts for nothing beside others.
        let alone = verdict(&policy, "", &added);
        if alone.evidence().is_empty() {
            prop_assert_eq!(more.admits(), before.admits());
            prop_assert_eq!(more.evidence(), before.evidence());
        }
    }

    #[test]
    fn trusting_fewer_never_turns_refused_into_admitted(
        settings in prop::sample::select(&SETTINGS[..]),
        rules in some_rules(),
        evidence in some_evidence(),
        removed in prop::sample::select(&REMOVED[1..]),
    ) {
        let policy = policy(settings, &rules);
        let before = verdict(&policy, "", &evidence);
        let after = verdict(&policy, removed, &evidence);
        prop_assert!(before.admits() || !after.admits());
    }

    #[test]
    fn asking_for_more_never_turns_refused_into_admitted(
        rules in some_rules(),
        more in some_rules(),
        settings in prop::sample::select(&SETTINGS[..]),
        evidence in some_evidence(),
    ) {
        let loose = policy("", &rules);
        let strict = policy("", &rules).and(policy(settings, &more));
        let (loose, strict) = (verdict(&loose, "", &evidence), verdict(&strict, "", &evidence));
        prop_assert!(loose.admits() || !strict.admits());
    }
}
