//! How many of whom must sign.

use super::*;

const TWO: &[&str] = &["sig 2 a,b,c"];
const TEAM: &[&str] = &["sig 2 team,c"];
const ALIAS: &[&str] = &["sig 2 a,alias"];
const OVERLAP: &[&str] = &["sig 2 team,a"];
const ALL: &[&str] = &["sig 3 a,b,c"];
const ONE: &[&str] = &["sig 1 a"];
const BOTH: &[&str] = &["sig 1 a", "sig 1 b"];

pub(super) const CASES: [(&[&str], &str, &str); 42] = [
    (ONE, "sign:a", "admit"),
    (ONE, "sign:b", "untrusted-signer"),
    (ONE, "sign:x", "untrusted-signer"),
    (ONE, "", "signature-missing"),
    (ONE, "prov:a", "signature-missing"),
    (ONE, "other:a", "subject-mismatch"),
    (ONE, "altered:a", "signature-invalid"),
    (ONE, "altered:a sign:a", "admit"),
    (ONE, "other:a sign:b", "subject-mismatch"),
    (ONE, "bare:a", "admit"),
    (ONE, "moved:a", "admit"),
    (TWO, "sign:a sign:b", "admit"),
    (TWO, "sign:a sign:c", "admit"),
    (TWO, "sign:b sign:c", "admit"),
    (TWO, "sign:a sign:b sign:c", "admit"),
    (TWO, "sign:a", "too-few-signers"),
    (TWO, "sign:a sign:a", "too-few-signers"),
    (TWO, "sign:a bare:a", "too-few-signers"),
    (TWO, "sign:a sign:x", "too-few-signers"),
    (TWO, "sign:a altered:b", "too-few-signers"),
    (TWO, "sign:a other:b", "too-few-signers"),
    (TWO, "sign:a prov:b", "too-few-signers"),
    (TWO, "altered:a altered:b", "signature-invalid"),
    (TWO, "sign:x", "untrusted-signer"),
    (TWO, "", "signature-missing"),
    (ALL, "sign:a sign:b sign:c", "admit"),
    (ALL, "sign:a sign:b", "too-few-signers"),
    (ALL, "sign:a sign:b bare:b", "too-few-signers"),
    (TEAM, "sign:a sign:c", "admit"),
    (TEAM, "sign:b sign:c", "admit"),
    (TEAM, "sign:a sign:b", "too-few-signers"),
    (TEAM, "sign:c", "too-few-signers"),
    (ALIAS, "sign:a", "too-few-signers"),
    (ALIAS, "sign:a bare:a", "too-few-signers"),
    (OVERLAP, "sign:a", "too-few-signers"),
    (OVERLAP, "sign:b", "too-few-signers"),
    (OVERLAP, "sign:a sign:b", "admit"),
    (BOTH, "sign:a sign:b", "admit"),
    (BOTH, "sign:a", "untrusted-signer"),
    (BOTH, "sign:b", "untrusted-signer"),
    (BOTH, "sign:c", "untrusted-signer"),
    (BOTH, "", "signature-missing"),
];

#[test]
fn so_many_different_authorities_must_sign() {
    for (rules, evidence, expected) in CASES {
        assert_case("", rules, evidence, NAME, expected);
    }
}
