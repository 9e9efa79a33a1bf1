//! The flags that name an identity, on every command that asks who is trusted.

use serde_json::Value;

use crate::{IDENTITY, ISSUER, REFERENCE, TRUST, with, workspace};

#[test]
fn an_identity_verifies_pulls_and_is_shown_with_its_witnesses() {
    let at = workspace();
    let verify = with(
        &["verify", REFERENCE, "--require", "slsaprovenance1"],
        &TRUST,
    );
    let told = at.run(&verify);
    assert!(told.ok().contains("@sha256:164a3503"));
    assert!(
        told.stderr
            .contains(&format!("by {IDENTITY} (issuer {ISSUER})"))
    );
    assert!(told.stderr.contains("logged in localhost:3712"), "{told:?}");

    let json = at
        .run(&with(&["verify", REFERENCE, "--json"], &TRUST))
        .json();
    let evidence = &json["findings"][0]["metBy"][0];
    assert_eq!(evidence["signer"]["kind"], "keyless");
    assert_eq!(evidence["signer"]["identity"], IDENTITY);
    assert_eq!(evidence["signer"]["issuer"], ISSUER);
    assert_eq!(evidence["witnesses"][0]["kind"], "log");
    assert_eq!(evidence["witnesses"][0]["proof"], "inclusion");

    let tree = at.run(&with(&["tree", REFERENCE], &TRUST));
    assert_eq!(
        tree.ok().matches(&format!("verified: {IDENTITY}")).count(),
        2
    );

    at.run(&with(&["pull", REFERENCE, "./out", "--verify"], &TRUST))
        .ok();
    assert!(at.path("out/model.safetensors").exists());
}

