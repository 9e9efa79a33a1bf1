//! A blob on its way, or a part of it: where a mirror breaks off, the next host goes on.
//!
//! The bytes are as unchecked as those of any one host. Whoever hashes them and finds them wrong
//! says so ([`Store::distrust`](crate::store::Store::distrust)).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::peers::{Giver, Peers};
use crate::blob::ByteStream;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;
use crate::store::Part;

/// Bytes of a blob, from whoever gives them.
pub(super) struct Relay {
    peers: Arc<Peers>,
    blob: Descriptor,
    /// Where the next byte is.
    at: u64,
    end: u64,
    leg: Option<Leg>,
}

/// What one host gives.
struct Leg {
    giver: Giver,
    stream: ByteStream,
    /// Bytes that come before those that are wanted.
    skip: u64,
}

impl Leg {
    /// Returns what `giver` gives from the offset `at` on.
    fn new(giver: Giver, part: Part, at: u64) -> Self {
        let (stream, skip) = match part {
            Part::Range(stream) => (stream, 0),
            Part::Whole(stream) => (stream, at),
        };
        Self {
            giver,
            stream,
            skip,
        }
    }

    /// Returns the next bytes that are wanted.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            let mut piece = match self.stream.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            let before = usize::try_from(self.skip).unwrap_or(usize::MAX);
            let before = before.min(piece.len());
            self.skip -= before as u64;
            let wanted = piece.split_off(before);
            if !wanted.is_empty() {
                return Some(Ok(wanted));
            }
        }
    }
}

impl Relay {
    /// Opens the bytes `range` of a blob. As one host does, it may begin with the first byte
    /// instead, which [`Part`] tells.
    pub(super) async fn open(
        peers: &Arc<Peers>,
        blob: &Descriptor,
        range: Range<u64>,
        what: &str,
    ) -> Result<Part> {
        let (giver, part) = peers.open(blob, range.clone()).await?;
        let is_whole = matches!(part, Part::Whole(_));
        let range = if is_whole { 0..blob.size } else { range };
        let length = range.end - range.start;
        let relay = Self {
            peers: Arc::clone(peers),
            blob: blob.clone(),
            at: range.start,
            end: range.end,
            leg: Some(Leg::new(giver, part, range.start)),
        };
        Ok(match is_whole {
            true => Part::Whole(relay.into_stream()),
            false => Part::exactly(relay.into_stream(), length, what),
        })
    }

    fn into_stream(self) -> ByteStream {
        Box::pin(futures_util::stream::try_unfold(self, |mut relay| async {
            let piece = relay.next().await?;
            Ok(piece.map(|piece| (piece, relay)))
        }))
    }

    /// Returns the next bytes; `None` is the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let mut leg = match self.leg.take() {
                Some(leg) => leg,
                None if self.at == self.end => return Ok(None),
                None => {
                    let (giver, part) = self.peers.open(&self.blob, self.at..self.end).await?;
                    Leg::new(giver, part, self.at)
                }
            };
            let next = leg.next().await;
            if leg.giver == Giver::Origin {
                return self.pass(leg, next);
            }
            let broken = match next {
                Some(Ok(piece)) => return Ok(Some(self.take(leg, piece))),
                // Everything is there; that the connection breaks now is no matter any more.
                _ if self.at == self.end => {
                    self.peers.peer(leg.giver).served();
                    return Ok(None);
                }
                Some(Err(error)) => error,
                None => self.short(),
            };
            self.peers.blame(leg.giver, &self.blob, &broken);
        }
    }

    /// Passes on what the registry itself gives, for whoever reads to judge it.
    fn pass(&mut self, leg: Leg, next: Option<Result<Bytes>>) -> Result<Option<Bytes>> {
        let piece = next.transpose();
        let blame = |error: &Error| self.peers.blame(leg.giver, &self.blob, error);
        let piece = piece.inspect_err(|error| blame(error))?;
        if let Some(piece) = &piece {
            self.count(leg.giver, piece);
            self.leg = Some(leg);
        }
        Ok(piece)
    }

    /// Takes what a mirror gives, but no more than there should be: whoever reads then finds out
    /// whether that is right.
    fn take(&mut self, leg: Leg, mut piece: Bytes) -> Bytes {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        if piece.len() > left {
            let message = format!("it gives more bytes than those of {}", self.blob.digest);
            let error = Error::new(Reason::SizeMismatch, message);
            self.peers.blame(leg.giver, &self.blob, &error);
            piece.truncate(left);
            self.count(leg.giver, &piece);
            return piece;
        }
        self.count(leg.giver, &piece);
        self.leg = Some(leg);
        piece
    }

    fn count(&mut self, giver: Giver, piece: &Bytes) {
        self.at += piece.len() as u64;
        self.peers.peer(giver).gave(piece.len() as u64);
    }

    fn short(&self) -> Error {
        let message = format!("it ends {} bytes early", self.end - self.at);
        Error::new(Reason::Connection, message)
    }
}
