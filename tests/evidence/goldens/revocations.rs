//! What was revoked.

use super::*;

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
