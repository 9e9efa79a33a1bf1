//! Pulling: everything, or nothing at all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use modelctl::download::Retry;
use modelctl::error::{Error, Reason};
use modelctl::manifest::{Descriptor, Manifest, annotation::TITLE};
use modelctl::model::{annotation, media_type};
use modelctl::pack::{PackOptions, Plan};
use modelctl::progress::silent;
use modelctl::push::{PushOptions, push};
use modelctl::receipt::RECEIPT;
use modelctl::unpack::{Existing, PullOptions, Pulled, pull};
use modelctl::verify::{Artifact, Verified};
use modelctl::walk::Selection;

use crate::memory::{Memory, pieces};
use crate::model::{files, mode, names, snapshot, write};

pub(crate) fn options() -> PullOptions {
    PullOptions {
        selection: Selection::default(),
        existing: Existing::Refuse,
        concurrency: 3,
        io: None,
        retry: Retry {
            tries: 2,
            wait: Duration::from_millis(1),
        },
        tool_version: "1.2.3".to_owned(),
        now: Timestamp::from_second(1_700_000_000).unwrap(),
    }
}

pub(crate) fn replacing() -> PullOptions {
    PullOptions {
        existing: Existing::Replace,
        ..options()
    }
}

pub(crate) fn including(patterns: &[&str]) -> PullOptions {
    PullOptions {
        selection: Selection {
            include: patterns.iter().map(|p| (*p).to_owned()).collect(),
            exclude: Vec::new(),
        },
        ..options()
    }
}

/// Pulls `artifact` without asking who made it.
pub(crate) async fn pull_unchecked(
    store: &Memory,
    artifact: Artifact,
    target: &Path,
    options: &PullOptions,
) -> Result<Pulled, Error> {
    let artifact = Verified::unchecked(artifact, "nobody asked");
    pull(store, &artifact, target, options, silent()).await
}

/// Pushes a model with these files.
pub(crate) async fn pushed(store: &Memory, files: &[(&str, Vec<u8>)]) -> Artifact {
    let model = tempfile::tempdir().unwrap();
    write(model.path(), files);
    let options = PushOptions {
        pack: PackOptions::default(),
        concurrency: 2,
        memory: None,
        gate: None,
        tag: None,
    };
    let plan = Plan::read(model.path(), &options.pack).await.unwrap();
    let pushed = push(store, &plan, &options, silent()).await.unwrap();
    store.resolve(pushed.document.digest()).await
}

/// Returns the layer of a file called whatever `name` says.
pub(crate) fn layer(store: &Memory, name: &str, content: &[u8]) -> Descriptor {
    let media_type = "application/vnd.cncf.model.weight.v1.raw";
    let mut layer = store.add(media_type, content.to_vec());
    for key in [annotation::FILEPATH, TITLE] {
        layer.annotations.insert(key.to_owned(), name.to_owned());
    }
    layer
}

pub(crate) fn manifest(layers: Vec<Descriptor>) -> Manifest {
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    Manifest::new(media_type::ARTIFACT, config, layers)
}

#[tokio::test]
async fn a_pulled_model_is_what_was_pushed_and_nothing_is_beside_it() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let target = around.path().join("deep/er/model");
    let pulled = pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap();

    let bytes: usize = files().iter().map(|(_, content)| content.len()).sum();
    let expected = Pulled {
        path: target.clone(),
        files: files().len(),
        bytes: bytes as u64,
        left_behind: 0,
    };
    assert_eq!(pulled, expected);
    for (path, content) in files() {
        assert_eq!(std::fs::read(target.join(path)).unwrap(), content, "{path}");
    }
    let expected = [
        ".modelctl",
        "COPY.md",
        "README.md",
        "config.json",
        "model.safetensors",
    ];
    assert_eq!(names(&target)[..5], expected);
    assert_eq!(
        names(&target.join(".modelctl")),
        ["bundles", "manifest.json", "receipt.json"]
    );
    assert_eq!(names(around.path()), ["deep"]);
    assert_eq!(names(&around.path().join("deep/er")), ["model"]);
}

