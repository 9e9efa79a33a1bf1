//! Parts of blobs: bytes on their way that nobody has checked yet.

use std::ops::Range;

use futures_util::StreamExt;

use crate::blob::ByteStream;
use crate::error::{Error, Reason, Result};
use crate::manifest::Descriptor;

/// What a store gives when it is asked for a part of a blob.
///
/// The bytes are unchecked: a digest is of the whole. Only [`crate::download`] may use them, and it
/// hashes all of them in their order before anybody sees the file.
pub enum Part {
    /// Exactly the bytes that were asked for.
    Range(ByteStream),
    /// The store serves no ranges: the whole content from its first byte.
    Whole(ByteStream),
}

impl Part {
    /// Returns `body` as a range of `length` bytes, which ends in an error when it is not so long;
    /// `what` names the blob in it. Too short is a broken connection, which may pass; too long is
    /// not what was asked for.
    pub fn exactly(body: ByteStream, length: u64, what: impl Into<String>) -> Self {
        let state = (body, length, what.into());
        let next = |(mut body, left, what): (ByteStream, u64, String)| async move {
            let Some(piece) = body.next().await.transpose()? else {
                return match left {
                    0 => Ok(None),
                    _ => Err(short(&what, left)),
                };
            };
            let left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| long(&what))?;
            Ok(Some((piece, (body, left, what))))
        };
        Self::Range(Box::pin(futures_util::stream::try_unfold(state, next)))
    }
}

fn short(what: &str, left: u64) -> Error {
    let message = format!("a part of {what} ends {left} bytes early");
    Error::new(Reason::Connection, message)
}

fn long(what: &str) -> Error {
    let message = format!("a part of {what} is longer than was asked for");
    Error::new(Reason::RegistryProtocol, message)
}

/// Refuses a range that is empty or goes beyond the blob: whoever asks for it is at fault.
pub(crate) fn check_range(descriptor: &Descriptor, range: &Range<u64>) -> Result<()> {
    if range.start < range.end && range.end <= descriptor.size {
        return Ok(());
    }
    let message = format!(
        "the bytes {}..{} are no part of {}, which has {}",
        range.start, range.end, descriptor.digest, descriptor.size
    );
    Err(Error::new(Reason::Internal, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    async fn read(pieces: &[&'static [u8]], length: u64) -> Result<Vec<u8>> {
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(Bytes::from_static(p))).collect();
        let body = Box::pin(futures_util::stream::iter(pieces));
        let Part::Range(mut body) = Part::exactly(body, length, "it") else {
            panic!("a range is a range");
        };
        let mut all = Vec::new();
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_range_is_as_long_as_was_asked_for() {
        assert_eq!(read(&[b"ab", b"", b"c"], 3).await.unwrap(), b"abc");
        for (pieces, reason) in [
            (&[&b"ab"[..]][..], Reason::Connection),
            (&[], Reason::Connection),
            (&[b"abcd"], Reason::RegistryProtocol),
            (&[b"abc", b"d"], Reason::RegistryProtocol),
        ] {
            assert_eq!(read(pieces, 3).await.unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn a_range_lies_within_the_blob() {
        let blob = Descriptor::of("x", b"hello");
        for fine in [0..5, 4..5] {
            check_range(&blob, &fine).unwrap();
        }
        for (start, end) in [(0, 6), (5, 5), (3, 2), (0, u64::MAX)] {
            check_range(&blob, &(start..end)).unwrap_err();
        }
    }
}
