//! What every store does, whatever it is made of.

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::blob::InMemory;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::manifest::Descriptor;
use modelctl::progress::Silent;
use modelctl::reference::Selector;
use modelctl::store::{Part, Store};

use crate::artifact::{
    LAYER, attach, by_digest, by_tag, fetch, index, manifest, put, put_blob, referrers, tag, tags,
};
use crate::place::Place;

pub(crate) async fn a_blob_comes_back_as_it_was_put(place: Place) {
    let large = vec![7; 300_000];
    for bytes in [&b""[..], b"hello", &large] {
        let descriptor = put_blob(&*place.store, bytes).await;
        assert_eq!(fetch(&*place.store, &descriptor).await.unwrap(), bytes);
    }
}

pub(crate) async fn a_blob_is_here_once_it_was_put(place: Place) {
    let store = &*place.store;
    let descriptor = Descriptor::of(LAYER, b"hello");
    assert!(!store.has_blob(&descriptor).await.unwrap());
    put_blob(store, b"hello").await;
    assert!(store.has_blob(&descriptor).await.unwrap());
    let longer = Descriptor::new(LAYER, descriptor.digest, 6);
    assert!(!store.has_blob(&longer).await.unwrap());
}

pub(crate) async fn a_blob_comes_in_parts(place: Place) {
    let store = &*place.store;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let blob = put_blob(store, &bytes).await;
    for (start, end) in [(0, 1), (7, 260_000), (299_999, 300_000), (0, 300_000)] {
        let part = part(store, &blob, start..end).await.unwrap();
        assert_eq!(part, bytes[start as usize..end as usize]);
    }
    for (start, end) in [(0, 300_001), (300_000, 300_000), (300_000, 300_001)] {
        let error = part(store, &blob, start..end).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Internal);
    }
    let absent = Descriptor::of(LAYER, b"absent");
    let error = part(store, &absent, 1..2).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BlobNotFound);
    place.corrupt(&blob.digest, &bytes[1..]);
    let error = part(store, &blob, 1..2).await.unwrap_err();
    assert!(matches!(
        error.reason(),
        Reason::SizeMismatch | Reason::RegistryProtocol
    ));
}

/// Returns a part of a blob, which every store of the suite can give.
async fn part(store: &dyn Store, blob: &Descriptor, range: Range<u64>) -> Result<Vec<u8>> {
    let Part::Range(mut body) = store.blob_part(blob, range).await? else {
        panic!("the whole came");
    };
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

pub(crate) async fn what_is_not_there_is_not_found(place: Place) {
    let store = &*place.store;
    let document = put(store, "model", Some("v1")).await;
    let absent = Digest::of(b"absent");
    let blob = fetch(store, &Descriptor::of(LAYER, b"absent")).await;
    assert_eq!(blob.unwrap_err().reason(), Reason::BlobNotFound);
    for selector in [by_tag("v2"), Selector::Digest(absent)] {
        let error = store.manifest(&selector).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ReferenceNotFound, "{selector}");
    }
    for selector in [by_tag("v1"), by_digest(&document)] {
        store.manifest(&selector).await.unwrap();
    }
}

pub(crate) async fn content_is_stored_only_as_what_it_is(place: Place) {
    let store = &*place.store;
    let content = InMemory(Bytes::from_static(b"hello"));
    let good = Descriptor::of(LAYER, b"hello");
    for wrong in [
        Descriptor::of(LAYER, b"hellO"),
        Descriptor::of(LAYER, b"hell"),
        Descriptor::of(LAYER, b"hello!"),
        Descriptor::new(LAYER, good.digest, 4),
        Descriptor::new(LAYER, good.digest, 6),
    ] {
        // Who finds out, the store or the server behind it, differs, and so does the reason.
        let stored = store.put_blob(&wrong, &content, &Silent).await;
        assert!(stored.is_err(), "{wrong:?}");
        assert!(!store.has_blob(&wrong).await.unwrap(), "{wrong:?}");
    }
    store.put_blob(&good, &content, &Silent).await.unwrap();
    assert!(store.has_blob(&good).await.unwrap());
}

pub(crate) async fn a_manifest_comes_back_by_tag_and_by_digest(place: Place) {
    let document = put(&*place.store, "model", Some("v1")).await;
    for selector in [by_tag("v1"), by_digest(&document)] {
        let found = place.store.manifest(&selector).await.unwrap();
        assert_eq!(found.bytes(), document.bytes());
        assert!(found.descriptor().same_content(document.descriptor()));
    }
}

