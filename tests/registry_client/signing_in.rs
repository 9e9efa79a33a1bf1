//! Signing in: who gets to see what, and how often.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::blob::InMemory;
use modelctl::error::{Reason, Result};
use modelctl::progress::Silent;
use modelctl::reference::Location;
use modelctl::registry::auth::{Credential, CredentialSource, Fixed};
use modelctl::registry::{Client, Settings};
use modelctl::secret::Secret;
use modelctl::store::Store;

use crate::scripted::{Registry, Seen, Shelf, refusal, reply, with};
use crate::{CANARY, content, known, location, open, reason, repository, settings};

/// `alice` and the canary, as HTTP Basic sends them.
pub(crate) const BASIC: &str = "Basic YWxpY2U6Y2FuYXJ5LXMzY3JldA==";

fn challenge(field: &str) -> Response {
    with(401, &[("www-authenticate", field)], "")
}

/// Answers as a registry that wants a token from the server at `realm`, for far more than is
/// asked, and takes any that begins with `good`.
pub(crate) fn wants_token(seen: &Seen, realm: &str) -> Option<Response> {
    let shown = seen.header("authorization").unwrap_or_default();
    let field =
        format!("Bearer realm=\"{realm}\",service=\"the service\",scope=\"repository:*:*\"");
    (!shown.starts_with("Bearer good")).then(|| challenge(&field))
}

/// Answers as a token server that gives tokens to whoever it knows; `given` counts them.
pub(crate) fn gives_token(seen: &Seen, given: &AtomicUsize) -> Option<Response> {
    let number = given.fetch_add(1, Ordering::SeqCst);
    let body = format!("{{\"token\":\"good-{number}\",\"expires_in\":300}}");
    Some(match seen.header("authorization") {
        None | Some(BASIC) => with(200, &[], body),
        Some(_) => refusal(401, "UNAUTHORIZED", "wrong password"),
    })
}

/// Starts a registry that is its own token server.
async fn with_tokens() -> Registry {
    let given = AtomicUsize::new(0);
    Registry::start(move |seen, _| {
        if seen.path == "/token" {
            return gives_token(seen, &given);
        }
        wants_token(
            seen,
            &format!("http://{}/token", seen.header("host").unwrap()),
        )
    })
    .await
}

fn tokens(registry: &Registry) -> Vec<Seen> {
    let seen = registry.seen().into_iter();
    seen.filter(|seen| seen.path == "/token").collect()
}

fn query(seen: &Seen) -> String {
    seen.query.replace("%3A", ":").replace("%2C", ",")
}

#[tokio::test]
async fn a_password_is_shown_when_it_is_asked_for_and_not_before() {
    let registry = Registry::start(|seen, _| {
        let shown = seen.header("authorization");
        (shown != Some(BASIC)).then(|| challenge("Basic realm=\"r\""))
    })
    .await;
    let store = repository(&registry.host(), known());
    for _ in 0..3 {
        store.tags().await.unwrap();
    }
    let shown: Vec<_> = registry
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").is_some())
        .collect();
    assert_eq!(shown, [false, true, true, true]);
}

/// Credentials of which each repository has its own.
struct PerRepository;

#[async_trait]
impl CredentialSource for PerRepository {
    async fn credential(&self, _: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        let credential = |name: &str| Credential::Basic {
            username: name.to_owned(),
            password: Secret::new(CANARY.to_owned()),
        };
        Ok(repository.map(credential))
    }
}

