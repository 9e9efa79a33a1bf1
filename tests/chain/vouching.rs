//! A verifier's summary stands in for a walk, if it is that verifier's and about that model.

use serde_json::{Value, json};

use crate::parties::{MERGED, PROVENANCE, attest_type, detach, digest, ruled, workspace};
use crate::support::command::Workspace;

const VERIFIER: &str = "https://acme.example/verifier";

fn summary(result: &str, verifier: &str, resource: &str) -> Value {
    json!({
        "verifier": { "id": verifier },
        "timeVerified": "2026-01-01T00:00:00Z",
        "resourceUri": resource,
        "policy": { "uri": "https://acme.example/policy" },
        "verificationResult": result,
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1"],
    })
}

/// Returns a workspace in which the tuned model's origin is not stated.
fn without_origin() -> Workspace {
    let at = workspace();
    assert!(detach(&at, "tuned", PROVENANCE));
    at
}

#[test]
fn a_summary_that_is_accepted_stands_in_for_what_is_below() {
    let accept = format!("{VERIFIER}=stranger.pub");
    let at = without_origin();
    let tuned = "oci:./tuned:v1";
    let pinned = format!("{tuned}@{}", digest(&at, tuned));
    let other = format!("oci:./base:v1@{}", digest(&at, "oci:./base:v1"));
    for (predicate, key, passes) in [
        (summary("FAILED", VERIFIER, tuned), "stranger", false),
        (
            summary("PASSED", "https://acme.example/other", tuned),
            "stranger",
            false,
        ),
        (summary("PASSED", VERIFIER, &other), "stranger", false),
        (summary("PASSED", VERIFIER, tuned), "merged", false),
        (summary("PASSED", VERIFIER, &pinned), "stranger", true),
    ] {
        attest_type(&at, tuned, "vsa", predicate, key);
        let told = ruled(&at, &["verify", MERGED, "--accept-vsa", &accept]);
        match passes {
            false => told.refused(3, "attestation-missing"),
            true => {
                let shown = format!("vouched for by {VERIFIER}");
                assert!(told.ok().contains(&shown), "{told:?}");
                assert!(!told.stdout.contains("oci:./base"), "{told:?}");
            }
        }
    }
    // Nobody accepts it who was not told to.
    ruled(&at, &["verify", MERGED]).refused(3, "attestation-missing");
    let wrong = format!("{VERIFIER}=base.pub");
    ruled(&at, &["verify", MERGED, "--accept-vsa", &wrong]).refused(3, "attestation-missing");
}

#[test]
fn a_summary_is_no_signature() {
    let at = without_origin();
    attest_type(
        &at,
        "oci:./tuned:v1",
        "vsa",
        summary("PASSED", VERIFIER, "oci:./tuned:v1"),
        "stranger",
    );
    let accept = format!("{VERIFIER}=stranger.pub");
    let verify = ["verify", MERGED, "--accept-vsa", &accept];
    ruled(&at, &verify).ok();
    assert!(detach(&at, "tuned", crate::parties::SIGNATURE));
    ruled(&at, &verify).refused(3, "signature-missing");
}

#[test]
fn a_policy_says_whose_summaries_are_accepted() {
    let at = without_origin();
    let policy = |vsa: &str| {
        format!(
            "version = 1\ndefault = \"deny\"\n[authorities.all]\nkeys = [\"merged.pub\", \
             \"tuned.pub\", \"base.pub\"]\n[authorities.lab]\nkeys = [\"stranger.pub\"]\n\
             [[policies]]\nname = \"it\"\nscopes = [\"oci:**\"]\n[[policies.require]]\n\
             kind = \"signature\"\nauthorities = [\"all\"]\n[policies.chain]\n{vsa}\n"
        )
    };
    attest_type(
        &at,
        MERGED,
        "vsa",
        summary("PASSED", VERIFIER, MERGED),
        "stranger",
    );
    let verify = ["verify", MERGED, "--policy", "policy.toml"];
    at.write("policy.toml", policy(""));
    at.run(&verify).refused(3, "attestation-missing");
    at.write(
        "policy.toml",
        policy(&format!(
            "vsa = [{{ verifier = \"{VERIFIER}\", authorities = [\"lab\"] }}]"
        )),
    );
    let told = at.run(&verify);
    told.ok();
    assert!(told.stderr.contains("vouched for by"), "{told:?}");
    let loose = [&verify[..], &["--chain", "--chain-end", "base_model"]].concat();
    at.run(&loose).refused(2, "usage");
}
