//! What attestations must say, and who must say it.

use super::*;

const BUILDER: &str =
    r#"prov 1 a { path = "/runDetails/builder/id", equals = "https://ci.example" }"#;
const SOURCE: &str = r#"prov 1 a { path = "/buildDefinition/externalParameters/workflow/ref", glob = "refs/tags/v*" }, { path = "/buildDefinition/resolvedDependencies", each = [{ path = "/uri", below = "git+https://github.com/acme" }] }"#;
const FRESH: &str = r#"prov 1 a { path = "/runDetails/metadata/finishedOn", max_age = "30d" }"#;
const CLAIM: &str =
    r#"prov 1 a { path = "/runDetails/builder/id", equals_claim = "buildSignerUri" }"#;
const TWO: &str = r#"prov 2 a,b { path = "/runDetails/builder/id", one_of = ["https://ci.example", "https://ci2.example"] }"#;

pub(super) const CASES: [(&[&str], &str, &str); 32] = [
    (&["prov 1 a"], "prov:a", "admit"),
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
];

#[test]
fn attestations_must_say_what_is_asked_for_and_by_whom_it_is_asked() {
    for (rules, evidence, expected) in CASES {
        assert_case("", rules, evidence, NAME, expected);
    }
}
