//! Pulling what is malicious or broken: nothing happens.

use bytes::Bytes;
use modelctl::error::{Error, Reason};
use modelctl::limits;
use modelctl::manifest::{Document, Index, Manifest};
use modelctl::model::annotation;
use modelctl::store::{RawDocument, Store};

use crate::memory::{Memory, pieces};
use crate::model::{files, snapshot};
use crate::pull::{layer, manifest, options, pull_unchecked, pushed, replacing};

#[tokio::test]
async fn names_that_could_escape_or_collide_are_refused_before_anything_is_read() {
    let long = "x".repeat(256);
    let longer = "x/".repeat(513);
    let deep = format!("{}x", "x/".repeat(32));
    let unsafe_names = [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../../x",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "a\u{1b}[2J",
        &long,
        &longer,
        &deep,
        "C:\\x",
        "C:x",
        "\\\\host\\share",
        "\\\\?\\x",
        "a\\b",
        "a:b",
        "CON",
        "nul.txt",
        "COM1",
        "COM¹",
        "CONIN$",
        "a.",
        "a ",
        "PROGRA~1",
        "e\u{301}",
        "a\u{202e}b",
        "a\u{200b}b",
        ".modelctl",
        ".modelctl/receipt.json",
        ".ModelCtl/x",
        ".ｍodelctl/x",
    ];
    let collisions = [
        ["a", "a"],
        ["a", "a/b"],
        ["a/b", "A"],
        ["Config.json", "config.json"],
        ["ﬁ", "fi"],
        ["x/K", "x/k"],
        ["ß", "SS"],
        ["ı", "i"],
    ];
    let mut cases: Vec<(Vec<&str>, Reason)> = Vec::new();
    cases.extend(
        unsafe_names
            .iter()
            .map(|name| (vec!["good", *name], Reason::PathUnsafe)),
    );
    cases.extend(
        collisions
            .iter()
            .map(|pair| (pair.to_vec(), Reason::PathCollision)),
    );
    let around = tempfile::tempdir().unwrap();
    let target = around.path().join("model");
    for (names, reason) in cases {
        let store = Memory::default();
        let layers = names
            .iter()
            .map(|name| layer(&store, name, name.as_bytes()));
        let artifact = store.artifact(manifest(layers.collect())).await;
        let error = pull_unchecked(&store, artifact, &target, &options())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), reason, "{names:?}: {error}");
        assert!(store.reads().is_empty(), "{names:?}");
        assert_eq!(snapshot(around.path()).len(), 0, "{names:?}");
    }

    let store = Memory::default();
    let fine = [
        "good",
        "sub/.modelctl/x",
        "a.b",
        "日本語/モデル",
        "deep/er/x",
        "same",
        "twice",
    ];
    let layers = fine.iter().map(|name| layer(&store, name, b"same content"));
    let artifact = store.artifact(manifest(layers.collect())).await;
    pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap();
    for name in fine {
        assert_eq!(
            std::fs::read(target.join(name)).unwrap(),
            b"same content",
            "{name}"
        );
    }
}

#[tokio::test]
async fn manifests_that_are_no_model_are_refused_before_anything_is_read() {
    type Harm = fn(&mut Manifest);
    let cases: [(&str, Harm, Reason); 11] = [
        ("no file", |m| m.layers.clear(), Reason::ModelUnsuitable),
        (
            "elsewhere",
            |m| m.layers[0].urls = vec!["https://evil.test/".to_owned()],
            Reason::ManifestInvalid,
        ),
        (
            "two names",
            |m| rename(m, annotation::FILEPATH, "other"),
            Reason::ManifestInvalid,
        ),
        (
            "no name",
            |m| m.layers[0].annotations.clear(),
            Reason::ManifestInvalid,
        ),
        (
            "no layer of a model",
            |m| m.layers[0].media_type = "text/plain".to_owned(),
            Reason::ManifestInvalid,
        ),
        (
            "tar",
            |m| m.layers[0].media_type = "application/vnd.cncf.model.weight.v1.tar".to_owned(),
            Reason::NotAModel,
        ),
        (
            "tar, compressed",
            |m| m.layers[0].media_type = "application/vnd.cncf.model.doc.v1.tar+gzip".to_owned(),
            Reason::NotAModel,
        ),
        ("to be unpacked", |m| unpack_hint(m), Reason::NotAModel),
        (
            "an image",
            |m| as_kind(m, "application/vnd.oci.image.config.v1+json"),
            Reason::NotAModel,
        ),
        (
            "larger than all",
            |m| m.layers.iter_mut().for_each(|l| l.size = u64::MAX / 2 + 1),
            Reason::ModelUnsuitable,
        ),
        (
            "larger than the disk",
            |m| m.layers[0].size = 1 << 60,
            Reason::DiskFull,
        ),
    ];
    let around = tempfile::tempdir().unwrap();
    let target = around.path().join("made/on/the/way");
    for (what, harm, reason) in cases {
        let store = Memory::default();
        let layers = vec![layer(&store, "a", b"a"), layer(&store, "b", b"b")];
        let mut manifest = manifest(layers);
        harm(&mut manifest);
        let artifact = store.artifact(manifest).await;
        let error = pull_unchecked(&store, artifact, &target, &options())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), reason, "{what}: {error}");
        assert!(store.reads().is_empty(), "{what}");
        assert_eq!(snapshot(around.path()).len(), 0, "{what}");
    }
    let store = Memory::default();
    let layers = vec![layer(&store, "a", b"a"), layer(&store, "b", b"b")];
    let artifact = store.artifact(manifest(layers)).await;
    pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap();
}

