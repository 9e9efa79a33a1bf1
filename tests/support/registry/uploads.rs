//! Taking blobs: in one piece, in many, or from another repository
//! ([distribution-spec, "Pushing blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs)).

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_RANGE, LOCATION, RANGE};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::answer::{empty, error, is_digest, parameter};
use super::contents::{Content, State, random};

/// An upload that is under way.
pub(super) struct Upload {
    repository: String,
    /// What the client must bring back unchanged in every URL.
    secret: String,
    sink: Sink,
    hasher: Sha256,
    length: u64,
}

enum Sink {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

impl Upload {
    fn new(state: &State, repository: &str) -> Self {
        let sink = match &state.spill {
            Some(directory) => Sink::File(NamedTempFile::new_in(directory).unwrap()),
            None => Sink::Memory(Vec::new()),
        };
        Self {
            repository: repository.to_owned(),
            secret: random(),
            sink,
            hasher: Sha256::new(),
            length: 0,
        }
    }

    /// Takes what comes; what came before a broken connection stays.
    async fn append(&mut self, body: Body) -> Result<(), axum::Error> {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            match &mut self.sink {
                Sink::Memory(bytes) => bytes.extend_from_slice(&piece),
                Sink::File(file) => file.write_all(&piece).unwrap(),
            }
            self.hasher.update(&piece);
            self.length += piece.len() as u64;
        }
        Ok(())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }

    fn take_content(&mut self) -> Content {
        let empty = Sink::Memory(Vec::new());
        match std::mem::replace(&mut self.sink, empty) {
            Sink::Memory(bytes) => Content::Memory(Bytes::from(bytes)),
            Sink::File(file) => Content::File(Arc::new(file.into_temp_path()), self.length),
        }
    }

    /// Says how far the upload is and where it goes on.
    fn progress(&self, status: StatusCode, id: &str) -> Response {
        let location = format!(
            "/v2/{}/blobs/uploads/{id}?_state={}",
            self.repository, self.secret
        );
        let range = format!("0-{}", self.length.saturating_sub(1));
        let headers = [
            (LOCATION.as_str(), location.as_str()),
            (RANGE.as_str(), range.as_str()),
            ("Docker-Upload-UUID", id),
        ];
        empty(status, &headers)
    }

    /// Stores what was uploaded, if it is `expected`.
    fn finish(&mut self, state: &State, expected: &str) -> Response {
        if self.digest() != expected {
            return error(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "the content has another digest",
            );
        }
        let content = self.take_content();
        state.change(&self.repository, |r| {
            r.blobs.insert(expected.to_owned(), content)
        });
        stored(&self.repository, expected)
    }
}

fn stored(repository: &str, digest: &str) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let headers = [
        (LOCATION.as_str(), location.as_str()),
        ("Docker-Content-Digest", digest),
    ];
    empty(StatusCode::CREATED, &headers)
}

/// Begins an upload, or does it all at once.
pub(super) async fn begin(state: &State, name: &str, request: Request) -> Response {
    let mount = parameter(request.uri(), "mount").filter(|_| state.options.mounts);
    if let (Some(digest), Some(from)) = (mount, parameter(request.uri(), "from")) {
        let found = state.read(&from, |r| r.blobs.get(&digest).cloned());
        if let Some(Some(content)) = found {
            state.change(name, |r| r.blobs.insert(digest.clone(), content));
            return stored(name, &digest);
        }
    }
    let mut upload = Upload::new(state, name);
    if let Some(digest) = parameter(request.uri(), "digest") {
        return match is_digest(&digest) {
            true => match upload.append(request.into_body()).await {
                Ok(()) => upload.finish(state, &digest),
                Err(_) => broken(),
            },
            false => not_a_digest(),
        };
    }
    let id = random();
    let response = upload.progress(StatusCode::ACCEPTED, &id);
    let upload = Arc::new(tokio::sync::Mutex::new(upload));
    state.uploads.lock().unwrap().insert(id, upload);
    response
}

/// Goes on with an upload.
pub(super) async fn go_on(state: &State, name: &str, id: &str, request: Request) -> Response {
    let unknown = || {
        let message = "no such upload here";
        error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
    };
    let Some(upload) = state.uploads.lock().unwrap().get(id).cloned() else {
        return unknown();
    };
    let mut upload = upload.lock().await;
    if upload.repository != name {
        return unknown();
    }
    if parameter(request.uri(), "_state").as_ref() != Some(&upload.secret) {
        let message = "the location was not used as it was given";
        return error(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message);
    }
    match request.method().as_str() {
        "GET" => upload.progress(StatusCode::NO_CONTENT, id),
        "PATCH" => patch(&mut upload, id, request).await,
        "PUT" => put(state, &mut upload, id, request).await,
        "DELETE" => {
            state.uploads.lock().unwrap().remove(id);
            empty(StatusCode::NO_CONTENT, &[])
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "not here"),
    }
}

async fn patch(upload: &mut Upload, id: &str, request: Request) -> Response {
    if !continues(upload, &request) {
        return upload.progress(StatusCode::RANGE_NOT_SATISFIABLE, id);
    }
    match upload.append(request.into_body()).await {
        Ok(()) => upload.progress(StatusCode::ACCEPTED, id),
        Err(_) => broken(),
    }
}

async fn put(state: &State, upload: &mut Upload, id: &str, request: Request) -> Response {
    let Some(digest) = parameter(request.uri(), "digest").filter(|digest| is_digest(digest)) else {
        return not_a_digest();
    };
    if !continues(upload, &request) {
        return upload.progress(StatusCode::RANGE_NOT_SATISFIABLE, id);
    }
    if upload.append(request.into_body()).await.is_err() {
        return broken();
    }
    state.uploads.lock().unwrap().remove(id);
    upload.finish(state, &digest)
}

/// Whether a piece says that it begins where the upload is, or says nothing.
fn continues(upload: &Upload, request: &Request) -> bool {
    let Some(range) = request.headers().get(CONTENT_RANGE) else {
        return true;
    };
    // `START-END`, without the unit that HTTP itself has.
    let numbers = range.to_str().ok().and_then(|range| {
        let (start, end) = range.split_once('-')?;
        Some((start.parse::<u64>().ok()?, end.parse::<u64>().ok()?))
    });
    numbers.is_some_and(|(start, end)| start == upload.length && start <= end)
}

fn broken() -> Response {
    let message = "the body broke off";
    error(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
}

fn not_a_digest() -> Response {
    error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest")
}
