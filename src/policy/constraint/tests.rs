use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::digest::Digest;

const NOW: &str = "2026-06-01T00:00:00Z";

fn key() -> SignerIdentity {
    SignerIdentity::Key {
        name: "release".to_owned(),
        algorithm: "ECDSA P-256".to_owned(),
        fingerprint: Digest::of(b"key"),
    }
}

fn keyless() -> SignerIdentity {
    SignerIdentity::Keyless {
        name: "ci".to_owned(),
        identity: "https://example.com/ci".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        claims: BTreeMap::from([(Claim::BuildSignerUri, "https://example.com/ci".to_owned())]),
    }
}

/// Says whether `operator` holds of `value` at `/at`.
fn holds(operator: &Operator, value: &Value) -> bool {
    let constraint = Constraint::new("/at", operator.clone()).unwrap();
    let now = NOW.parse().ok();
    constraint
        .check(&json!({ "at": value }), &keyless(), now)
        .is_ok()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn pattern(text: &str) -> Operator {
    Operator::Pattern(Pattern::new(text).unwrap())
}

fn glob(text: &str) -> Operator {
    Operator::Glob(Glob::new(text).unwrap())
}

/// Every operator that looks at a value: what satisfies it, what does not, and what is of another
/// kind.
fn operators() -> Vec<(Operator, Vec<Value>, Vec<Value>)> {
    let number = |text: &str| serde_json::from_str(text).unwrap();
    let v = |value: Value| value;
    vec![
        (
            Operator::Equals(json!("a")),
            vec![json!("a")],
            vec![json!("b"), json!(["a"]), json!(1)],
        ),
        (
            Operator::Equals(json!(1)),
            vec![json!(1)],
            vec![json!("1"), json!(2), json!(true)],
        ),
        (
            Operator::Equals(json!(true)),
            vec![json!(true)],
            vec![json!("true"), json!(1), json!(false)],
        ),
        (
            Operator::OneOf(vec![json!("a"), json!(2)]),
            vec![json!("a"), json!(2)],
            vec![json!("2"), json!(["a", 2]), json!({})],
        ),
        (
            Operator::EqualsClaim(Claim::BuildSignerUri),
            vec![json!("https://example.com/ci")],
            vec![json!("https://example.com/ci2"), json!(1), json!(null)],
        ),
        (
            Operator::EqualsClaim(Claim::BuildTrigger),
            vec![],
            vec![json!(""), json!("push"), json!(null)],
        ),
        (
            glob("refs/tags/v*"),
            vec![json!("refs/tags/v1")],
            vec![
                json!("refs/heads/v1"),
                json!("refs/tags/v1/x"),
                json!(["refs/tags/v1"]),
            ],
        ),
        (
            pattern("v[0-9]+"),
            vec![json!("v10")],
            vec![json!("xv1"), json!("v1 "), json!(1)],
        ),
        (
            pattern("a|b"),
            vec![json!("a"), json!("b")],
            vec![json!("ab"), json!("xb"), json!("ax")],
        ),
        (
            Operator::Below("https://github.com/acme".to_owned()),
            vec![
                json!("https://github.com/acme"),
                json!("https://github.com/acme/x"),
            ],
            vec![
                json!("https://github.com/acme-evil"),
                json!("github.com/acme"),
                json!({}),
            ],
        ),
        (
            Operator::Below("https://x/".to_owned()),
            vec![json!("https://x/y")],
            vec![json!("https://x"), json!("https://xy"), json!(0)],
        ),
        (
            Operator::Contains(json!("a")),
            vec![json!(["b", "a"]), json!("bar")],
            vec![json!(["b"]), json!("b"), json!({"a": 1}), json!([["a"]])],
        ),
        (
            Operator::Contains(json!(3)),
            vec![json!([3])],
            vec![json!(["3"]), json!(3), json!("3")],
        ),
        (
            Operator::Min(number("3")),
            vec![v(json!(3)), json!(3.5), json!(u64::MAX)],
            vec![json!(2), json!("3"), json!(-9), json!([3])],
        ),
        (
            Operator::Max(number("3")),
            vec![json!(3), json!(-1), json!(2.9)],
            vec![json!(3.1), json!(4), json!("1"), json!(null)],
        ),
        (
            Operator::Max(number("9007199254740992")),
            vec![json!(9_007_199_254_740_992_u64)],
            vec![json!(9_007_199_254_740_993_u64)],
        ),
        (
            Operator::MaxAge(hours(24)),
            vec![
                json!("2026-05-31T00:00:00Z"),
                json!("2026-06-01T02:00:00+02:00"),
            ],
            vec![
                json!("2026-05-30T23:59:59Z"),
                json!("2026-06-01T00:00:01Z"),
                json!("yesterday"),
                json!(1),
            ],
        ),
        (
            Operator::MinAge(hours(24)),
            vec![json!("2026-05-31T00:00:00Z"), json!("2020-01-01T00:00:00Z")],
            vec![
                json!("2026-05-31T00:00:01Z"),
                json!("2027-01-01T00:00:00Z"),
                json!(""),
                json!({}),
            ],
        ),
        (
            Operator::Each(vec![
                Constraint::new("/ok", Operator::Equals(json!(true))).unwrap(),
            ]),
            vec![
                json!([{"ok": true}]),
                json!([{"ok": true}, {"ok": true, "x": 1}]),
            ],
            vec![
                json!([]),
                json!([{"ok": true}, {"ok": false}]),
                json!([{}]),
                json!({"ok": true}),
                json!("ok"),
            ],
        ),
    ]
}

#[test]
fn an_operator_holds_of_what_it_says_and_of_nothing_else() {
    for (operator, satisfying, other) in operators() {
        for value in satisfying {
            assert!(holds(&operator, &value), "{operator} {value}");
        }
        for value in other {
            assert!(!holds(&operator, &value), "{operator} {value}");
        }
    }
}

#[test]
fn leaving_something_out_satisfies_only_the_demand_to_leave_it_out() {
    let check = |operator: Operator, predicate: &Value| {
        let constraint = Constraint::new("/a/b", operator).unwrap();
        constraint.check(predicate, &key(), NOW.parse().ok())
    };
    for (operator, _, _) in operators() {
        for predicate in [
            json!({}),
            json!({"a": []}),
            json!(null),
            json!({"a": {"c": 1}}),
        ] {
            check(operator.clone(), &predicate).unwrap_err();
        }
    }
    assert!(check(Operator::Absent, &json!({"a": {}})).is_ok());
    assert!(check(Operator::Absent, &json!({"a": {"b": null}})).is_err());
    assert!(check(Operator::Exists, &json!({"a": {"b": null}})).is_ok());
    assert!(check(Operator::Exists, &json!({"a": {}})).is_err());
}

#[test]
fn a_key_claims_nothing_and_without_a_clock_nothing_has_an_age() {
    let check = |operator: &Operator, value: &str, signer: SignerIdentity, now| {
        let constraint = Constraint::new("", operator.clone()).unwrap();
        constraint.check(&json!(value), &signer, now).is_ok()
    };
    let claim = Operator::EqualsClaim(Claim::BuildSignerUri);
    assert!(check(&claim, "https://example.com/ci", keyless(), None));
    assert!(!check(&claim, "https://example.com/ci", key(), None));
    let age = Operator::MaxAge(hours(24));
    assert!(check(&age, NOW, key(), NOW.parse().ok()));
    assert!(!check(&age, NOW, key(), None));
}

#[test]
fn pointers_and_patterns_that_mean_nothing_are_refused() {
    for pointer in ["a", "a/b", "~", "/~", "/a~2", " /a"] {
        let error = Constraint::new(pointer, Operator::Exists).unwrap_err();
        assert_eq!(error.reason(), Reason::PolicyInvalid, "{pointer}");
    }
    for pointer in ["", "/", "/a~0b~1c", "/a/0"] {
        Constraint::new(pointer, Operator::Exists).unwrap();
    }
    for bad in ["(", "a)|(.*", "(?:a{1000}){1000}"] {
        let error = Pattern::new(bad).unwrap_err();
        assert_eq!(error.reason(), Reason::PatternInvalid, "{bad}");
    }
}

#[test]
fn a_constraint_says_what_it_found_and_what_it_asks_for() {
    let constraint = Constraint::new("/runDetails/builder/id", Operator::Equals(json!("x")));
    let constraint = constraint.unwrap();
    let say = |predicate: Value| constraint.check(&predicate, &key(), None).unwrap_err();
    assert_eq!(say(json!({})), "it has no `/runDetails/builder/id`");
    assert_eq!(
        say(json!({"runDetails": {"builder": {"id": "y"}}})),
        r#"its `/runDetails/builder/id` is "y", not "x""#
    );
}
