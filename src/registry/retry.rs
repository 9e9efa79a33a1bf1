//! Which failures are worth another try, and how long to wait for it.

use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::{ceiling, jitter};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::progress::Progress;

/// A failure, and whether trying again makes sense.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) again: Again,
}

/// Whether and when a failed request may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    Soon,
    /// After what the registry asked for.
    After(Duration),
}

impl Failure {
    /// Returns a failure that another try will not cure.
    pub(super) fn last(error: Error) -> Self {
        let again = Again::Never;
        Self { error, again }
    }

    /// Returns a failure that may pass.
    pub(super) fn passing(error: Error) -> Self {
        let again = Again::Soon;
        Self { error, again }
    }
}

/// Of the errors that have a reason only, those of the network may pass.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.reason() {
            Reason::Connection | Reason::TimedOut => Self::passing(error),
            _ => Self::last(error),
        }
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    most: u32,
    tried: u32,
}

impl Backoff {
    /// Returns tries of which the second comes after at most `base`.
    pub(super) fn new(base: Duration) -> Self {
        let most = limits::TRIES;
        Self {
            base,
            most,
            tried: 0,
        }
    }

    /// Ends after `most` tries.
    pub(super) fn at_most(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// Waits for the next try, or returns the error if there is none.
    pub(super) async fn wait(
        &mut self,
        failure: Failure,
        action: &str,
        progress: &dyn Progress,
    ) -> Result<()> {
        self.tried += 1;
        let wait = match failure.again {
            Again::Never => return Err(failure.error),
            _ if self.tried >= self.most => return Err(failure.error),
            Again::After(asked) if asked > limits::RETRY_AFTER => {
                let hint = format!("try again in {} s", asked.as_secs());
                return Err(failure.error.hint(hint));
            }
            Again::After(asked) => asked,
            Again::Soon => jitter(ceiling(self.base, self.tried)),
        };
        progress.note(&format!(
            "will try again to {action} in {:.1} s: {}",
            wait.as_secs_f64(),
            failure.error
        ));
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Returns the wait that a `Retry-After` field asks for: seconds, or a date
/// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
pub(super) fn retry_after(field: &str, now: Timestamp) -> Option<Duration> {
    let field = field.trim();
    if let Ok(seconds) = field.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(field).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn failure(again: Again) -> Failure {
        let error = Error::new(Reason::RateLimited, "slow down");
        Failure { error, again }
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        for (field, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("Sun, 06 Nov 1988 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(field, now), expected, "{field}");
        }
    }

    #[tokio::test]
    async fn ends_after_the_last_try() {
        let mut backoff = Backoff::new(Duration::ZERO);
        for _ in 1..limits::TRIES {
            backoff
                .wait(failure(Again::Soon), "x", &Silent)
                .await
                .unwrap();
        }
        let error = backoff
            .wait(failure(Again::Soon), "x", &Silent)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::RateLimited);
    }

    #[tokio::test]
    async fn does_not_wait_for_what_never_passes_or_takes_too_long() {
        let too_long = Again::After(limits::RETRY_AFTER + Duration::from_secs(1));
        for again in [Again::Never, too_long] {
            let mut backoff = Backoff::new(Duration::ZERO);
            backoff
                .wait(failure(again), "x", &Silent)
                .await
                .unwrap_err();
        }
        let mut backoff = Backoff::new(Duration::ZERO);
        let now = Again::After(Duration::ZERO);
        backoff.wait(failure(now), "x", &Silent).await.unwrap();
    }
}
