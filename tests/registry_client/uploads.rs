//! Uploads: whole, in pieces, again, and elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use modelctl::blob::{Blob, Content, InMemory};
use modelctl::error::{Error, Reason, Result};
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Silent};
use modelctl::store::Store;

use crate::scripted::{Registry, refusal, reply, with};
use crate::signing_in::{gives_token, wants_token};
use crate::{content, known, open, reason, repository};

const MIB: usize = 1 << 20;

/// Counts like a progress bar.
#[derive(Default)]
struct Count(AtomicU64);

impl Meter for Count {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }

    fn reset(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

async fn put(registry: &Registry, bytes: &Bytes, declared: &Descriptor) -> Result<()> {
    let content = InMemory(bytes.clone());
    open(&registry.host())
        .put_blob(declared, &content, &Silent)
        .await
}

fn stored(registry: &Registry, declared: &Descriptor) -> Option<Bytes> {
    registry.shelf().at(&format!("m/blobs/{}", declared.digest))
}

#[tokio::test]
async fn a_blob_of_any_size_arrives_in_one_request() {
    let registry = Registry::honest().await;
    for length in [0, 1, 1000, 3 * MIB] {
        let (bytes, declared) = content(length);
        put(&registry, &bytes, &declared).await.unwrap();
        assert_eq!(stored(&registry, &declared).unwrap(), bytes, "{length}");
    }
    let seen = registry.seen();
    let last = seen.last().unwrap();
    assert_eq!(last.header("content-length"), Some("3145728"));
    assert_eq!(last.header("transfer-encoding"), None);
    assert_eq!(last.query.split('&').next(), Some("state=a%2Fb"));
    assert_eq!(registry.count("PATCH", ""), 0);
}

#[tokio::test]
async fn what_is_too_large_for_one_request_goes_in_pieces() {
    let registry = Registry::honest().await;
    registry.limit_bodies(16 << 20);
    let (bytes, declared) = content(40 * MIB + 5);
    let meter = Count::default();
    let store = open(&registry.host());
    store
        .put_blob(&declared, &InMemory(bytes.clone()), &meter)
        .await
        .unwrap();
    assert_eq!(stored(&registry, &declared).unwrap(), bytes);
    assert_eq!(meter.0.load(Ordering::SeqCst), declared.size);
    let seen = registry.seen();
    let pieces = seen.iter().filter(|seen| seen.method == "PATCH");
    let ranges: Vec<_> = pieces
        .filter_map(|seen| seen.header("content-range"))
        .collect();
    assert_eq!(
        ranges,
        ["0-16777215", "16777216-33554431", "33554432-41943044"]
    );
}

#[tokio::test]
async fn pieces_get_smaller_until_they_pass() {
    let registry = Registry::honest().await;
    registry.limit_bodies(4 << 20);
    let (bytes, declared) = content(9 * MIB);
    put(&registry, &bytes, &declared).await.unwrap();
    assert_eq!(stored(&registry, &declared).unwrap(), bytes);

    registry.limit_bodies(1 << 20);
    let error = put(&registry, &bytes, &declared).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryFailed);
    assert!(error.to_string().contains("413"), "{error}");
}

#[tokio::test]
async fn pieces_are_as_large_as_the_registry_wants() {
    let registry = Registry::start(|seen, _| {
        let headers = [
            ("location", "/v2/m/blobs/uploads/1"),
            ("oci-chunk-min-length", "20000000"),
        ];
        seen.is("POST", "").then(|| with(202, &headers, ""))
    })
    .await;
    registry.limit_bodies(20_000_000);
    let (bytes, declared) = content(20_000_001);
    put(&registry, &bytes, &declared).await.unwrap();
    assert_eq!(stored(&registry, &declared).unwrap(), bytes);
    assert_eq!(registry.count("PATCH", ""), 2);
}

