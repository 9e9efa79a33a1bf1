//! Who is believed about what a tag means and who refers to an artifact.

use modelctl::blob::InMemory;
use modelctl::error::Reason;
use modelctl::manifest::{Descriptor, Document, Manifest, media_type};
use modelctl::progress::Silent;
use modelctl::reference::Selector;
use modelctl::registry::mirrors::Mirrored;
use modelctl::store::{RawDocument, Store};

use crate::support::registry::{Action, Fault, Registry};
use crate::{NAME, Scene, reason};

/// Returns a manifest that differs by `name`.
pub(crate) fn manifest(name: &str, layers: &[Descriptor]) -> RawDocument {
    let mut manifest = Manifest::new("application/x", Descriptor::empty_json(), layers.to_vec());
    manifest
        .annotations
        .insert("name".to_owned(), name.to_owned());
    RawDocument::of(Document::Manifest(manifest)).unwrap()
}

fn v1() -> Selector {
    Selector::Tag("v1".parse().unwrap())
}

fn tag(registry: &Registry, document: &RawDocument) {
    registry.put_manifest(NAME, media_type::MANIFEST, document.bytes());
    registry.put_tag(NAME, "v1", &document.digest().to_string());
}

/// Returns a registry and a mirror that has another, older idea of what `v1` is.
fn disagreeing() -> (Scene, RawDocument, RawDocument) {
    let scene = Scene::new(1);
    let (new, old) = (manifest("new", &[]), manifest("old", &[]));
    tag(&scene.origin, &new);
    tag(&scene.mirrors[0], &old);
    (scene, new, old)
}

#[tokio::test]
async fn a_tag_means_what_the_registry_says() {
    let (scene, new, _) = disagreeing();
    let found = scene.store().manifest(&v1()).await.unwrap();
    assert_eq!(found.digest(), new.digest());
    assert_eq!(scene.mirrors[0].requests().len(), 0);
}

#[tokio::test]
async fn a_tag_means_what_a_mirror_says_where_the_user_and_its_capabilities_say_so() {
    let (scene, new, old) = disagreeing();
    let url = scene.mirrors[0].url();
    for (capabilities, expected) in [
        ("[\"pull\", \"resolve\"]", &old),
        ("[\"pull\"]", &new),
        ("[\"pull\", \"push\"]", &new),
    ] {
        scene.say(&format!("[host.{url:?}]\ncapabilities = {capabilities}"));
        let found = scene.believing_store().manifest(&v1()).await.unwrap();
        assert_eq!(found.digest(), expected.digest(), "{capabilities}");
        let found = scene.store().manifest(&v1()).await.unwrap();
        assert_eq!(found.digest(), new.digest(), "{capabilities}");
    }
}

#[tokio::test]
async fn a_believed_mirror_that_does_not_know_a_tag_is_passed_over() {
    let (scene, new, _) = disagreeing();
    scene.mirrors[0].remove_tag(NAME, "v1");
    let found = scene.believing_store().manifest(&v1()).await.unwrap();
    assert_eq!(found.digest(), new.digest());
}

#[tokio::test]
async fn a_mirror_that_may_not_pull_is_not_asked_for_content() {
    let scene = Scene::new(1);
    let (bytes, blob) = scene.blob(10);
    let url = scene.mirrors[0].url();
    scene.say(&format!("[host.{url:?}]\ncapabilities = [\"resolve\"]"));
    let read = scene.store().blob(&blob).await.unwrap();
    assert_eq!(read.into_bytes(10).await.unwrap(), bytes);
    assert_eq!(scene.asked(), [1, 0]);
}

/// Puts a manifest that refers to `subject`.
fn refer(registry: &Registry, subject: &RawDocument) -> Descriptor {
    let mut manifest = Manifest::new("application/sig", Descriptor::empty_json(), Vec::new());
    manifest.subject = Some(subject.descriptor().plain());
    let document = RawDocument::of(Document::Manifest(manifest)).unwrap();
    registry.put_manifest(NAME, media_type::MANIFEST, document.bytes());
    document.descriptor().clone()
}

async fn count(store: &Mirrored, subject: &RawDocument) -> modelctl::error::Result<usize> {
    let listed = store.referrers(subject.descriptor()).await?;
    Ok(listed.len())
}

