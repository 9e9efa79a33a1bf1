//! Patience: what is tried again, how often, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use modelctl::error::Reason;
use modelctl::registry::{Patience, Settings};
use modelctl::store::Store;

use crate::scripted::{Registry, reply, with};
use crate::{Notes, PATIENCE, open, reason, repository, settings};

const TRIES: usize = 5;

#[tokio::test]
async fn what_may_pass_is_tried_again_and_told() {
    for status in [408, 429, 500, 502, 503, 504] {
        let asked = AtomicUsize::new(0);
        let registry = Registry::start(move |_, _| {
            (asked.fetch_add(1, Ordering::SeqCst) < TRIES - 1).then(|| reply(status))
        })
        .await;
        let notes = Notes::default();
        let settings = Settings {
            progress: Arc::new(notes.clone()),
            ..settings()
        };
        repository(&registry.host(), settings).tags().await.unwrap();
        assert_eq!(registry.seen().len(), TRIES);
        assert_eq!(notes.0.lock().unwrap().len(), TRIES - 1, "{status}");
    }
}

#[tokio::test]
async fn what_does_not_pass_ends_with_its_reason() {
    for (status, tries, expected) in [
        (408, TRIES, Reason::TimedOut),
        (429, TRIES, Reason::RateLimited),
        (500, TRIES, Reason::RegistryFailed),
        (503, TRIES, Reason::RegistryFailed),
        (501, 1, Reason::RegistryFailed),
        (400, 1, Reason::RegistryFailed),
        (403, 1, Reason::Forbidden),
        (404, 1, Reason::ReferenceNotFound),
    ] {
        let registry = Registry::start(move |_, _| Some(reply(status))).await;
        assert_eq!(reason(open(&registry.host()).tags().await), expected);
        assert_eq!(registry.seen().len(), tries, "{status}");
    }
}

#[tokio::test]
async fn a_registry_says_how_long_to_wait_within_bounds() {
    let patient = Settings {
        patience: Patience {
            // If this were waited for, the test would not end.
            retry: Duration::from_secs(3600),
            ..PATIENCE
        },
        ..settings()
    };
    let asked = AtomicUsize::new(0);
    let registry = Registry::start(move |_, _| {
        let after = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => "0",
            1 => "Sun, 06 Nov 1994 08:49:37 GMT",
            _ => return None,
        };
        Some(with(429, &[("retry-after", after)], ""))
    })
    .await;
    repository(&registry.host(), patient).tags().await.unwrap();

    let registry = Registry::start(|_, _| Some(with(503, &[("retry-after", "121")], ""))).await;
    let error = open(&registry.host()).tags().await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryFailed);
    assert_eq!(error.advice(), Some("try again in 121 s"));
    assert_eq!(registry.seen().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_a_connection_error_after_every_try() {
    // A port that was just free: nobody listens there.
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let notes = Notes::default();
    let settings = Settings {
        progress: Arc::new(notes.clone()),
        ..settings()
    };
    let error = repository(&closed.to_string(), settings)
        .tags()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connection, "{error}");
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
    assert_eq!(notes.0.lock().unwrap().len(), TRIES - 1);
}

#[tokio::test]
async fn an_answer_that_never_begins_is_not_waited_for_for_ever() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let settings = Settings {
        patience: Patience {
            connect: Duration::from_millis(50),
            stall: Duration::from_millis(50),
            retry: Duration::ZERO,
        },
        ..settings()
    };
    let started = Instant::now();
    assert_eq!(
        reason(repository(&host, settings).tags().await),
        Reason::TimedOut
    );
    assert!(started.elapsed() >= Duration::from_millis(50 * TRIES as u64));
    drop(listener);
}
