//! Large blobs through mirrors that fail in every way: each costs a try elsewhere.

use std::time::Duration;

use futures_util::StreamExt;
use modelctl::copy::copy;
use modelctl::error::Reason;
use modelctl::manifest::{Descriptor, media_type};
use modelctl::progress::Silent;
use modelctl::reference::Selector;
use modelctl::store::layout::{Access, Layout};
use modelctl::store::{Part, Store};

use crate::support::registry::{Action, Fault, Options};
use crate::trust::manifest;
use crate::{NAME, Scene, download, first, origin, reason};

/// Larger than what is held in memory.
const SIZE: usize = 5 << 20;
const MIB: usize = 1 << 20;

fn on_blobs(actions: impl IntoIterator<Item = Action>) -> Fault {
    let fault = Fault::on("GET", "/blobs/");
    actions.into_iter().fold(fault, Fault::does)
}

fn status(status: u16) -> Action {
    Action::Status(status, "{}".to_owned())
}

/// Returns the ranges that were asked for at the registry itself.
fn ranges(scene: &Scene) -> Vec<String> {
    let requests = scene.origin.requests();
    let ranges = requests
        .iter()
        .filter_map(|request| request.header("range"));
    ranges.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_mirror_that_has_it_is_the_only_one_asked() {
    let scene = Scene::new(2);
    let (bytes, blob) = scene.blob(SIZE);
    let store = scene.store();
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    assert_eq!(scene.asked(), [0, 1, 0]);
    assert_eq!(first(&store).bytes, SIZE as u64);
    assert_eq!((first(&store).answers, first(&store).failures), (1, 0));
    assert_eq!(origin(&store).bytes, 0);
    assert_eq!(scene.origin.requests().len(), 0);
}

#[tokio::test]
async fn what_a_mirror_does_not_give_comes_whole_from_elsewhere() {
    for (actions, misses, failures) in [
        (vec![status(404)], 1, 0),
        (vec![status(500)], 0, 1),
        (vec![status(503)], 0, 1),
        (vec![status(429)], 0, 1),
        (vec![status(401)], 0, 1),
        (vec![status(403)], 0, 1),
        (vec![status(206)], 0, 1),
        (vec![status(304)], 0, 1),
        (vec![Action::Close], 0, 1),
        // What is longer is known to be wrong before it comes.
        (vec![Action::ExtraBytes(10)], 0, 1),
        (
            vec![Action::Header("content-encoding".into(), "gzip".into())],
            0,
            1,
        ),
    ] {
        let scene = Scene::new(1);
        let (bytes, blob) = scene.blob(SIZE);
        scene.mirrors[0].fault(on_blobs(actions));
        let store = scene.store();
        assert_eq!(download(&store, &blob).await.unwrap(), bytes);
        // One try each: whoever has somebody else to ask does not wait.
        assert_eq!(scene.asked(), [1, 1], "{misses} {failures}");
        assert_eq!(
            (first(&store).misses, first(&store).failures),
            (misses, failures)
        );
        assert_eq!(
            (first(&store).bytes, origin(&store).bytes),
            (0, SIZE as u64)
        );
    }
}

#[tokio::test]
async fn a_mirror_that_is_not_there_costs_one_try() {
    let mut scene = Scene::new(1);
    let (bytes, blob) = scene.blob(SIZE);
    scene.mirrors.clear();
    let store = scene.store();
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    assert_eq!((first(&store).failures, first(&store).bytes), (1, 0));
    assert_eq!(origin(&store).bytes, SIZE as u64);
}

#[tokio::test]
async fn what_breaks_off_goes_on_elsewhere_where_it_broke() {
    for fault in [Action::Truncate(2 * MIB), Action::Stall(2 * MIB)] {
        for chunked in [false, true] {
            let mut scene = Scene::new(1);
            scene.stall = Duration::from_millis(500);
            let (bytes, blob) = scene.blob(SIZE);
            let chunked = chunked.then_some(Action::Chunked);
            scene.mirrors[0].fault(on_blobs([fault.clone()].into_iter().chain(chunked)));
            let store = scene.store();
            assert_eq!(download(&store, &blob).await.unwrap(), bytes);
            assert_eq!(scene.asked(), [1, 1]);
            assert_eq!(first(&store).bytes, 2 * MIB as u64);
            assert_eq!(origin(&store).bytes, (SIZE - 2 * MIB) as u64);
            let range = format!("bytes={}-{}", 2 * MIB, SIZE - 1);
            assert_eq!(ranges(&scene), [range]);
            assert_eq!(first(&store).failures, 1);
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_early_without_a_fault_goes_on_elsewhere() {
    let scene = Scene::new(1);
    let (bytes, blob) = scene.blob(SIZE);
    let half = bytes[..2 * MIB].to_vec();
    let short = Action::Respond(200, Vec::new(), half);
    scene.mirrors[0].fault(on_blobs([short, Action::Chunked]));
    let store = scene.store();
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    assert_eq!(scene.asked(), [1, 1]);
    assert_eq!(first(&store).failures, 1);
}

#[tokio::test]
async fn wrong_bytes_are_noticed_and_their_giver_set_aside_at_once() {
    let scene = Scene::new(1);
    let (bytes, blob) = scene.blob(SIZE);
    let (more, other) = scene.blob(SIZE + 1);
    scene.mirrors[0].fault(on_blobs([Action::Corrupt(3 * MIB)]));
    let store = scene.store();
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    assert_eq!(scene.asked(), [1, 1]);
    assert!(first(&store).set_aside);
    assert_eq!(download(&store, &other).await.unwrap(), more);
    assert_eq!(scene.asked(), [2, 1], "the mirror was asked again");
    assert_eq!(scene.notes.count("is not asked any more"), 1);
}

#[tokio::test]
async fn any_number_of_liars_is_passed_over() {
    let scene = Scene::new(4);
    let (bytes, blob) = scene.blob(SIZE);
    for mirror in &scene.mirrors {
        mirror.fault(on_blobs([Action::Corrupt(0)]));
    }
    let store = scene.store();
    // A download tries three times; each of these lies is somebody else's.
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    assert_eq!(scene.asked(), [1, 1, 1, 1, 1]);
    assert!(store.sources().iter().all(|s| s.origin || s.set_aside));
}

#[tokio::test]
async fn where_the_registry_lies_too_nothing_is_taken() {
    let scene = Scene::new(1);
    let (_, blob) = scene.blob(SIZE);
    for registry in [&scene.mirrors[0], &scene.origin] {
        registry.fault(on_blobs([Action::Corrupt(0)]));
    }
    let refused = reason(download(&scene.store(), &blob).await);
    assert_eq!(refused, Reason::DigestMismatch);
}

#[tokio::test]
async fn what_comes_after_the_last_byte_is_cut_off() {
    for more in [Action::ExtraBytes(10), Action::Endless] {
        let scene = Scene::new(1);
        let (bytes, blob) = scene.blob(SIZE);
        scene.mirrors[0].fault(on_blobs([more, Action::Chunked]));
        let store = scene.store();
        assert_eq!(download(&store, &blob).await.unwrap(), bytes);
        assert_eq!(scene.asked(), [0, 1]);
        assert_eq!(first(&store).bytes, SIZE as u64);
        assert!(first(&store).set_aside);
    }
}

#[tokio::test]
async fn a_mirror_without_ranges_goes_on_where_another_broke() {
    let without = Options {
        ranges: false,
        ..Options::default()
    };
    let scene = Scene::with(Options::default(), vec![Options::default(), without]);
    let (bytes, blob) = scene.blob(SIZE);
    scene.mirrors[0].fault(on_blobs([Action::Truncate(2 * MIB)]));
    let store = scene.store();
    assert_eq!(download(&store, &blob).await.unwrap(), bytes);
    // It answers 200 with all of it; what is there already is passed over.
    assert_eq!(scene.asked(), [0, 1, 1]);
    assert_eq!(store.sources()[1].bytes, (SIZE - 2 * MIB) as u64);
    assert_eq!(store.sources()[1].failures, 0);
}

#[tokio::test]
async fn a_copy_that_breaks_or_lies_is_put_right_too() {
    for fault in [Action::Truncate(2 * MIB), Action::Corrupt(3 * MIB)] {
        let scene = Scene::new(1);
        let (bytes, blob) = scene.blob(SIZE);
        let manifest = manifest("", std::slice::from_ref(&blob));
        let (manifest, digest) = (manifest.bytes(), *manifest.digest());
        for registry in [&scene.origin, &scene.mirrors[0]] {
            registry.put_blob(NAME, b"{}");
            registry.put_manifest(NAME, media_type::MANIFEST, manifest);
        }
        scene.mirrors[0].fault(Fault::on("GET", &blob.digest.to_string()).does(fault));
        let store = scene.store();
        let target = tempfile::tempdir().unwrap();
        let target = Layout::open(target.path(), Access::ReadOrCreate).unwrap();
        let selector = Selector::Digest(digest);
        let options = modelctl::copy::Options {
            referrers: false,
            concurrency: 1,
        };
        copy(&store, &selector, &target, None, options, &Silent)
            .await
            .unwrap();
        let copied = target.blob(&blob).await.unwrap();
        assert_eq!(copied.into_bytes(1 << 30).await.unwrap(), bytes);
        assert_eq!(first(&store).failures, 1);
    }
}

#[tokio::test]
async fn parts_come_from_mirrors_too() {
    let scene = Scene::new(1);
    let (bytes, blob) = scene.blob(SIZE);
    let store = scene.store();
    assert_eq!(part(&store, &blob, 10, 20).await, bytes[10..20]);
    scene.mirrors[0].fault(on_blobs([Action::Truncate(4)]));
    assert_eq!(part(&store, &blob, 10, 20).await, bytes[10..20]);
    assert_eq!(ranges(&scene), ["bytes=14-19"]);
    assert_eq!(scene.asked(), [1, 2]);
}

async fn part(store: &impl Store, blob: &Descriptor, from: u64, to: u64) -> Vec<u8> {
    let Part::Range(mut body) = store.blob_part(blob, from..to).await.unwrap() else {
        panic!("the mirror serves ranges");
    };
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}
