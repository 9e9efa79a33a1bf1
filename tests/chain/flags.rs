//! Flags that cannot be meant.

use crate::parties::{MERGED, workspace};

#[test]
fn half_a_rule_is_a_mistake_of_the_command() {
    let at = workspace();
    for flags in [
        &["--chain-key", "base_model=base.pub"][..],
        &["--chain", "--chain-key", "base.pub"],
        &["--chain", "--chain-key", "base_model="],
        &["--chain", "--chain-key", "training_data=base.pub"],
        &["--chain", "--chain-end", "bsae"],
        &["--chain", "--chain-identity", "adapter=a@example.com"],
        &["--chain", "--chain-issuer", "adapter=https://example.com"],
        &["--chain", "--accept-vsa", "https://acme.example/verifier"],
    ] {
        let verify = [&["verify", MERGED, "--key", "merged.pub"][..], flags].concat();
        assert_eq!(at.run(&verify).code, 2, "{flags:?}");
    }
    let verify = ["verify", MERGED, "--key", "merged.pub", "--chain"];
    let missing = [&verify[..], &["--chain-key", "adapter=missing.pub"]].concat();
    at.run(&missing).refused(2, "key-invalid");
}

#[test]
fn the_artifacts_own_signers_are_those_of_the_chain_if_no_others_are_named() {
    let at = workspace();
    let verify = [
        "verify",
        MERGED,
        "--key",
        "merged.pub",
        "--key",
        "base.pub",
        "--chain",
    ];
    at.run(&verify).refused(3, "untrusted-signer");
    let verify = [
        &verify[..],
        &["--key", "tuned.pub", "--chain-end", "adapter"],
    ]
    .concat();
    // The adapter is keyless.
    let told = at.run(&verify);
    told.refused(3, "untrusted-signer");
    assert!(told.stderr.contains("broken at the adapter"), "{told:?}");
}

#[test]
fn a_directory_has_no_chain_and_a_pull_needs_verification() {
    let at = workspace();
    at.run(&["pull", MERGED, "./out", "--verify", "--key", "merged.pub"])
        .ok();
    at.run(&["verify", "./out", "--key", "merged.pub"]).ok();
    at.run(&["verify", "./out", "--key", "merged.pub", "--chain"])
        .refused(2, "usage");
    let signature = [
        "verify",
        "./models/base",
        "--signature",
        "model.sig",
        "--key",
        "base.pub",
    ];
    at.run(&[&signature[..], &["--chain"]].concat())
        .refused(2, "usage");
    at.run(&["pull", MERGED, "./other", "--chain"])
        .refused(2, "usage");
    assert!(!at.path("other").exists());
}