pub(crate) async fn bytes_that_changed_in_the_store_are_refused(place: Place) {
    let store = &*place.store;
    let blob = put_blob(store, b"hello").await;
    for (bytes, reason) in [
        (&b"hellO"[..], Reason::DigestMismatch),
        (b"hell", Reason::SizeMismatch),
        (b"hello!", Reason::SizeMismatch),
    ] {
        place.corrupt(&blob.digest, bytes);
        assert_eq!(fetch(store, &blob).await.unwrap_err().reason(), reason);
    }
    place.corrupt(&blob.digest, b"hello");
    fetch(store, &blob).await.unwrap();

    let document = put(store, "model", Some("v1")).await;
    let altered = manifest("modem", None);
    place.corrupt(document.digest(), altered.bytes());
    let error = store.manifest(&by_digest(&document)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::DigestMismatch);
    place.corrupt(document.digest(), document.bytes());
    store.manifest(&by_digest(&document)).await.unwrap();
}

pub(crate) async fn a_tag_moves_and_what_had_it_stays(place: Place) {
    let store = &*place.store;
    let first = put(store, "first", Some("v1")).await;
    let second = put(store, "second", Some("v1")).await;
    let tagged = || async { *store.manifest(&by_tag("v1")).await.unwrap().digest() };
    assert_eq!(tagged().await, *second.digest());
    store.manifest(&by_digest(&first)).await.unwrap();
    store.put_manifest(&first, Some(&tag("v1"))).await.unwrap();
    assert_eq!(tagged().await, *first.digest());
    store.manifest(&by_digest(&second)).await.unwrap();
    assert_eq!(tags(store).await, ["v1"]);
}

pub(crate) async fn one_manifest_has_several_tags(place: Place) {
    let store = &*place.store;
    let document = put(store, "model", Some("v1")).await;
    store
        .put_manifest(&document, Some(&tag("latest")))
        .await
        .unwrap();
    put(store, "other", Some("v1")).await;
    let found = store.manifest(&by_tag("latest")).await.unwrap();
    assert_eq!(found.digest(), document.digest());
    assert_eq!(tags(store).await, ["latest", "v1"]);
}

pub(crate) async fn tags_are_listed_in_order(place: Place) {
    let store = &*place.store;
    for name in ["b", "a", "v10", "C", "v9"] {
        put(store, "model", Some(name)).await;
    }
    put(store, "untagged", None).await;
    assert_eq!(tags(store).await, ["C", "a", "b", "v10", "v9"]);
}

pub(crate) async fn referrers_are_listed_whatever_they_are(place: Place) {
    let store = &*place.store;
    let model = put(store, "model", Some("v1")).await;
    let other = put(store, "other", Some("v2")).await;
    assert!(referrers(store, &model).await.is_empty());
    let signature = attach(store, "signature", &model).await;
    attach(store, "sbom", &model).await;
    attach(store, "about-other", &other).await;
    attach(store, "about-signature", &signature).await;
    let both = ["application/x.sbom", "application/x.signature"];
    assert_eq!(referrers(store, &model).await, both);
    assert_eq!(
        referrers(store, &other).await,
        ["application/x.about-other"]
    );
}

pub(crate) async fn a_referrer_may_come_before_its_subject(place: Place) {
    let store = &*place.store;
    let model = manifest("model", None);
    attach(store, "signature", &model).await;
    assert_eq!(referrers(store, &model).await, ["application/x.signature"]);
    put(store, "model", Some("v1")).await;
    assert_eq!(referrers(store, &model).await, ["application/x.signature"]);
}

pub(crate) async fn an_index_may_refer_and_be_referred_to(place: Place) {
    let store = &*place.store;
    let model = put(store, "model", None).await;
    let all = index(&[&model], None);
    store.put_manifest(&all, Some(&tag("v1"))).await.unwrap();
    attach(store, "signature", &all).await;
    let about = index(&[&model], Some(&model));
    store.put_manifest(&about, None).await.unwrap();
    assert_eq!(referrers(store, &all).await, ["application/x.signature"]);
    assert_eq!(referrers(store, &model).await, ["application/x.index"]);
}

pub(crate) async fn putting_twice_changes_nothing(place: Place) {
    let store = &*place.store;
    for _ in 0..2 {
        let model = put(store, "model", Some("v1")).await;
        let signature = attach(store, "signature", &model).await;
        assert_eq!(referrers(store, &model).await, ["application/x.signature"]);
        store.manifest(&by_digest(&signature)).await.unwrap();
        assert_eq!(tags(store).await, ["v1"]);
        assert_eq!(
            fetch(store, &Descriptor::of(LAYER, b"model"))
                .await
                .unwrap(),
            "model"
        );
    }
}

pub(crate) async fn referrers_put_at_once_are_all_there(place: Place) {
    let model = put(&*place.store, "model", Some("v1")).await;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (store, model) = (place.store.clone(), model.clone());
            tokio::spawn(async move { attach(&*store, &format!("r{number}"), &model).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let expected: Vec<_> = (0..8)
        .map(|number| format!("application/x.r{number}"))
        .collect();
    assert_eq!(referrers(&*place.store, &model).await, expected);
}
