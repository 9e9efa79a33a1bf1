//! When something was signed, and what was accepted before.

use super::*;

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
