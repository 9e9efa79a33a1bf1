//! The command line: who signs when no key is named.

use crate::bench::CI;
use crate::support::command::{Outcome, Workspace};
use crate::support::sigstore::server::openid::AMBIENT_SECRET;
use crate::support::sigstore::{Claims, Server, Version};

const REFERENCE: &str = "oci:./store:v1";

/// Returns a workspace with a model, the services' documents and a token.
fn workspace(server: &Server, logs: &[Version]) -> Workspace {
    let at = Workspace::with_model_and_key();
    at.write("services.json", server.signing_config(logs).to_string());
    at.write("root.json", server.trusted_root().to_string());
    at.write(
        "token",
        format!("{}\n", server.provider.mint(&Claims::email(CI))),
    );
    at
}

const SERVICES: [&str; 4] = [
    "--signing-config",
    "services.json",
    "--trusted-root",
    "root.json",
];

fn run(at: &Workspace, words: &[&str], more: &[&str]) -> Outcome {
    at.run(&[words, &SERVICES, more].concat())
}

const PUSH: [&str; 4] = ["push", REFERENCE, "model", "--sign"];

#[test]
fn a_push_is_signed_by_whoever_the_token_names() {
    for logs in [[Version::V1], [Version::V2]] {
        let server = Server::start();
        let at = workspace(&server, &logs);
        let pushed = run(&at, &PUSH, &["--identity-token", "token"]);
        pushed.ok();
        assert!(
            pushed.stderr.contains("public transparency log"),
            "{pushed:?}"
        );
        let signed = run(&at, &["sign", REFERENCE], &["--identity-token", "token"]);
        signed.ok();
        assert!(
            signed.stderr.contains(&format!("signed before by {CI}")),
            "{signed:?}"
        );
        assert_eq!(server.asked("/api/v2/signingCert").len(), 2);
    }
}

#[test]
fn a_token_comes_from_the_option_the_environment_or_the_ci_system() {
    let server = Server::start();
    let at = workspace(&server, &[Version::V1]);
    at.run(&["push", REFERENCE, "model"]).ok();
    let token = server.provider.mint(&Claims::email("gitlab@example.com"));
    let url = format!("{}/ambient?x=1", server.url);
    let github = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", AMBIENT_SECRET),
    ];
    let gitlab = [("SIGSTORE_ID_TOKEN", token.as_str())];
    let sign = [&["sign", REFERENCE][..], &SERVICES].concat();
    for (variables, who) in [
        (&gitlab[..], "gitlab@example.com"),
        (&github, "https://ci.example"),
    ] {
        let signed = at.run_with(&sign, variables, "");
        signed.ok();
        assert!(
            signed.stderr.contains(&format!("signed by {who}")),
            "{signed:?}"
        );
    }
    let mut given = sign.clone();
    given.extend(["--identity-token", &token]);
    let again = at.run_with(&given, &github, "");
    again.ok();
    assert!(
        again.stderr.contains("signed before by gitlab@example.com"),
        "{again:?}"
    );
}

#[test]
fn without_a_key_a_token_or_a_terminal_it_is_said_what_to_do() {
    let at = Workspace::with_model_and_key();
    let refused = at.run(&PUSH);
    refused.refused(2, "identity-missing");
    for way in [
        "--key",
        "--identity-token",
        "SIGSTORE_ID_TOKEN",
        "id-token: write",
    ] {
        assert!(refused.stderr.contains(way), "{way} is not in {refused:?}");
    }
    assert!(!at.path("store").exists(), "something was sent");
}

#[test]
fn a_token_that_cannot_be_used_is_refused_before_anything_is_sent() {
    let server = Server::start();
    let at = workspace(&server, &[Version::V1]);
    let expired = Claims {
        expires_in: -60,
        ..Claims::email(CI)
    };
    let elsewhere = Claims {
        audience: "elsewhere".into(),
        ..Claims::email(CI)
    };
    for claims in [expired, elsewhere] {
        let token = server.provider.mint(&claims);
        let refused = run(&at, &PUSH, &["--identity-token", &token]);
        refused.refused(2, "identity-token-invalid");
        assert!(!refused.stderr.contains(&token), "{refused:?}");
    }
    assert!(server.asked("/").is_empty());
    assert!(!at.path("store").exists(), "something was sent");
}

#[test]
fn a_signature_by_key_is_logged_if_services_are_named() {
    let server = Server::start();
    let at = workspace(&server, &[Version::V1]);
    at.run(&["push", REFERENCE, "model"]).ok();
    let sign = ["sign", REFERENCE];
    at.run(&["sign", REFERENCE, "--key", "cosign.key"]).ok();
    assert!(server.asked("/").is_empty());
    // What is not logged yet is not what is asked for.
    let logged = run(&at, &sign, &["--key", "cosign.key"]);
    logged.ok();
    assert!(logged.stderr.contains("signed by"), "{logged:?}");
    assert_eq!(server.asked("/api/v1/log/entries").len(), 1);
    let again = run(&at, &sign, &["--key", "cosign.key"]);
    assert!(again.stderr.contains("signed before by"), "{again:?}");
    assert_eq!(server.asked("/").len(), 1);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let at = Workspace::with_model_and_key();
    let both = [
        "sign",
        REFERENCE,
        "--key",
        "cosign.key",
        "--identity-token",
        "x",
    ];
    assert_eq!(at.run(&both).code, 2);
    let alone = ["sign", REFERENCE, "--trusted-root", "x"];
    assert_eq!(at.run(&alone).code, 2);
    at.write("services.json", "{}");
    let bad = [
        "sign",
        REFERENCE,
        "--key",
        "cosign.key",
        "--signing-config",
        "services.json",
    ];
    at.run(&bad).refused(2, "signing-config-invalid");
    at.run(&["push", REFERENCE, "model", "--identity-token", "x"])
        .refused(2, "usage");
}

#[test]
fn services_that_lie_leave_no_signature_behind() {
    let server = Server::start();
    let stranger = Server::start();
    let at = workspace(&server, &[Version::V1]);
    at.write("root.json", stranger.trusted_root().to_string());
    run(&at, &PUSH, &["--identity-token", "token"]).refused(1, "internal");
    // The tag comes last, so that nobody finds it without its signature.
    at.run(&["tag", REFERENCE, "v2"])
        .refused(5, "reference-not-found");
}
