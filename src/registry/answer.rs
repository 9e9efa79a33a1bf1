//! An answer: its status and fields at once, its body piece by piece and never without a limit.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Response, StatusCode};

use super::origin::Origin;
use super::transport;
use crate::blob::ByteStream;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// The field in which a registry says what it thinks the content's digest is.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A body must come at this rate on average, counted over twice the stall time: a peer that sends
/// a byte now and then would otherwise hold us for ever.
const SLOWEST_BYTES_PER_SECOND: f64 = 1024.0;

/// What a peer answered.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    origin: Origin,
    body: Body,
    stall: Duration,
}

enum Body {
    Open(Response),
    Read(Bytes),
}

impl Answer {
    /// Returns the answer that came from `origin`.
    pub(super) fn new(mut response: Response, origin: Origin, stall: Duration) -> Self {
        Self {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            origin,
            body: Body::Open(response),
            stall,
        }
    }

    /// Returns the status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns who answered.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the first field of this name, if it is text.
    pub(super) fn field(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns all fields of this name; `None` stands for one that is not text.
    pub(super) fn fields(&self, name: &HeaderName) -> impl Iterator<Item = Option<&str>> {
        let values = self.headers.get_all(name).into_iter();
        values.map(|value| value.to_str().ok())
    }

    /// Returns the body's media type without parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let field = self.field(&CONTENT_TYPE)?;
        let media_type = field.split(';').next().unwrap_or_default();
        Some(media_type.trim().to_ascii_lowercase())
    }

    /// Returns the `Content-Length`, which stands for the body even where there is none (HEAD).
    pub(super) fn length(&self) -> Option<u64> {
        self.field(&CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// Checks that the digest the registry says, if it says one, is `expected`; `what` names the
    /// content in the error.
    pub(super) fn check_digest(&self, expected: &Digest, what: &str) -> Result<()> {
        for said in self.fields(&CONTENT_DIGEST) {
            if said.and_then(|said| said.parse::<Digest>().ok()) != Some(*expected) {
                let said: String = said.unwrap_or_default().chars().take(80).collect();
                let message = format!(
                    "{} says that {what} is {said:?}, not {expected}",
                    self.origin
                );
                return Err(Error::new(Reason::DigestMismatch, message)
                    .hint("the registry or a proxy altered it; nothing was used"));
            }
        }
        Ok(())
    }

    /// Reads the whole body, which must not take more than `cap` bytes; `action` completes
    /// "cannot …" in errors.
    pub(super) async fn read(mut self, cap: u64, action: &str) -> Result<Self> {
        let (bytes, complete) = self.read_up_to(cap).await?;
        if !complete {
            let message = format!("cannot {action}: the answer is larger than {cap} bytes");
            return Err(Error::new(Reason::TooLarge, message));
        }
        self.body = Body::Read(bytes);
        Ok(self)
    }

    /// Reads the body, if it is longer than `size` no farther than it takes to see that.
    pub(super) async fn gather(mut self, size: u64) -> Result<Self> {
        let (bytes, _) = self.read_up_to(size).await?;
        self.body = Body::Read(bytes);
        Ok(self)
    }

    /// Reads the body until it ends or goes beyond `cap` bytes, and tells which of these.
    pub(super) async fn read_up_to(&mut self, cap: u64) -> Result<(Bytes, bool)> {
        let Body::Open(response) = &mut self.body else {
            return Ok((self.bytes(), true));
        };
        let mut bytes = Vec::new();
        let mut pace = Pace::new(self.stall);
        while let Some(piece) = next(response, &self.origin, &mut pace).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > cap {
                return Ok((bytes.into(), false));
            }
        }
        Ok((bytes.into(), true))
    }

    /// Returns the body, if it was read.
    pub(super) fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Read(bytes) => bytes.clone(),
            Body::Open(_) => Bytes::new(),
        }
    }

    /// Returns the body as it comes.
    pub(super) fn into_stream(self) -> ByteStream {
        let response = match self.body {
            Body::Open(response) => response,
            Body::Read(bytes) => return Box::pin(futures_util::stream::iter([Ok(bytes)])),
        };
        let state = (response, self.origin, Pace::new(self.stall));
        Box::pin(futures_util::stream::try_unfold(
            state,
            |(mut response, origin, mut pace)| async move {
                let piece = next(&mut response, &origin, &mut pace).await?;
                Ok(piece.map(|piece| (piece, (response, origin, pace))))
            },
        ))
    }
}

/// Returns the next piece of a body.
async fn next(response: &mut Response, origin: &Origin, pace: &mut Pace) -> Result<Option<Bytes>> {
    let started = Instant::now();
    let piece = tokio::time::timeout(pace.stall, response.chunk())
        .await
        .map_err(|_| {
            let message = format!("{origin} sends nothing for {} s", pace.stall.as_secs());
            Error::new(Reason::TimedOut, message)
        })?
        .map_err(|error| transport::failed(error, origin))?;
    let length = piece.as_ref().map_or(0, Bytes::len);
    match pace.keeps(started.elapsed(), length) || piece.is_none() {
        true => Ok(piece),
        false => Err(Error::new(
            Reason::TimedOut,
            format!("{origin} sends less than {SLOWEST_BYTES_PER_SECOND} bytes a second"),
        )),
    }
}

/// How fast a body comes, over the time spent waiting for it.
struct Pace {
    stall: Duration,
    waited: Duration,
    bytes: usize,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Self {
            stall,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Counts a piece; `false` means that the last ones were too few.
    fn keeps(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.stall.saturating_mul(2) {
            return true;
        }
        let fast = self.bytes as f64 >= SLOWEST_BYTES_PER_SECOND * self.waited.as_secs_f64();
        *self = Self::new(self.stall);
        fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_told_from_a_pause() {
        let second = Duration::from_secs(1);
        let mut trickle = Pace::new(30 * second);
        assert!((0..59).all(|_| trickle.keeps(second, 1)));
        assert!(!trickle.keeps(second, 1));
        let mut pause = Pace::new(30 * second);
        assert!(pause.keeps(Duration::ZERO, 1 << 20));
        assert!((0..60).all(|_| pause.keeps(second, 0)));
    }
}
