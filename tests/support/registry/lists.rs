//! Lists in pages: tags and referrers
//! ([distribution-spec, "Content Discovery"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#content-discovery)).

use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::Referrers;
use super::answer::{error, is_digest, json as json_answer, parameter};
use super::contents::{Manifest, State};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn tags(state: &State, name: &str, uri: &Uri) -> Response {
    let Some(tags) = state.read(name, |r| r.tags.keys().cloned().collect()) else {
        return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no such repository");
    };
    let page = Page::of(state, tags, uri, String::as_str);
    let body = json!({ "name": name, "tags": page.entries });
    page.finish(json_answer(StatusCode::OK, &body), uri)
}

pub(super) fn referrers(state: &State, name: &str, digest: &str, uri: &Uri) -> Response {
    let mode = state.options.referrers;
    if mode == Referrers::TagSchema {
        // As the reference implementation says it, which has never heard of the API.
        let mut response = Response::new("404 page not found\n".into());
        *response.status_mut() = StatusCode::NOT_FOUND;
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        return response;
    }
    if !is_digest(digest) {
        return error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest");
    }
    let kind = parameter(uri, "artifactType").filter(|_| mode == Referrers::Api);
    let found = state.read(name, |r| {
        let entries = r.manifests.iter();
        entries
            .filter_map(|(own, manifest)| descriptor(mode, digest, own, manifest))
            .filter(|entry| {
                kind.as_ref()
                    .is_none_or(|kind| entry["artifactType"] == **kind)
            })
            .collect()
    });
    let page = Page::of(state, found.unwrap_or_default(), uri, key);
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": page.entries });
    let mut response = json_answer(StatusCode::OK, &body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(INDEX));
    if kind.is_some() {
        let filters = HeaderValue::from_static("artifactType");
        headers.insert("OCI-Filters-Applied", filters);
    }
    page.finish(response, uri)
}

fn key(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap_or_default()
}

/// Returns how a list names a manifest, if that refers to `subject`.
fn descriptor(mode: Referrers, subject: &str, digest: &str, manifest: &Manifest) -> Option<Value> {
    let document: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    if document["subject"]["digest"] != subject {
        return None;
    }
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": digest,
        "size": manifest.bytes.len(),
    });
    let own = document["artifactType"].as_str();
    let own = own.filter(|own| !own.is_empty() && mode == Referrers::Api);
    let config = document["config"]["mediaType"].as_str();
    if let Some(kind) = own.or(config) {
        descriptor["artifactType"] = json!(kind);
    }
    if mode == Referrers::Api && document["annotations"].is_object() {
        descriptor["annotations"] = document["annotations"].clone();
    }
    Some(descriptor)
}

/// A part of a list, in the order of its keys.
struct Page<T> {
    entries: Vec<T>,
    /// The key of the last entry, where more follow.
    last: Option<String>,
}

impl<T> Page<T> {
    /// Returns the entries after the query's `last`, as many as `n` and the registry's own size
    /// of a page allow.
    fn of(state: &State, all: Vec<T>, uri: &Uri, key: impl Fn(&T) -> &str) -> Self {
        let last = parameter(uri, "last").unwrap_or_default();
        let asked = parameter(uri, "n").and_then(|n| n.parse().ok());
        let size = asked
            .unwrap_or(usize::MAX)
            .min(state.options.page_size.unwrap_or(usize::MAX));
        let mut entries: Vec<_> = all
            .into_iter()
            .filter(|entry| key(entry) > last.as_str())
            .collect();
        let more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| more);
        let last = last.map(|entry| key(entry).to_owned());
        Self { entries, last }
    }

    /// Adds where the next page is (RFC 5988), with the filter and size of this one.
    fn finish(self, mut response: Response, uri: &Uri) -> Response {
        let Some(last) = self.last else {
            return response;
        };
        let mut link = format!("<{}?last={last}", uri.path());
        for name in ["n", "artifactType"] {
            if let Some(value) = parameter(uri, name) {
                link += &format!("&{name}={}", value.replace('+', "%2B"));
            }
        }
        let link = HeaderValue::try_from(link + ">; rel=\"next\"").unwrap();
        response.headers_mut().insert(LINK, link);
        response
    }
}
