//! Manifests: who lies about them, and who has something else afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};

use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::manifest::media_type;
use modelctl::reference::Selector;
use modelctl::store::{RawDocument, Store};

use crate::scripted::{Registry, Seen, Shelf, broken, endless, refusal, reply, with};
use crate::{manifest, open, reason, tag};

const DIGEST: &str = "docker-content-digest";

/// Starts a registry that answers every fetch of a manifest with `document`, as changed by `how`.
async fn answering(
    document: &RawDocument,
    how: impl Fn(Vec<u8>, Vec<(&'static str, String)>) -> axum::response::Response
    + Send
    + Sync
    + 'static,
) -> Registry {
    let bytes = document.bytes().to_vec();
    let digest = document.digest().to_string();
    Registry::start(move |seen: &Seen, _: &Shelf| {
        let headers = vec![
            ("content-type", media_type::MANIFEST.to_owned()),
            (DIGEST, digest.clone()),
        ];
        seen.is("GET", "/manifests/")
            .then(|| how(bytes.clone(), headers))
    })
    .await
}

fn headed(bytes: Vec<u8>, headers: &[(&str, String)]) -> axum::response::Response {
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    with(200, &headers, bytes)
}

#[tokio::test]
async fn comes_back_as_it_was_put_by_tag_and_by_digest() {
    let registry = Registry::honest().await;
    let store = open(&registry.host());
    let document = manifest("a", None);
    store
        .put_manifest(&document, Some(&tag("v1")))
        .await
        .unwrap();
    for selector in [
        Selector::Tag(tag("v1")),
        Selector::Digest(*document.digest()),
    ] {
        let fetched = store.manifest(&selector).await.unwrap();
        assert_eq!(fetched.bytes(), document.bytes());
        assert_eq!(fetched.descriptor(), document.descriptor());
    }
    assert_eq!(store.tags().await.unwrap(), [tag("v1")]);
}

#[tokio::test]
async fn what_the_registry_says_its_digest_is_must_be_true_or_unsaid() {
    let document = manifest("a", None);
    let honest = document.digest().to_string();
    let other = Digest::of(b"other").to_string();
    let upper = honest.to_uppercase();
    for (said, refused) in [
        (Some(honest.as_str()), false),
        (None, false),
        (Some(&other), true),
        (Some(&upper), true),
        (Some(""), true),
        (Some("sha256:../../etc/passwd"), true),
        (Some("sha512:00"), true),
        (Some("md5:d41d8cd98f00b204e9800998ecf8427e"), true),
    ] {
        let said = said.map(str::to_owned);
        let registry = answering(&document, move |bytes, mut headers| {
            headers.retain(|(name, _)| *name != DIGEST);
            headers.extend(said.clone().map(|said| (DIGEST, said)));
            headed(bytes, &headers)
        })
        .await;
        for selector in [
            Selector::Tag(tag("v1")),
            Selector::Digest(*document.digest()),
        ] {
            let fetched = open(&registry.host()).manifest(&selector).await;
            match refused {
                false => assert_eq!(fetched.unwrap().digest(), document.digest()),
                true => assert_eq!(reason(fetched), Reason::DigestMismatch),
            }
        }
    }
}

#[tokio::test]
async fn other_bytes_are_refused_after_a_second_look_past_the_cache() {
    let document = manifest("a", None);
    let spaced = [document.bytes(), &b"\n"[..]].concat();
    let registry = answering(&document, move |_, headers| {
        let headers: Vec<_> = headers.into_iter().filter(|(n, _)| *n != DIGEST).collect();
        headed(spaced.clone(), &headers)
    })
    .await;
    let selector = Selector::Digest(*document.digest());
    let fetched = open(&registry.host()).manifest(&selector).await;
    assert_eq!(reason(fetched), Reason::DigestMismatch);
    let seen = registry.seen();
    let asked: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("cache-control"))
        .collect();
    assert_eq!(asked, [None, Some("no-cache")]);
}

#[tokio::test]
async fn a_cache_that_was_wrong_once_is_forgiven() {
    let document = manifest("a", None);
    let asked = AtomicUsize::new(0);
    let stale = manifest("stale", None).bytes().to_vec();
    let registry = answering(&document, move |bytes, headers| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        headed(if first { stale.clone() } else { bytes }, &headers[..1])
    })
    .await;
    let selector = Selector::Digest(*document.digest());
    open(&registry.host()).manifest(&selector).await.unwrap();
}