#[tokio::test]
async fn that_a_mirror_lists_nobody_does_not_make_an_artifact_unsigned() {
    let (scene, new, _) = disagreeing();
    refer(&scene.origin, &new);
    assert_eq!(count(&scene.store(), &new).await.unwrap(), 1);
    assert_eq!(scene.mirrors[0].requests().len(), 0);
    // A believed one is asked first, and not believed about this.
    assert_eq!(count(&scene.believing_store(), &new).await.unwrap(), 1);
    assert!(scene.mirrors[0].count("GET", "/referrers/") > 0);
}

#[tokio::test]
async fn a_mirrors_list_counts_only_where_the_user_said_so() {
    let (scene, new, _) = disagreeing();
    refer(&scene.mirrors[0], &new);
    assert_eq!(count(&scene.store(), &new).await.unwrap(), 0);
    assert_eq!(count(&scene.believing_store(), &new).await.unwrap(), 1);
}

#[tokio::test]
async fn without_the_registry_only_what_has_a_digest_can_be_had() {
    let (scene, new, old) = disagreeing();
    refer(&scene.mirrors[0], &old);
    let (bytes, blob) = scene.blob(10);
    scene.origin.fault(Fault::on("*", "").does(Action::Close));

    let store = scene.store();
    let by_digest = Selector::Digest(*old.digest());
    let found = store.manifest(&by_digest).await.unwrap();
    assert_eq!(found.digest(), old.digest());
    let read = store.blob(&blob).await.unwrap();
    assert_eq!(read.into_bytes(10).await.unwrap(), bytes);
    assert_eq!(scene.origin.requests().len(), 0);

    // Unreachable is unreachable, not "no such tag" and not "unsigned".
    assert_eq!(reason(store.manifest(&v1()).await), Reason::Connection);
    assert_eq!(reason(count(&store, &old).await), Reason::Connection);
    assert_eq!(reason(store.tags().await), Reason::Connection);
    let hint = store.manifest(&v1()).await.unwrap_err();
    assert!(hint.advice().unwrap().contains("--resolve-at mirror"));

    // Unless the user believes mirrors, who may then also say "nobody".
    let store = scene.believing_store();
    let found = store.manifest(&v1()).await.unwrap();
    assert_eq!(found.digest(), old.digest());
    assert_eq!(count(&store, &old).await.unwrap(), 1);
    assert_eq!(count(&store, &new).await.unwrap(), 0);
    assert_eq!(store.tags().await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_believed_mirrors_fail_too_nothing_is_said_about_signatures() {
    let (scene, new, _) = disagreeing();
    for registry in [&scene.origin, &scene.mirrors[0]] {
        registry.fault(Fault::on("*", "").does(Action::Close));
    }
    let refused = reason(count(&scene.believing_store(), &new).await);
    assert_eq!(refused, Reason::Connection);
}

#[tokio::test]
async fn a_refusal_of_the_registry_is_not_overruled_by_a_mirrors_empty_list() {
    let (scene, new, _) = disagreeing();
    let forbidden = Action::Status(403, "{}".to_owned());
    scene.origin.fault(Fault::on("*", "").does(forbidden));
    let refused = reason(count(&scene.believing_store(), &new).await);
    assert_eq!(refused, Reason::Forbidden);
}

#[tokio::test]
async fn the_server_of_the_file_is_the_registry() {
    let scene = Scene::new(2);
    let (new, old) = (manifest("new", &[]), manifest("old", &[]));
    tag(&scene.origin, &old);
    tag(&scene.mirrors[1], &new);
    let (mirror, server) = (scene.mirrors[0].url(), scene.mirrors[1].url());
    scene.say(&format!("server = {server:?}\n[host.{mirror:?}]"));
    let found = scene.store().manifest(&v1()).await.unwrap();
    assert_eq!(found.digest(), new.digest());
    assert_eq!(scene.origin.requests().len(), 0);
    let namespace = format!("ns={}", scene.origin.host().replace(':', "%3A"));
    assert_eq!(scene.mirrors[1].count("GET", &namespace), 1);
}

#[tokio::test]
async fn nothing_is_written_through_mirrors() {
    let scene = Scene::new(1);
    let store = scene.store();
    let document = manifest("new", &[]);
    let (bytes, blob) = (bytes::Bytes::from_static(b"x"), Descriptor::of("x", b"x"));
    let put = store.put_blob(&blob, &InMemory(bytes), &Silent).await;
    assert_eq!(reason(put), Reason::Internal);
    let put = store.put_manifest(&document, None).await;
    assert_eq!(reason(put), Reason::Internal);
    assert_eq!(scene.mirrors[0].requests().len(), 0);
    assert_eq!(scene.origin.requests().len(), 0);
}
