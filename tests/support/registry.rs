//! A real registry inside the test process, on a free loopback port.
//!
//! It follows the [distribution-spec] where [`Options`] do not say otherwise, is as strict as the
//! reference implementation about what clients send, and misbehaves only as a test scripts it
//! ([`Fault`]). It runs on threads of its own, so tests that block (because they wait for the
//! command line to end) use it as well as asynchronous ones, and it is gone when dropped.
//!
//! ```ignore
//! let registry = Registry::start(Options::default());
//! let digest = registry.put_blob("acme/bert", b"weights");
//! registry.fault(Fault::on("GET", "/blobs/").times(1).does(Action::Close));
//! // … run the client against `registry.host()` …
//! assert_eq!(registry.count("GET", &digest), 2);
//! ```
//!
//! [distribution-spec]: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md

pub mod auth;
pub mod contents;
pub mod faults;
pub mod tls;

mod answer;
mod blobs;
mod lists;
mod manifests;
mod uploads;
mod wire;

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;

pub use auth::{Access, Auth, Bearer, TokenField, User};
pub use contents::State;
pub use faults::{Action, Fault, Gate};
pub use tls::Tls;

/// How a registry behaves when nothing is scripted.
pub struct Options {
    /// How referrers are listed.
    pub referrers: Referrers,
    /// Who may do what.
    pub auth: Auth,
    /// The most entries of one page of tags or referrers.
    pub page_size: Option<usize>,
    /// Whether a blob may be asked for in part.
    pub ranges: bool,
    /// Whether a blob can be mounted from another repository.
    pub mounts: bool,
    /// The certificates to serve HTTPS with, instead of HTTP.
    pub tls: Option<Tls>,
    /// Whether uploaded blobs are kept on disk, for tests that send more than fits in memory.
    pub spill: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            referrers: Referrers::Api,
            auth: Auth::None,
            page_size: None,
            ranges: true,
            mounts: true,
            tls: None,
            spill: false,
        }
    }
}

/// How a registry lists referrers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referrers {
    /// By the referrers API, whole.
    Api,
    /// By the referrers API as go-containerregistry serves it: no `OCI-Subject`, the config's
    /// media type for `artifactType`, no annotations, no filter.
    ApiNoSubjectHeader,
    /// Not at all: clients keep a list under a tag.
    TagSchema,
}

/// A running registry; stops when dropped.
pub struct Registry {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// Starts a registry on a free port of the loopback address.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::new(host, options));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        let thread = std::thread::spawn(move || serve(listener, serving, stopped));
        Self {
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

fn serve(listener: TcpListener, state: Arc<State>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let wires = wire::Wires::new(listener, &state);
        let service = Router::new()
            .fallback(answer::answer)
            .with_state(state)
            .into_make_service_with_connect_info::<wire::Link>();
        tokio::select! {
            _ = axum::serve(wires, service) => (),
            _ = stopped => (),
        }
    });
    // Dropping the runtime ends every connection that is still open.
}

impl Deref for Registry {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            // A second panic while unwinding would hide the first.
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the registry panicked"
            );
        }
    }
}
