//! What must be proven about a signature besides whose it is.

use serde::Serialize;

use crate::error::Reason;
use crate::trust::{LogProof, Witness};

/// What must be proven about a signature besides whose it is. A keyless signature is always logged;
/// one by a key need not be, unless a policy demands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Demand {
    /// A transparency log holds it, or promised to.
    Logged,
    /// A transparency log proved that it holds it; a promise is not enough.
    Included,
    /// A timestamp authority dated it.
    Timestamped,
}

impl Demand {
    /// Says why `witnesses` do not meet this, if so.
    pub(super) fn check(self, witnesses: &[Witness]) -> Result<(), (Reason, String)> {
        let is_met = |witness: &Witness| match (self, witness) {
            (Self::Logged, Witness::Log { .. }) => true,
            (Self::Included, Witness::Log { proof, .. }) => *proof == LogProof::Inclusion,
            (Self::Timestamped, Witness::Timestamp { .. }) => true,
            _ => false,
        };
        if witnesses.iter().any(is_met) {
            return Ok(());
        }
        let (reason, message) = match self {
            Self::Logged => (
                Reason::LogEntryMissing,
                "no transparency log was verified to hold the signature",
            ),
            Self::Included => (
                Reason::LogEntryMissing,
                "no transparency log was proven to include the signature",
            ),
            Self::Timestamped => (
                Reason::TimestampMissing,
                "no timestamp of the signature was verified",
            ),
        };
        Err((reason, message.to_owned()))
    }
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Logged => "held by a transparency log",
            Self::Included => "proven to be in a transparency log",
            Self::Timestamped => "dated by a timestamp authority",
        })
    }
}