#[tokio::test]
async fn a_repository_is_shown_its_own_password_and_no_other() {
    let registry = Registry::start(|seen, _| {
        let is_known = seen.header("authorization").is_some();
        (!is_known).then(|| challenge("Basic realm=\"r\""))
    })
    .await;
    let client = Client::new(Settings {
        credentials: Arc::new(PerRepository),
        ..settings()
    });
    let client = client.unwrap();
    let names = ["acme", "other", "acme"];
    for name in names {
        let location = Location::Registry {
            host: registry.host(),
            repository: name.to_owned(),
        };
        let store = client.repository(&location).unwrap();
        store.tags().await.unwrap();
    }
    let shown = registry.seen().into_iter().filter_map(|seen| {
        let repository = seen.path.split('/').nth(2)?.to_owned();
        Some((repository, seen.header("authorization")?.to_owned()))
    });
    let expected = names.map(|name| {
        let both = STANDARD.encode(format!("{name}:{CANARY}"));
        (name.to_owned(), format!("Basic {both}"))
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_token_is_for_what_is_done_and_serves_until_it_expires() {
    let registry = with_tokens().await;
    let client = Client::new(known()).unwrap();
    let store = client.repository(&location(&registry.host())).unwrap();
    let (bytes, declared) = content(10);
    store.tags().await.unwrap();
    assert!(!store.has_blob(&declared).await.unwrap());
    store
        .put_blob(&declared, &InMemory(bytes), &Silent)
        .await
        .unwrap();
    let from = Location::Registry {
        host: registry.host(),
        repository: "base".to_owned(),
    };
    store.mount_blob(&declared, &from).await.unwrap();
    let again = client.repository(&location(&registry.host())).unwrap();
    assert!(again.has_blob(&declared).await.unwrap());

    let asked = tokens(&registry);
    let queries: Vec<_> = asked.iter().map(query).collect();
    assert_eq!(
        queries,
        [
            "service=the+service&scope=repository:m:pull",
            "service=the+service&scope=repository:m:pull,push",
            "service=the+service&scope=repository:m:pull,push&scope=repository:base:pull",
        ]
    );
    assert!(
        asked
            .iter()
            .all(|seen| seen.header("authorization") == Some(BASIC))
    );
    // The registry itself never saw the password.
    let seen = registry.seen();
    let at_registry = seen.iter().filter(|seen| seen.path != "/token");
    assert!(at_registry.clone().count() > 5);
    assert!(
        at_registry
            .clone()
            .all(|seen| seen.header("authorization") != Some(BASIC))
    );
}

#[tokio::test]
async fn who_has_no_credentials_gets_an_anonymous_token() {
    let registry = with_tokens().await;
    open(&registry.host()).tags().await.unwrap();
    assert_eq!(tokens(&registry)[0].header("authorization"), None);
}

#[tokio::test]
async fn many_at_once_sign_in_once() {
    let registry = with_tokens().await;
    let store = repository(&registry.host(), known());
    let all = futures_util::future::join_all((0..20).map(|_| store.tags())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(tokens(&registry).len(), 1);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_a_form() {
    let registry = Registry::start(|seen, _| {
        if seen.path == "/token" {
            let body = "{\"access_token\":\"good\"}";
            return Some(with(200, &[], body));
        }
        wants_token(
            seen,
            &format!("http://{}/token", seen.header("host").unwrap()),
        )
    })
    .await;
    let secret = Secret::new(CANARY.to_owned());
    let settings = Settings {
        credentials: Arc::new(Fixed(Credential::IdentityToken(secret))),
        ..settings()
    };
    repository(&registry.host(), settings).tags().await.unwrap();
    let asked = &tokens(&registry)[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.header("authorization"), None);
    let form = std::str::from_utf8(&asked.body).unwrap();
    assert!(form.contains(&format!("refresh_token={CANARY}")), "{form}");
    assert!(form.contains("grant_type=refresh_token"), "{form}");
}

#[tokio::test]
async fn a_token_that_expires_between_two_blobs_is_renewed() {
    let uses: Mutex<HashMap<String, u32>> = Mutex::default();
    let given = AtomicUsize::new(0);
    let registry = Registry::start(move |seen, _| {
        if seen.path == "/token" {
            return gives_token(seen, &given);
        }
        let shown = seen.header("authorization").unwrap_or_default().to_owned();
        let mut uses = uses.lock().unwrap();
        let count = uses.entry(shown).or_default();
        *count += 1;
        let realm = format!("http://{}/token", seen.header("host").unwrap());
        match *count > 3 {
            true => Some(challenge(&format!("Bearer realm=\"{realm}\""))),
            false => wants_token(seen, &realm),
        }
    })
    .await;
    let store = repository(&registry.host(), known());
    for length in 0..10 {
        let (bytes, declared) = content(length);
        store
            .put_blob(&declared, &InMemory(bytes.clone()), &Silent)
            .await
            .unwrap();
        let blob = store.blob(&declared).await.unwrap();
        assert_eq!(blob.into_bytes(100).await.unwrap(), bytes);
    }
    assert!(tokens(&registry).len() >= 10);
}

#[tokio::test]
async fn a_registry_that_is_never_satisfied_is_left_after_one_refresh() {
    let registry = Registry::start(|seen, _| {
        let host = seen.header("host").unwrap();
        Some(match seen.path.as_str() {
            "/token" => with(200, &[], "{\"token\":\"bad\"}"),
            _ => challenge(&format!("Bearer realm=\"http://{host}/token\"")),
        })
    })
    .await;
    let error = repository(&registry.host(), known())
        .tags()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthorised);
    let login = format!("`modelctl login {}`", registry.host());
    assert!(error.advice().unwrap().contains(&login), "{error:?}");
    assert_eq!(
        (registry.count("GET", "/v2/"), tokens(&registry).len()),
        (2, 1)
    );

    let (bytes, declared) = content(10);
    let store = repository(&registry.host(), known());
    let put = store.put_blob(&declared, &InMemory(bytes), &Silent).await;
    assert_eq!(reason(put), Reason::Unauthorised);
    assert!(registry.count("POST", "/v2/") <= 2);
}

#[tokio::test]
async fn a_registry_that_forgets_every_token_is_left_in_the_end() {
    for (lasts, expected) in [(2, Some(Reason::Unauthorised)), (usize::MAX, None)] {
        let (given, shown) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let registry = Registry::start(move |seen, _| {
            if seen.path == "/token" {
                shown.store(0, Ordering::SeqCst);
                return gives_token(seen, &given);
            }
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            match shown.fetch_add(1, Ordering::SeqCst) >= lasts {
                true => Some(challenge(&format!("Bearer realm=\"{realm}\""))),
                false => wants_token(seen, &realm),
            }
        })
        .await;
        let store = repository(&registry.host(), known());
        let mut failed = None;
        for _ in 0..200 {
            failed = store.tags().await.err();
            if failed.is_some() {
                break;
            }
        }
        assert_eq!(failed.map(|error| error.reason()), expected);
        let most = modelctl::limits::TOKENS;
        let asked = expected.map_or(1, |_| most);
        assert_eq!(tokens(&registry).len(), asked);
    }
}

/// A token for pushing serves for pulling too, but may have expired with the one for pulling.
#[tokio::test]
async fn tokens_that_are_all_forgotten_at_once_are_all_renewed() {
    let given = AtomicUsize::new(0);
    let registry = Registry::start(move |seen, _| {
        if seen.path == "/token" {
            return gives_token(seen, &given);
        }
        let realm = format!("http://{}/token", seen.header("host").unwrap());
        let forgotten = ["Bearer good-0", "Bearer good-1"];
        let is_forgotten = given.load(Ordering::SeqCst) >= 2 && seen.method == "GET";
        let shown = seen.header("authorization").unwrap_or_default();
        match is_forgotten && forgotten.contains(&shown) {
            true => Some(challenge(&format!("Bearer realm=\"{realm}\""))),
            false => wants_token(seen, &realm),
        }
    })
    .await;
    let store = repository(&registry.host(), known());
    store.tags().await.unwrap();
    let (bytes, declared) = content(10);
    let put = store.put_blob(&declared, &InMemory(bytes), &Silent).await;
    put.unwrap();
    store.tags().await.unwrap();
    assert_eq!(tokens(&registry).len(), 3);
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_tried_twice() {
    let registry = Registry::start(|_, _| Some(challenge("Basic realm=\"r\""))).await;
    assert_eq!(
        reason(repository(&registry.host(), known()).tags().await),
        Reason::Unauthorised
    );
    assert_eq!(registry.seen().len(), 2);
    assert_eq!(
        reason(open(&registry.host()).tags().await),
        Reason::Unauthorised
    );
    assert_eq!(registry.seen().len(), 3);
}

#[tokio::test]
async fn what_is_not_allowed_is_told_from_who_is_not_known() {
    for (status, expected) in [(403, Reason::Forbidden), (401, Reason::Unauthorised)] {
        let registry = Registry::start(move |seen, _| {
            seen.is("POST", "")
                .then(|| refusal(status, "DENIED", "read only"))
        })
        .await;
        let (bytes, declared) = content(10);
        let store = repository(&registry.host(), known());
        let put = store.put_blob(&declared, &InMemory(bytes), &Silent).await;
        assert_eq!(reason(put), expected);
    }
}

#[tokio::test]
async fn of_several_challenges_the_one_that_shows_least_is_answered() {
    let given = AtomicUsize::new(0);
    let registry = Registry::start(move |seen, _| {
        if seen.path == "/token" {
            return gives_token(seen, &given);
        }
        let host = seen.header("host").unwrap();
        let field = format!("Basic realm=\"r\", Bearer realm=\"http://{host}/token\"");
        wants_token(seen, "").map(|_| challenge(&field))
    })
    .await;
    repository(&registry.host(), known()).tags().await.unwrap();
    let seen = registry.seen();
    let mut at_registry = seen.iter().filter(|seen| seen.path != "/token");
    assert!(at_registry.all(|seen| seen.header("authorization") != Some(BASIC)));
}

#[tokio::test]
async fn a_login_is_checked_at_the_root() {
    let registry = with_tokens().await;
    let check = |settings: Settings, host: String| async move {
        Client::new(settings).unwrap().check_login(&host).await
    };
    check(known(), registry.host()).await.unwrap();
    assert_eq!(query(&tokens(&registry)[0]), "service=the+service");

    let wrong = Credential::Basic {
        username: "alice".to_owned(),
        password: Secret::new("wrong".to_owned()),
    };
    let wrong = Settings {
        credentials: Arc::new(Fixed(wrong)),
        ..settings()
    };
    assert_eq!(
        reason(check(wrong, registry.host()).await),
        Reason::Unauthorised
    );
    let nothing = Registry::start(|_, _| Some(reply(404))).await;
    assert_eq!(
        reason(check(known(), nothing.host()).await),
        Reason::RegistryProtocol
    );
}

/// Runs what a session does, successes and failures, at the most talkative level of logging.
#[cfg(feature = "cli")]
#[tokio::test]
async fn no_secret_is_logged_or_told() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For all threads, and so for the tests that run at the same time too.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let script = |wrong: bool| {
        move |seen: &Seen, _: &Shelf| {
            let host = seen.header("host").unwrap();
            match seen.path.as_str() {
                "/token" if wrong => Some(refusal(401, "UNAUTHORIZED", "no")),
                "/token" => Some(with(200, &[], format!("{{\"token\":\"good-{CANARY}\"}}"))),
                _ => wants_token(seen, &format!("http://{host}/token?x={CANARY}")),
            }
        }
    };
    let good = Registry::start(script(false)).await;
    let bad = Registry::start(script(true)).await;
    let notes = crate::Notes::default();
    let settings = Settings {
        progress: Arc::new(notes.clone()),
        ..known()
    };
    repository(&good.host(), settings).tags().await.unwrap();
    let error = repository(&bad.host(), known()).tags().await.unwrap_err();
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("GET http://127.0.0.1") && logged.contains("/v2/m/tags/list"));
    let told = format!("{logged}{error}{error:?}{:?}", notes.0.lock().unwrap());
    for secret in [CANARY, BASIC, "YWxpY2U6"] {
        assert!(!told.contains(secret), "{told}");
    }
}