#[test]
fn a_directory_pulled_under_an_identity_is_verified_again_under_it() {
    let at = workspace();
    at.run(&with(&["pull", REFERENCE, "./out", "--verify"], &TRUST))
        .ok();
    std::fs::remove_dir_all(at.path("store")).unwrap();
    at.run(&with(&["verify", "./out", "--deep"], &TRUST)).ok();
    let other = [
        "--certificate-identity",
        "ci@example.com",
        "--certificate-oidc-issuer",
        ISSUER,
    ];
    let other = with(&other, &TRUST[4..]);
    at.run(&with(&["verify", "./out"], &other))
        .refused(3, "identity-mismatch");
    let receipt = std::fs::read(at.path("out/.modelctl/receipt.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_slice(&receipt).unwrap();
    let signer = &receipt["verification"]["evidence"][0]["signer"];
    assert_eq!(signer["identity"], IDENTITY);
    at.write("out/config.json", "{}");
    at.run(&with(&["verify", "./out"], &TRUST))
        .refused(4, "directory-changed");
}

#[test]
fn a_key_or_an_identity_is_enough() {
    let at = workspace();
    let stranger = workspace();
    stranger
        .run(&["generate-key-pair", "--output-key-prefix", "other"])
        .ok();
    let theirs = stranger.path("other.pub");
    let theirs = theirs.to_str().unwrap();
    let nobody = [
        "--certificate-identity",
        "nobody@example.com",
        "--certificate-oidc-issuer",
        ISSUER,
        "--trusted-root",
        "root.json",
    ];
    let verify = &["verify", REFERENCE][..];
    at.run(&with(&with(verify, &["--key", theirs]), &TRUST))
        .ok();
    let told = at.run(&with(&with(verify, &["--key", "cosign.pub"]), &nobody));
    assert!(told.ok().contains("@sha256:"));
    assert!(told.stderr.contains("logged in localhost:3712"), "{told:?}");
    at.run(&with(&with(verify, &["--key", theirs]), &nobody))
        .refused(3, "identity-mismatch");
    // A key needs no log; with an instance's keys at hand, the log is checked.
    let told = at.run(&with(verify, &["--key", "cosign.pub"]));
    assert!(told.ok().contains("@sha256:") && !told.stderr.contains("logged"));
    let key = ["--key", "cosign.pub", "--trusted-root", "root.json"];
    let told = at.run(&with(verify, &key));
    assert!(told.ok().contains("@sha256:") && told.stderr.contains("logged"));
}

#[test]
fn whoever_else_signed_is_refused_and_told_apart() {
    let at = workspace();
    let root = ["--trusted-root", "root.json"];
    let issuer = ["--certificate-oidc-issuer", ISSUER];
    for (flags, reason) in [
        (
            with(
                &["--certificate-identity", "https://example.com/ci"],
                &issuer,
            ),
            "identity-mismatch",
        ),
        (
            vec![
                "--certificate-identity",
                IDENTITY,
                "--certificate-oidc-issuer",
                "http://127.0.0.1",
            ],
            "issuer-mismatch",
        ),
        (
            with(
                &["--certificate-identity-regexp", "example.com/ci"],
                &issuer,
            ),
            "identity-mismatch",
        ),
        (
            with(
                &[
                    "--certificate-identity",
                    IDENTITY,
                    "--certificate-github-workflow-repository",
                    "acme/bert",
                ],
                &issuer,
            ),
            "claim-mismatch",
        ),
    ] {
        let verify = with(&with(&["verify", REFERENCE], &flags), &root);
        at.run(&verify).refused(3, reason);
        let pull = with(
            &with(&["pull", REFERENCE, "./out", "--verify"], &flags),
            &root,
        );
        at.run(&pull).refused(3, reason);
        assert!(!at.path("out").exists());
    }
    let patterns = [
        "--certificate-identity-regexp",
        r"https://example\.com/ci/.*@refs/heads/main",
        "--certificate-oidc-issuer-regexp",
        r"http://127\.0\.0\.1:\d+",
    ];
    at.run(&with(&with(&["verify", REFERENCE], &patterns), &root))
        .ok();
}

#[test]
fn half_an_identity_is_a_mistake_of_the_command() {
    let at = workspace();
    at.write("bad.json", "{}");
    let identity = ["--certificate-identity", IDENTITY];
    let issuer = ["--certificate-oidc-issuer", ISSUER];
    let both = with(&identity, &issuer);
    for (flags, reason) in [
        (with(&identity, &[]), "usage"),
        (with(&issuer, &[]), "usage"),
        (
            vec!["--certificate-github-workflow-ref", "refs/heads/main"],
            "usage",
        ),
        (
            with(&["--certificate-identity-regexp", ".*"], &issuer),
            "identity-invalid",
        ),
        (
            with(&["--certificate-identity-regexp", "("], &issuer),
            "identity-invalid",
        ),
        (
            with(&["--certificate-identity", ""], &issuer),
            "identity-invalid",
        ),
        (
            with(&both, &["--trusted-root", "bad.json"]),
            "trust-root-invalid",
        ),
        (
            with(&both, &["--trusted-root", "missing.json"]),
            "trust-root-invalid",
        ),
        (
            vec!["--trusted-root", "root.json"],
            "nothing-to-verify-against",
        ),
    ] {
        for command in [
            vec!["verify", REFERENCE],
            vec!["pull", REFERENCE, "--verify"],
        ] {
            let told = at.run(&with(&command, &flags));
            assert_eq!(
                (told.code, told.reason()),
                (2, reason),
                "{flags:?} {told:?}"
            );
        }
    }
    let told = at
        .run(&with(&["verify", REFERENCE, "--json"], &identity))
        .json();
    let hint = told["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("--certificate-oidc-issuer"), "{hint}");
    // Without `--verify`, naming someone is one, too.
    for flags in [&TRUST[..], &TRUST[4..]] {
        at.run(&with(&["pull", REFERENCE], flags))
            .refused(2, "usage");
    }
    // Several identities are alternatives, however they are given.
    let either = with(TRUST.as_slice(), &["--certificate-identity-regexp", "x"]);
    at.run(&with(&["verify", REFERENCE], &either)).ok();
}

#[test]
fn an_attestation_that_is_left_alone_is_no_signature() {
    let at = workspace();
    let tree = at.run(&["tree", REFERENCE, "--json"]).json();
    let is_attestation = |node: &&Value| node["predicateType"] == "https://slsa.dev/provenance/v1";
    let attached = tree["referrers"].as_array().unwrap();
    let kept = attached.iter().find(is_attestation).unwrap();
    let index = std::fs::read(at.path("store/index.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    let listed = index["manifests"].as_array_mut().unwrap();
    listed.retain(|it| it["digest"] == tree["digest"] || it["digest"] == kept["digest"]);
    assert_eq!(listed.len(), 2);
    at.write("store/index.json", index.to_string());
    at.run(&with(&["verify", REFERENCE], &TRUST))
        .refused(3, "signature-missing");
}

#[test]
fn a_base_model_must_be_signed_by_the_identity_that_its_run_file_names() {
    let at = workspace();
    at.model("model");
    at.run(&["generate-key-pair", "--output-key-prefix", "own"])
        .ok();
    let run = |identity: &str| {
        format!(
            "schema = 1\nrun.type = \"fine-tune\"\n[[base]]\nreference = \"{REFERENCE}\"\n\
             identity = \"{identity}\"\nissuer = \"{ISSUER}\"\ntrusted_root = \"root.json\"\n"
        )
    };
    let push = [
        "push",
        "oci:./tuned:v1",
        "model",
        "--training-run",
        "run.toml",
    ];
    let push = with(&push, &["--key", "own.key"]);
    at.write("run.toml", run("somebody@example.com"));
    at.run(&push).refused(3, "identity-mismatch");
    assert!(!at.path("tuned").exists());

    at.write("run.toml", run(IDENTITY));
    at.run(&push).ok();
    let told = at.run(&[
        "inspect",
        "oci:./tuned:v1",
        "--provenance",
        "--key",
        "own.pub",
        "--json",
    ]);
    let told = told.json().to_string();
    assert!(
        told.contains(&format!(
            "verified then as signed by {IDENTITY} (issuer {ISSUER})"
        )),
        "{told}"
    );

    at.write("run.toml", run(IDENTITY).replace("issuer", "key"));
    at.run(&push).refused(2, "run-file-invalid");
}