#[tokio::test]
async fn must_come_as_one_of_the_four_kinds_and_be_it() {
    let document = manifest("a", None);
    for (announced, expected) in [
        (media_type::MANIFEST, None),
        (
            "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
            None,
        ),
        ("Application/Vnd.OCI.image.manifest.v1+JSON", None),
        (media_type::INDEX, Some(Reason::ManifestInvalid)),
        (media_type::DOCKER_MANIFEST, Some(Reason::ManifestInvalid)),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            Some(Reason::ManifestInvalid),
        ),
        ("application/json", Some(Reason::RegistryProtocol)),
        ("text/html", Some(Reason::RegistryProtocol)),
        ("", Some(Reason::RegistryProtocol)),
    ] {
        let registry = answering(&document, move |bytes, mut headers| {
            headers[0].1 = announced.to_owned();
            headed(bytes, &headers)
        })
        .await;
        let fetched = open(&registry.host())
            .manifest(&Selector::Tag(tag("v1")))
            .await;
        match expected {
            None => assert_eq!(fetched.unwrap().digest(), document.digest()),
            Some(expected) => assert_eq!(reason(fetched), expected, "{announced}"),
        }
    }
}

#[tokio::test]
async fn endless_ones_end_at_the_cap() {
    for status in [200, 404, 500] {
        let registry = Registry::start(move |_, _| {
            let headers = [("content-type", media_type::MANIFEST)];
            Some(with(status, &headers, endless()))
        })
        .await;
        let fetched = open(&registry.host())
            .manifest(&Selector::Tag(tag("v1")))
            .await;
        let expected = match status {
            200 => Reason::TooLarge,
            404 => Reason::ReferenceNotFound,
            _ => Reason::RegistryFailed,
        };
        assert_eq!(reason(fetched), expected);
    }
}

#[tokio::test]
async fn no_encoding_is_undone() {
    let document = manifest("a", None);
    for (encoding, refused) in [
        ("identity", false),
        ("gzip", true),
        ("br", true),
        ("zstd", true),
        ("deflate", true),
        ("identity, gzip", true),
    ] {
        let registry = answering(&document, move |bytes, mut headers| {
            headers.push(("content-encoding", encoding.to_owned()));
            headed(bytes, &headers)
        })
        .await;
        let fetched = open(&registry.host())
            .manifest(&Selector::Tag(tag("v1")))
            .await;
        match refused {
            false => drop(fetched.unwrap()),
            true => assert_eq!(reason(fetched), Reason::RegistryProtocol, "{encoding}"),
        }
        assert_eq!(
            registry.seen()[0].header("accept-encoding"),
            Some("identity")
        );
    }
}

#[tokio::test]
async fn a_broken_answer_is_asked_for_again() {
    let document = manifest("a", None);
    let asked = AtomicUsize::new(0);
    let registry = answering(&document, move |bytes, headers| {
        if asked.fetch_add(1, Ordering::SeqCst) > 1 {
            return headed(bytes, &headers);
        }
        let headers = [("content-type", media_type::MANIFEST)];
        with(200, &headers, broken(bytes[..20].to_vec()))
    })
    .await;
    let fetched = open(&registry.host())
        .manifest(&Selector::Tag(tag("v1")))
        .await
        .unwrap();
    assert_eq!(fetched.bytes(), document.bytes());
    assert_eq!(registry.count("GET", "/manifests/v1"), 3);
}

