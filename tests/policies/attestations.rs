//! What must be stated besides: provenance, or a verifier's word for it.

use serde_json::json;

use crate::{LAYOUT, THREE, attest, policy, provenance, verify, workspace};

#[test]
fn provenance_must_name_the_builder_and_the_source() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let rules = r#"[[policies.require]]
kind = "attestation"
predicate_type = "slsaprovenance1"
authorities = ["a"]
where = [
  { path = "/runDetails/builder/id", equals = "https://ci.example" },
  { path = "/buildDefinition/externalParameters/source", below = "https://github.com/acme" },
]
"#;
    at.write("policy.toml", policy(THREE, "oci:**", "", rules));
    verify(&at, LAYOUT).refused(3, "attestation-missing");
    let cases = [
        (
            "https://evil.example",
            "https://github.com/acme/x",
            "`/runDetails/builder/id` is",
        ),
        (
            "https://ci.example",
            "https://github.com/acme-evil/x",
            "not below",
        ),
    ];
    for (builder, source, said) in cases {
        attest(
            &at,
            LAYOUT,
            "slsaprovenance1",
            &provenance(builder, source),
            "a",
        );
        let refused = verify(&at, LAYOUT);
        refused.refused(3, "constraint-unmet");
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let good = provenance("https://ci.example", "https://github.com/acme/x");
    attest(&at, LAYOUT, "slsaprovenance1", &good, "b");
    verify(&at, LAYOUT).refused(3, "constraint-unmet");
    attest(&at, LAYOUT, "slsaprovenance1", &good, "a");
    verify(&at, LAYOUT).ok();
}

#[test]
fn a_verification_summary_stands_for_provenance() {
    let at = workspace();
    at.run(&["push", LAYOUT, "model", "--sign", "--key", "a.key"])
        .ok();
    let rules = "[[policies.require]]\nkind = \"vsa\"\nauthorities = [\"c\"]\nverifier = \
                 \"https://verifier.example\"\nlevels = [\"SLSA_BUILD_LEVEL_3\"]\n";
    at.write("policy.toml", policy(THREE, "oci:**", "", rules));
    let summary = |result: &str, level: &str| {
        json!({
            "verifier": {"id": "https://verifier.example"},
            "timeVerified": "2026-01-01T00:00:00Z",
            "resourceUri": "oci:./store",
            "policy": {"uri": "https://verifier.example/policy"},
            "verificationResult": result,
            "verifiedLevels": [level],
        })
    };
    verify(&at, LAYOUT).refused(3, "attestation-missing");
    for (result, level) in [
        ("FAILED", "SLSA_BUILD_LEVEL_3"),
        ("PASSED", "SLSA_BUILD_LEVEL_1"),
    ] {
        attest(&at, LAYOUT, "vsa", &summary(result, level), "c");
        verify(&at, LAYOUT).refused(3, "constraint-unmet");
    }
    attest(
        &at,
        LAYOUT,
        "vsa",
        &summary("PASSED", "SLSA_BUILD_LEVEL_3"),
        "c",
    );
    verify(&at, LAYOUT).ok();
}
