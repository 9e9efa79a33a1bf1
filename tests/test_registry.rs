//! The test registry itself, checked with plain requests: what other tests stand on must hold.
//! `test_registry_faults.rs` checks how it keeps people out and misbehaves.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use support::registry::contents::digest;
use support::registry::{Options, Referrers, Registry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const KIND: &str = "application/vnd.example+json";

fn start() -> Registry {
    Registry::start(Options::default())
}

async fn send(registry: &Registry, method: &str, path: &str, body: &[u8]) -> Response {
    let url = format!("{}{path}", registry.url());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Client::new().request(method, url).body(body.to_vec());
    request
        .header("content-type", MANIFEST)
        .send()
        .await
        .unwrap()
}

async fn status(registry: &Registry, method: &str, path: &str, body: &[u8]) -> u16 {
    send(registry, method, path, body).await.status().as_u16()
}

/// Returns the status and the error code of a refusal.
async fn refusal(registry: &Registry, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let response = send(registry, method, path, body).await;
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (
        status,
        body["errors"][0]["code"].as_str().unwrap().to_owned(),
    )
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn manifest(registry: &Registry, subject: Option<&str>, note: &str) -> Vec<u8> {
    let config = registry.put_blob("a/b", b"{}");
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": KIND,
        "config": { "mediaType": "application/x", "digest": config, "size": 2 },
        "layers": [], "annotations": { "note": note },
    });
    if let Some(digest) = subject {
        manifest["subject"] = json!({ "mediaType": MANIFEST, "digest": digest, "size": 1 });
    }
    manifest.to_string().into_bytes()
}

#[test]
fn serves_a_blocking_test_and_is_gone_when_dropped() {
    let registry = start();
    let host = registry.host();
    let mut stream = TcpStream::connect(&host).unwrap();
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    drop(registry);
    TcpStream::connect(&host).unwrap_err();
}

#[tokio::test]
async fn takes_a_blob_whole_in_pieces_and_by_mounting() {
    for spill in [false, true] {
        let registry = Registry::start(Options {
            spill,
            ..Options::default()
        });
        let whole = digest(b"hello");
        let uploads = "/v2/a/b/blobs/uploads/";
        let at_once = format!("{uploads}?digest={whole}");
        assert_eq!(status(&registry, "POST", &at_once, b"hello").await, 201);
        assert!(registry.remove_blob("a/b", &whole));

        let begun = send(&registry, "POST", uploads, b"").await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let location = header(&begun, "location").to_owned();
        let piece = send(&registry, "PATCH", &location, b"hel").await;
        assert_eq!(
            (piece.status().as_u16(), header(&piece, "range")),
            (202, "0-2")
        );
        let end = format!("{location}&digest={whole}");
        assert_eq!(status(&registry, "PUT", &end, b"lo").await, 201);
        assert_eq!(registry.blob("a/b", &whole).unwrap(), b"hello");
        assert_eq!(registry.open_uploads(), 0);

        let mount = format!("/v2/c/blobs/uploads/?mount={whole}&from=a/b");
        assert_eq!(status(&registry, "POST", &mount, b"").await, 201);
        assert_eq!(registry.blob("c", &whole).unwrap(), b"hello");
        let mount = format!("/v2/d/blobs/uploads/?mount={whole}&from=nobody");
        assert_eq!(status(&registry, "POST", &mount, b"").await, 202);
    }
}

#[tokio::test]
async fn refuses_pieces_out_of_order_and_content_of_another_digest() {
    let registry = start();
    let begun = send(&registry, "POST", "/v2/a/b/blobs/uploads/", b"").await;
    let location = header(&begun, "location").to_owned();
    let url = format!("{}{location}", registry.url());
    for (range, expected) in [
        ("1-3", 416),
        ("x", 416),
        ("0-2", 202),
        ("0-2", 416),
        ("3-4", 202),
    ] {
        let piece = Client::new().patch(&url).header("content-range", range);
        let answer = piece.body("abc").send().await.unwrap();
        assert_eq!(answer.status(), expected, "{range}");
    }
    let stateless = location.split('?').next().unwrap();
    assert_eq!(status(&registry, "GET", stateless, b"").await, 400);
    assert_eq!(status(&registry, "GET", &location, b"").await, 204);
    let end = format!("{location}&digest={}", digest(b"other"));
    let refused = refusal(&registry, "PUT", &end, b"").await;
    assert_eq!(refused, (400, "DIGEST_INVALID".to_owned()));
    assert!(registry.blobs("a/b").is_empty());
}