#[tokio::test]
async fn modes_are_those_of_any_new_file_whatever_the_artifact_says() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let mut evil = layer(&store, "bin/run", b"#!/bin/sh\n");
    let metadata = r#"{"name":"run","mode":3565,"uid":0,"gid":0,"size":1,"mtime":"2038-01-01T00:00:00Z","typeflag":50}"#;
    evil.annotations
        .insert(annotation::FILE_METADATA.to_owned(), metadata.to_owned());
    let artifact = store.artifact(manifest(vec![evil])).await;
    let target = around.path().join("model");
    pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap();

    std::fs::create_dir(around.path().join("new")).unwrap();
    std::fs::write(around.path().join("new/file"), "").unwrap();
    let directory = mode(&around.path().join("new")) & !0o022;
    let file = mode(&around.path().join("new/file")) & !0o022;
    for (path, expected) in [
        ("", directory),
        ("bin", directory),
        (".modelctl", directory),
        ("bin/run", file),
        (RECEIPT, file),
    ] {
        assert_eq!(mode(&target.join(path)) & !0o022, expected, "{path}");
    }
}

#[tokio::test]
async fn the_target_is_looked_at_before_anything_is_read() {
    let around = tempfile::tempdir().unwrap();
    let at = |name: &str| around.path().join(name);
    std::fs::create_dir_all(at("mine/x")).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::write(at("file"), "").unwrap();
    std::os::unix::fs::symlink("empty", at("link")).unwrap();
    let before = snapshot(around.path());
    let cases = [
        ("mine", options(), Reason::TargetExists),
        ("empty", options(), Reason::TargetExists),
        ("mine", replacing(), Reason::TargetUnsuitable),
        ("file", options(), Reason::TargetUnsuitable),
        ("file", replacing(), Reason::TargetUnsuitable),
        ("link", replacing(), Reason::TargetUnsuitable),
        ("file/model", options(), Reason::TargetUnsuitable),
    ];
    for (name, options, reason) in cases {
        let store = Memory::default();
        let artifact = pushed(&store, &files()).await;
        let error = pull_unchecked(&store, artifact, &at(name), &options)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(store.reads().is_empty(), "{name}");
        assert_eq!(snapshot(around.path()), before, "{name}");
    }
    let store = Memory::default();
    let artifact = pushed(&store, &files()).await;
    pull_unchecked(&store, artifact, &at("empty"), &replacing())
        .await
        .unwrap();
    assert!(at("empty/config.json").exists());
}

#[tokio::test]
async fn an_old_model_is_replaced_whole_and_only_at_the_end() {
    let around = tempfile::tempdir().unwrap();
    let target = around.path().join("model");
    let watched = target.clone();
    let store = Memory::default().serving(move |descriptor, bytes| {
        if descriptor.size == 3 {
            assert!(!watched.exists());
        } else {
            assert_eq!(std::fs::read(watched.join("old")).unwrap(), b"old");
            assert!(!watched.join("config.json").exists());
        }
        Ok(pieces(vec![Ok(bytes)]))
    });
    let old = pushed(&store, &[("old", b"old".to_vec())]).await;
    let new = pushed(&store, &files()).await;
    pull_unchecked(&store, old, &target, &options())
        .await
        .unwrap();
    std::fs::write(target.join("stray"), "someone's note").unwrap();
    pull_unchecked(&store, new, &target, &replacing())
        .await
        .unwrap();
    assert!(target.join("config.json").exists());
    assert!(!target.join("old").exists() && !target.join("stray").exists());
    assert_eq!(names(around.path()), ["model"]);
}

#[tokio::test]
async fn while_a_model_is_replaced_something_is_always_there() {
    let around = tempfile::tempdir().unwrap();
    let target = around.path().join("model");
    let store = Memory::default();
    let versions = [
        pushed(&store, &[("one", b"1".to_vec())]).await,
        pushed(&store, &[("two", b"2".to_vec())]).await,
    ];
    pull_unchecked(&store, versions[0].clone(), &target, &options())
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let (target, done) = (target.clone(), Arc::clone(&done));
        move || {
            let mut looks = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert!(target.is_dir(), "nothing was there");
                looks += 1;
            }
            looks
        }
    });
    for version in versions.iter().cycle().take(16) {
        pull_unchecked(&store, version.clone(), &target, &replacing())
            .await
            .unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(watcher.join().unwrap() > 16);
}

