//! Pushing again what has not changed: the fewest requests that can tell so.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use modelctl::attest::sign;
use modelctl::digest_cache::DigestCache;
use modelctl::pack::{Memory, PackOptions, Plan};
use modelctl::progress::silent;
use modelctl::push::{PushOptions, Pushed, push};
use modelctl::reference::Reference;
use modelctl::registry::{Client, Repository, Settings};
use modelctl::sign::key::{KeySigner, Password, PrivateKey};
use modelctl::store::Store;
use modelctl::verify::Artifact;

use crate::support::registry::{Options, Referrers, Registry};
use crate::with_model_and_key;

/// Pushes as the command does, by a clock that is an hour ahead: files that were made a moment ago
/// then count as left alone.
async fn push_to(store: &Repository, reference: &Reference, directory: &Path) -> Pushed {
    let cache = DigestCache::open(&directory.join("../digests"));
    let options = PushOptions {
        pack: PackOptions::default(),
        concurrency: 3,
        memory: Some(Memory {
            cache: Arc::new(cache),
            clock: || Timestamp::now() + SignedDuration::from_hours(1),
        }),
        gate: None,
        tag: reference.tag().cloned(),
    };
    let plan = Plan::read(directory, &options.pack).await.unwrap();
    let pushed = push(store, &plan, &options, silent()).await.unwrap();
    options.memory.unwrap().cache.save().unwrap();
    pushed
}

/// Pushes, signs if there is a signer, and tags, as the command does.
async fn publish(
    store: &Repository,
    reference: &Reference,
    directory: &Path,
    signer: Option<&KeySigner>,
) {
    let pushed = push_to(store, reference, directory).await;
    if let Some(signer) = signer {
        let artifact = Artifact::stored(reference.clone(), pushed.document.clone());
        let none = serde_json::Map::new();
        let now = Timestamp::now();
        sign(store, &artifact, none, signer, now).await.unwrap();
    }
    if !pushed.is_tagged {
        let tag = reference.tag();
        store.put_manifest(&pushed.document, tag).await.unwrap();
    }
}

fn signer() -> KeySigner {
    let pem = include_bytes!("../../fixtures/keys/p256.key");
    let password = || Ok(Password::new(Vec::new()));
    KeySigner::new(
        "a key",
        PrivateKey::from_pem(pem, password, "a key").unwrap(),
    )
}

fn asked(registry: &Registry) -> Vec<String> {
    let asked = registry.requests();
    registry.forget_requests();
    let line = |seen: &crate::support::registry::contents::Seen| {
        let path = seen.path.trim_start_matches("/v2/acme/bert/");
        format!("{} {}", seen.method, path.split(['/', '?']).next().unwrap())
    };
    asked.iter().map(line).collect()
}

#[tokio::test]
async fn an_unchanged_model_that_is_tagged_already_is_one_request() {
    let registry = Registry::start(Options::default());
    let at = with_model_and_key();
    let reference: Reference = format!("{}/acme/bert:v1", registry.host()).parse().unwrap();
    let moved: Reference = format!("{}/acme/bert:v2", registry.host()).parse().unwrap();
    let client = Client::new(Settings::default()).unwrap();
    let store = client.repository(reference.location()).unwrap();
    let model = at.path("model");
    publish(&store, &reference, &model, None).await;
    let first = registry.tag("acme/bert", "v1").unwrap();
    assert!(asked(&registry).len() > 10);

    publish(&store, &reference, &model, None).await;
    assert_eq!(asked(&registry), ["GET manifests"]);

    // Under another tag it is looked for by its digest, tagged, and looked at again.
    publish(&store, &moved, &model, None).await;
    let expected = ["GET", "GET", "PUT", "GET"].map(|method| format!("{method} manifests"));
    assert_eq!(asked(&registry), expected);
    assert_eq!(registry.tag("acme/bert", "v2").unwrap(), first);

    // A tag that somebody moved to something unreadable is set back.
    let media_type = "application/vnd.oci.image.index.v1+json";
    let other = registry.put_manifest("acme/bert", media_type, "{}");
    registry.put_tag("acme/bert", "v1", &other);
    publish(&store, &reference, &model, None).await;
    assert_eq!(registry.tag("acme/bert", "v1").unwrap(), first);

    at.write("model/README.md", "# Changed\n");
    publish(&store, &reference, &model, None).await;
    assert_ne!(registry.tag("acme/bert", "v1").unwrap(), first);
}

#[tokio::test]
async fn an_unchanged_model_that_is_signed_already_is_few_requests_and_one_signature() {
    for referrers in [Referrers::Api, Referrers::TagSchema] {
        let registry = Registry::start(Options {
            referrers,
            ..Options::default()
        });
        let at = with_model_and_key();
        let reference: Reference = format!("{}/acme/bert:v1", registry.host()).parse().unwrap();
        let client = Client::new(Settings::default()).unwrap();
        let store = client.repository(reference.location()).unwrap();
        let signer = signer();
        publish(&store, &reference, &at.path("model"), Some(&signer)).await;
        let manifests = registry.manifests("acme/bert");
        registry.forget_requests();

        publish(&store, &reference, &at.path("model"), Some(&signer)).await;
        let asked = asked(&registry);
        // The tag; both ways of listing referrers; the one there is, and the bundle in it.
        let mut sorted = asked.clone();
        sorted.sort();
        let expected = [
            "GET blobs",
            "GET manifests",
            "GET manifests",
            "GET manifests",
        ];
        assert_eq!(
            sorted,
            [&expected[..], &["GET referrers"]].concat(),
            "{asked:?}"
        );
        assert_eq!(registry.manifests("acme/bert"), manifests);
    }
}
