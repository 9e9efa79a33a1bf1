//! Blobs: too long, too short, in parts, elsewhere; and those that need not be sent at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use modelctl::error::Reason;
use modelctl::manifest::Descriptor;
use modelctl::reference::Location;
use modelctl::registry::{Patience, Settings};
use modelctl::store::Store;

use crate::scripted::{Registry, broken, endless, reply, stalled, with};
use crate::{PATIENCE, content, open, reason, repository, settings};

/// Fetches a blob whose content the registry answers with `respond`.
async fn fetched(
    declared: &Descriptor,
    settings: Settings,
    respond: impl Fn() -> axum::response::Response + Send + Sync + 'static,
) -> modelctl::error::Result<bytes::Bytes> {
    let registry = Registry::start(move |_, _| Some(respond())).await;
    let store = repository(&registry.host(), settings);
    store.blob(declared).await?.into_bytes(1 << 20).await
}

#[tokio::test]
async fn comes_as_declared_or_not_at_all() {
    let (bytes, declared) = content(1000);
    let long = [&bytes[..], b"x"].concat();
    let mut wrong = bytes.to_vec();
    wrong[999] ^= 1;
    let streamed = |bytes: Vec<u8>| {
        let pieces: Vec<_> = bytes
            .chunks(300)
            .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
            .collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    for (sent, expected) in [
        (bytes.to_vec(), None),
        (wrong, Some(Reason::DigestMismatch)),
        (bytes[..999].to_vec(), Some(Reason::SizeMismatch)),
        (long, Some(Reason::SizeMismatch)),
        (Vec::new(), Some(Reason::SizeMismatch)),
    ] {
        for with_length in [true, false] {
            let sent = sent.clone();
            let body = move || match with_length {
                true => with(200, &[], sent.clone()),
                false => with(200, &[], streamed(sent.clone())),
            };
            let fetched = fetched(&declared, settings(), body).await;
            match expected {
                None => assert_eq!(fetched.unwrap(), bytes),
                Some(expected) => assert_eq!(reason(fetched), expected),
            }
        }
    }
}

#[tokio::test]
async fn an_endless_one_ends_where_it_should_have() {
    let (_, declared) = content(10);
    let fetched = fetched(&declared, settings(), || with(200, &[], endless())).await;
    assert_eq!(reason(fetched), Reason::SizeMismatch);
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_from_a_wrong_size() {
    let (bytes, declared) = content(1000);
    for length in [None, Some("1000")] {
        let half = bytes.slice(..500);
        let headers: Vec<_> = length
            .map(|length| ("content-length", length))
            .into_iter()
            .collect();
        let body = move || with(200, &headers, broken(half.clone()));
        assert_eq!(
            reason(fetched(&declared, settings(), body).await),
            Reason::Connection
        );
    }
}

#[tokio::test]
async fn silence_and_a_trickle_are_not_waited_for_for_ever() {
    let (bytes, declared) = content(1000);
    let patience = Patience {
        stall: std::time::Duration::from_millis(100),
        ..PATIENCE
    };
    let hurried = || Settings {
        patience,
        ..settings()
    };
    let half = bytes.slice(..500);
    let silent = move || with(200, &[], stalled(half.clone()));
    assert_eq!(
        reason(fetched(&declared, hurried(), silent).await),
        Reason::TimedOut
    );

    let trickle = || {
        let byte = || async {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        };
        with(
            200,
            &[],
            Body::from_stream(futures_util::stream::unfold((), move |()| byte())),
        )
    };
    assert_eq!(
        reason(fetched(&declared, hurried(), trickle).await),
        Reason::TimedOut
    );
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_outside_the_protocol() {
    let (bytes, declared) = content(1000);
    for (status, headers) in [
        (206, &[][..]),
        (206, &[("content-range", "bytes 0-999/1000")]),
        (200, &[("content-range", "bytes 0-999/1000")]),
        (200, &[("content-type", "multipart/byteranges; boundary=x")]),
        (203, &[]),
        (204, &[]),
    ] {
        let bytes = bytes.clone();
        let body = move || with(status, headers, bytes.clone());
        let fetched = fetched(&declared, settings(), body).await;
        assert_eq!(
            reason(fetched),
            Reason::RegistryProtocol,
            "{status} {headers:?}"
        );
    }
}

#[tokio::test]
async fn a_missing_blob_is_not_found_and_a_refused_one_is_not_missing() {
    let (_, declared) = content(10);
    for (status, expected) in [
        (404, Reason::BlobNotFound),
        (403, Reason::Forbidden),
        (401, Reason::Unauthorised),
        (500, Reason::RegistryFailed),
    ] {
        let registry = Registry::start(move |_, _| Some(reply(status))).await;
        let store = open(&registry.host());
        assert_eq!(reason(store.blob(&declared).await), expected);
        match status {
            404 => assert!(!store.has_blob(&declared).await.unwrap()),
            _ => assert_eq!(reason(store.has_blob(&declared).await), expected),
        }
    }
}

#[tokio::test]
async fn a_blob_is_here_only_with_the_right_size() {
    let (bytes, declared) = content(10);
    let registry = Registry::honest().await;
    let store = open(&registry.host());
    assert!(!store.has_blob(&declared).await.unwrap());
    let path = format!("m/blobs/{}", declared.digest);
    registry.shelf().put(&path, "x", bytes.slice(..9));
    assert!(!store.has_blob(&declared).await.unwrap());
    registry.shelf().put(&path, "x", bytes);
    assert!(store.has_blob(&declared).await.unwrap());
}

#[tokio::test]
async fn a_registry_that_fails_to_open_a_blob_is_asked_again() {
    let (bytes, declared) = content(10);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let respond = move || match counted.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => reply(503),
        _ => with(200, &[], bytes.clone()),
    };
    fetched(&declared, settings(), respond).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

fn other(host: &str, repository: &str) -> Location {
    Location::Registry {
        host: host.to_owned(),
        repository: repository.to_owned(),
    }
}

#[tokio::test]
async fn a_mount_is_done_only_where_the_registry_says_so() {
    let (_, declared) = content(10);
    for (status, mounted) in [
        (201, true),
        (202, false),
        (400, false),
        (403, false),
        (405, false),
    ] {
        let registry = Registry::start(move |seen, _| {
            let location = [("location", "/v2/m/blobs/uploads/7")];
            seen.is("POST", "/blobs/uploads/")
                .then(|| with(status, &location, ""))
        })
        .await;
        let from = other(&registry.host(), "base");
        let store = open(&registry.host());
        assert_eq!(
            store.mount_blob(&declared, &from).await.unwrap(),
            mounted,
            "{status}"
        );
        let query = registry.seen()[0].query.replace("%3A", ":");
        assert_eq!(query, format!("mount={}&from=base", declared.digest));
        // The session that was opened instead is ended.
        let deleted = registry.count("DELETE", "/v2/m/blobs/uploads/7");
        assert_eq!(deleted, usize::from(status == 202));
    }
    let failing = Registry::start(|_, _| Some(reply(500))).await;
    let from = other(&failing.host(), "base");
    let mounted = open(&failing.host()).mount_blob(&declared, &from).await;
    assert_eq!(reason(mounted), Reason::RegistryFailed);
}

#[tokio::test]
async fn nothing_is_mounted_from_elsewhere() {
    let (_, declared) = content(10);
    let registry = Registry::honest().await;
    let store = open(&registry.host());
    for from in [
        other(&registry.alias(), "base"),
        other(&registry.host(), "m"),
        Location::Layout("x".into()),
    ] {
        assert!(!store.mount_blob(&declared, &from).await.unwrap(), "{from}");
    }
    assert!(registry.seen().is_empty());
}
