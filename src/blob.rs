//! Content on its way: a [`Blob`] knows what it should be and cannot be had unchecked.
//!
//! Every store, local layouts included, hands out content only as a [`Blob`]. Its methods give up
//! the last bytes only when size and digest match, and never take a byte more than was declared.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::buffer::Pool;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::manifest::Descriptor;
use crate::progress::Meter;
use crate::sink::Sink;
use crate::writer::Writer;

/// Bytes as they come, unchecked: what a store makes a [`Blob`] from.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Pieces between a thread that reads a file and a network task: enough to overlap, few enough to
/// stay flat.
const PIECES_IN_FLIGHT: usize = 4;

/// Compares bytes, as they pass, with the size and digest they should have.
#[derive(Debug)]
pub struct Check {
    what: String,
    digest: Digest,
    size: u64,
    seen: u64,
    hasher: Hasher,
}

impl Check {
    /// Returns a check of content that `expected` describes; `what` names it in errors.
    pub fn new(expected: &Descriptor, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            digest: expected.digest,
            size: expected.size,
            seen: 0,
            hasher: Hasher::default(),
        }
    }

    /// Takes the next bytes, or refuses them if they go beyond the declared size.
    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.expect(bytes.len())?.update(bytes);
        Ok(())
    }

    /// Counts the next `length` bytes, or refuses them if they go beyond the declared size, and
    /// returns the hasher that must get them.
    pub(crate) fn expect(&mut self, length: usize) -> Result<&mut Hasher> {
        if length as u64 > self.left() {
            let message = format!(
                "{} is longer than the declared {} bytes",
                self.what, self.size
            );
            return Err(Error::new(Reason::SizeMismatch, message));
        }
        self.seen += length as u64;
        Ok(&mut self.hasher)
    }

    /// Whether this checks the content that `descriptor` describes.
    pub fn is_of(&self, descriptor: &Descriptor) -> bool {
        (self.digest, self.size) == (descriptor.digest, descriptor.size)
    }

    /// Returns how many bytes were seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns how many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.size - self.seen
    }

    /// Whether every declared byte was seen.
    fn is_complete(&self) -> bool {
        self.seen == self.size
    }

    /// Ends the check: size and digest must both be right.
    pub fn finish(self) -> Result<Proven> {
        if self.seen != self.size {
            let message = format!(
                "{} ends after {} of {} bytes",
                self.what, self.seen, self.size
            );
            return Err(Error::new(Reason::SizeMismatch, message));
        }
        let digest = self.hasher.finish();
        if digest != self.digest {
            let message = format!("{} has the digest {digest}, not {}", self.what, self.digest);
            return Err(Error::new(Reason::DigestMismatch, message)
                .hint("the content was altered or damaged where it is stored; nothing was used"));
        }
        Ok(Proven {
            digest: self.digest,
            size: self.size,
        })
    }
}

/// Says that content with this digest and size was seen whole. Only a [`Check`] can say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    digest: Digest,
    size: u64,
}

impl Proven {
    /// Whether the content is what `descriptor` describes.
    pub fn is_of(&self, descriptor: &Descriptor) -> bool {
        (self.digest, self.size) == (descriptor.digest, descriptor.size)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Content on its way, checked as it arrives.
pub struct Blob {
    check: Check,
    body: ByteStream,
    origin: Origin,
}

/// Where content comes from, and so what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From someone who may be wrong.
    Elsewhere,
    /// From a file that this process hashed a moment ago, to know its digest at all.
    OwnFile,
}

impl Blob {
    /// Returns `body` as content that must be what `expected` says; `what` names it in errors.
    pub fn new(expected: &Descriptor, what: impl Into<String>, body: ByteStream) -> Self {
        Self {
            check: Check::new(expected, what),
            body,
            origin: Origin::Elsewhere,
        }
    }

    /// Returns `body` as the rest of content whose beginning `check` has seen.
    pub fn continued(check: Check, body: ByteStream) -> Self {
        Self {
            check,
            body,
            origin: Origin::Elsewhere,
        }
    }

