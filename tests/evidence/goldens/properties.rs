//! What holds of every policy and all evidence.

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

fn verdict(file: &PolicyFile, trust: &TrustRoot, evidence: &[String]) -> Verdict {
    let policy = file.policies[0].policy.clone().under(now());
    judge(&policy, trust, &evidence.join(" "), NAME, None)
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
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn order_never_matters(
        settings in prop::sample::select(&SETTINGS[..]),
        rules in some_rules(),
        (evidence, shuffled) in some_evidence().prop_flat_map(|all| {
            (Just(all.clone()), Just(all).prop_shuffle())
        }),
    ) {
        let file = file(settings, &rules);
        let trust = trust(&file);
        let (one, other) = (verdict(&file, &trust, &evidence), verdict(&file, &trust, &shuffled));
        prop_assert_eq!(said(&one), said(&other));
    }

    #[test]
    fn more_evidence_never_turns_admitted_into_refused_nor_bad_evidence_the_reverse(
        settings in prop::sample::select(&SETTINGS[..]),
        rules in some_rules(),
        evidence in some_evidence(),
        added in some_evidence(),
    ) {
        let file = file(settings, &rules);
        let trust = trust(&file);
        let before = verdict(&file, &trust, &evidence);
        let more = verdict(&file, &trust, &[evidence.clone(), added.clone()].concat());
        prop_assert!(more.admits() || !before.admits());
        // What counts for nothing alone counts for nothing beside others.
        let alone = verdict(&file, &trust, &added);
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
        removed in prop::sample::select(&["a", "b", "c", "team", "alias"][..]),
    ) {
        let file = file(settings, &rules);
        let before = verdict(&file, &trust(&file), &evidence);
        let after = verdict(&file, &without(&file, removed), &evidence);
        prop_assert!(before.admits() || !after.admits());
    }

    #[test]
    fn asking_for_more_never_turns_refused_into_admitted(
        rules in some_rules(),
        more in some_rules(),
        settings in prop::sample::select(&SETTINGS[..]),
        evidence in some_evidence(),
    ) {
        let loose = file("", &rules);
        let strict = file(settings, &[rules, more].concat());
        let (loose, strict) = (
            verdict(&loose, &trust(&loose), &evidence),
            verdict(&strict, &trust(&strict), &evidence),
        );
        prop_assert!(loose.admits() || !strict.admits());
    }
}