#[tokio::test]
async fn gives_blobs_whole_and_in_part_and_only_in_their_repository() {
    for (ranges, spill) in [(true, false), (true, true), (false, false)] {
        let registry = Registry::start(Options {
            ranges,
            spill,
            ..Options::default()
        });
        let whole = digest(b"0123456789");
        let upload = format!("/v2/a/b/blobs/uploads/?digest={whole}");
        assert_eq!(status(&registry, "POST", &upload, b"0123456789").await, 201);
        let path = format!("/v2/a/b/blobs/{whole}");
        let url = format!("{}{path}", registry.url());
        for (range, expected, body) in [
            ("bytes=2-4", 206, "234"),
            ("bytes=7-", 206, "789"),
            ("bytes=-1", 206, "9"),
            ("bytes=8-99", 206, "89"),
            ("bytes=4-2", 200, "0123456789"),
            ("bytes=10-", 416, ""),
        ] {
            let request = Client::new().get(&url).header("range", range);
            let answer = request.send().await.unwrap();
            let (expected, body) = match ranges {
                true => (expected, body),
                false => (200, "0123456789"),
            };
            assert_eq!(answer.status(), expected, "{range}");
            if expected != 416 {
                assert_eq!(answer.text().await.unwrap(), body, "{range}");
            }
        }
        let head = send(&registry, "HEAD", &path, b"").await;
        assert_eq!(header(&head, "content-length"), "10");
        let elsewhere = path.replace("a/b", "c");
        let refused = refusal(&registry, "GET", &elsewhere, b"").await;
        assert_eq!(refused, (404, "BLOB_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn takes_only_manifests_that_are_whole_and_what_they_say() {
    let registry = start();
    let bytes = manifest(&registry, None, "");
    let by_tag = "/v2/a/b/manifests/v1";
    let by_digest = format!("/v2/a/b/manifests/{}", digest(&bytes));
    assert_eq!(status(&registry, "PUT", by_tag, &bytes).await, 201);
    for path in [by_tag, by_digest.as_str()] {
        let answer = send(&registry, "GET", path, b"").await;
        assert_eq!(header(&answer, "docker-content-digest"), digest(&bytes));
        assert_eq!(header(&answer, "content-type"), MANIFEST);
        assert_eq!(answer.bytes().await.unwrap(), bytes);
    }
    let wrong = format!("/v2/a/b/manifests/{}", digest(b"other"));
    let index = bytes
        .clone()
        .escape_ascii()
        .to_string()
        .replace("manifest.v1", "index.v1");
    for (path, body, code) in [
        (wrong.as_str(), bytes.as_slice(), "DIGEST_INVALID"),
        ("/v2/c/manifests/v1", &bytes, "MANIFEST_BLOB_UNKNOWN"),
        (by_tag, index.as_bytes(), "MANIFEST_INVALID"),
        (by_tag, b"{", "MANIFEST_INVALID"),
        ("/v2/a/b/manifests/-v", &bytes, "TAG_INVALID"),
    ] {
        let refused = refusal(&registry, "PUT", path, body).await;
        assert_eq!(refused, (400, code.to_owned()), "{path}");
    }
    let other = Client::new().get(format!("{}{by_tag}", registry.url()));
    let other = other.header("accept", "application/other").send().await;
    assert_eq!(other.unwrap().status(), 404);
}

#[tokio::test]
async fn lists_referrers_as_it_is_told_to() {
    for (referrers, expected) in [
        (Referrers::Api, Some((KIND, true))),
        (
            Referrers::ApiNoSubjectHeader,
            Some(("application/x", false)),
        ),
        (Referrers::TagSchema, None),
    ] {
        let registry = Registry::start(Options {
            referrers,
            ..Options::default()
        });
        let subject = digest(b"subject");
        let bytes = manifest(&registry, Some(&subject), "n");
        let put = send(&registry, "PUT", "/v2/a/b/manifests/r", &bytes).await;
        let told = put.headers().get("oci-subject").is_some();
        assert_eq!(told, expected.is_some_and(|(_, told)| told));

        let list = format!("/v2/a/b/referrers/{subject}");
        let answer = send(&registry, "GET", &list, b"").await;
        let Some((kind, annotated)) = expected else {
            assert_eq!(answer.status(), 404);
            continue;
        };
        let index = json_of(answer).await;
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], digest(&bytes));
        assert_eq!(entry["artifactType"], kind);
        assert_eq!(entry["annotations"].is_object(), annotated);

        let filtered = send(&registry, "GET", &format!("{list}?artifactType=x"), b"").await;
        let applied = filtered.headers().contains_key("oci-filters-applied");
        assert_eq!(applied, annotated);
        let left = json_of(filtered).await["manifests"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(left, usize::from(!annotated));
    }
}

/// Follows `Link` from `path` and returns how many pages there were, and all entries.
async fn pages(registry: &Registry, path: &str, list: &str) -> (usize, Vec<Value>) {
    let (mut path, mut count, mut entries) = (path.to_owned(), 0, Vec::new());
    loop {
        let answer = send(registry, "GET", &path, b"").await;
        let next = answer.headers().get("link").map(|link| {
            let link = link.to_str().unwrap().strip_prefix('<').unwrap();
            link.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
        entries.extend(json_of(answer).await[list].as_array().unwrap().clone());
        count += 1;
        match next {
            Some(next) => path = next,
            None => return (count, entries),
        }
    }
}

#[tokio::test]
async fn divides_lists_into_pages() {
    let registry = Registry::start(Options {
        page_size: Some(2),
        ..Options::default()
    });
    let subject = digest(b"subject");
    for number in 0..5 {
        let bytes = manifest(&registry, Some(&subject), &number.to_string());
        let digest = registry.put_manifest("a/b", MANIFEST, bytes);
        registry.put_tag("a/b", &format!("v{number}"), &digest);
    }
    let (count, tags) = pages(&registry, "/v2/a/b/tags/list", "tags").await;
    assert_eq!(
        (count, tags),
        (
            3,
            vec![
                json!("v0"),
                json!("v1"),
                json!("v2"),
                json!("v3"),
                json!("v4")
            ]
        )
    );
    let (count, _) = pages(&registry, "/v2/a/b/tags/list?n=1", "tags").await;
    assert_eq!(count, 5);
    let list = format!(
        "/v2/a/b/referrers/{subject}?artifactType={}",
        KIND.replace('+', "%2B")
    );
    let (count, entries) = pages(&registry, &list, "manifests").await;
    assert_eq!((count, entries.len()), (3, 5));
}
