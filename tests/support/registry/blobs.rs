//! Giving blobs, whole or in part
//! ([distribution-spec, "Pulling blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-blobs)).

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::response::Response;

use super::answer::{error, is_digest};
use super::contents::State;

pub(super) fn fetch(state: &State, name: &str, digest: &str, request: &Request) -> Response {
    if !is_digest(digest) {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest");
    }
    let Some(Some(content)) = state.read(name, |r| r.blobs.get(digest).cloned()) else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "no such blob here");
    };
    let size = content.len();
    let range = request
        .headers()
        .get(RANGE)
        .filter(|_| state.options.ranges);
    let range = range.and_then(|range| asked(range.to_str().ok()?, size));
    let response = Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header("Docker-Content-Digest", digest);
    let response = match state.options.ranges {
        true => response.header(ACCEPT_RANGES, "bytes"),
        false => response,
    };
    let response = match range {
        None => response
            .header(CONTENT_LENGTH, size)
            .body(content.body(0, size)),
        Some((start, _)) if start >= size => {
            let mut refusal = error(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "SIZE_INVALID",
                "the blob ends before that",
            );
            let range = format!("bytes */{size}").try_into().unwrap();
            refusal.headers_mut().insert(CONTENT_RANGE, range);
            Ok(refusal)
        }
        Some((start, end)) => response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {start}-{end}/{size}"))
            .header(CONTENT_LENGTH, end - start + 1)
            .body(content.body(start, end - start + 1)),
    };
    response.unwrap()
}

/// Returns the first and last byte of one range; several, or none that can be read, mean the whole
/// ([RFC 9110 §14.2](https://www.rfc-editor.org/rfc/rfc9110#section-14.2)).
fn asked(range: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let last = size.saturating_sub(1);
    match (start, end) {
        ("", count) => Some((size.saturating_sub(count.parse().ok()?), last)),
        (start, "") => Some((start.parse().ok()?, last)),
        (start, end) => {
            let (start, end) = (start.parse().ok()?, end.parse::<u64>().ok()?);
            (start <= end).then_some((start, end.min(last)))
        }
    }
}
