//! From a request to its answer: recorded, admitted, harmed where scripted, carried out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Query, Request, State as Shared};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::contents::{Seen, State};
use super::wire::Link;
use super::{auth, blobs, faults, lists, manifests, uploads};

/// Answers one request.
pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(link): ConnectInfo<Link>,
    request: Request,
) -> Response {
    let number = state.saw(Seen {
        method: request.method().to_string(),
        path: path_and_query(request.uri()),
        headers: request.headers().clone(),
        client_certificate: link.client_certificate(),
        status: None,
    });
    let response = admit(&state, &link, request).await;
    if !link.is_cut() {
        state.answered(number, response.status());
    }
    response
}

async fn admit(state: &State, link: &Link, request: Request) -> Response {
    let path = request.uri().path().replace("%3A", ":");
    let route = Route::of(&path);
    if let Some(challenge) = auth::challenge(state, &route, &request) {
        return challenge;
    }
    let actions = faults::strike(state, request.method(), &path_and_query(request.uri()));
    let response = match faults::before(&actions, state, link).await {
        Some(instead) => instead,
        None => carry_out(state, route, request).await,
    };
    match actions.is_empty() {
        true => response,
        false => faults::after(&actions, response, link),
    }
}

async fn carry_out(state: &State, route: Route<'_>, request: Request) -> Response {
    let read = request.method() == Method::GET || request.method() == Method::HEAD;
    let method = request.method().as_str();
    match (route, method) {
        (Route::Token, "GET" | "POST") => auth::token(state, request).await,
        (Route::Root, _) if read => json(StatusCode::OK, &json!({})),
        (Route::Manifest(name, reference), "PUT") => {
            manifests::put(state, name, reference, request).await
        }
        (Route::Manifest(name, reference), _) if read => {
            manifests::fetch(state, name, reference, &request)
        }
        (Route::Blob(name, digest), _) if read => blobs::fetch(state, name, digest, &request),
        (Route::Uploads(name), "POST") => uploads::begin(state, name, request).await,
        (Route::Upload(name, id), _) => uploads::go_on(state, name, id, request).await,
        (Route::Referrers(name, digest), "GET") => {
            lists::referrers(state, name, digest, request.uri())
        }
        (Route::Tags(name), "GET") => lists::tags(state, name, request.uri()),
        (Route::Unknown, _) => error(StatusCode::NOT_FOUND, "NAME_INVALID", "no such place"),
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "not here"),
    }
}

/// What a path means.
pub(super) enum Route<'a> {
    Token,
    Root,
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Referrers(&'a str, &'a str),
    Tags(&'a str),
    Unknown,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Self {
        if path == "/token" {
            return Self::Token;
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::Unknown;
        };
        let route = match rest {
            "" => Some(Self::Root),
            _ => Self::in_repository(rest),
        };
        match route {
            Some(route) if route.repository().is_none_or(is_name) => route,
            _ => Self::Unknown,
        }
    }

    fn in_repository(rest: &'a str) -> Option<Self> {
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(name));
        }
        if let Some((name, id)) = rest.rsplit_once("/blobs/uploads/") {
            return Some(match id {
                "" => Self::Uploads(name),
                id => Self::Upload(name, id),
            });
        }
        let (before, last) = rest.rsplit_once('/')?;
        let (name, kind) = before.rsplit_once('/')?;
        match kind {
            "manifests" => Some(Self::Manifest(name, last)),
            "blobs" => Some(Self::Blob(name, last)),
            "referrers" => Some(Self::Referrers(name, last)),
            _ => None,
        }
    }

    /// Returns the name of the repository that this is about, if it is about one.
    pub(super) fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Token | Self::Root | Self::Unknown => None,
            Self::Uploads(name) | Self::Tags(name) => Some(name),
            Self::Manifest(name, _) | Self::Blob(name, _) => Some(name),
            Self::Upload(name, _) | Self::Referrers(name, _) => Some(name),
        }
    }
}

fn is_name(name: &str) -> bool {
    let component = |component: &str| {
        component.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && component
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    name.split('/').all(component)
}

/// Whether `text` is `sha256:` and 64 lower-case hex digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or_else(String::new, ToString::to_string)
}

/// Returns the values of a query's parameter, decoded.
pub(super) fn parameters(uri: &Uri, name: &str) -> Vec<String> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Vec::new();
    };
    let named = pairs.into_iter().filter(|(key, _)| key == name);
    named.map(|(_, value)| value).collect()
}

/// Returns the first value of a query's parameter, decoded.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    parameters(uri, name).into_iter().next()
}

/// Returns an answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let bytes = body.to_string();
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, bytes.len())
        .body(Body::from(bytes))
        .unwrap()
}

/// Returns an error as the distribution-spec has it ("Error Codes").
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "code": code, "message": message, "detail": null });
    json(status, &json!({ "errors": [error] }))
}

/// Returns an answer without a body.
pub(super) fn empty(status: StatusCode, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::builder().status(status);
    if status != StatusCode::NO_CONTENT {
        response = response.header(CONTENT_LENGTH, 0);
    }
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::empty()).unwrap()
}
