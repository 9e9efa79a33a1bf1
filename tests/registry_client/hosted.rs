//! Uploads to registries with the habits of the hosted ones, as vendors and bug reports tell them
//! (`docs/registries.md`). What they have in common with the specification is in `uploads`.

use std::sync::Mutex;

use axum::response::Response;
use modelctl::blob::InMemory;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::progress::Silent;
use modelctl::store::Store;

use crate::scripted::{Registry, Seen, Shelf, refusal, reply, with};
use crate::{content, open, reason};

const MIB: usize = 1 << 20;

/// How a registry takes a blob.
#[derive(Clone, Copy)]
struct Habits {
    /// Where uploads go on; `HOST` stands for the registry.
    location: &'static str,
    /// The most bytes of a request, beyond which the answer is 413.
    request: usize,
    /// The most bytes of a piece, beyond which the answer is 416; none are taken if it is 0.
    piece: usize,
    /// The status of the answer to a piece.
    taken: u16,
    /// What that answer says it has.
    range: Said,
}

/// What a registry says it has of an upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    All,
    AllWithUnit,
    FirstPiece,
    /// One byte less than was sent.
    Less,
}

const PLAIN: Habits = Habits {
    location: "/v2/m/blobs/uploads/1",
    request: usize::MAX,
    piece: usize::MAX,
    taken: 202,
    range: Said::All,
};