#[tokio::test]
async fn an_upload_that_fails_starts_over() {
    for status in [500, 503, 429, 404] {
        let failed = AtomicUsize::new(0);
        let registry = Registry::start(move |seen, _| {
            let fails = seen.is("PUT", "/uploads/") && failed.fetch_add(1, Ordering::SeqCst) < 2;
            fails.then(|| reply(status))
        })
        .await;
        let (bytes, declared) = content(1000);
        let meter = Count::default();
        let store = open(&registry.host());
        store
            .put_blob(&declared, &InMemory(bytes.clone()), &meter)
            .await
            .unwrap();
        assert_eq!(stored(&registry, &declared).unwrap(), bytes);
        assert_eq!(meter.0.load(Ordering::SeqCst), 1000);
        assert_eq!(
            registry.count("POST", "/uploads/"),
            3,
            "a new session each time"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_final() {
    for (status, expected) in [
        (400, Reason::RegistryFailed),
        (403, Reason::Forbidden),
        (202, Reason::RegistryProtocol),
        (200, Reason::RegistryProtocol),
        (307, Reason::RegistryProtocol),
    ] {
        let registry = Registry::start(move |seen, _| {
            let answer = || refusal(status, "DENIED", "no");
            seen.is("PUT", "/uploads/").then(answer)
        })
        .await;
        let (bytes, declared) = content(10);
        assert_eq!(
            reason(put(&registry, &bytes, &declared).await),
            expected,
            "{status}"
        );
        assert_eq!(registry.count("PUT", ""), 1);
    }
}

/// Content that is not what it says, or cannot be read.
struct Bad(Mutex<Option<Blob>>);

#[async_trait]
impl Content for Bad {
    async fn open(&self) -> Result<Blob> {
        let blob = self.0.lock().unwrap().take();
        blob.ok_or_else(|| Error::new(Reason::Internal, "opened twice"))
    }
}

#[tokio::test]
async fn content_that_is_wrong_never_completes_an_upload() {
    let registry = Registry::honest().await;
    let (bytes, declared) = content(1000);
    let (_, other) = content(999);
    let mut wrong = bytes.to_vec();
    wrong[0] ^= 1;
    let unreadable = Err(Error::new(Reason::Disk, "cannot read"));
    for (pieces, blob_of, expected) in [
        (vec![Ok(wrong.into())], &declared, Reason::DigestMismatch),
        (
            vec![Ok(bytes.slice(..999))],
            &declared,
            Reason::SizeMismatch,
        ),
        (
            vec![Ok(bytes.slice(..5)), unreadable],
            &declared,
            Reason::Disk,
        ),
        (vec![Ok(bytes.slice(..999))], &other, Reason::SizeMismatch),
    ] {
        let body = Box::pin(futures_util::stream::iter(pieces));
        let blob = Blob::new(blob_of, "it", body);
        let content = Bad(Mutex::new(Some(blob)));
        let put = open(&registry.host())
            .put_blob(&declared, &content, &Silent)
            .await;
        assert_eq!(reason(put), expected);
        assert_eq!(stored(&registry, &declared), None);
    }
}

#[tokio::test]
async fn a_registry_that_says_it_stored_another_blob_is_found_out() {
    let (bytes, declared) = content(10);
    let (_, other) = content(11);
    let said = other.digest.to_string();
    let registry = Registry::start(move |seen, _| {
        let headers = [("docker-content-digest", said.as_str())];
        seen.is("PUT", "/uploads/").then(|| with(201, &headers, ""))
    })
    .await;
    assert_eq!(
        reason(put(&registry, &bytes, &declared).await),
        Reason::DigestMismatch
    );
}

#[tokio::test]
async fn an_upload_goes_elsewhere_only_over_tls() {
    let thief = Registry::honest().await;
    let (bytes, declared) = content(10);
    for location in [
        format!("http://{}/v2/m/blobs/uploads/1", thief.host()),
        format!("//{}/v2/m/blobs/uploads/1", thief.host()),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://user:pw@127.0.0.1/".to_owned(),
        String::new(),
    ] {
        let registry = Registry::start(move |seen, _| {
            let absent = [("x-nothing", "here")];
            let present = [("location", location.as_str())];
            let headers = if location.is_empty() {
                &absent
            } else {
                &present
            };
            seen.is("POST", "").then(|| with(202, headers, ""))
        })
        .await;
        let store = repository(&registry.host(), known());
        let put = store
            .put_blob(&declared, &InMemory(bytes.clone()), &Silent)
            .await;
        assert_eq!(reason(put), Reason::RegistryProtocol);
    }
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_token_that_expires_under_an_upload_is_renewed_once() {
    for (refusals, expected) in [(1, None), (usize::MAX, Some(Reason::Unauthorised))] {
        let (given, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let registry = Registry::start(move |seen, _| {
            if seen.path == "/token" {
                return gives_token(seen, &given);
            }
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            let put = seen.method == "PUT";
            if put && refused.fetch_add(1, Ordering::SeqCst) < refusals {
                let challenge = format!("Bearer realm=\"{realm}\"");
                return Some(with(401, &[("www-authenticate", challenge.as_str())], ""));
            }
            wants_token(seen, &realm)
        })
        .await;
        let (bytes, declared) = content(1000);
        let blob = InMemory(bytes.clone());
        let put = repository(&registry.host(), known())
            .put_blob(&declared, &blob, &Silent)
            .await;
        assert_eq!(put.err().map(|error| error.reason()), expected);
        assert_eq!(stored(&registry, &declared).is_some(), expected.is_none());
        assert_eq!(
            (registry.count("PUT", ""), registry.count("GET", "/token")),
            (2, 2)
        );
    }
}