    /// Returns `body` as the content of a file whose digest in `expected` this process has just
    /// computed: an [upload](Self::into_upload) does not hash it again.
    pub fn of_hashed_file(
        expected: &Descriptor,
        what: impl Into<String>,
        body: ByteStream,
    ) -> Self {
        Self {
            origin: Origin::OwnFile,
            ..Self::new(expected, what, body)
        }
    }

    /// Returns the declared digest.
    pub fn digest(&self) -> &Digest {
        &self.check.digest
    }

    /// Returns the declared size.
    pub fn size(&self) -> u64 {
        self.check.size
    }

    /// Returns the bytes as they come, for whoever checks them otherwise.
    pub(crate) fn into_unchecked(self) -> ByteStream {
        self.body
    }

    /// Reads everything into memory, which must not take more than `cap` bytes.
    pub async fn into_bytes(mut self, cap: u64) -> Result<Bytes> {
        if self.check.size > cap {
            let message = format!(
                "{} has {} bytes, more than {cap}",
                self.check.what, self.check.size
            );
            return Err(Error::new(Reason::TooLarge, message));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.body.next().await {
            let piece = piece?;
            self.check.update(&piece)?;
            bytes.extend_from_slice(&piece);
        }
        self.check.finish()?;
        Ok(bytes.into())
    }

    /// Writes everything into `file`, at the places it belongs to, hashing on the same thread that
    /// writes; `meter` counts the bytes.
    pub async fn into_file(
        self,
        file: impl Into<Arc<File>>,
        meter: Box<dyn Meter>,
    ) -> Result<Proven> {
        let Self {
            check, mut body, ..
        } = self;
        let file = file.into();
        let mut writer = Writer::new(move || Sink::new(file, check), meter.into());
        let poured = writer.pour(&mut body).await;
        // Even after a failure: the thread must not write any more when the file is used again.
        let check = writer.finish().await;
        poured?;
        check?.finish()
    }

    /// Returns the bytes as a stream for a receiver that must compare the digest itself, as a
    /// registry must
    /// ([distribution-spec, "Pushing blobs"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs)):
    /// content that was hashed to be named is not hashed a second time on its way out.
    pub fn into_upload(self) -> ByteStream {
        match self.origin {
            Origin::OwnFile => self.body,
            Origin::Elsewhere => self.into_stream(),
        }
    }

    /// Returns the bytes as a stream that ends in an error, instead of its last piece, when they
    /// are not what they should be: whoever forwards it never completes a wrong upload.
    pub fn into_stream(self) -> ByteStream {
        let state = (Some(self.check), self.body);
        Box::pin(futures_util::stream::try_unfold(
            state,
            |(check, mut body)| async move {
                let Some(mut check) = check else {
                    return Ok(None);
                };
                match body.next().await {
                    None => {
                        check.finish()?;
                        Ok(None)
                    }
                    Some(piece) => {
                        let piece = piece?;
                        check.update(&piece)?;
                        if !check.is_complete() {
                            return Ok(Some((piece, (Some(check), body))));
                        }
                        while let Some(extra) = body.next().await {
                            check.update(&extra?)?;
                        }
                        check.finish()?;
                        Ok(Some((piece, (None, body))))
                    }
                }
            },
        ))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

/// Waits for a blocking task; if it panicked, that is an error of ours, not a crash.
pub async fn join<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await
        .map_err(|error| Error::new(Reason::Internal, "a worker stopped").because(error))?
}

/// Runs `work`, which reads or writes the disk or hashes, on a blocking thread.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    join(tokio::task::spawn_blocking(work)).await
}

/// Returns the bytes of `file` from its current position, read on a blocking thread; `what` names
/// it in errors.
pub fn stream_file(mut file: impl Read + Send + 'static, what: impl Into<String>) -> ByteStream {
    let what = what.into();
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(PIECES_IN_FLIGHT);
    tokio::task::spawn_blocking(move || {
        let pool = Pool::new(limits::PIECE);
        loop {
            let mut piece = pool.take();
            let message = match piece.read_from(&mut file) {
                Ok(0) => return,
                Ok(count) => Ok(pool.lend(piece, count)),
                Err(error) => Err(Error::io("read", &what, error)),
            };
            let failed = message.is_err();
            if sender.blocking_send(message).is_err() || failed {
                return;
            }
        }
    });
    Box::pin(futures_util::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) },
    ))
}