/// The ends of the pieces that came, and the bytes.
#[derive(Default)]
struct Upload {
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Habits {
    async fn start(self) -> Registry {
        let upload = Mutex::new(Upload::default());
        Registry::start(move |seen, shelf| {
            let mut upload = upload.lock().unwrap();
            let here = seen.header("host").unwrap();
            let location = self.location.replace("HOST", &format!("http://{here}"));
            match seen.method.as_str() {
                "POST" => {
                    *upload = Upload::default();
                    Some(with(202, &[("location", &location)], ""))
                }
                "PATCH" | "PUT" => Some(self.take(seen, shelf, &mut upload, &location)),
                _ => None,
            }
        })
        .await
    }

    fn take(self, seen: &Seen, shelf: &Shelf, upload: &mut Upload, location: &str) -> Response {
        let path = location.split("127.0.0.1").last().unwrap();
        let path = &path[path.find('/').unwrap()..];
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if seen.path != path || !seen.query.starts_with(query) {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
        }
        // Azure's answer to a body without a declared length.
        if seen.header("content-length") != Some(&seen.body.len().to_string()) {
            return refusal(400, "CONTENT_LENGTH_INVALID", "no length");
        }
        if seen.body.len() > self.request {
            return reply(413);
        }
        match seen.method.as_str() {
            "PATCH" if self.piece == 0 => refusal(405, "UNSUPPORTED", "no pieces"),
            "PATCH" if seen.body.len() > self.piece => refusal(
                416,
                "REQUESTED_RANGE_NOT_SATISFIABLE",
                "the body is too large",
            ),
            "PATCH" => self.go_on(seen, upload, location),
            _ => self.close(seen, shelf, upload),
        }
    }

    fn go_on(self, seen: &Seen, upload: &mut Upload, location: &str) -> Response {
        let start = upload.bytes.len();
        let end = start + seen.body.len() - 1;
        if seen.header("content-range") != Some(&format!("{start}-{end}")) {
            return refusal(416, "RANGE_INVALID", "not where the upload is");
        }
        upload.bytes.extend_from_slice(&seen.body);
        upload.ends.push(end);
        let range = match self.range {
            Said::Nothing => return with(self.taken, &[("location", location)], ""),
            Said::All => format!("0-{end}"),
            Said::AllWithUnit => format!("bytes=0-{end}"),
            Said::FirstPiece => format!("0-{}", upload.ends[0]),
            Said::Less => format!("0-{}", end - 1),
        };
        with(self.taken, &[("location", location), ("range", &range)], "")
    }

    fn close(self, seen: &Seen, shelf: &Shelf, upload: &mut Upload) -> Response {
        upload.bytes.extend_from_slice(&seen.body);
        let digest = Digest::of(&upload.bytes).to_string();
        if !seen.query.ends_with(&digest.replace(':', "%3A")) {
            return refusal(400, "DIGEST_INVALID", "other bytes came");
        }
        let path = format!("m/blobs/{digest}");
        shelf.put(&path, "application/octet-stream", upload.bytes.clone());
        reply(201)
    }
}

async fn put(registry: &Registry, length: usize) -> Result<()> {
    let (bytes, declared) = content(length);
    let store = open(&registry.host());
    store
        .put_blob(&declared, &InMemory(bytes.clone()), &Silent)
        .await?;
    let stored = registry.shelf().at(&format!("m/blobs/{}", declared.digest));
    assert!(stored.is_some_and(|stored| stored == bytes));
    Ok(())
}

#[tokio::test]
async fn every_hosted_registry_gets_its_blobs_in_the_way_that_it_takes_them() {
    let absolute = Habits {
        location: "HOST/v2/m/blobs/uploads/1?_state=a%2Fb%3D",
        ..PLAIN
    };
    let azure = Habits {
        location: "/v2/m/blobs/uploads/1?_nouploadcache=false&_state=a%2Fb%3D",
        request: 20_000_000,
        ..PLAIN
    };
    let amazon = Habits {
        location: "HOST/v2/m/blobs/uploads/1",
        taken: 201,
        range: Said::FirstPiece,
        ..PLAIN
    };
    let github = Habits {
        piece: 4 * MIB,
        range: Said::Nothing,
        ..PLAIN
    };
    let google = Habits {
        location: "HOST/artifacts-uploads/namespaces/p/repositories/m/uploads/1",
        piece: 0,
        ..PLAIN
    };
    let quay = Habits {
        range: Said::AllWithUnit,
        ..PLAIN
    };
    // A proxy in front lets less through than the registry behind it.
    let proxied = |habits: Habits, most: usize| Habits {
        request: most,
        ..habits
    };
    for (name, habits, megabytes, pieces) in [
        ("Docker Hub", absolute, 9, 0),
        ("ghcr.io", github, 9, 0),
        ("ghcr.io, proxied", proxied(github, 8 * MIB), 9, 3),
        ("Amazon ECR", amazon, 9, 0),
        ("Amazon ECR, proxied", proxied(amazon, 16 * MIB), 33, 3),
        ("Azure, small", azure, 9, 0),
        ("Azure", azure, 33, 3),
        ("Google Artifact Registry", google, 33, 0),
        ("Harbor, proxied", proxied(absolute, 8 * MIB), 9, 3),
        ("Quay", quay, 9, 0),
        ("Quay, proxied", proxied(quay, 8 * MIB), 9, 3),
    ] {
        let registry = habits.start().await;
        put(&registry, megabytes * MIB).await.expect(name);
        let most = habits.piece.min(habits.request);
        let taken = |seen: &&Seen| seen.method == "PATCH" && seen.body.len() <= most;
        let seen = registry.seen();
        assert_eq!(seen.iter().filter(taken).count(), pieces, "{name}");
    }
}

#[tokio::test]
async fn what_a_hosted_registry_cannot_take_is_told() {
    let none_taken = Habits {
        request: 8 * MIB,
        piece: 0,
        ..PLAIN
    };
    let registry = none_taken.start().await;
    assert_eq!(
        reason(put(&registry, 9 * MIB).await),
        Reason::RegistryFailed
    );
    // A part that is lost inside a piece is noticed at once; the upload starts over, in vain.
    let loses = Habits {
        request: 8 * MIB,
        range: Said::Less,
        ..PLAIN
    };
    let registry = loses.start().await;
    assert_eq!(
        reason(put(&registry, 9 * MIB).await),
        Reason::RegistryFailed
    );
    assert_eq!(registry.count("PUT", "digest"), 0);
    assert!(registry.shelf().at("m/blobs").is_none());
    put(&PLAIN.start().await, 9 * MIB).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_lost_is_begun_anew() {
    // 404 as from Azure after a broken connection, 416 as from Azure and distribution.
    for status in [404, 416] {
        for lost_at in ["PATCH", "PUT"] {
            let refused = Mutex::new(0);
            let registry = Registry::start(move |seen, _| {
                let mut refused = refused.lock().unwrap();
                if seen.method == "PUT" && seen.body.len() > 8 * MIB {
                    return Some(reply(413));
                }
                // Not the first piece: that would be taken for one that is too large.
                let is_later = seen.header("content-range") != Some("0-4194303");
                let is_lost = seen.method == lost_at && is_later && seen.body.len() <= 4 * MIB;
                if !is_lost || *refused == 2 {
                    return None;
                }
                *refused += 1;
                Some(refusal(status, "BLOB_UPLOAD_INVALID", "upload invalid"))
            })
            .await;
            // Pieces of 16 MiB do not pass, those of 4 MiB do.
            registry.limit_bodies(8 << 20);
            put(&registry, 9 * MIB).await.unwrap();
            let sessions = registry.count("POST", "/uploads/");
            assert_eq!(sessions, 5, "{status} {lost_at}");
        }
    }
}
