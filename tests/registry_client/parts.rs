//! Parts of blobs: the right one, the whole, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::blob::ByteStream;
use modelctl::download::{Downloads, Retry, Spread, Start};
use modelctl::error::{Reason, Result};
use modelctl::progress::Silent;
use modelctl::sink::Io;
use modelctl::store::{Part, Store};

use crate::scripted::{Registry, Seen, reply, with};
use crate::{content, open, reason};

const SIZE: usize = 1000;
const CUT: usize = 400;

/// Returns a body whose length is not told beforehand.
fn streamed(bytes: Bytes) -> Body {
    Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]))
}

/// What a registry answers when it is asked for the bytes from `CUT` on.
type Answer = fn(&Bytes) -> Response;

/// Answers a request for a range by `answer`, and others with the whole, of which the first time
/// only the beginning comes.
async fn registry(answer: Answer) -> Registry {
    let (bytes, _) = content(SIZE);
    let asked = AtomicUsize::new(0);
    Registry::start(move |seen, _| {
        let etag = [("etag", "\"one\"")];
        Some(match seen.header("range") {
            Some(_) => answer(&bytes),
            None if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
                with(200, &etag, streamed(bytes.slice(..CUT)))
            }
            None => with(200, &etag, bytes.clone()),
        })
    })
    .await
}

fn part(headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    with(206, headers, body)
}

const RIGHT: (&str, &str) = ("content-range", "bytes 400-999/1000");

/// Every answer that is not the part: its name, itself, and the reason for which it is refused.
const WRONG: [(&str, Answer); 12] = [
    ("no content-range", |b| part(&[], b.slice(CUT..))),
    ("wrong start", |b| {
        part(&[("content-range", "bytes 399-999/1000")], b.slice(CUT..))
    }),
    ("wrong end", |b| {
        part(&[("content-range", "bytes 400-998/1000")], b.slice(CUT..))
    }),
    ("wrong total", |b| {
        part(&[("content-range", "bytes 400-999/1001")], b.slice(CUT..))
    }),
    ("unknown total", |b| {
        part(&[("content-range", "bytes 400-999/*")], b.slice(CUT..))
    }),
    ("two ranges", |b| part(&[RIGHT, RIGHT], b.slice(CUT..))),
    ("another unit", |b| {
        part(&[("content-range", "items 400-999/1000")], b.slice(CUT..))
    }),
    ("several parts", |b| {
        let several = ("content-type", "Multipart/ByteRanges; boundary=x");
        part(&[RIGHT, several], b.slice(CUT..))
    }),
    ("short by its length", |b| {
        part(&[RIGHT], b.slice(CUT + 1..))
    }),
    ("long by its length", |b| part(&[RIGHT], b.slice(CUT - 1..))),
    ("another version", |b| {
        part(&[RIGHT, ("etag", "\"two\"")], b.slice(CUT..))
    }),
    ("not satisfiable", |_| {
        with(416, &[("content-range", "bytes */1000")], "")
    }),
];

/// Every answer that is the part, whatever else it says.
const FINE: [(&str, Answer); 4] = [
    ("as asked", |b| part(&[RIGHT], b.slice(CUT..))),
    ("the same version", |b| {
        part(&[RIGHT, ("etag", "\"one\"")], b.slice(CUT..))
    }),
    ("a weak version", |b| {
        part(&[RIGHT, ("etag", "W/\"two\"")], b.slice(CUT..))
    }),
    ("without length", |b| {
        part(&[RIGHT], streamed(b.slice(CUT..)))
    }),
];

