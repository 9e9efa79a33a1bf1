//! Writing the list of referrers under its tag: beside other writers, and after other tools.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::manifest::{Descriptor, Document, Index, Manifest, media_type};
use modelctl::reference::Tag;
use modelctl::store::{RawDocument, Store};
use serde_json::{Value, json};

use crate::scripted::{Registry, Seen, Shelf, refusal, reply, with};
use crate::{manifest, open, reason};

fn subject() -> Descriptor {
    manifest("subject", None).descriptor().clone()
}

fn list_path() -> String {
    format!("m/manifests/{}", Tag::for_referrers(&subject().digest))
}

/// Returns the list that lies under the tag.
fn list(registry: &Registry) -> Value {
    let bytes = registry.shelf().at(&list_path()).expect("there is a list");
    serde_json::from_slice(&bytes).unwrap()
}

fn listed(registry: &Registry) -> HashSet<String> {
    let list = list(registry);
    let entries = list["manifests"].as_array().unwrap();
    entries
        .iter()
        .map(|e| e["digest"].as_str().unwrap().to_owned())
        .collect()
}

fn writes(registry: &Registry) -> usize {
    registry.count("PUT", "/manifests/sha256-")
}

#[tokio::test]
async fn a_registry_that_lists_referrers_itself_is_left_to_it() {
    let referrer = manifest("r", Some(&subject()));
    let digest = subject().digest.to_string();
    // It says so when it takes the manifest (OCI-Subject) ...
    let saying = Registry::start(move |seen, shelf| {
        let listed = [("oci-subject", digest.as_str())];
        seen.is("PUT", "/manifests/sha256:").then(|| {
            shelf.answer(seen);
            with(201, &listed, "")
        })
    })
    .await;
    open(&saying.host())
        .put_manifest(&referrer, None)
        .await
        .unwrap();
    assert_eq!(saying.count("GET", "/referrers/"), 0);
    // ... or it does not say so, but does it.
    let entry = referrer.referrer_descriptor();
    let silent = Registry::start(move |seen, _| {
        let list = Index::new(vec![entry.clone()]).to_bytes().unwrap();
        let headers = [("content-type", media_type::INDEX)];
        seen.is("GET", "/referrers/")
            .then(|| with(200, &headers, list))
    })
    .await;
    open(&silent.host())
        .put_manifest(&referrer, None)
        .await
        .unwrap();
    for registry in [saying, silent] {
        assert_eq!(writes(&registry), 0);
        assert!(registry.shelf().at(&list_path()).is_none());
    }
}

