//! The levels of SLSA's Build track.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{Error, Reason, Result};

/// A level of [SLSA's Build track](https://slsa.dev/spec/v1.2/build-track-basics). Each implies those
/// below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is no provenance by anyone who is trusted.
    Zero,
    /// There is provenance.
    One,
    /// A hosted platform made and signed it.
    Two,
    /// The platform keeps runs, and its own secrets, apart from what they build.
    Three,
}

impl Level {
    /// Every level, from the lowest.
    pub const ALL: [Self; 4] = [Self::Zero, Self::One, Self::Two, Self::Three];

    /// What a verification summary says when no level was asked for
    /// ([SlsaResult](https://slsa.dev/spec/v1.2/verification_summary)).
    pub const UNEVALUATED: &'static str = "SLSA_BUILD_LEVEL_UNEVALUATED";

    /// Returns the level that can be asked for by this number: 1, 2 or 3.
    pub fn numbered(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            3 => Some(Self::Three),
            _ => None,
        }
    }

    /// Returns its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns what a verification summary calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "SLSA_BUILD_LEVEL_0",
            Self::One => "SLSA_BUILD_LEVEL_1",
            Self::Two => "SLSA_BUILD_LEVEL_2",
            Self::Three => "SLSA_BUILD_LEVEL_3",
        }
    }
}

impl FromStr for Level {
    type Err = Error;

    /// Reads the number of a level that can be asked for.
    fn from_str(text: &str) -> Result<Self> {
        let number = text.parse().ok();
        number.and_then(Self::numbered).ok_or_else(|| {
            let shown: String = text.chars().take(20).collect();
            Error::new(
                Reason::Usage,
                format!("{shown:?} is not a SLSA Build level"),
            )
            .hint("ask for 1, 2 or 3")
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SLSA Build L{}", self.number())
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}
