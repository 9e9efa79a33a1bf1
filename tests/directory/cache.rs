//! Pulling by way of a content store.

use std::path::Path;

use modelctl::content_store::{ContentStore, Link};
use modelctl::error::Reason;
use modelctl::unpack::{Cache, PullOptions};
use modelctl::walk::Selection;

use crate::memory::{Memory, pieces};
use crate::model::{files, names, safetensors, snapshot};
use crate::pull::{options, pull_unchecked, pushed, replacing};

/// Returns how to pull by way of the store in `around`.
fn caching(around: &Path, link: Link) -> PullOptions {
    PullOptions {
        cache: Some(Cache {
            content: ContentStore::open(&around.join("store")).unwrap(),
            link,
        }),
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pulls_in_one_process_read_each_blob_once() {
    for link in [Link::Reflink, Link::HardLink] {
        let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
        let mut model = files();
        model.push(("large.safetensors", safetensors(2 << 20)));
        let artifact = pushed(&store, &model).await;
        let options = caching(around.path(), Link::HardLink);
        let (one, two) = (around.path().join("one"), around.path().join("two"));
        let one = pull_unchecked(&store, artifact.clone(), &one, &options);
        let two = pull_unchecked(&store, artifact, &two, &options);
        let (one, two) = tokio::join!(one, two);
        // Two files are equal, and one is empty.
        assert_eq!(store.reads().len(), model.len() - 2, "{link:?}");
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(one.reused_bytes + two.reused_bytes >= one.bytes);
    }
}

#[tokio::test]
async fn without_links_what_is_there_is_copied_and_nothing_is_kept() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let copying = caching(around.path(), Link::Copy);
    let target = around.path().join("model");
    for _ in 0..2 {
        let options = PullOptions {
            existing: replacing().existing,
            ..copying.clone()
        };
        let pulled = pull_unchecked(&store, artifact.clone(), &target, &options);
        assert_eq!(pulled.await.unwrap().reused_bytes, 0);
    }
    let linking = caching(around.path(), Link::HardLink);
    let other = around.path().join("other");
    let filled = pull_unchecked(&store, artifact.clone(), &other, &linking);
    filled.await.unwrap();
    let third = around.path().join("third");
    let pulled = pull_unchecked(&store, artifact, &third, &copying)
        .await
        .unwrap();
    assert_eq!(pulled.reused_bytes, pulled.bytes);
    assert_eq!(snapshot(&third).len(), snapshot(&other).len());
}

#[tokio::test]
async fn a_pull_that_fails_keeps_what_is_right_and_installs_nothing() {
    let around = tempfile::tempdir().unwrap();
    let wrong = safetensors(700_000);
    let size = wrong.len() as u64;
    let store = Memory::default().serving(move |descriptor, bytes| {
        let bytes = match descriptor.size == size {
            true => bytes.iter().map(|byte| byte ^ 1).collect(),
            false => bytes,
        };
        Ok(pieces(vec![Ok(bytes)]))
    });
    let artifact = pushed(&store, &files()).await;
    let options = PullOptions {
        concurrency: 1,
        ..caching(around.path(), Link::HardLink)
    };
    let target = around.path().join("model");
    let error = pull_unchecked(&store, artifact.clone(), &target, &options);
    assert_eq!(error.await.unwrap_err().reason(), Reason::DigestMismatch);
    assert_eq!(names(around.path()), ["store"]);
    assert!(names(&around.path().join("store/ingest")).is_empty());

    // What came before it is there.
    let read = store.reads().len();
    let rest = PullOptions {
        selection: Selection {
            exclude: vec!["*.safetensors".to_owned()],
            ..Selection::default()
        },
        ..options
    };
    let pulled = pull_unchecked(&store, artifact, &target, &rest)
        .await
        .unwrap();
    let again = store.reads().len() - read;
    assert!(pulled.reused_files > 0 || again == 4, "{again} {pulled:?}");
}
