//! Witnesses: who else saw a signature, and when.

use jiff::Timestamp;
use serde::Serialize;

/// Someone besides the signer who vouches that a signature existed. Only what was verified is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Witness {
    /// A transparency log holds it, for everyone to see.
    #[serde(rename_all = "camelCase")]
    Log {
        /// The log: the origin that its checkpoint names, or where it is.
        log: String,
        /// The entry's number there.
        index: u64,
        /// How that was proven.
        proof: LogProof,
        /// When the log took it in, where the log signed that.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
    },
    /// A timestamp authority dated it.
    Timestamp {
        /// The authority.
        authority: String,
        /// When.
        time: Timestamp,
    },
}

impl Witness {
    /// Returns when the signature was seen, where that is proven.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Log { time, .. } => *time,
            Self::Timestamp { time, .. } => Some(*time),
        }
    }
}

/// How an entry's place in a log was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogProof {
    /// The log includes it: a Merkle proof up to a root that the log signed.
    Inclusion,
    /// The log promised to include it, and signed that.
    Promise,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log {
                log,
                index,
                proof,
                time,
            } => {
                let verb = match proof {
                    LogProof::Inclusion => "logged",
                    LogProof::Promise => "promised to be logged",
                };
                write!(f, "{verb} in {log} as number {index}")?;
                match time {
                    Some(time) => write!(f, " at {time}"),
                    None => Ok(()),
                }
            }
            Self::Timestamp { authority, time } => write!(f, "dated {time} by {authority}"),
        }
    }
}