async fn read(mut body: ByteStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// Asks for the first bytes and then, of the same store, for the others.
async fn asked(answer: Answer) -> (Result<Part>, Vec<Seen>) {
    let (_, declared) = content(SIZE);
    let registry = registry(answer).await;
    let store = open(&registry.host());
    drop(store.blob(&declared).await.unwrap());
    let part = store.blob_part(&declared, CUT as u64..SIZE as u64).await;
    (part, registry.seen())
}

#[tokio::test]
async fn a_part_is_what_was_asked_for_or_nothing() {
    let (bytes, _) = content(SIZE);
    for (name, answer) in FINE {
        let (part, seen) = asked(answer).await;
        let Part::Range(body) = part.unwrap() else {
            panic!("{name}: it is a range");
        };
        assert_eq!(read(body).await.unwrap(), bytes[CUT..], "{name}");
        assert_eq!(seen[1].header("range"), Some("bytes=400-999"));
        assert_eq!(seen[1].header("if-range"), Some("\"one\""));
    }
    for (name, answer) in WRONG {
        let (part, _) = asked(answer).await;
        assert_eq!(reason(part), Reason::RegistryProtocol, "{name}");
    }
}

#[tokio::test]
async fn a_part_without_length_ends_where_it_should() {
    let cases: [(Answer, Reason); 2] = [
        (
            |b| part(&[RIGHT], streamed(b.slice(CUT..SIZE - 1))),
            Reason::Connection,
        ),
        (
            |b| part(&[RIGHT], streamed(b.slice(CUT - 1..))),
            Reason::RegistryProtocol,
        ),
    ];
    for (answer, expected) in cases {
        let (part, _) = asked(answer).await;
        let Part::Range(body) = part.unwrap() else {
            panic!("it is a range");
        };
        assert_eq!(reason(read(body).await), expected);
    }
}

#[tokio::test]
async fn the_whole_may_come_instead_of_a_part() {
    let (bytes, _) = content(SIZE);
    let (part, _) = asked(|b| with(200, &[], b.clone())).await;
    let Part::Whole(body) = part.unwrap() else {
        panic!("it is the whole");
    };
    assert_eq!(read(body).await.unwrap(), bytes);
    let cases: [(Answer, Reason); 4] = [
        (|b| with(200, &[], b.slice(1..)), Reason::SizeMismatch),
        (|b| with(200, &[RIGHT], b.clone()), Reason::RegistryProtocol),
        (|_| reply(404), Reason::BlobNotFound),
        (|_| reply(403), Reason::Forbidden),
    ];
    for (answer, expected) in cases {
        let (part, _) = asked(answer).await;
        assert_eq!(reason(part), expected);
    }
}

#[tokio::test]
async fn only_strong_versions_are_asked_for() {
    let (bytes, declared) = content(SIZE);
    for etag in ["W/\"one\"", "one", "\"", "\"a\"b\""] {
        let bytes = bytes.clone();
        let registry =
            Registry::start(move |_, _| Some(with(200, &[("etag", etag)], bytes.clone()))).await;
        let store = open(&registry.host());
        drop(store.blob(&declared).await.unwrap());
        store.blob_part(&declared, 1..2).await.unwrap();
        assert_eq!(registry.seen()[1].header("if-range"), None, "{etag}");
    }
}

/// Downloads from a registry whose first answer ends early, and returns the requests: whether each
/// was for a range.
async fn downloaded(answer: Answer) -> (Result<Vec<u8>>, Vec<bool>) {
    let (_, declared) = content(SIZE);
    let registry = registry(answer).await;
    let store = open(&registry.host());
    let retry = Retry {
        tries: 3,
        wait: std::time::Duration::ZERO,
    };
    let downloads = Downloads::new(retry, Spread::default(), Io::Buffered, Arc::new(Silent));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let file = std::fs::File::create_new(&path).unwrap();
    let done = downloads
        .download(&store, &declared, file, Start::Fresh, Box::new(Silent))
        .await;
    let seen = registry.seen();
    let ranged = seen.iter().map(|seen| seen.header("range").is_some());
    let content = done.map(|_| std::fs::read(&path).unwrap());
    (content, ranged.collect())
}

#[tokio::test]
async fn a_download_goes_on_by_ranges_that_are_right() {
    let (bytes, _) = content(SIZE);
    for (name, answer) in FINE {
        let (content, ranged) = downloaded(answer).await;
        assert_eq!(content.unwrap(), bytes, "{name}");
        assert_eq!(ranged, [false, true], "{name}");
    }
    // The rest of a part that ends early is asked for in its turn, and none comes.
    let (content, ranged) = downloaded(|b| part(&[RIGHT], streamed(b.slice(CUT..900)))).await;
    assert_eq!(content.unwrap(), bytes);
    assert_eq!(ranged, [false, true, true, false]);
}

#[tokio::test]
async fn a_download_begins_again_where_ranges_are_wrong() {
    let (bytes, _) = content(SIZE);
    for (name, answer) in WRONG {
        let (content, ranged) = downloaded(answer).await;
        assert_eq!(content.unwrap(), bytes, "{name}");
        assert_eq!(ranged, [false, true, false], "{name}");
    }
    let (content, ranged) = downloaded(|b| part(&[RIGHT], streamed(b.slice(CUT - 1..)))).await;
    assert_eq!(content.unwrap(), bytes);
    assert_eq!(ranged, [false, true, false]);
}

#[tokio::test]
async fn a_download_takes_the_whole_or_an_end() {
    let (bytes, _) = content(SIZE);
    let (content, ranged) = downloaded(|b| with(200, &[], b.clone())).await;
    assert_eq!(content.unwrap(), bytes);
    assert_eq!(ranged, [false, true]);
    let (content, ranged) = downloaded(|_| reply(404)).await;
    assert_eq!(reason(content), Reason::BlobNotFound);
    assert_eq!(ranged, [false, true]);
}