#[tokio::test]
async fn a_subset_is_fetched_alone() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let target = around.path().join("model");
    let nothing = including(&["*.onnx"]);
    let error = pull_unchecked(&store, artifact.clone(), &target, &nothing)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::FileNotFound);
    let broken = including(&["[a"]);
    let error = pull_unchecked(&store, artifact.clone(), &target, &broken)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::PatternInvalid);
    assert_eq!(snapshot(around.path()).len(), 0);

    let subset = including(&["config.json", "tokenizer"]);
    let pulled = pull_unchecked(&store, artifact, &target, &subset)
        .await
        .unwrap();
    assert_eq!((pulled.files, pulled.left_behind), (3, 3));
    assert_eq!(names(&target), [".modelctl", "config.json", "tokenizer"]);
    // One of the three is empty, and nothing needs to be fetched for it.
    assert_eq!(store.reads().len(), 2);
}

#[tokio::test]
async fn an_archive_may_be_left_out() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let mut archive = layer(&store, "docs.tar", b"tar");
    archive.media_type = "application/vnd.cncf.model.doc.v1.tar".to_owned();
    let artifact = store
        .artifact(manifest(vec![archive, layer(&store, "a", b"a")]))
        .await;
    let target = around.path().join("model");
    let error = pull_unchecked(&store, artifact.clone(), &target, &options())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::NotAModel);
    pull_unchecked(&store, artifact, &target, &including(&["a"]))
        .await
        .unwrap();
    assert_eq!(names(&target), [".modelctl", "a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_is_given_up_cleans_up() {
    let around = tempfile::tempdir().unwrap();
    let target = around.path().join("made/model");
    let (reached, mut waiting) = tokio::sync::mpsc::channel(16);
    let store = Memory::default().serving(move |_, bytes| {
        let reached = reached.clone();
        let first = bytes.slice(..bytes.len() / 2);
        let stuck = futures_util::stream::once(async move {
            reached.send(()).await.unwrap();
            std::future::pending().await
        });
        Ok(Box::pin(
            futures_util::stream::iter([Ok(first)]).chain(stuck),
        ))
    });
    let artifact = pushed(&store, &files()).await;
    let options = options();
    tokio::select! {
        _ = pull_unchecked(&store, artifact, &target, &options) => panic!("it cannot end"),
        _ = waiting.recv() => {}
    }
    assert_eq!(snapshot(around.path()).len(), 0);
}

#[tokio::test]
async fn what_killed_pulls_left_behind_is_removed() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let left = around.path().join(".modelctl-staging-0123456789abcdef");
    write(&left, &files());
    write(&around.path().join("other"), &[("a", b"a".to_vec())]);
    let target = around.path().join("model");
    pull_unchecked(&store, artifact, &target, &options())
        .await
        .unwrap();
    assert_eq!(names(around.path()), ["model", "other"]);
}

#[tokio::test]
async fn no_more_files_are_fetched_at_once_than_was_asked_for() {
    let around = tempfile::tempdir().unwrap();
    for concurrency in [0, 1, 4] {
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen) = (Arc::clone(&open), Arc::clone(&most));
        let store = Memory::default().serving(move |_, bytes| {
            let now = counted.fetch_add(1, Ordering::SeqCst) + 1;
            seen.fetch_max(now, Ordering::SeqCst);
            let counted = Arc::clone(&counted);
            let last = futures_util::stream::once(async move {
                tokio::task::yield_now().await;
                counted.fetch_sub(1, Ordering::SeqCst);
                Ok(bytes)
            });
            Ok(Box::pin(last))
        });
        let contents: Vec<_> = (0..20_u8)
            .map(|n| (format!("{n}.txt"), vec![n; 9]))
            .collect();
        let files: Vec<_> = contents
            .iter()
            .map(|(n, c)| (n.as_str(), c.clone()))
            .collect();
        let artifact = pushed(&store, &files).await;
        let options = PullOptions {
            concurrency,
            ..options()
        };
        let target = around.path().join(format!("model-{concurrency}"));
        pull_unchecked(&store, artifact, &target, &options)
            .await
            .unwrap();
        assert!((1..=concurrency.max(1)).contains(&most.load(Ordering::SeqCst)));
    }
}

#[tokio::test]
async fn two_pulls_to_one_target_end_with_one_whole_model() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let target = around.path().join("model");
    let options = options();
    let one = pull_unchecked(&store, artifact.clone(), &target, &options);
    let other = pull_unchecked(&store, artifact.clone(), &target, &options);
    let (one, other) = tokio::join!(one, other);
    let refused = match (one, other) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        ended => panic!("{ended:?}"),
    };
    assert_eq!(refused.reason(), Reason::TargetExists);
    assert_eq!(names(around.path()), ["model"]);
    assert_eq!(names(&target).len(), 6);
}
