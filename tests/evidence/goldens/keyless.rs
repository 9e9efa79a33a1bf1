//! Judgements that depend on when somebody else saw a signature.

use modelctl::policy::{Conditions, Requirement, Rule};
use modelctl::trust::sigstore::{Identity, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Validity, Witness};

use super::*;
use crate::bundles::fixture;

const SUBJECT: &str = "sha256:164a35034b0ac54697cb652308f7d3a27ea2d432a27956790fd2ff629f6ed0c8";

fn root() -> std::sync::Arc<SigstoreRoot> {
    let bytes = fixture("keyless/cosign.trusted_root.json");
    std::sync::Arc::new(SigstoreRoot::from_json(&bytes, "it").unwrap())
}

fn ci() -> Authority {
    let identity = Identity::new(
        Match::exact("https://example.com/ci/model-release@refs/heads/main").unwrap(),
        Match::exact("http://127.0.0.1:3710").unwrap(),
    );
    Authority::keyless(
        "ci",
        Keyless {
            root: root(),
            identity,
        },
    )
}

fn release() -> Authority {
    let key = crate::bundles::public_key("cosign/cosign.pub");
    Authority::key("release", key).with_witnesses(root())
}

fn candidates(trust: &TrustRoot, names: &[&str]) -> Vec<Candidate> {
    let candidate = |name: &&str| {
        let bytes = fixture(&format!("keyless/cosign.{name}.bundle.json"));
        let bundle = Bundle::parse(&bytes).unwrap();
        Candidate {
            bundle: Digest::of(&bytes),
            claims: bundle.claimed_predicate_type(),
            outcome: trust.authenticate(&bundle),
            coverage: None,
        }
    };
    names.iter().map(candidate).collect()
}

/// Returns when the log took in the signature.
fn signed_at() -> Timestamp {
    let trust = TrustRoot::new([ci()]).unwrap();
    let candidates = candidates(&trust, &["sign"]);
    let found = candidates[0].outcome.as_ref().unwrap();
    found
        .witnesses()
        .iter()
        .filter_map(Witness::time)
        .min()
        .unwrap()
}

fn judged(
    authorities: Vec<Authority>,
    conditions: Conditions,
    now: Timestamp,
    threshold: usize,
) -> &'static str {
    let names: Vec<_> = authorities
        .iter()
        .map(|one| one.name().to_owned())
        .collect();
    let trust = TrustRoot::new(authorities).unwrap();
    let rule = Rule::new(Requirement::Signature)
        .by(names, threshold)
        .unwrap();
    let circumstances = Circumstances {
        now: Some(now),
        ..Circumstances::default()
    };
    let policy = Policy::of_rules([rule.provided(conditions)])
        .unwrap()
        .under(circumstances);
    let candidates = candidates(&trust, &["sign", "key-sign", "attest"]);
    word(&policy.judge(&SUBJECT.parse::<Digest>().unwrap(), &candidates))
}

#[test]
fn a_key_and_an_identity_are_two() {
    let now = signed_at();
    let none = Conditions::default;
    assert_eq!(judged(vec![ci(), release()], none(), now, 2), "admit");
    let stranger = Authority::key("release", KEYS["x"].public_key().clone());
    assert_eq!(
        judged(vec![ci(), stranger], none(), now, 2),
        "too-few-signers"
    );
    assert_eq!(judged(vec![ci()], none(), now, 1), "admit");
}

#[test]
fn the_age_of_a_signature_is_what_the_log_proves() {
    let (hour, signed) = (jiff::SignedDuration::from_hours(1), signed_at());
    let second = jiff::SignedDuration::from_secs(1);
    let at_most = Conditions {
        max_age: Some(hour),
        ..Conditions::default()
    };
    let at_least = Conditions {
        min_age: Some(hour),
        ..Conditions::default()
    };
    for (conditions, now, expected) in [
        (&at_most, signed, "admit"),
        (&at_most, signed + hour, "admit"),
        (&at_most, signed + hour + second, "signature-too-old"),
        (&at_least, signed, "signature-too-young"),
        (&at_least, signed + hour - second, "signature-too-young"),
        (&at_least, signed + hour, "admit"),
    ] {
        assert_eq!(
            judged(vec![ci()], conditions.clone(), now, 1),
            expected,
            "{now}"
        );
    }
}

#[test]
fn an_expired_key_counts_for_what_a_log_proves_it_signed_before() {
    let day = jiff::SignedDuration::from_hours(24);
    let signed = signed_at();
    let until = |until| Validity {
        until: Some(until),
        from: None,
    };
    let since = |from| Validity {
        from: Some(from),
        until: None,
    };
    let none = Conditions::default;
    let later = timestamp("2040-01-01T00:00:00Z");
    for (validity, expected) in [
        (until(signed + day), "admit"),
        (until(signed - day), "outside-validity"),
        (since(signed - day), "admit"),
        (since(signed + day), "outside-validity"),
    ] {
        assert_eq!(
            judged(vec![release().valid(validity)], none(), later, 1),
            expected
        );
        assert_eq!(
            judged(vec![ci().valid(validity)], none(), later, 1),
            expected
        );
    }
}
