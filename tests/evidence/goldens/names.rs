//! For which name a signature was made.

use super::*;

const REPO: &str = "names = \"repository\"";
const TAG: &str = "names = \"tag\"";
const MIRROR: &str =
    "names = \"tag\"\nremap = { \"registry.example.com/acme\" = \"origin.example.com/models\" }";
const LONGEST: &str = "names = \"repository\"\nremap = { \"registry.example.com\" = \"wrong.example.com\", \"registry.example.com/acme\" = \"origin.example.com/models\" }";
const BESIDE: &str = "names = \"repository\"\nremap = { \"registry.example.com/ac\" = \"origin.example.com/models\" }";
const PINNED: &str = "registry.example.com/acme/bert@sha256:164a35034b0ac54697cb652308f7d3a27ea2d432a27956790fd2ff629f6ed0c8";

pub(super) const CASES: [(&str, &str, &str, &str, &str); 27] = [
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
];

#[test]
fn a_signature_counts_for_the_name_that_it_was_made_for() {
    for (settings, rule, evidence, name, expected) in CASES {
        assert_case(settings, &[rule], evidence, name, expected);
    }
}
