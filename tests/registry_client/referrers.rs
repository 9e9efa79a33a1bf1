//! Lists of referrers: "nobody" must be said clearly, and nothing is hidden by a flood or a page.

use axum::response::Response;
use modelctl::digest::Digest;
use modelctl::error::Reason;
use modelctl::limits;
use modelctl::manifest::{Descriptor, Document, Index, media_type};
use modelctl::reference::Tag;
use modelctl::store::{RawDocument, Store};

use crate::scripted::{Registry, endless, reply, with};
use crate::{manifest, open, reason};

fn subject() -> Descriptor {
    manifest("subject", None).descriptor().clone()
}

/// Returns `count` entries that differ by `name`.
fn entries(name: &str, count: usize) -> Vec<Descriptor> {
    let entry = |n| Descriptor::of(media_type::MANIFEST, format!("{name}{n}").as_bytes());
    (0..count).map(entry).collect()
}

fn index(entries: &[Descriptor]) -> Vec<u8> {
    let document = Document::Index(Index::new(entries.to_vec()));
    RawDocument::of(document).unwrap().bytes().to_vec()
}

fn page(entries: &[Descriptor], next: &str) -> Response {
    let link = format!("<{next}>; rel=\"next\"");
    let headers = [("content-type", media_type::INDEX), ("link", &link)];
    let headers = if next.is_empty() {
        &headers[..1]
    } else {
        &headers[..]
    };
    with(200, headers, index(entries))
}

fn digests(entries: &[Descriptor]) -> Vec<Digest> {
    entries.iter().map(|entry| entry.digest).collect()
}

#[tokio::test]
async fn nobody_is_believed_only_where_it_is_said_clearly() {
    type Answer = fn() -> Response;
    let cases: [(Answer, Reason); 12] = [
        (|| reply(401), Reason::Unauthorised),
        (|| reply(403), Reason::Forbidden),
        (|| reply(400), Reason::RegistryFailed),
        (|| reply(405), Reason::RegistryFailed),
        (|| reply(429), Reason::RateLimited),
        (|| reply(500), Reason::RegistryFailed),
        (|| reply(204), Reason::RegistryProtocol),
        (
            || with(200, &[("content-type", "text/html")], "<html>"),
            Reason::RegistryProtocol,
        ),
        (|| with(200, &[], ""), Reason::RegistryProtocol),
        (
            || with(200, &[("content-type", media_type::INDEX)], "{"),
            Reason::JsonInvalid,
        ),
        (
            || with(200, &[("content-type", media_type::INDEX)], "{}"),
            Reason::ManifestInvalid,
        ),
        (
            || with(200, &[("content-type", media_type::INDEX)], endless()),
            Reason::TooLarge,
        ),
    ];
    for (answer, expected) in cases {
        for place in ["/referrers/", "/manifests/sha256-"] {
            let registry = Registry::start(move |seen, _| seen.is("GET", place).then(answer)).await;
            let listed = open(&registry.host()).referrers(&subject()).await;
            assert_eq!(reason(listed), expected, "{place}");
        }
    }
    let neither = Registry::honest().await;
    assert_eq!(
        open(&neither.host()).referrers(&subject()).await.unwrap(),
        []
    );
    let empty =
        Registry::start(|seen, _| seen.is("GET", "/referrers/").then(|| page(&[], ""))).await;
    assert_eq!(open(&empty.host()).referrers(&subject()).await.unwrap(), []);
}

#[tokio::test]
async fn a_list_must_be_a_list() {
    let document = manifest("not a list", None);
    let bytes = document.bytes().clone();
    for place in ["/referrers/", "/manifests/sha256-"] {
        for announced in [media_type::INDEX, media_type::MANIFEST] {
            let bytes = bytes.clone();
            let registry = Registry::start(move |seen, _| {
                let headers = [("content-type", announced)];
                seen.is("GET", place)
                    .then(|| with(200, &headers, bytes.clone()))
            })
            .await;
            let listed = open(&registry.host()).referrers(&subject()).await;
            let reason = reason(listed);
            let refused = [Reason::ManifestInvalid, Reason::RegistryProtocol];
            assert!(refused.contains(&reason), "{place} {announced} {reason:?}");
        }
    }
}

#[tokio::test]
async fn both_ways_are_merged_and_nothing_comes_twice() {
    let by_api = entries("a", 3);
    let mut by_tag = entries("t", 2);
    by_tag.push(by_api[1].clone());
    let api = by_api.clone();
    let registry =
        Registry::start(move |seen, _| seen.is("GET", "/referrers/").then(|| page(&api, ""))).await;
    let tag = Tag::for_referrers(&subject().digest);
    registry.shelf().put(
        &format!("m/manifests/{tag}"),
        media_type::INDEX,
        index(&by_tag),
    );
    let listed = open(&registry.host()).referrers(&subject()).await.unwrap();
    let expected = [digests(&by_api), digests(&by_tag[..2])].concat();
    assert_eq!(digests(&listed), expected);
    // Filters are the registry's word for what matters; they are never asked for.
    assert!(registry.seen().iter().all(|seen| seen.query.is_empty()));
}

