//! A stream of a blob's bytes, how far it goes, and how fast it comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::blob::ByteStream;
use crate::error::Result;

/// Bytes of a blob as they come.
pub(super) struct Body {
    stream: ByteStream,
    /// What was received and not yet wanted.
    rest: Bytes,
    /// The offset in the blob at which it must end.
    pub(super) end: u64,
    pub(super) pace: Pace,
}

impl Body {
    /// Returns `stream` as bytes that go on until the offset `end`.
    pub(super) fn new(stream: ByteStream, end: u64) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
            end,
            pace: Pace::default(),
        }
    }

    /// Returns the next bytes, of which no more than `most` are taken.
    pub(super) async fn next(&mut self, most: u64) -> Option<Result<Bytes>> {
        if self.rest.is_empty() {
            let started = Instant::now();
            self.rest = match self.stream.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            self.pace.count(started.elapsed(), self.rest.len());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Some(Ok(self.rest.split_to(self.rest.len().min(most))))
    }

    /// Whether it goes on where it must end. That it breaks there is no matter any more.
    pub(super) async fn goes_on(&mut self) -> bool {
        while self.rest.is_empty() {
            match self.stream.next().await {
                Some(Ok(piece)) => self.rest = piece,
                _ => return false,
            }
        }
        true
    }
}

/// Returns `stream` without its first `count` bytes.
pub(super) fn skip(stream: ByteStream, count: u64) -> ByteStream {
    let after = move |left: &mut u64, piece: Result<Bytes>| {
        let piece = piece.map(|mut bytes| {
            let passed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
            *left -= passed as u64;
            bytes.split_off(passed)
        });
        std::future::ready(Some(piece))
    };
    Box::pin(stream.scan(count, after))
}

/// How fast bytes come, over the time spent waiting for them: that the disk is slow is nothing
/// that more connections cure.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn count(&mut self, waited: Duration, bytes: usize) {
        self.waited += waited;
        self.bytes += bytes as u64;
    }

    /// Whether, after at least `watch` of waiting, less than `rate` bytes came in a second; then
    /// counting begins anew.
    pub(super) fn is_below(&mut self, rate: u64, watch: Duration) -> bool {
        if self.waited < watch {
            return false;
        }
        let slow = (self.bytes as f64) < rate as f64 * self.waited.as_secs_f64();
        *self = Self::default();
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn skips_whatever_the_pieces_are() {
        for count in 0..=6 {
            let pieces = [&b"ab"[..], b"", b"c", b"def"];
            let pieces = pieces.map(|piece| Ok(Bytes::from_static(piece)));
            let mut body = skip(Box::pin(futures_util::stream::iter(pieces)), count);
            let mut all = Vec::new();
            while let Some(piece) = body.next().await {
                all.extend_from_slice(&piece.unwrap());
            }
            assert_eq!(all, b"abcdef"[count as usize..]);
        }
    }

    #[test]
    fn a_pace_is_judged_over_time() {
        let (tenth, second) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut pace = Pace::default();
        pace.count(tenth, 1);
        assert!(!pace.is_below(1000, second), "too early to tell");
        pace.count(9 * tenth, 998);
        assert!(pace.is_below(1000, second));
        pace.count(second, 1000);
        assert!(!pace.is_below(1000, second));
    }
}