#[tokio::test]
async fn only_a_clear_404_is_not_found() {
    for (status, expected) in [
        (404, Reason::ReferenceNotFound),
        (400, Reason::RegistryFailed),
        (410, Reason::RegistryFailed),
        (403, Reason::Forbidden),
        (401, Reason::Unauthorised),
        (429, Reason::RateLimited),
        (500, Reason::RegistryFailed),
        (501, Reason::RegistryFailed),
        (204, Reason::RegistryProtocol),
        (206, Reason::RegistryProtocol),
        (304, Reason::RegistryProtocol),
    ] {
        let registry = Registry::start(move |_, _| Some(reply(status))).await;
        let store = open(&registry.host());
        let fetched = store.manifest(&Selector::Tag(tag("v1"))).await;
        assert_eq!(reason(fetched), expected, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_keeps_something_else_is_found_out() {
    let document = manifest("a", None);
    let other = manifest("b", None);
    for (path, by_tag) in [("/manifests/v1", true), ("/manifests/sha256:", false)] {
        let bytes = other.bytes().clone();
        let registry = Registry::start(move |seen, shelf| {
            (seen.is("PUT", path)).then(|| {
                let at = seen.path.strip_prefix("/v2/").unwrap();
                shelf.put(at, media_type::MANIFEST, bytes.clone());
                reply(201)
            })
        })
        .await;
        let version = tag("v1");
        let tag = by_tag.then_some(&version);
        let stored = open(&registry.host()).put_manifest(&document, tag).await;
        assert_eq!(reason(stored), Reason::DigestMismatch, "{path}");
    }
}

#[tokio::test]
async fn a_registry_that_keeps_nothing_or_says_it_kept_another_is_found_out() {
    let document = manifest("a", None);
    let forgetful = Registry::start(|seen, _| (seen.method == "PUT").then(|| reply(201))).await;
    let stored = open(&forgetful.host()).put_manifest(&document, None).await;
    assert_eq!(reason(stored), Reason::RegistryProtocol);

    let other = Digest::of(b"other").to_string();
    let confused = Registry::start(move |seen, _| {
        (seen.method == "PUT").then(|| with(201, &[(DIGEST, &other)], ""))
    })
    .await;
    let stored = open(&confused.host()).put_manifest(&document, None).await;
    assert_eq!(reason(stored), Reason::DigestMismatch);
}

#[tokio::test]
async fn the_words_of_a_refusal_are_shown_without_escapes() {
    let registry = Registry::start(|seen, _| {
        let words = "blob \u{1b}[31munknown\u{7}\r\nto registry";
        (seen.method == "PUT").then(|| refusal(400, "MANIFEST_BLOB_UNKNOWN", words))
    })
    .await;
    let stored = open(&registry.host())
        .put_manifest(&manifest("a", None), None)
        .await;
    let shown = stored.unwrap_err().to_string();
    let words = "400 Bad Request: MANIFEST_BLOB_UNKNOWN: blob [31munknownto registry";
    assert!(shown.contains(words), "{shown}");
    assert!(!shown.contains(char::is_control));
}

#[tokio::test]
async fn tags_come_in_pages_and_those_that_are_none_are_told() {
    let registry = Registry::start(|seen, _| {
        let page = |tags: &str, next: &str| {
            let link = format!("</v2/m/tags/list?last={next}>; rel=\"next\"");
            let headers = [("link", link.as_str())];
            let headers = if next.is_empty() {
                &[][..]
            } else {
                &headers[..]
            };
            with(200, headers, format!("{{\"name\":\"m\",\"tags\":{tags}}}"))
        };
        Some(match seen.query.as_str() {
            "" => page("[\"v2\",\"-bad\"]", "v2"),
            "last=v2" => page("[\"v10\",\"v2\"]", "v10"),
            _ => page("null", ""),
        })
    })
    .await;
    let notes = crate::Notes::default();
    let progress = std::sync::Arc::new(notes.clone());
    let settings = modelctl::registry::Settings {
        progress,
        ..crate::settings()
    };
    let tags = crate::repository(&registry.host(), settings)
        .tags()
        .await
        .unwrap();
    assert_eq!(tags, [tag("v10"), tag("v2")]);
    let notes = notes.0.lock().unwrap();
    assert!(
        notes.len() == 1 && notes[0].contains("\"-bad\""),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_list_of_tags_that_is_none_is_an_error() {
    for (body, status, expected) in [
        ("<html>", 200, Reason::RegistryProtocol),
        ("{\"tags\":5}", 200, Reason::RegistryProtocol),
        ("", 404, Reason::ReferenceNotFound),
        ("", 403, Reason::Forbidden),
    ] {
        let registry = Registry::start(move |_, _| Some(with(status, &[], body))).await;
        let listed = open(&registry.host()).tags().await;
        assert_eq!(reason(listed), expected, "{body}");
    }
    let registry = Registry::start(|_, _| Some(with(200, &[], endless()))).await;
    assert_eq!(
        reason(open(&registry.host()).tags().await),
        Reason::TooLarge
    );
}
