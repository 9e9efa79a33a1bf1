//! What a copy does, from any store to any other.

mod between;

use std::sync::Arc;

use bytes::Bytes;
use modelctl::copy::{Copied, Options, copy};
use modelctl::error::{Reason, Result};
use modelctl::manifest::{Descriptor, EMPTY_JSON, media_type};
use modelctl::progress::Silent;
use modelctl::store::{RawDocument, SharedStore};

use crate::artifact::{
    LAYER, attach, by_digest, by_tag, fetch, index, put, put_blob, referrers, tag, tags,
};
use crate::place::Place;

/// Copies `v1` from one store to the other, on another task as a program would.
async fn copy_v1(from: &SharedStore, to: &SharedStore, options: Options) -> Result<Copied> {
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    let task = tokio::spawn(async move {
        copy(
            &*from,
            &by_tag("v1"),
            &*to,
            Some(&tag("v1")),
            options,
            &Silent,
        )
        .await
    });
    task.await.unwrap()
}

pub(crate) async fn an_artifact_is_copied_with_what_refers_to_it(from: Place, to: Place) {
    let model = put(&*from.store, "model", Some("v1")).await;
    let signature = attach(&*from.store, "signature", &model).await;
    attach(&*from.store, "sbom", &model).await;
    attach(&*from.store, "countersignature", &signature).await;
    put(&*from.store, "unrelated", Some("v2")).await;

    let copied = copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
    assert_eq!(copied.document.bytes(), model.bytes());
    // Four layers, and the empty config that all share.
    assert_eq!((copied.blobs_copied, copied.blobs_skipped), (5, 0));
    let sizes = EMPTY_JSON.len() + "modelsignaturesbomcountersignature".len();
    assert_eq!(copied.bytes, sizes as u64);
    assert_eq!(copied.referrers, 3);

    let found = to.store.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.bytes(), model.bytes());
    assert_eq!(
        fetch(&*to.store, &Descriptor::of(LAYER, b"model"))
            .await
            .unwrap(),
        "model"
    );
    let direct = ["application/x.sbom", "application/x.signature"];
    assert_eq!(referrers(&*to.store, &model).await, direct);
    let second = ["application/x.countersignature"];
    assert_eq!(referrers(&*to.store, &signature).await, second);
    assert_eq!(tags(&*to.store).await, ["v1"]);
}

pub(crate) async fn an_artifact_is_copied_alone_on_demand(from: Place, to: Place) {
    let model = put(&*from.store, "model", Some("v1")).await;
    attach(&*from.store, "signature", &model).await;
    let options = Options {
        referrers: false,
        ..Options::default()
    };
    let copied = copy_v1(&from.store, &to.store, options).await.unwrap();
    assert_eq!((copied.blobs_copied, copied.referrers), (2, 0));
    to.store.manifest(&by_tag("v1")).await.unwrap();
    assert!(referrers(&*to.store, &model).await.is_empty());
}

pub(crate) async fn a_second_copy_sends_nothing(from: Place, to: Place) {
    let model = put(&*from.store, "model", Some("v1")).await;
    attach(&*from.store, "signature", &model).await;
    for expected in [(3, 0), (0, 3)] {
        let copied = copy_v1(&from.store, &to.store, Options::default())
            .await
            .unwrap();
        assert_eq!((copied.blobs_copied, copied.blobs_skipped), expected);
        assert_eq!(copied.bytes == 0, copied.blobs_copied == 0);
        assert_eq!(
            referrers(&*to.store, &model).await,
            ["application/x.signature"]
        );
    }
}

pub(crate) async fn an_index_is_copied_with_its_children_and_their_referrers(
    from: Place,
    to: Place,
) {
    let store = &*from.store;
    let first = put(store, "first", None).await;
    let second = put(store, "second", None).await;
    let inner = index(&[&second], None);
    store.put_manifest(&inner, None).await.unwrap();
    let root = index(&[&first, &inner], None);
    store.put_manifest(&root, Some(&tag("v1"))).await.unwrap();
    attach(store, "about-root", &root).await;
    attach(store, "about-second", &second).await;
    let about = index(&[&first], Some(&inner));
    store.put_manifest(&about, None).await.unwrap();

    let copied = copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
    assert_eq!((copied.blobs_copied, copied.referrers), (5, 3));
    for document in [&first, &second, &inner, &root, &about] {
        let found = to.store.manifest(&by_digest(document)).await.unwrap();
        assert_eq!(found.bytes(), document.bytes());
    }
    assert_eq!(
        referrers(&*to.store, &root).await,
        ["application/x.about-root"]
    );
    assert_eq!(
        referrers(&*to.store, &second).await,
        ["application/x.about-second"]
    );
    assert_eq!(referrers(&*to.store, &inner).await, ["application/x.index"]);
}

pub(crate) async fn a_damaged_source_leaves_no_tag(from: Place, to: Place) {
    let model = put(&*from.store, "model", Some("v1")).await;
    let signature = attach(&*from.store, "signature", &model).await;
    let layer = Descriptor::of(LAYER, b"signature");
    from.corrupt(&layer.digest, b"signaturE");
    let error = copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::DigestMismatch);
    assert!(!to.store.has_blob(&layer).await.unwrap());
    for selector in [by_tag("v1"), by_digest(&signature)] {
        let error = to.store.manifest(&selector).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ReferenceNotFound);
    }
    from.corrupt(&layer.digest, b"signature");
    copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
    to.store.manifest(&by_tag("v1")).await.unwrap();
}

/// A container image, whose bytes are nobody's canonical form, stays what it is.
pub(crate) async fn another_tools_artifact_is_copied(from: Place, to: Place) {
    let config = put_blob(&*from.store, b"{\"os\":\"linux\"}").await;
    let layer = put_blob(&*from.store, b"not really a tar").await;
    let json = format!(
        "{{\n  \"mediaType\": \"{}\", \"schemaVersion\": 2,\n  \"x\": [1.50],\n  \
         \"layers\": [{{\"size\": {}, \"digest\": \"{}\", \"mediaType\": \"a/tar\"}}],\n  \
         \"config\": {{\"mediaType\": \"a/config\", \"digest\": \"{}\", \"size\": {}}}\n}}\n",
        media_type::MANIFEST,
        layer.size,
        layer.digest,
        config.digest,
        config.size,
    );
    let bytes = Bytes::from(json);
    let image = RawDocument::read(bytes.clone(), media_type::MANIFEST, None, "image").unwrap();
    from.store
        .put_manifest(&image, Some(&tag("v1")))
        .await
        .unwrap();
    copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
    let found = to.store.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.bytes(), &bytes);
}
