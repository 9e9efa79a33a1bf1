//! The services, on one loopback port: at the paths where the real ones answer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use super::Sigstore;
use super::log::Entry;

mod fulcio;
pub mod openid;
mod rekor;

/// How a service misbehaves, once.
#[derive(Debug, Clone)]
pub enum Misdeed {
    /// It answers with this status and body.
    Answers(u16, Vec<u8>),
    /// It does what it is asked to, but its answer gets lost on the way: status 503.
    LosesAnswer,
    /// The certificate is for another key.
    OtherKey,
    /// The certificate is for somebody else.
    OtherSubject,
    /// The entry is another one than was sent.
    OtherEntry,
    /// The timestamp is on something else.
    OtherImprint,
    /// The timestamp answers another question.
    OtherNonce,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What the handlers share.
pub struct Services {
    pub sigstore: Sigstore,
    asked: Mutex<Vec<Asked>>,
    misdeeds: Mutex<Vec<(String, Misdeed)>>,
    entries: Mutex<HashMap<String, Entry>>,
    codes: Mutex<HashMap<String, openid::Login>>,
}

/// Running services; they stop when dropped.
pub struct Server {
    services: Arc<Services>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the services of a new Sigstore on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let services = Arc::new(Services {
            sigstore: Sigstore::at(&format!("http://localhost:{port}")),
            asked: Mutex::default(),
            misdeeds: Mutex::default(),
            entries: Mutex::default(),
            codes: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&services);
        let thread = std::thread::spawn(move || serve(listener, serving, stopped));
        Self {
            services,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Makes the next request whose path is `path` go wrong.
    pub fn misbehave(&self, path: &str, misdeed: Misdeed) {
        let mut misdeeds = self.services.misdeeds.lock().unwrap();
        misdeeds.push((path.to_owned(), misdeed));
    }

    /// Returns the requests so far whose path begins with `path`.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.services.asked.lock().unwrap();
        let matching = asked.iter().filter(|asked| asked.path.starts_with(path));
        matching.cloned().collect()
    }
}

impl Deref for Server {
    type Target = Sigstore;

    fn deref(&self) -> &Sigstore {
        &self.services.sigstore
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the services panicked"
            );
        }
    }
}

fn serve(listener: TcpListener, services: Arc<Services>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = Router::new().fallback(answer).with_state(services);
        tokio::select! {
            _ = axum::serve(listener, service) => (),
            _ = stopped => (),
        }
    });
}

async fn answer(
    State(services): State<Arc<Services>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let asked = Asked {
        method,
        path: path.clone(),
        headers,
        body: body.to_vec(),
    };
    services.asked.lock().unwrap().push(asked.clone());
    let misdeed = services.misdeed(&path);
    if let Some(Misdeed::Answers(status, body)) = misdeed {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let answer = services.route(&asked, &uri, misdeed.as_ref());
    match misdeed {
        Some(Misdeed::LosesAnswer) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => answer.unwrap_or_else(|status| status.into_response()),
    }
}

impl Services {
    fn misdeed(&self, path: &str) -> Option<Misdeed> {
        let mut misdeeds = self.misdeeds.lock().unwrap();
        let next = misdeeds.iter().position(|(at, _)| at == path)?;
        Some(misdeeds.remove(next).1)
    }

    fn route(
        &self,
        asked: &Asked,
        uri: &Uri,
        misdeed: Option<&Misdeed>,
    ) -> Result<Response, StatusCode> {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/api/v2/signingCert") => self.certify(asked, misdeed),
            ("GET", "/api/v2/trustBundle") => Ok(self.trust_bundle()),
            ("POST", "/api/v1/log/entries") => self.enter_v1(asked, misdeed),
            ("GET", path) if path.starts_with("/api/v1/log/entries/") => self.look_up(path),
            ("POST", "/api/v2/log/entries") => self.enter_v2(asked, misdeed),
            ("POST", "/api/v1/timestamp") => self.timestamp(asked, misdeed),
            ("GET", "/.well-known/openid-configuration") => Ok(json_answer(
                StatusCode::OK,
                &self.sigstore.provider.discovery(),
            )),
            ("GET", "/auth") => self.log_in(uri),
            ("POST", "/token") => self.exchange(asked),
            ("GET", "/ambient") => self.ambient(asked, uri),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    fn timestamp(&self, asked: &Asked, misdeed: Option<&Misdeed>) -> Result<Response, StatusCode> {
        let mut query =
            super::timestamp::Query::parse(&asked.body).ok_or(StatusCode::BAD_REQUEST)?;
        match misdeed {
            Some(Misdeed::OtherImprint) => {
                query.imprint = super::timestamp::Query::about(b"another").imprint;
            }
            Some(Misdeed::OtherNonce) => query.nonce = Some(super::asn1::integer(7)),
            _ => {}
        }
        let token = self.sigstore.timestamper.answer(&query, Timestamp::now());
        let kind = [(header::CONTENT_TYPE, "application/timestamp-reply")];
        Ok((StatusCode::CREATED, kind, token).into_response())
    }
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, value.to_string()).into_response()
}
