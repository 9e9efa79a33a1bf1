//! Layouts as oras, skopeo and crane write them, and what stays theirs.

use std::fs;

use bytes::Bytes;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::manifest::{Descriptor, annotation, media_type};
use modelctl::reference::{Selector, Tag};
use modelctl::store::Store;
use serde_json::Value;

use super::{Foreign, entry, index_of, named};
use crate::artifact::{
    LAYER, by_digest, by_tag, fetch, index, manifest, put, referrers, tag, tags,
};

/// `oras push --oci-layout` and `oras attach --oci-layout` 1.3: everything is listed, with the
/// manifest's own annotations; unfinished files lie in `ingest`.
#[tokio::test]
async fn reads_what_oras_writes() {
    let (model, old) = (manifest("model", None), manifest("old", None));
    let signature = manifest("signature", Some(&model));
    let index = index_of(&[
        entry(
            &model,
            &format!(
                r#","annotations":{{"{}":"2026-11-21T05:55:40Z","{}":"v1"}},"artifactType":"a/b""#,
                annotation::CREATED,
                annotation::REF_NAME
            ),
        ),
        entry(&old, r#","artifactType":"application/x.old""#),
        entry(
            &signature,
            r#","annotations":{"name":"signature"},"artifactType":"wrong""#,
        ),
    ]);
    let foreign = Foreign::new(&[&model, &old, &signature], &index);
    fs::create_dir(foreign.path().join("ingest")).unwrap();
    let layout = foreign.open();
    assert_eq!(tags(&layout).await, ["v1"]);
    let found = layout.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.digest(), model.digest());
    assert_eq!(
        referrers(&layout, &model).await,
        ["application/x.signature"]
    );
    assert_eq!(
        fetch(&layout, &Descriptor::of(LAYER, b"model"))
            .await
            .unwrap(),
        "model"
    );
}

/// `skopeo copy … oci:PATH:TAG` 1.9: no `mediaType`, one entry per tag, the entry that lost its
/// tag stays, and a name may be no tag at all.
#[tokio::test]
async fn reads_what_skopeo_writes() {
    let (model, old) = (manifest("model", None), manifest("old", None));
    let entries = [
        entry(&old, ""),
        named(&model, "v1"),
        named(&model, "other"),
        named(&old, "a/b:c:v1"),
    ];
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    let layout = Foreign::new(&[&model, &old], &index);
    let layout = layout.open();
    assert_eq!(tags(&layout).await, ["other", "v1"]);
    for selector in [by_tag("v1"), by_tag("other"), by_digest(&model)] {
        let found = layout.manifest(&selector).await.unwrap();
        assert_eq!(found.digest(), model.digest());
    }
    layout.manifest(&by_digest(&old)).await.unwrap();
}

/// `crane pull --format=oci [--annotate-ref]` 0.20: indented, appended again on every pull, and
/// named by full references.
#[tokio::test]
async fn reads_what_crane_writes() {
    let (model, other) = (manifest("model", None), manifest("other", None));
    let full = |name: &str| format!("registry.example.com:5000/acme/{name}");
    let compact = index_of(&[
        entry(
            &model,
            r#","artifactType":"application/vnd.oci.empty.v1+json""#,
        ),
        named(&model, &full("bert:v1")),
        named(&model, &full("bert:v1")),
        named(&other, &full("bert:v2")),
        named(&model, &full("gpt:v2")),
    ]);
    let value: Value = serde_json::from_str(&compact).unwrap();
    let index = serde_json::to_string_pretty(&value).unwrap();
    let foreign = Foreign::new(&[&model, &other], &index);
    let layout = foreign.open();
    assert_eq!(tags(&layout).await, ["v1", "v2"]);
    let found = layout.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.digest(), model.digest());
    // Two repositories were pulled into one layout, and `v2` is another thing in each.
    let error = layout.manifest(&by_tag("v2")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);
    // An exact name is clearer than part of one.
    layout.put_manifest(&other, Some(&tag("v2"))).await.unwrap();
    let found = layout.manifest(&by_tag("v2")).await.unwrap();
    assert_eq!(found.digest(), other.digest());
    assert!(foreign.index().contains(&full("gpt:v2")));
}

