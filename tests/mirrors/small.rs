//! Small content: checked before anybody sees it, and mirrors that fail too often.

use bytes::Bytes;
use modelctl::error::Reason;
use modelctl::manifest::{Descriptor, media_type};
use modelctl::reference::Selector;
use modelctl::store::Store;

use crate::support::registry::{Action, Fault};
use crate::trust::manifest;
use crate::{NAME, Scene, first, origin, reason};

async fn read(store: &impl Store, blob: &Descriptor) -> modelctl::error::Result<Bytes> {
    store.blob(blob).await?.into_bytes(1 << 20).await
}

#[tokio::test]
async fn a_lie_is_noticed_before_anybody_sees_it() {
    for action in [
        Action::Corrupt(5),
        Action::Truncate(5),
        Action::ExtraBytes(5),
        Action::Close,
        Action::Status(404, "{}".to_owned()),
        Action::Status(500, "{}".to_owned()),
    ] {
        let scene = Scene::new(1);
        let (bytes, blob) = scene.blob(1000);
        scene.mirrors[0].fault(Fault::on("GET", "/blobs/").does(action));
        let store = scene.store();
        assert_eq!(read(&store, &blob).await.unwrap(), bytes);
        assert_eq!(scene.asked(), [1, 1]);
        assert_eq!(origin(&store).bytes, 1000);
    }
}

#[tokio::test]
async fn a_mirror_that_fails_three_times_in_a_row_is_set_aside_and_told_of_once() {
    let scene = Scene::new(1);
    let unavailable = Action::Status(503, "{}".to_owned());
    scene.mirrors[0].fault(Fault::on("GET", "").does(unavailable));
    let store = scene.store();
    for size in 1..=6 {
        let (bytes, blob) = scene.blob(size);
        assert_eq!(read(&store, &blob).await.unwrap(), bytes);
    }
    assert_eq!(scene.asked(), [6, 3]);
    assert_eq!((first(&store).failures, first(&store).set_aside), (3, true));
    assert_eq!(scene.notes.count("is not asked any more"), 1);
}

#[tokio::test]
async fn a_mirror_that_fails_now_and_then_is_asked_on() {
    let scene = Scene::new(1);
    for skip in [0, 0, 1, 1, 2, 2] {
        let unavailable = Action::Status(503, "{}".to_owned());
        let fault = Fault::on("GET", "/blobs/").after(skip).times(1);
        scene.mirrors[0].fault(fault.does(unavailable));
    }
    let store = scene.store();
    for size in 1..=12 {
        let (bytes, blob) = scene.blob(size);
        assert_eq!(read(&store, &blob).await.unwrap(), bytes);
    }
    assert_eq!(scene.mirrors[0].count("GET", "/blobs/"), 12);
    assert!(first(&store).failures >= 4);
    assert!(!first(&store).set_aside);
}

#[tokio::test]
async fn a_mirror_that_only_does_not_have_it_is_never_set_aside() {
    let scene = Scene::new(1);
    let store = scene.store();
    for size in 1..=6 {
        let (bytes, blob) = scene.blob(size);
        scene.mirrors[0].remove_blob(NAME, &blob.digest.to_string());
        assert_eq!(read(&store, &blob).await.unwrap(), bytes);
    }
    assert_eq!(scene.asked(), [6, 6]);
    assert_eq!((first(&store).misses, first(&store).failures), (6, 0));
    assert_eq!(scene.notes.count(""), 0);
}

#[tokio::test]
async fn what_is_nowhere_is_missing_by_the_registrys_word() {
    let scene = Scene::new(1);
    let blob = Descriptor::of("x", b"nowhere");
    let store = scene.store();
    assert_eq!(reason(read(&store, &blob).await), Reason::BlobNotFound);
    let failing = Action::Status(403, "{}".to_owned());
    scene
        .origin
        .fault(Fault::on("GET", "/blobs/").does(failing));
    // A mirror's 404 does not turn the registry's refusal into absence.
    assert_eq!(reason(read(&scene.store(), &blob).await), Reason::Forbidden);
}

#[tokio::test]
async fn a_manifest_by_digest_comes_from_whoever_has_it_right() {
    let manifest = manifest("right", &[]);
    let by_digest = Selector::Digest(*manifest.digest());
    for action in [
        None,
        Some(Action::Status(404, "{}".to_owned())),
        Some(Action::Status(502, "{}".to_owned())),
        Some(Action::Close),
        Some(Action::Corrupt(3)),
        Some(Action::Header("content-type".into(), "text/html".into())),
    ] {
        let scene = Scene::new(1);
        for registry in [&scene.origin, &scene.mirrors[0]] {
            registry.put_manifest(NAME, media_type::MANIFEST, manifest.bytes());
        }
        let asked = usize::from(action.is_some());
        if let Some(action) = action {
            scene.mirrors[0].fault(Fault::on("GET", "/manifests/").does(action));
        }
        let found = scene.store().manifest(&by_digest).await.unwrap();
        assert_eq!(found.digest(), manifest.digest());
        assert_eq!(scene.origin.count("GET", "/manifests/"), asked);
        assert!(scene.mirrors[0].count("GET", "/manifests/") >= 1);
    }
}
