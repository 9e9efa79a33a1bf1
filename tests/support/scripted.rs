//! A registry that does what a script says: for each request the script may answer anything, and
//! what it leaves alone is answered as an honest registry without the referrers API would.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::serve::Listener;
use bytes::Bytes;
use futures_util::StreamExt;
use modelctl::digest::Digest;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a request was.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// Whether this is `method` on a path that has `part` in it.
    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }

    /// Returns a header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Returns the script's answer, or `None` to let the shelf answer.
type Script = Box<dyn Fn(&Seen, &Shelf) -> Option<Response> + Send + Sync>;

/// A running registry; it stops when dropped.
pub(crate) struct Registry {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

struct Inner {
    script: Script,
    /// Requests with larger bodies are refused before a byte of them is read, as proxies do.
    limit: Mutex<Option<u64>>,
    shelf: Shelf,
    seen: Mutex<Vec<Seen>>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Registry {
    /// Starts an honest registry on plain http.
    pub(crate) async fn honest() -> Self {
        Self::start(|_, _| None).await
    }

    /// Starts a registry on plain http.
    pub(crate) async fn start(
        script: impl Fn(&Seen, &Shelf) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        Self::serve(listener, address, Box::new(script))
    }

    /// Starts a registry on TLS.
    pub(crate) async fn start_tls(
        config: Arc<tokio_rustls::rustls::ServerConfig>,
        script: impl Fn(&Seen, &Shelf) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let tcp = listen().await;
        let address = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(config);
        Self::serve(TlsListener { tcp, acceptor }, address, Box::new(script))
    }

    fn serve<L>(listener: L, address: SocketAddr, script: Script) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let inner = Arc::new(Inner {
            script,
            limit: Mutex::default(),
            shelf: Shelf::default(),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            inner,
            task,
        }
    }

    /// Refuses larger bodies from now on.
    pub(crate) fn limit_bodies(&self, limit: u64) {
        *lock(&self.inner.limit) = Some(limit);
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns `localhost:PORT`: the same server under another name, so another origin.
    pub(crate) fn alias(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Returns every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }

    /// Returns how many requests were `method` on a path with `part` in it.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        let seen = lock(&self.inner.seen);
        seen.iter().filter(|seen| seen.is(method, part)).count()
    }

    /// Returns what is stored.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut seen = Seen {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: Bytes::new(),
    };
    let length = seen
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let limit = *lock(&inner.limit);
    if limit
        .zip(length)
        .is_some_and(|(limit, length): (u64, u64)| length > limit)
    {
        lock(&inner.seen).push(seen);
        return reply(413);
    }
    if let Ok(body) = to_bytes(body, usize::MAX).await {
        seen.body = body;
    }
    lock(&inner.seen).push(seen.clone());
    (inner.script)(&seen, &inner.shelf).unwrap_or_else(|| inner.shelf.answer(&seen))
}

/// Content by repository path (`NAME/manifests/REFERENCE`, `NAME/blobs/DIGEST`), with its type.
#[derive(Default)]
pub(crate) struct Shelf {
    content: Mutex<BTreeMap<String, (String, Bytes)>>,
    upload: Mutex<Vec<u8>>,
}

impl Shelf {
    /// Returns what lies at `path`.
    pub(crate) fn at(&self, path: &str) -> Option<Bytes> {
        let content = lock(&self.content);
        content.get(path).map(|(_, bytes)| bytes.clone())
    }

    /// Lays `bytes` at `path`.
    pub(crate) fn put(&self, path: &str, media_type: &str, bytes: impl Into<Bytes>) {
        let entry = (media_type.to_owned(), bytes.into());
        lock(&self.content).insert(path.to_owned(), entry);
    }

