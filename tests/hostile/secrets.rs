//! Secrets of the command line: shown to whom they are for, and told to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::command::Outcome;
use crate::support::registry::{Access, Action, Auth, Bearer, Fault, Options, Registry, Tls, User};
use crate::with_model_and_key;

const PASSWORD: &str = "canary-passw0rd";
const REFRESH: &str = "canary-refresh-t0ken";
const SIGNED: &str = "canary-signed-link";

fn basic() -> String {
    STANDARD.encode(format!("alice:{PASSWORD}"))
}

fn auth(kind: &str) -> Auth {
    let alice = User {
        name: "alice".to_owned(),
        password: PASSWORD.to_owned(),
        identity_token: Some(REFRESH.to_owned()),
        access: Access::Push,
    };
    match kind {
        "basic" => Auth::Basic {
            user: alice.name,
            password: alice.password,
        },
        _ => Auth::Bearer(Bearer {
            users: vec![alice],
            ..Bearer::default()
        }),
    }
}

/// Returns Docker's configuration with a credential of a kind.
fn config(kind: &str, host: &str) -> String {
    match kind {
        "identity" => {
            let alone = STANDARD.encode("00000000-0000-0000-0000-000000000000:");
            format!(r#"{{"auths":{{"{host}":{{"auth":"{alone}","identitytoken":"{REFRESH}"}}}}}}"#)
        }
        _ => format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, basic()),
    }
}

/// Asserts that no secret is in what a command said, nor a token that a registry saw.
#[track_caller]
fn no_secret(outcome: &Outcome, registry: &Registry) {
    let told = format!("{}{}", outcome.stderr, outcome.stdout);
    let shown = registry.requests().into_iter();
    let shown = shown.filter_map(|seen| Some(seen.header("authorization")?.to_owned()));
    let shown = shown.filter_map(|field| Some(field.split_once(' ')?.1.to_owned()));
    let known = [PASSWORD, REFRESH, SIGNED].map(str::to_owned);
    for secret in shown.chain(known).chain([basic()]) {
        assert!(!told.contains(&secret), "{secret}: {told}");
    }
}

#[test]
fn no_secret_is_told_however_talkative_the_command_is() {
    for kind in ["basic", "bearer", "identity"] {
        let registry = Registry::start(Options {
            auth: auth(kind),
            ..Options::default()
        });
        let at = with_model_and_key();
        at.write("home/.docker/config.json", config(kind, &registry.host()));
        let reference = format!("{}/acme/bert:v1", registry.host());
        let missing = format!("{}/acme/bert:v9", registry.host());
        let run = |arguments: &[&str], code: i32| {
            for talk in [&["-vv"][..], &["-vv", "--json"]] {
                let outcome = at.run(&[arguments, talk].concat());
                assert_eq!(outcome.code, code, "{outcome:?}");
                assert!(outcome.stderr.contains("/v2/"), "{outcome:?}");
                no_secret(&outcome, &registry);
                let _ = std::fs::remove_dir_all(at.path("out"));
            }
        };
        run(
            &["push", &reference, "model", "--sign", "--key", "cosign.key"],
            0,
        );
        run(
            &["pull", &reference, "out", "--verify", "--key", "cosign.pub"],
            0,
        );
        run(&["pull", &missing, "out"], 5);
        registry.fault(Fault::on("GET", "/manifests/").does(Action::Status(403, String::new())));
        run(&["inspect", &reference], 6);
        let shown = registry.requests().into_iter();
        assert!(
            shown
                .filter(|seen| seen.header("authorization").is_some())
                .count()
                > 10
        );
    }
}

#[test]
fn a_link_that_is_as_good_as_a_password_is_told_to_nobody() {
    let cdn = Registry::start(Options::default());
    let registry = Registry::start(Options {
        auth: auth("basic"),
        ..Options::default()
    });
    let at = with_model_and_key();
    at.write(
        "home/.docker/config.json",
        config("basic", &registry.host()),
    );
    let reference = format!("{}/acme/bert:v1", registry.host());
    at.run(&["push", &reference, "model"]).ok();
    // The same server by another name is another origin.
    let cdn_host = cdn.host().replace("127.0.0.1", "localhost");
    for digest in registry.blobs("acme/bert") {
        let bytes = registry.blob("acme/bert", &digest).unwrap();
        cdn.put_blob("acme/bert", bytes);
        let link = format!("http://{cdn_host}/v2/acme/bert/blobs/{digest}?signature={SIGNED}");
        let redirect = Action::Respond(307, vec![("location".to_owned(), link)], Vec::new());
        registry.fault(Fault::on("GET", &digest).does(redirect));
    }
    // What the cache has is not asked for.
    let pull = ["pull", &reference, "out", "-vv", "--json", "--no-cache"];
    let pulled = at.run(&pull);
    pulled.ok();
    no_secret(&pulled, &registry);
    let asked = cdn.requests();
    assert!(asked.iter().any(|seen| seen.path.contains(SIGNED)));
    let secret = |name: &str| name == "authorization" || name == "cookie";
    assert!(
        !asked
            .iter()
            .any(|seen| seen.headers.keys().any(|name| secret(name.as_str())))
    );

    std::fs::remove_dir_all(at.path("out")).unwrap();
    cdn.fault(Fault::on("GET", "/blobs/").does(Action::Status(403, String::new())));
    let refused = at.run(&pull);
    refused.refused(7, "registry-failed");
    no_secret(&refused, &registry);
    assert!(!at.path("out").exists());
}

#[test]
fn a_client_certificate_is_shown_and_its_key_told_to_nobody() {
    let registry = Registry::start(Options {
        tls: Some(Tls::ClientMust),
        auth: auth("basic"),
        ..Options::default()
    });
    let at = with_model_and_key();
    let (certificate, key) = registry.identity().client();
    at.write("ca.pem", registry.identity().ca());
    at.write("client.pem", certificate);
    at.write("client.key", key);
    at.write(
        "home/.docker/config.json",
        config("basic", &registry.host()),
    );
    let reference = format!("{}/acme/bert:v1", registry.host());
    let push = ["push", &reference, "model", "-vv", "--ca-file", "ca.pem"];
    let shown = ["--cert-file", "client.pem", "--key-file", "client.key"];
    let pushed = at.run(&[&push[..], &shown].concat());
    pushed.ok();
    no_secret(&pushed, &registry);
    let line = key.lines().nth(1).unwrap();
    assert!(!pushed.stderr.contains(line), "{}", pushed.stderr);
    assert!(
        registry
            .requests()
            .iter()
            .all(|seen| seen.client_certificate)
    );

    let without = at.run(&push);
    without.refused(7, "tls");
    no_secret(&without, &registry);
}
