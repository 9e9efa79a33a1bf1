//! Giving and taking manifests
//! ([distribution-spec, "Pushing manifests"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests)).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::Referrers;
use super::answer::{empty, error, is_digest};
use super::contents::{Manifest, Repository, State, digest};

/// What a registry must at least accept.
const LARGEST: usize = 4 << 20;

pub(super) fn fetch(state: &State, name: &str, reference: &str, request: &Request) -> Response {
    let Some(found) = state.read(name, |r| r.manifest(reference)) else {
        return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no such repository");
    };
    let found = found.filter(|(_, manifest)| accepts(request.headers(), &manifest.media_type));
    let Some((digest, manifest)) = found else {
        let message = "no such manifest here";
        return error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message);
    };
    Response::builder()
        .header(CONTENT_TYPE, manifest.media_type)
        .header(CONTENT_LENGTH, manifest.bytes.len())
        .header("Docker-Content-Digest", digest)
        .body(Body::from(manifest.bytes))
        .unwrap()
}

/// Whether a client says that it reads this: the reference implementation hides what it does not.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut lines = headers.get_all(ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    let mut kinds = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|kind| kind.split(';').next().unwrap_or(kind).trim());
    kinds.any(|kind| kind == media_type || kind == "*/*")
}

pub(super) async fn put(state: &State, name: &str, reference: &str, request: Request) -> Response {
    let invalid = |message| error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    let (head, body) = request.into_parts();
    let Some(Ok(media_type)) = head.headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return invalid("there is no content type");
    };
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        let message = "the manifest is too large, or broke off";
        return error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message);
    };
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
        return invalid("the manifest is not JSON");
    };
    if document
        .get("mediaType")
        .is_some_and(|own| own != media_type)
    {
        return invalid("the manifest is of another kind than announced");
    }
    let digest = digest(&bytes);
    if reference.contains(':') && reference != digest {
        let message = "the manifest has another digest";
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message);
    }
    if !reference.contains(':') && !is_tag(reference) {
        return error(StatusCode::BAD_REQUEST, "TAG_INVALID", "not a tag");
    }
    let manifest = Manifest {
        media_type: media_type.to_owned(),
        bytes,
    };
    let whole = state.change(name, |r| r.take(reference, &digest, manifest, &document));
    match whole {
        true => accepted(state, name, &digest, &document),
        false => error(
            StatusCode::BAD_REQUEST,
            "MANIFEST_BLOB_UNKNOWN",
            "the manifest names what is not here",
        ),
    }
}

impl Repository {
    /// Stores a manifest, unless something that it names is missing.
    fn take(
        &mut self,
        reference: &str,
        digest: &str,
        manifest: Manifest,
        document: &Value,
    ) -> bool {
        let named = |list: &str| document[list].as_array().cloned().unwrap_or_default();
        let digest_of = |descriptor: &Value| descriptor["digest"].as_str().map(str::to_owned);
        let has = |map: &dyn Fn(&str) -> bool, descriptor: &Value| {
            digest_of(descriptor).is_some_and(|digest| is_digest(&digest) && map(&digest))
        };
        let blob = |digest: &str| self.blobs.contains_key(digest);
        let child = |digest: &str| self.manifests.contains_key(digest);
        let config = document.get("config");
        let whole = config.into_iter().all(|config| has(&blob, config))
            && named("layers").iter().all(|layer| has(&blob, layer))
            && named("manifests").iter().all(|entry| has(&child, entry));
        if whole {
            self.manifests.insert(digest.to_owned(), manifest);
            if reference != digest {
                self.tags.insert(reference.to_owned(), digest.to_owned());
            }
        }
        whole
    }
}

fn accepted(state: &State, name: &str, digest: &str, document: &Value) -> Response {
    let location = format!("/v2/{name}/manifests/{digest}");
    let mut headers = vec![
        (LOCATION.as_str(), location.as_str()),
        ("Docker-Content-Digest", digest),
    ];
    if state.options.referrers == Referrers::Api
        && let Some(subject) = document["subject"]["digest"].as_str()
    {
        headers.push(("OCI-Subject", subject));
    }
    empty(StatusCode::CREATED, &headers)
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}
