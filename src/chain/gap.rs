//! What is missing or wrong in a chain.

use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::error::{Error, Reason};

/// Why a link does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// It is not admitted by the rule for its role: unsigned, or signed by somebody else.
    Refused(Why),
    /// No rule is for it.
    Uncovered(Why),
    /// Nobody who is trusted for it says how it came to be.
    OriginUnstated(Why),
    /// Its digest matches nothing at any place where it should be.
    Missing(String),
    /// It is no artifact: without a manifest's digest, nothing can be verified.
    NoArtifact(String),
    /// What is signed about it contradicts itself.
    Contradiction(String),
    /// It is made from itself.
    Cycle(String),
    /// It lies too deep, or there are too many.
    TooLong(String),
    /// It could not be looked at: a registry failed or refused.
    Failed(Why),
}

/// A reason with its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
}

impl From<&Error> for Why {
    fn from(error: &Error) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}

impl Gap {
    /// Returns the stable reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(why)
            | Self::Uncovered(why)
            | Self::OriginUnstated(why)
            | Self::Failed(why) => why.reason,
            Self::Missing(_) | Self::NoArtifact(_) => Reason::ChainLinkMissing,
            Self::Contradiction(_) => Reason::StatementInvalid,
            Self::Cycle(_) => Reason::ChainCycle,
            Self::TooLong(_) => Reason::ChainTooLong,
        }
    }

    /// Returns the word for the kind of gap, as JSON has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Uncovered(_) => "uncovered",
            Self::OriginUnstated(_) => "originUnstated",
            Self::Missing(_) => "missing",
            Self::NoArtifact(_) => "noArtifact",
            Self::Contradiction(_) => "contradiction",
            Self::Cycle(_) => "cycle",
            Self::TooLong(_) => "tooLong",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns the sentence.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused(why)
            | Self::Uncovered(why)
            | Self::OriginUnstated(why)
            | Self::Failed(why) => &why.message,
            Self::Missing(message)
            | Self::NoArtifact(message)
            | Self::Contradiction(message)
            | Self::Cycle(message)
            | Self::TooLong(message) => message,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Serialize for Gap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut gap = serializer.serialize_struct("Gap", 3)?;
        gap.serialize_field("kind", self.kind())?;
        gap.serialize_field("reason", self.reason().code())?;
        gap.serialize_field("message", self.message())?;
        gap.end()
    }
}