#[tokio::test]
async fn a_registry_that_does_not_gets_a_list_under_the_tag() {
    type Api = fn(&Seen, &Shelf) -> Option<Response>;
    let none: Api = |_, _| None;
    let forgetful: Api = |seen, _| {
        let headers = [("content-type", media_type::INDEX)];
        let list = Index::new(Vec::new()).to_bytes().unwrap();
        seen.is("GET", "/referrers/")
            .then(|| with(200, &headers, list))
    };
    let other_subject: Api = |seen, shelf| {
        seen.is("PUT", "/manifests/sha256:").then(|| {
            shelf.answer(seen);
            let other = Digest::of(b"other").to_string();
            with(201, &[("oci-subject", other.as_str())], "")
        })
    };
    for api in [none, forgetful, other_subject] {
        let registry = Registry::start(api).await;
        let store = open(&registry.host());
        let referrer = manifest("r", Some(&subject()));
        store.put_manifest(&referrer, None).await.unwrap();
        let list = list(&registry);
        assert_eq!(list["mediaType"], media_type::INDEX);
        let entry = &list["manifests"][0];
        assert_eq!(entry["digest"], referrer.digest().to_string());
        assert_eq!(entry["artifactType"], "application/x");
        assert_eq!(entry["annotations"]["name"], "r");
        assert_eq!(
            store.referrers(&subject()).await.unwrap(),
            [referrer.referrer_descriptor()]
        );

        // Once more is no more.
        store.put_manifest(&referrer, None).await.unwrap();
        assert_eq!(writes(&registry), 1);
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_replaced() {
    for (status, expected) in [
        (403, Reason::Forbidden),
        (500, Reason::RegistryFailed),
        (429, Reason::RateLimited),
    ] {
        for place in ["/referrers/", "/manifests/sha256-"] {
            let registry =
                Registry::start(move |seen, _| seen.is("GET", place).then(|| reply(status))).await;
            let referrer = manifest("r", Some(&subject()));
            let put = open(&registry.host()).put_manifest(&referrer, None).await;
            assert_eq!(reason(put), expected);
            assert_eq!(writes(&registry), 0);
        }
    }
    let occupied = Registry::honest().await;
    let other = manifest("somebody's", None);
    let media_type = media_type::MANIFEST;
    occupied
        .shelf()
        .put(&list_path(), media_type, other.bytes().clone());
    let referrer = manifest("r", Some(&subject()));
    let put = open(&occupied.host()).put_manifest(&referrer, None).await;
    assert_eq!(reason(put), Reason::ManifestInvalid);
    assert_eq!(occupied.shelf().at(&list_path()).unwrap(), other.bytes());
}

#[tokio::test]
async fn a_list_that_is_not_taken_is_an_error() {
    for (status, expected) in [
        (400, Reason::RegistryFailed),
        (403, Reason::Forbidden),
        (503, Reason::RegistryFailed),
    ] {
        let registry = Registry::start(move |seen, _| {
            seen.is("PUT", "/manifests/sha256-")
                .then(|| refusal(status, "DENIED", "no"))
        })
        .await;
        let referrer = manifest("r", Some(&subject()));
        let put = open(&registry.host()).put_manifest(&referrer, None).await;
        assert_eq!(reason(put), expected, "{status}");
    }
}

/// What cosign writes: a manifest whose type stands in it, and an entry that says otherwise.
fn by_cosign() -> (Bytes, Value) {
    let config = Descriptor::empty_json();
    let layer = Descriptor::of(media_type::BUNDLE, b"{}");
    let mut manifest = Manifest::new(media_type::BUNDLE, config, vec![layer]);
    manifest.subject = Some(subject());
    manifest.annotations.insert(
        "dev.sigstore.bundle.content".to_owned(),
        "dsse-envelope".to_owned(),
    );
    let bytes = manifest.to_bytes().unwrap();
    let entry = json!({
        "mediaType": media_type::MANIFEST,
        "size": bytes.len(),
        "digest": Digest::of(&bytes).to_string(),
        "artifactType": "application/vnd.oci.empty.v1+json",
    });
    (bytes.into(), entry)
}

#[tokio::test]
async fn entries_that_another_tool_wrote_wrongly_are_put_right_and_others_kept() {
    let registry = Registry::honest().await;
    let (signature, mistyped) = by_cosign();
    let by_name = |digest: &str| format!("m/manifests/{digest}");
    let digest = mistyped["digest"].as_str().unwrap();
    registry
        .shelf()
        .put(&by_name(digest), media_type::MANIFEST, signature);
    // About something else, and not there at all: neither can be judged, so both stay.
    let stranger = manifest("stranger", Some(&Descriptor::empty_json()));
    let stranger_digest = stranger.digest().to_string();
    let media_type = media_type::MANIFEST;
    registry.shelf().put(
        &by_name(&stranger_digest),
        media_type,
        stranger.bytes().clone(),
    );
    let plain = |digest: &str, size: usize| json!({"mediaType": media_type, "digest": digest, "size": size});
    let missing = plain(&Digest::of(b"gone").to_string(), 4);
    let about_another = plain(&stranger_digest, stranger.bytes().len());
    let right = json!({
        "mediaType": media_type,
        "digest": Digest::of(b"right").to_string(),
        "size": 5,
        "artifactType": "application/y",
        "annotations": {"a": "b"},
        "platform": {"os": "linux", "architecture": "riscv64"},
    });
    let before = json!({
        "schemaVersion": 2,
        "mediaType": media_type::INDEX,
        "manifests": [right, mistyped, missing, about_another],
        "annotations": {"kept": "yes"},
    });
    registry
        .shelf()
        .put(&list_path(), media_type::INDEX, before.to_string());

    let referrer = manifest("r", Some(&subject()));
    open(&registry.host())
        .put_manifest(&referrer, None)
        .await
        .unwrap();
    let after = list(&registry);
    let entries = after["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!(entries[0], right);
    assert_eq!(entries[1]["artifactType"], media_type::BUNDLE);
    assert_eq!(
        entries[1]["annotations"]["dev.sigstore.bundle.content"],
        "dsse-envelope"
    );
    assert_eq!(entries[1]["digest"], mistyped["digest"]);
    assert_eq!(entries[2..4], [missing, about_another]);
    assert_eq!(entries[4]["digest"], referrer.digest().to_string());
    assert_eq!(after["annotations"]["kept"], "yes");
    assert_eq!(writes(&registry), 1);
}

/// Attaches one referrer each from `writers` clients at the same time.
async fn race(writers: usize) {
    let registry = Registry::honest().await;
    let put = |writer: usize| {
        let host = registry.host();
        tokio::spawn(async move {
            let referrer = manifest(&writer.to_string(), Some(&subject()));
            // A client of its own, as in another process.
            open(&host).put_manifest(&referrer, None).await.unwrap();
            referrer.digest().to_string()
        })
    };
    let all: Vec<_> = (0..writers).map(put).collect();
    let mut written = HashSet::new();
    for put in all {
        written.insert(put.await.unwrap());
    }
    assert_eq!(written.len(), writers);
    assert_eq!(listed(&registry), written);
}

/// Runs many races, some at a time, so that writers are held up at odd moments.
async fn races(writers: usize, rounds: usize) {
    let rounds = (0..rounds).map(|_| race(writers));
    let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(5);
    while rounds.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_at_once_are_both_listed() {
    races(2, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_writers_at_once_are_all_listed() {
    races(6, 5).await;
}

#[tokio::test]
async fn what_a_slow_writer_undoes_is_done_again() {
    // It read the list before we wrote, and writes after we have looked, once or twice.
    for looks in [0, 1, 2, 3] {
        let since_write = Mutex::new(None);
        let slow = Descriptor::of(media_type::MANIFEST, b"slow");
        let entry = slow.clone();
        let registry = Registry::start(move |seen, shelf| {
            let mut since_write = since_write.lock().unwrap();
            if seen.is("PUT", "/manifests/sha256-") {
                since_write.get_or_insert(0);
            }
            if let Some(since) = since_write.as_mut().filter(|_| seen.method == "GET") {
                if *since == looks {
                    let list = Index::new(vec![entry.clone()]).to_bytes().unwrap();
                    shelf.put(&list_path(), media_type::INDEX, list);
                }
                *since += 1;
            }
            None
        })
        .await;
        let referrer = manifest("r", Some(&subject()));
        open(&registry.host())
            .put_manifest(&referrer, None)
            .await
            .unwrap();
        let both = [slow.digest, *referrer.digest()].map(|digest| digest.to_string());
        assert_eq!(listed(&registry), HashSet::from(both), "{looks}");
        assert_eq!(writes(&registry), 2);
    }
}

#[tokio::test]
async fn one_client_does_not_race_with_itself() {
    let registry = Registry::honest().await;
    let store = Arc::new(open(&registry.host()));
    let referrers: Vec<_> = (0..5)
        .map(|n| manifest(&n.to_string(), Some(&subject())))
        .collect();
    let put = referrers
        .iter()
        .map(|referrer| store.put_manifest(referrer, None));
    let put = futures_util::future::join_all(put).await;
    assert!(put.iter().all(Result::is_ok));
    assert_eq!(listed(&registry).len(), 5);
    assert_eq!(writes(&registry), 5);
}

#[tokio::test]
async fn a_list_that_somebody_else_always_replaces_is_given_up() {
    let other = RawDocument::of(Document::Index(Index::new(Vec::new()))).unwrap();
    let bytes = other.bytes().clone();
    let registry = Registry::start(move |seen, shelf| {
        seen.is("PUT", "/manifests/sha256-").then(|| {
            shelf.put(&list_path(), media_type::INDEX, bytes.clone());
            reply(201)
        })
    })
    .await;
    let referrer = manifest("r", Some(&subject()));
    let put = open(&registry.host()).put_manifest(&referrer, None).await;
    assert_eq!(reason(put), Reason::ReferrersContended);
    assert_eq!(writes(&registry), 8);
}

#[tokio::test]
async fn conditions_are_set_kept_and_dropped_where_they_are_broken() {
    for honoured in [true, false] {
        let interruptions = AtomicUsize::new(0);
        let intruder = Descriptor::of(media_type::MANIFEST, b"intruder");
        let registry = Registry::start(move |seen, shelf| {
            let current = shelf.at(&list_path());
            let etag = current.map(|bytes| format!("\"{}\"", Digest::of(&bytes)));
            if seen.is("GET", "/manifests/sha256-") {
                let etag = etag?;
                let mut answer = shelf.answer(seen);
                answer.headers_mut().insert("etag", etag.parse().unwrap());
                return Some(answer);
            }
            if !seen.is("PUT", "/manifests/sha256-") {
                return None;
            }
            let conditional = seen.headers.keys().any(|n| n.as_str().starts_with("if-"));
            if !honoured {
                return conditional.then(|| reply(412));
            }
            if interruptions.fetch_add(1, Ordering::SeqCst) == 0 {
                let list = Index::new(vec![intruder.clone()]).to_bytes().unwrap();
                shelf.put(&list_path(), media_type::INDEX, list);
                return (seen.header("if-none-match") == Some("*")).then(|| reply(412));
            }
            (seen.header("if-match") != etag.as_deref()).then(|| reply(412))
        })
        .await;
        let referrer = manifest("r", Some(&subject()));
        open(&registry.host())
            .put_manifest(&referrer, None)
            .await
            .unwrap();
        assert_eq!(writes(&registry), 2);
        let listed = listed(&registry);
        assert!(listed.contains(&referrer.digest().to_string()));
        assert_eq!(listed.len(), if honoured { 2 } else { 1 });
    }
}
