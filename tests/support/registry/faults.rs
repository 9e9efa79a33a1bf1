//! Scripted misbehaviour: what goes wrong with which request, and how often.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::contents::State;
use super::wire::Link;

/// What happens to requests of one kind.
///
/// Only requests that pass authentication are looked at, so that a fault meant for a blob is not
/// used up by the challenge before it. The token endpoint counts as passed.
pub struct Fault {
    /// The method, or `*` for any.
    pub method: String,
    /// What the path and query must contain.
    pub path_contains: String,
    /// How many matching requests go through unharmed first.
    pub skip: usize,
    /// How many requests are harmed; `None` for all.
    pub times: Option<usize>,
    /// What happens to them, in this order.
    pub actions: Vec<Action>,
}

/// One thing that goes wrong.
#[derive(Clone)]
pub enum Action {
    /// Answers with this status and JSON body instead.
    Status(u16, String),
    /// Answers with this status, these headers and this body instead.
    Respond(u16, Vec<(String, String)>, Vec<u8>),
    /// Drops the connection without an answer; the request is not carried out.
    Close,
    /// Carries the request out, then drops the connection without an answer.
    CloseAfter,
    /// Drops the connection after so many bytes of the body.
    Truncate(usize),
    /// Sends so many bytes of the body and then nothing, on an open connection.
    Stall(usize),
    /// Sends so many bytes of the body in a second.
    Throttle(usize),
    /// Sends no more than the gate lets through, until that is opened.
    Hold(Arc<Gate>),
    /// Flips a bit of the body's byte at this offset.
    Corrupt(usize),
    /// Sends so many zeros after the body, and adds them to `Content-Length` if there is one.
    ExtraBytes(usize),
    /// Sends spaces after the body until the client hangs up, without `Content-Length`.
    Endless,
    /// Leaves `Content-Length` out and sends the body in chunks.
    Chunked,
    /// Sets a header of the answer.
    Header(String, String),
    /// Leaves a header of the answer out.
    WithoutHeader(String),
    /// Waits before the request is carried out.
    Delay(Duration),
    /// Runs this before the request is carried out, as if another client came between.
    Call(Arc<dyn Fn(&State) + Send + Sync>),
}

/// Lets so many bytes of bodies through, over all requests, and then none until it is opened.
pub struct Gate {
    left: Mutex<usize>,
    closed: Condvar,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Returns a gate that closes after so many bytes.
    pub fn after(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(bytes),
            closed: Condvar::new(),
            open: watch::Sender::new(false),
        })
    }

    /// Waits until all the bytes went through.
    pub fn wait(&self) {
        let left = self.left.lock().unwrap();
        let waited = self
            .closed
            .wait_timeout_while(left, Duration::from_secs(60), |left| *left > 0);
        assert!(!waited.unwrap().1.timed_out(), "nobody asked for so much");
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Lets some bytes through, at most as many as these.
    fn pass(&self, count: usize) -> usize {
        let mut left = self.left.lock().unwrap();
        let passed = count.min(*left);
        *left -= passed;
        if *left == 0 {
            self.closed.notify_all();
        }
        passed
    }
}

impl Fault {
    /// Returns a fault of every request with `method` (`*` for any) whose path or query contains
    /// `path_contains`; it does nothing until told what ([`Fault::does`]).
    pub fn on(method: &str, path_contains: &str) -> Self {
        Self {
            method: method.to_owned(),
            path_contains: path_contains.to_owned(),
            skip: 0,
            times: None,
            actions: Vec::new(),
        }
    }

