//! Connections: accepted, wrapped in TLS where asked for, and broken where a fault says so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use super::contents::State;

/// The registry's listener.
pub(super) struct Wires(mpsc::Receiver<Wire>);

impl Wires {
    /// Accepts on `listener`; a TLS handshake that never ends holds up no other connection.
    pub(super) fn new(listener: TcpListener, state: &State) -> Self {
        let (sender, receiver) = mpsc::channel(64);
        let acceptor = state.identity.as_ref().map(|identity| identity.acceptor());
        let sent = Arc::clone(&state.sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(open(
                    stream,
                    acceptor.clone(),
                    Arc::clone(&sent),
                    sender.clone(),
                ));
            }
        });
        Self(receiver)
    }
}

async fn open(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    sent: Arc<AtomicU64>,
    opened: mpsc::Sender<Wire>,
) {
    let (stream, client_certificate): (Box<dyn Duplex>, _) = match acceptor {
        None => (Box::new(stream), false),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let certificate = stream.get_ref().1.peer_certificates().is_some();
                (Box::new(stream), certificate)
            }
            // The client does not trust this certificate or shows none: its test says so.
            Err(_) => return,
        },
    };
    let link = Link(Arc::new(Shared {
        cut: AtomicBool::new(false),
        flushed: Notify::new(),
        client_certificate,
        sent,
    }));
    // Nobody listens any more when the registry stops.
    opened.send(Wire { stream, link }).await.ok();
}

impl Listener for Wires {
    type Io = Wire;
    type Addr = ();

    async fn accept(&mut self) -> (Wire, ()) {
        match self.0.recv().await {
            Some(wire) => (wire, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What a request can do to the connection it came by.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    cut: AtomicBool,
    flushed: Notify,
    client_certificate: bool,
    sent: Arc<AtomicU64>,
}

impl Link {
    /// Drops the connection: nothing that is not sent yet will be.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
    }

    /// Waits until everything that the server has so far was handed to the network.
    ///
    /// The server polls a body and then flushes, in one task: the first flush after this future
    /// is polled covers all that the body has given.
    pub(super) async fn flushed(&self) {
        self.0.flushed.notified().await;
    }

    /// Whether the client showed a certificate.
    pub(super) fn client_certificate(&self) -> bool {
        self.0.client_certificate
    }
}

impl Connected<IncomingStream<'_, Wires>> for Link {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.io().link.clone()
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One connection.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    link: Link,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.link.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.link.0.sent.fetch_add(count as u64, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.link.0.flushed.notify_waiters();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
