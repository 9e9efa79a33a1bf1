//! Redirects: followed for content, without secrets, and only so far.

use std::sync::{Arc, OnceLock};

use modelctl::error::Reason;
use modelctl::reference::Selector;
use modelctl::registry::Settings;
use modelctl::store::Store;

use crate::scripted::{Registry, Seen, with};
use crate::{CANARY, content, known, manifest, open, reason, repository, settings, tag};

/// Starts a registry that wants Basic and then redirects what it knows to `target`.
async fn redirecting(status: u16, target: String) -> Registry {
    Registry::start(move |seen, _| Some(redirected(seen, status, &target))).await
}

fn redirected(seen: &Seen, status: u16, target: &str) -> axum::response::Response {
    if seen.header("authorization").is_none() {
        return with(401, &[("www-authenticate", "Basic realm=\"r\"")], "");
    }
    let location = format!("{target}{}", seen.path);
    with(status, &[("location", location.as_str())], "")
}

#[tokio::test]
async fn content_comes_from_elsewhere_without_the_password_going_there() {
    let (bytes, declared) = content(1000);
    let document = manifest("a", None);
    let cdn = Registry::honest().await;
    let digest = document.digest();
    let media_type = &document.descriptor().media_type;
    cdn.shelf()
        .put(&format!("m/blobs/{}", declared.digest), "x", bytes.clone());
    cdn.shelf().put(
        &format!("m/manifests/{digest}"),
        media_type,
        document.bytes().clone(),
    );
    for status in [301, 302, 303, 307, 308] {
        for target in [cdn.host(), cdn.alias()] {
            let registry = redirecting(status, format!("http://{target}")).await;
            let store = repository(&registry.host(), known());
            let blob = store.blob(&declared).await.unwrap();
            assert_eq!(blob.into_bytes(1 << 20).await.unwrap(), bytes);
            assert!(store.has_blob(&declared).await.unwrap());
            store.manifest(&Selector::Digest(*digest)).await.unwrap();
        }
    }
    let secret = |seen: &Seen| {
        seen.headers
            .keys()
            .any(|n| n == "authorization" || n == "cookie")
    };
    assert_eq!(cdn.seen().len(), 30);
    assert!(!cdn.seen().iter().any(secret));
}

#[tokio::test]
async fn a_stranger_that_asks_for_the_password_does_not_get_it() {
    let (_, declared) = content(10);
    let thief =
        Registry::start(|_, _| Some(with(401, &[("www-authenticate", "Basic realm=\"r\"")], "")))
            .await;
    let registry = redirecting(307, format!("http://{}", thief.alias())).await;
    let store = repository(&registry.host(), known());
    assert_eq!(reason(store.blob(&declared).await), Reason::RegistryFailed);
    assert!(!thief.seen().is_empty());
    assert!(
        thief
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[tokio::test]
async fn a_way_back_from_elsewhere_stays_anonymous() {
    let (bytes, declared) = content(10);
    let home = Arc::new(OnceLock::<String>::new());
    let back = Arc::clone(&home);
    let elsewhere = Registry::start(move |_, _| {
        let location = format!("http://{}/back", back.get().unwrap());
        Some(with(307, &[("location", location.as_str())], ""))
    })
    .await;
    let registry = redirecting_but_back(307, format!("http://{}", elsewhere.host()), bytes).await;
    home.set(registry.host()).unwrap();
    let store = repository(&registry.host(), known());
    store.blob(&declared).await.unwrap();
    let shown = registry.seen();
    let shown: Vec<_> = shown
        .iter()
        .map(|seen| seen.header("authorization").is_some())
        .collect();
    assert_eq!(
        shown,
        [false, true, false],
        "asked, signed in, and sent back"
    );
}

/// The same, which has `bytes` at `/back` for everybody.
async fn redirecting_but_back(status: u16, target: String, bytes: bytes::Bytes) -> Registry {
    Registry::start(move |seen, _| match seen.path.as_str() {
        "/back" => Some(with(200, &[], bytes.clone())),
        _ => Some(redirected(seen, status, &target)),
    })
    .await
}

#[tokio::test]
async fn loops_and_places_inside_are_refused() {
    let (_, declared) = content(10);
    let forbidden = Registry::start(|seen, _| {
        let location = match seen.query.as_str() {
            "" => "?1",
            _ => "?",
        };
        Some(with(307, &[("location", location)], ""))
    })
    .await;
    let looped = open(&forbidden.host()).blob(&declared).await;
    assert_eq!(reason(looped), Reason::RegistryProtocol);
    assert_eq!(forbidden.seen().len(), 6);

    for location in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
        "http://user:pw@127.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://",
    ] {
        let registry =
            Registry::start(move |_, _| Some(with(302, &[("location", location)], ""))).await;
        let store = open(&registry.host());
        assert_eq!(
            reason(store.blob(&declared).await),
            Reason::RegistryProtocol,
            "{location}"
        );
        assert_eq!(registry.seen().len(), 1);
    }
    let nowhere = Registry::start(|_, _| Some(with(302, &[], ""))).await;
    let store = open(&nowhere.host());
    assert_eq!(
        reason(store.blob(&declared).await),
        Reason::RegistryProtocol
    );
}

#[tokio::test]
async fn nothing_but_content_is_redirected() {
    let elsewhere = Registry::honest().await;
    let registry = {
        let target = elsewhere.host();
        Registry::start(move |seen, _| {
            let location = format!("http://{target}{}", seen.path);
            Some(with(307, &[("location", location.as_str())], ""))
        })
        .await
    };
    let store = open(&registry.host());
    let document = manifest("a", None);
    let (bytes, declared) = content(10);
    let blob = modelctl::blob::InMemory(bytes);
    let silent = modelctl::progress::Silent;
    let results = [
        store.tags().await.map(drop),
        store.referrers(document.descriptor()).await.map(drop),
        store.put_manifest(&document, Some(&tag("v1"))).await,
        store.put_blob(&declared, &blob, &silent).await,
    ];
    for result in results {
        assert_eq!(reason(result), Reason::RegistryProtocol);
    }
    // The fallback tag is a manifest, and so content.
    let seen = elsewhere.seen();
    assert!(
        seen.iter().all(|seen| seen.is("GET", "/manifests/sha256-")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_query_of_a_redirect_is_in_no_message() {
    let (_, declared) = content(10);
    let target = Registry::start(|_, _| Some(with(403, &[], ""))).await;
    // A port that was just free: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for host in [target.host(), closed.to_string()] {
        let registry = Registry::start(move |_, _| {
            let location = format!("http://{host}/x?signature={CANARY}");
            Some(with(307, &[("location", location.as_str())], ""))
        })
        .await;
        let notes = crate::Notes::default();
        let settings = Settings {
            progress: std::sync::Arc::new(notes.clone()),
            ..settings()
        };
        let error = repository(&registry.host(), settings)
            .blob(&declared)
            .await
            .unwrap_err();
        let told = format!("{error} {error:?} {:?}", notes.0.lock().unwrap());
        assert!(!told.contains(CANARY), "{told}");
        assert!(!notes.0.lock().unwrap().is_empty());
    }
}