#[tokio::test]
async fn every_page_is_read() {
    let all = entries("a", 9);
    let pages = all.clone();
    let registry = Registry::start(move |seen, _| {
        let path = &seen.path;
        seen.is("GET", "/referrers/")
            .then(|| match seen.query.as_str() {
                "" => page(&pages[..4], &format!("{path}?p=1")),
                "p=1" => page(&pages[4..8], "?p=2"),
                _ => page(&pages[8..], ""),
            })
    })
    .await;
    let listed = open(&registry.host()).referrers(&subject()).await.unwrap();
    assert_eq!(digests(&listed), digests(&all));
}

#[tokio::test]
async fn a_page_that_fails_makes_the_whole_list_fail() {
    for (status, expected) in [
        (404, Reason::RegistryFailed),
        (403, Reason::Forbidden),
        (500, Reason::RegistryFailed),
    ] {
        let registry = Registry::start(move |seen, _| {
            seen.is("GET", "/referrers/")
                .then(|| match seen.query.as_str() {
                    "" => page(&entries("a", 1), "?p=1"),
                    _ => reply(status),
                })
        })
        .await;
        let listed = open(&registry.host()).referrers(&subject()).await;
        assert_eq!(reason(listed), expected);
    }
}

#[tokio::test]
async fn pages_that_lead_elsewhere_or_in_circles_are_refused() {
    let thief = Registry::honest().await;
    for next in [
        "?".to_owned(),
        "?p=1".to_owned(),
        format!("http://{}/v2/m/referrers/x", thief.host()),
        format!("//{}/v2/m/referrers/x", thief.host()),
        "http://169.254.169.254/".to_owned(),
        "../tags/list".to_owned(),
        "/v2/other/referrers/x".to_owned(),
    ] {
        let registry = Registry::start(move |seen, _| {
            let circle = if seen.query == "p=1" {
                "?"
            } else {
                next.as_str()
            };
            seen.is("GET", "/referrers/")
                .then(|| page(&entries("a", 1), circle))
        })
        .await;
        let listed = open(&registry.host()).referrers(&subject()).await;
        assert_eq!(reason(listed), Reason::RegistryProtocol);
    }
    assert!(thief.seen().is_empty());
    let malformed = Registry::start(|seen, _| {
        let headers = [
            ("content-type", media_type::INDEX),
            ("link", "</v2/m; rel=next"),
        ];
        seen.is("GET", "/referrers/")
            .then(|| with(200, &headers, index(&[])))
    })
    .await;
    let listed = open(&malformed.host()).referrers(&subject()).await;
    assert_eq!(reason(listed), Reason::RegistryProtocol);
}

#[tokio::test]
async fn a_flood_is_an_error_and_not_a_list() {
    // Many pages of few, few pages of many, and a single one; 100 more than will be looked at.
    let endless_pages = Registry::start(|seen, _| {
        let number: usize = seen.query.trim_start_matches("p=").parse().unwrap_or(0);
        let next = format!("?p={}", number + 1);
        seen.is("GET", "/referrers/")
            .then(|| page(&entries(&next, 1), &next))
    })
    .await;
    let listed = open(&endless_pages.host()).referrers(&subject()).await;
    assert_eq!(reason(listed), Reason::TooManyReferrers);
    assert_eq!(endless_pages.count("GET", "/referrers/"), limits::PAGES);

    let large_pages = Registry::start(|seen, _| {
        let number: usize = seen.query.trim_start_matches("p=").parse().unwrap_or(0);
        let next = format!("?p={}", number + 1);
        seen.is("GET", "/referrers/")
            .then(|| page(&entries(&next, 1000), &next))
    })
    .await;
    let listed = open(&large_pages.host()).referrers(&subject()).await;
    assert_eq!(reason(listed), Reason::TooManyReferrers);
    assert_eq!(large_pages.count("GET", "/referrers/"), 5);

    let by_tag = Registry::honest().await;
    let tag = Tag::for_referrers(&subject().digest);
    let path = format!("m/manifests/{tag}");
    let store = open(&by_tag.host());
    for (count, fits) in [(limits::REFERRERS, true), (limits::REFERRERS + 1, false)] {
        let bytes = index(&entries("t", count));
        by_tag.shelf().put(&path, media_type::INDEX, bytes);
        match store.referrers(&subject()).await {
            Ok(listed) => assert!(fits && listed.len() == count),
            Err(error) => assert!(!fits && error.reason() == Reason::TooManyReferrers),
        }
    }
}