    /// Answers as an honest registry would.
    pub(crate) fn answer(&self, seen: &Seen) -> Response {
        let path = seen.path.strip_prefix("/v2/").unwrap_or_default();
        let name = path.split('/').next().unwrap_or_default();
        match seen.method.as_str() {
            "GET" | "HEAD" if path.is_empty() => reply(200),
            "GET" if path.ends_with("/tags/list") => self.tags(name),
            "GET" | "HEAD" => self.fetch(path),
            "POST" => {
                lock(&self.upload).clear();
                accepted(&format!("/v2/{name}/blobs/uploads/1?state=a%2Fb"))
            }
            "PATCH" => {
                lock(&self.upload).extend_from_slice(&seen.body);
                accepted(&format!("/v2/{name}/blobs/uploads/1?state=c"))
            }
            "PUT" if path.contains("/blobs/uploads/") => self.close(name, seen),
            "PUT" => self.store(path, name, seen),
            "DELETE" => reply(204),
            _ => reply(405),
        }
    }

    fn fetch(&self, path: &str) -> Response {
        match lock(&self.content).get(path) {
            Some((media_type, bytes)) => with(
                200,
                &[
                    ("content-type", media_type),
                    ("docker-content-digest", &Digest::of(bytes).to_string()),
                ],
                bytes.clone(),
            ),
            None => reply(404),
        }
    }

    fn tags(&self, name: &str) -> Response {
        let prefix = format!("{name}/manifests/");
        let content = lock(&self.content);
        let references = content.keys().filter_map(|path| path.strip_prefix(&prefix));
        let tags: Vec<_> = references.filter(|r| !r.contains(':')).collect();
        with(
            200,
            &[],
            serde_json::json!({"name": name, "tags": tags}).to_string(),
        )
    }

    fn close(&self, name: &str, seen: &Seen) -> Response {
        let mut bytes = std::mem::take(&mut *lock(&self.upload));
        bytes.extend_from_slice(&seen.body);
        let digest = Digest::of(&bytes).to_string();
        if !seen
            .query
            .ends_with(&format!("digest={}", digest.replace(':', "%3A")))
        {
            return refusal(400, "DIGEST_INVALID", "other bytes came");
        }
        self.put(
            &format!("{name}/blobs/{digest}"),
            "application/octet-stream",
            bytes,
        );
        with(201, &[("docker-content-digest", &digest)], "")
    }

    fn store(&self, path: &str, name: &str, seen: &Seen) -> Response {
        let digest = Digest::of(&seen.body).to_string();
        let media_type = seen.header("content-type").unwrap_or_default();
        self.put(path, media_type, seen.body.clone());
        self.put(
            &format!("{name}/manifests/{digest}"),
            media_type,
            seen.body.clone(),
        );
        with(201, &[("docker-content-digest", &digest)], "")
    }
}

/// Returns an answer without fields or body.
pub(crate) fn reply(status: u16) -> Response {
    with(status, &[], "")
}

/// Returns an answer.
pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

/// Returns a refusal in the protocol's form.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
    with(
        status,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

fn accepted(location: &str) -> Response {
    with(202, &[("location", location)], "")
}

/// Returns a body that never ends.
pub(crate) fn endless() -> Body {
    let piece = || Ok::<_, io::Error>(Bytes::from(vec![b' '; 64 << 10]));
    Body::from_stream(futures_util::stream::repeat_with(piece))
}

/// Returns a body that breaks off after `bytes`.
pub(crate) fn broken(bytes: impl Into<Bytes>) -> Body {
    let pieces = [Ok(bytes.into()), Err(io::Error::other("gone"))];
    Body::from_stream(futures_util::stream::iter(pieces))
}

/// Returns a body that sends `bytes` and then nothing.
pub(crate) fn stalled(bytes: impl Into<Bytes>) -> Body {
    let first = futures_util::stream::iter([Ok::<_, io::Error>(bytes.into())]);
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A handshake that fails is the client's refusal, which is what some tests are about.
            let Ok((stream, address)) = self.tcp.accept().await else {
                continue;
            };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