    /// Lets the first `count` matching requests through.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Stops after `count` requests.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// Adds what happens.
    #[must_use]
    pub fn does(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Adds what runs before the request is carried out.
    #[must_use]
    pub fn calls(self, hook: impl Fn(&State) + Send + Sync + 'static) -> Self {
        self.does(Action::Call(Arc::new(hook)))
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        (self.method == "*" || self.method == method.as_str()) && path.contains(&self.path_contains)
    }

    /// Uses the fault up by one request; `false` means that this one goes unharmed.
    fn strikes(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

/// Returns what goes wrong with a request.
pub(super) fn strike(state: &State, method: &Method, path: &str) -> Vec<Action> {
    let mut faults = state.faults();
    faults
        .iter_mut()
        .filter(|fault| fault.matches(method, path))
        .find_map(|fault| fault.strikes().then(|| fault.actions.clone()))
        .unwrap_or_default()
}

/// Does what comes before a request is carried out; an answer is given instead of doing so.
pub(super) async fn before(actions: &[Action], state: &State, link: &Link) -> Option<Response> {
    for action in actions {
        match action {
            Action::Delay(time) => tokio::time::sleep(*time).await,
            Action::Call(hook) => hook(state),
            Action::Close => {
                link.cut();
                return Some(Response::default());
            }
            Action::Status(status, body) => {
                let json = (CONTENT_TYPE.to_string(), "application/json".to_owned());
                return Some(respond(*status, &[json], body.as_bytes()));
            }
            Action::Respond(status, headers, body) => return Some(respond(*status, headers, body)),
            _ => (),
        }
    }
    None
}

fn respond(status: u16, headers: &[(String, String)], body: &[u8]) -> Response {
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(header(name), text(value));
    }
    response
}

/// Does to an answer what is to be done to it.
pub(super) fn after(actions: &[Action], response: Response, link: &Link) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        let length = HeaderValue::from(length);
        head.headers.entry(CONTENT_LENGTH).or_insert(length);
    }
    let mut body: Pieces = body.into_data_stream().map(|p| p.map_err(broken)).boxed();
    for action in actions {
        match action {
            Action::CloseAfter => link.cut(),
            Action::Truncate(count) => body = cut(first(body, *count), link.clone()),
            Action::Stall(count) => body = first(body, *count).chain(stream::pending()).boxed(),
            Action::Throttle(rate) => body = throttle(body, *rate),
            Action::Hold(gate) => body = hold(body, Arc::clone(gate)),
            Action::Corrupt(offset) => body = corrupt(body, *offset),
            Action::ExtraBytes(count) => {
                if let Some(length) = head.headers.get_mut(CONTENT_LENGTH) {
                    let said: usize = length.to_str().unwrap().parse().unwrap();
                    *length = HeaderValue::from(said + count);
                }
                body = body.chain(once(vec![0; *count])).boxed();
            }
            Action::Endless => {
                head.headers.remove(CONTENT_LENGTH);
                let spaces = Bytes::from(vec![b' '; 64 << 10]);
                body = body
                    .chain(stream::repeat_with(move || Ok(spaces.clone())))
                    .boxed();
            }
            Action::Chunked => drop(head.headers.remove(CONTENT_LENGTH)),
            Action::Header(name, value) => drop(head.headers.insert(header(name), text(value))),
            Action::WithoutHeader(name) => drop(head.headers.remove(header(name))),
            _ => (),
        }
    }
    Response::from_parts(head, Body::from_stream(body))
}

type Pieces = BoxStream<'static, io::Result<Bytes>>;

fn once(bytes: Vec<u8>) -> stream::Iter<std::iter::Once<io::Result<Bytes>>> {
    stream::iter(std::iter::once(Ok(Bytes::from(bytes))))
}

/// Passes the first `count` bytes on.
fn first(body: Pieces, count: usize) -> Pieces {
    body.scan(count, |left, piece| {
        let piece = piece.map(|bytes| bytes.slice(..bytes.len().min(*left)));
        if let Ok(bytes) = &piece {
            *left -= bytes.len();
        }
        let end = piece.as_ref().is_ok_and(Bytes::is_empty);
        std::future::ready((!end).then_some(piece))
    })
    .boxed()
}

/// Breaks the connection where `body` ends, but not before its bytes are on the way.
fn cut(body: Pieces, link: Link) -> Pieces {
    let end = stream::once(async move {
        link.flushed().await;
        link.cut();
        Err(io::ErrorKind::ConnectionReset.into())
    });
    body.chain(end).boxed()
}

/// Sends `body` in small pieces with a pause after each.
fn throttle(body: Pieces, rate: usize) -> Pieces {
    const PAUSE: Duration = Duration::from_millis(10);
    let size = (rate / 100).max(1);
    body.flat_map(move |piece| {
        let pieces: Vec<_> = match piece {
            Ok(bytes) => (0..bytes.len())
                .step_by(size)
                .map(|at| Ok(bytes.slice(at..bytes.len().min(at + size))))
                .collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(pieces).then(|piece| async {
            tokio::time::sleep(PAUSE).await;
            piece
        })
    })
    .boxed()
}

/// Passes on what `gate` lets through.
fn hold(body: Pieces, gate: Arc<Gate>) -> Pieces {
    let state = (body, Bytes::new(), gate);
    let next = |(mut body, mut rest, gate): (Pieces, Bytes, Arc<Gate>)| async move {
        if rest.is_empty() {
            rest = match body.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), (body, rest, gate))),
            };
        }
        let mut passed = gate.pass(rest.len());
        if passed == 0 {
            let mut open = gate.open.subscribe();
            // It is here as long as the gate is.
            open.wait_for(|open| *open).await.ok()?;
            passed = rest.len();
        }
        Some((Ok(rest.split_to(passed)), (body, rest, gate)))
    };
    stream::unfold(state, next).boxed()
}

fn corrupt(body: Pieces, offset: usize) -> Pieces {
    body.scan(offset, |left, piece| {
        let piece = piece.map(|bytes| match bytes.len() > *left {
            true => {
                let mut bytes = bytes.to_vec();
                bytes[*left] ^= 1;
                *left = usize::MAX;
                Bytes::from(bytes)
            }
            false => {
                *left -= bytes.len();
                bytes
            }
        });
        std::future::ready(Some(piece))
    })
    .boxed()
}

fn broken(error: axum::Error) -> io::Error {
    io::Error::other(error)
}

fn header(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap()
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap()
}