#[tokio::test]
async fn two_manifests_with_one_tag_are_an_error() {
    let (first, second) = (manifest("first", None), manifest("second", None));
    let twice = |other| index_of(&[named(&first, "v1"), named(other, "v1")]);
    let same = Foreign::new(&[&first], &twice(&first));
    same.open().manifest(&by_tag("v1")).await.unwrap();
    let foreign = Foreign::new(&[&first, &second], &twice(&second));
    let layout = foreign.open();
    let error = layout.manifest(&by_tag("v1")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);
    layout.manifest(&by_digest(&second)).await.unwrap();
    layout
        .put_manifest(&second, Some(&tag("v1")))
        .await
        .unwrap();
    let found = layout.manifest(&by_tag("v1")).await.unwrap();
    assert_eq!(found.digest(), second.digest());
}

#[tokio::test]
async fn what_other_tools_wrote_into_the_index_stays_where_it_is() {
    let (model, image) = (manifest("model", None), manifest("image", None));
    let more = r#","platform":{"os":"linux","architecture":"arm64"},"x":[1,{"z":1,"a":2}]"#;
    let before = format!(
        r#"{{"zulu":{{"b":1,"a":null}},"manifests":[{},{}],"schemaVersion":2,"alpha":"x"}}"#,
        entry(&image, more),
        entry(
            &model,
            r#","annotations":{"org.opencontainers.image.ref.name":"v1","z":"1","a":"2"}"#
        ),
    );
    let foreign = Foreign::new(&[&model, &image], &before);
    let layout = foreign.open();
    // Nothing to change: not even the white space.
    layout.put_manifest(&model, Some(&tag("v1"))).await.unwrap();
    layout.put_manifest(&image, None).await.unwrap();
    assert_eq!(foreign.index(), before);

    let new = put(&layout, "new", Some("v1")).await;
    let listed = format!(
        r#"{},"artifactType":"application/x.new","annotations":{{"name":"new","{}":"v1"}}}}"#,
        entry(&new, "").trim_end_matches('}'),
        annotation::REF_NAME
    );
    let expected = before
        .replace(r#""org.opencontainers.image.ref.name":"v1","#, "")
        .replace(
            "],\"schemaVersion\"",
            &format!(",{listed}],\"schemaVersion\""),
        );
    assert_eq!(foreign.index(), expected);

    layout.put_manifest(&image, Some(&tag("v2"))).await.unwrap();
    let expected = expected.replace(
        more,
        &format!(
            r#"{more},"annotations":{{"{}":"v2"}}"#,
            annotation::REF_NAME
        ),
    );
    assert_eq!(foreign.index(), expected);
}

#[tokio::test]
async fn referrers_are_found_under_the_fallback_tag() {
    let model = manifest("model", None);
    let signature = manifest("signature", Some(&model));
    let stray = manifest("stray", None);
    let list = index(&[&signature, &stray], None);
    let fallback = Tag::for_referrers(model.digest());
    let entries = index_of(&[named(&model, "v1"), named(&list, fallback.as_str())]);
    let foreign = Foreign::new(&[&model, &signature, &stray, &list], &entries);
    let layout = foreign.open();
    assert_eq!(
        referrers(&layout, &model).await,
        ["application/x.signature"]
    );
    assert!(referrers(&layout, &signature).await.is_empty());

    fs::remove_file(foreign.blob(signature.digest())).unwrap();
    let error = layout.referrers(model.descriptor()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);

    let entries = index_of(&[named(&model, "v1"), named(&model, fallback.as_str())]);
    let layout = Foreign::new(&[&model], &entries);
    let error = layout
        .open()
        .referrers(model.descriptor())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::LayoutInvalid);
}

#[tokio::test]
async fn a_manifest_that_only_other_tools_understand_is_in_nobodys_way() {
    let model = manifest("model", None);
    let signature = manifest("signature", Some(&model));
    // As image tools wrote it before `mediaType` was customary.
    let old = Bytes::from_static(br#"{"schemaVersion":2,"config":{"mediaType":"x"},"layers":[]}"#);
    let old_entry = format!(
        r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#,
        media_type::MANIFEST,
        Digest::of(&old),
        old.len()
    );
    let other = r#"{"mediaType":"a/b","digest":"DIGEST","size":1}"#;
    let other = other.replace("DIGEST", &Digest::of(b"not even here").to_string());
    let index = index_of(&[old_entry, other, named(&model, "v1"), entry(&signature, "")]);
    let foreign = Foreign::new(&[&model, &signature], &index);
    foreign.add(&old);
    assert_eq!(
        referrers(&foreign.open(), &model).await,
        ["application/x.signature"]
    );
    let error = foreign
        .open()
        .manifest(&Selector::Digest(Digest::of(&old)))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::ManifestInvalid);
}