/// Content to be stored, which can be opened again when an upload must start over.
#[async_trait]
pub trait Content: Send + Sync {
    /// Opens the content from its first byte.
    async fn open(&self) -> Result<Blob>;
}

/// Content in memory.
#[derive(Debug, Clone)]
pub struct InMemory(pub Bytes);

#[async_trait]
impl Content for InMemory {
    async fn open(&self) -> Result<Blob> {
        let descriptor = Descriptor::of("", &self.0);
        let body = futures_util::stream::iter([Ok(self.0.clone())]);
        Ok(Blob::new(&descriptor, "content in memory", Box::pin(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write;

    fn blob(sent: &[&'static [u8]], declared: &[u8]) -> Blob {
        let pieces: Vec<_> = sent
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece)))
            .collect();
        let body = Box::pin(futures_util::stream::iter(pieces));
        Blob::new(&Descriptor::of("x", declared), "it", body)
    }

    async fn all_ways(sent: &[&'static [u8]], declared: &[u8]) -> [Result<Vec<u8>>; 3] {
        let bytes = blob(sent, declared)
            .into_bytes(1 << 20)
            .await
            .map(|b| b.to_vec());
        let file = tempfile::tempfile().unwrap();
        let written = file.try_clone().unwrap();
        let file = blob(sent, declared)
            .into_file(file, Box::new(Silent))
            .await
            .map(|_| {
                use std::io::Seek;
                let mut all = Vec::new();
                let mut written = written;
                written.rewind().unwrap();
                written.read_to_end(&mut all).unwrap();
                all
            });
        let mut stream = blob(sent, declared).into_stream();
        let mut all = Ok(Vec::new());
        while let Some(piece) = stream.next().await {
            match (&mut all, piece) {
                (Ok(all), Ok(piece)) => all.extend_from_slice(&piece),
                (_, Err(error)) => all = Err(error),
                (Err(_), Ok(_)) => panic!("bytes after an error"),
            }
        }
        [bytes, file, all]
    }

    #[tokio::test]
    async fn passes_what_is_as_declared() {
        for sent in [&[&b"hello"[..]][..], &[b"he", b"", b"llo", b""]] {
            for result in all_ways(sent, b"hello").await {
                assert_eq!(result.unwrap(), b"hello");
            }
        }
        for result in all_ways(&[], b"").await {
            assert_eq!(result.unwrap(), b"");
        }
    }

    #[tokio::test]
    async fn refuses_what_is_not() {
        let cases: [(&[&'static [u8]], Reason); 5] = [
            (&[b"hellO"], Reason::DigestMismatch),
            (&[b"hell"], Reason::SizeMismatch),
            (&[b"hello", b"x"], Reason::SizeMismatch),
            (&[b"hellox"], Reason::SizeMismatch),
            (&[], Reason::SizeMismatch),
        ];
        for (sent, reason) in cases {
            for result in all_ways(sent, b"hello").await {
                assert_eq!(result.unwrap_err().reason(), reason, "{sent:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_forwarded_stream_never_gives_its_last_piece_unchecked() {
        let mut stream = blob(&[b"hel", b"lO"], b"hello").into_stream();
        assert_eq!(stream.next().await.unwrap().unwrap(), "hel");
        assert_eq!(
            stream.next().await.unwrap().unwrap_err().reason(),
            Reason::DigestMismatch
        );
    }

    #[tokio::test]
    async fn refuses_more_than_the_cap_before_reading() {
        let error = blob(&[b"hello"], b"hello").into_bytes(4).await.unwrap_err();
        assert_eq!(error.reason(), Reason::TooLarge);
    }

    #[tokio::test]
    async fn streams_a_file() {
        use std::io::Seek;
        let mut file = tempfile::tempfile().unwrap();
        let content = vec![7; limits::PIECE * 3 + 5];
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        let blob = Blob::new(&Descriptor::of("x", &content), "f", stream_file(file, "f"));
        assert_eq!(blob.into_bytes(1 << 20).await.unwrap(), content);
    }
}
