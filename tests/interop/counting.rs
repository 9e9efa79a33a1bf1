//! A proxy in front of a registry that counts what leaves it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::sync::oneshot;

/// What left the registry by one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// How often it was asked for with `GET`.
    pub(crate) requests: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
}

/// What left the registry, by path without query.
type Counts = Arc<Mutex<BTreeMap<String, Sent>>>;

/// A running proxy; it stops when dropped.
pub(crate) struct Counter {
    host: String,
    counts: Counts,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Forward {
    to: String,
    client: reqwest::Client,
    counts: Counts,
}

impl Counter {
    /// Starts a proxy in front of the registry at `host`, on a free port of the loopback address.
    pub(crate) fn before(host: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let counts = Counts::default();
        let forward = Forward {
            to: format!("http://{host}"),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            counts: Arc::clone(&counts),
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(listener, forward, stopped));
        Self {
            host: own,
            counts,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns `127.0.0.1:PORT`, the registry's name to everybody who is counted.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns what left the registry by each path since this was last called.
    pub(crate) fn take(&self) -> BTreeMap<String, Sent> {
        std::mem::take(&mut *self.counts.lock().unwrap())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: TcpListener, forward: Forward, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let router = Router::new().fallback(pass).with_state(forward);
        tokio::select! {
            _ = axum::serve(listener, router) => (),
            _ = stopped => (),
        }
    });
}

/// Passes a request on, and its answer back, body by body and never whole.
async fn pass(State(forward): State<Forward>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers;
    headers.remove(HOST);
    let is_get = head.method == "GET";
    let answer = forward
        .client
        .request(head.method, format!("{}{target}", forward.to))
        .headers(headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await
        .unwrap();
    let path = head.uri.path().to_owned();
    let counts = forward.counts;
    if is_get {
        let mut counts = counts.lock().unwrap();
        counts.entry(path.clone()).or_default().requests += 1;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(TRANSFER_ENCODING);
    let counted = answer.bytes_stream().inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        counts
            .lock()
            .unwrap()
            .entry(path.clone())
            .or_default()
            .bytes += bytes;
    });
    *response.body_mut() = Body::from_stream(counted);
    response
}
