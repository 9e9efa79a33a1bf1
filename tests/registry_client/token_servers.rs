//! Token servers: which are asked, what they are shown, and what is taken from them.

use std::sync::atomic::AtomicUsize;

use axum::response::Response;
use modelctl::error::Reason;
use modelctl::registry::Settings;
use modelctl::store::Store;

use crate::scripted::{Registry, endless, refusal, reply, with};
use crate::signing_in::{BASIC, gives_token, wants_token};
use crate::tls::{Authority, trusting};
use crate::{known, reason, repository, settings};

#[tokio::test]
async fn token_servers_that_must_not_be_asked_are_not_asked() {
    let thief = Registry::honest().await;
    let inner = |host: &str| format!("http://{host}/token");
    for realm in [
        "http://auth.example.com/token".to_owned(),
        "http://169.254.169.254/token".to_owned(),
        "http://0.0.0.0/token".to_owned(),
        "https://[fe80::1]/token".to_owned(),
        inner(&format!("user:pw@{}", thief.host())),
        "file:///token".to_owned(),
        "/token".to_owned(),
        String::new(),
    ] {
        let named = realm.clone();
        let registry = Registry::start(move |seen, _| wants_token(seen, &named)).await;
        let listed = repository(&registry.host(), known()).tags().await;
        assert_eq!(reason(listed), Reason::CredentialsWithheld, "{realm}");
    }
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_strange_token_server_is_asked_without_the_password() {
    let authority = Authority::new();
    for anonymous in [true, false] {
        let given = AtomicUsize::new(0);
        let stranger =
            Registry::start_tls(
                authority.server(&["127.0.0.1"]),
                move |seen, _| match anonymous {
                    true => gives_token(seen, &given),
                    false => Some(refusal(401, "UNAUTHORIZED", "who are you")),
                },
            )
            .await;
        let realm = format!("https://{}/token", stranger.host());
        let registry = Registry::start_tls(authority.server(&["localhost"]), move |seen, _| {
            wants_token(seen, &realm)
        })
        .await;
        let store = repository(&registry.alias(), trusting(&authority, known()));
        let listed = store.tags().await;
        match anonymous {
            true => drop(listed.unwrap()),
            false => assert_eq!(reason(listed), Reason::CredentialsWithheld),
        }
        assert!(!stranger.seen().is_empty());
        assert!(
            stranger
                .seen()
                .iter()
                .all(|seen| seen.header("authorization").is_none())
        );

        // The twin that is listed, and so trusted.
        let listed = Settings {
            token_hosts: vec!["127.0.0.1".to_owned()],
            ..trusting(&authority, known())
        };
        let listed = repository(&registry.alias(), listed).tags().await;
        assert_eq!(listed.is_ok(), anonymous);
        let last = stranger.seen().last().cloned().unwrap();
        assert_eq!(last.header("authorization"), Some(BASIC));
    }
}

#[tokio::test]
async fn an_anonymous_token_that_does_not_do_is_explained() {
    let authority = Authority::new();
    let stranger = Registry::start_tls(authority.server(&["127.0.0.1"]), |_, _| {
        Some(with(200, &[], "{\"token\":\"good\"}"))
    })
    .await;
    for status in [401, 403] {
        let realm = format!("https://{}/token", stranger.host());
        let registry = Registry::start_tls(authority.server(&["localhost"]), move |seen, _| {
            wants_token(seen, &realm).or_else(|| Some(refusal(status, "DENIED", "no")))
        })
        .await;
        let store = repository(&registry.alias(), trusting(&authority, known()));
        let error = store.tags().await.unwrap_err();
        assert_eq!(error.reason(), Reason::CredentialsWithheld);
        assert!(error.message().contains(&stranger.host()), "{error}");
        // Who has nothing to withhold is told to log in.
        let store = repository(&registry.alias(), trusting(&authority, settings()));
        let expected = if status == 401 {
            Reason::Unauthorised
        } else {
            Reason::Forbidden
        };
        assert_eq!(reason(store.tags().await), expected);
    }
}

#[tokio::test]
async fn token_servers_are_bounded_and_not_followed() {
    let thief = Registry::honest().await;
    let target = format!("http://{}/token", thief.host());
    type Answer = Box<dyn Fn() -> Response + Send + Sync>;
    let cases: [(Answer, Reason); 6] = [
        (Box::new(|| with(200, &[], endless())), Reason::TooLarge),
        (
            Box::new(|| with(200, &[], "<html>")),
            Reason::RegistryProtocol,
        ),
        (Box::new(|| with(200, &[], "{}")), Reason::RegistryProtocol),
        (
            Box::new(move || with(307, &[("location", target.as_str())], "")),
            Reason::RegistryProtocol,
        ),
        (Box::new(|| reply(429)), Reason::RateLimited),
        (Box::new(|| reply(500)), Reason::RegistryFailed),
    ];
    for (answer, expected) in cases {
        let registry = Registry::start(move |seen, _| match seen.path.as_str() {
            "/token" => Some(answer()),
            _ => wants_token(
                seen,
                &format!("http://{}/token", seen.header("host").unwrap()),
            ),
        })
        .await;
        let listed = repository(&registry.host(), known()).tags().await;
        assert_eq!(reason(listed), expected);
        // Only the token is asked for again, not everything from the beginning.
        assert_eq!(registry.count("GET", "/v2/"), 1);
    }
    assert!(thief.seen().is_empty());
}