fn rename(manifest: &mut Manifest, key: &str, name: &str) {
    let annotations = &mut manifest.layers[0].annotations;
    annotations.insert(key.to_owned(), name.to_owned());
}

fn as_kind(manifest: &mut Manifest, config: &str) {
    manifest.artifact_type = None;
    manifest.config.media_type = config.to_owned();
}

/// Makes it an oras artifact whose first layer asks to be unpacked.
fn unpack_hint(manifest: &mut Manifest) {
    manifest.artifact_type = Some("application/vnd.example".to_owned());
    manifest.config.media_type = "application/vnd.oci.empty.v1+json".to_owned();
    rename(manifest, annotation::ORAS_UNPACK, "true");
}

#[tokio::test]
async fn an_index_is_refused() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let model = pushed(&store, &files()).await;
    let index = Index::new(vec![model.document().descriptor().clone()]);
    let index = RawDocument::of(Document::Index(index)).unwrap();
    store.put_manifest(&index, None).await.unwrap();
    let artifact = store.resolve(index.digest()).await;
    let target = around.path().join("model");
    let error = pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::NotAModel);
}

fn broken() -> Error {
    Error::new(Reason::Connection, "the connection broke")
}

/// Ways in which a store can give other bytes than the manifest promised, for one file of the
/// model.
fn faults(of: u64) -> Vec<(&'static str, Memory, Reason)> {
    let memory = |harm: fn(Bytes) -> Vec<Result<Bytes, Error>>| {
        Memory::default().serving(move |descriptor, bytes| {
            let is_it = descriptor.size == of;
            Ok(pieces(if is_it { harm(bytes) } else { vec![Ok(bytes)] }))
        })
    };
    let altered = memory(|bytes| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        vec![Ok(bytes.into())]
    });
    let endless = Memory::default().serving(move |descriptor, bytes| {
        let endless = futures_util::stream::repeat_with(|| Ok(Bytes::from(vec![7; limits::PIECE])));
        Ok(match descriptor.size == of {
            true => Box::pin(endless),
            false => pieces(vec![Ok(bytes)]),
        })
    });
    let refused = Memory::default().serving(move |descriptor, bytes| match descriptor.size == of {
        true => Err(Error::new(Reason::Forbidden, "not for you")),
        false => Ok(pieces(vec![Ok(bytes)])),
    });
    vec![
        ("altered", altered, Reason::DigestMismatch),
        (
            "cut",
            memory(|b| vec![Ok(b.slice(1..))]),
            Reason::Connection,
        ),
        ("empty", memory(|_| vec![]), Reason::SizeMismatch),
        (
            "long",
            memory(|b| vec![Ok(b), Ok(Bytes::from_static(b"x"))]),
            Reason::SizeMismatch,
        ),
        ("endless", endless, Reason::SizeMismatch),
        (
            "broken at once",
            memory(|_| vec![Err(broken())]),
            Reason::Connection,
        ),
        (
            "broken in the middle",
            memory(|b| vec![Ok(b.slice(..1)), Err(broken())]),
            Reason::Connection,
        ),
        ("refused", refused, Reason::Forbidden),
    ]
}

#[tokio::test]
async fn wrong_bytes_leave_no_trace_and_an_old_model_as_it_was() {
    let sizes = [files()[0].1.len() as u64, files()[1].1.len() as u64];
    for (what, store, reason) in sizes.into_iter().flat_map(faults) {
        let around = tempfile::tempdir().unwrap();
        let artifact = pushed(&store, &files()).await;
        let target = around.path().join("model");
        let error = pull_unchecked(&store, artifact.clone(), &target, &options()).await;
        assert_eq!(error.unwrap_err().reason(), reason, "{what}");
        assert_eq!(snapshot(around.path()).len(), 0, "{what}");

        let old = pushed(&store, &[("old", b"old".to_vec())]).await;
        pull_unchecked(&store, old, &target, &options())
            .await
            .unwrap();
        let before = snapshot(around.path());
        let error = pull_unchecked(&store, artifact, &target, &replacing()).await;
        assert_eq!(error.unwrap_err().reason(), reason, "{what}");
        assert_eq!(snapshot(around.path()), before, "{what}");
    }
}

#[tokio::test]
async fn a_blob_that_is_not_there_leaves_no_trace() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let mut gone = layer(&Memory::default(), "gone", b"gone");
    gone.size = 4;
    let layers = vec![layer(&store, "a", b"a"), gone];
    let artifact = store.artifact(manifest(layers)).await;
    let target = around.path().join("model");
    let error = pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::BlobNotFound);
    assert!(error.to_string().contains("`gone`"), "{error}");
    assert_eq!(snapshot(around.path()).len(), 0);
}
