//! The one digest type: what names content, builds URLs and file names, and is compared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Reason, Result};
use crate::sha256::{self, Sha256};

/// A SHA-256 digest in the OCI form `sha256:` and 64 lower-case hex digits.
///
/// Parsing is the only way in from outside, so a `Digest` is always safe in a URL or file name.
/// Other algorithms are refused, not downgraded to
/// ([OCI image-spec, descriptor, "Digests"](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The algorithm's name, as it stands before the colon.
    pub const ALGORITHM: &'static str = "sha256";

    /// Returns the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns the digest whose raw value is `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the raw value.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 hex digits without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Parses 64 lower-case hex digits without the algorithm.
    pub fn from_hex(digits: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        let lower = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !lower || hex::decode_to_slice(digits, &mut bytes).is_err() {
            return Err(invalid(digits));
        }
        Ok(Self(bytes))
    }
}

fn invalid(text: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(
        Reason::DigestInvalid,
        format!("{shown:?} is not a digest (`sha256:` and 64 lower-case hex digits)"),
    )
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("sha256:").ok_or_else(|| invalid(text))?;
        Self::from_hex(digits).map_err(|_| invalid(text))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: Error| serde::de::Error::custom(error))
    }
}

/// A SHA-256 computation that is fed piece by piece.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds `x` to `a` and `y` to `b`, which takes little longer than one of them where the
    /// processor can do both [at once](sha256::pairs).
    pub fn update_both(a: &mut Self, x: &[u8], b: &mut Self, y: &[u8]) {
        sha256::update_both(&mut a.0, x, &mut b.0, y);
    }

    /// Returns the digest of everything added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finish())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_back_what_it_writes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn refuses_every_other_form() {
        let upper = EMPTY.to_uppercase();
        let upper_hex = format!("sha256:{}", EMPTY[7..].to_uppercase());
        let long = format!("{EMPTY}0");
        let sha512 = format!("sha512:{}", "0".repeat(128));
        let traversal = format!("sha256:../{}", "0".repeat(61));
        for bad in [
            "",
            ":",
            "sha256:",
            "sha256",
            &EMPTY[..70],
            &EMPTY[7..],
            &upper,
            &upper_hex,
            &long,
            &sha512,
            &traversal,
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "sha256:%2e%2e",
            "sha256:\0",
            " sha256:",
            "sha256-e3b0",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\u{0665}",
        ] {
            let error = bad.parse::<Digest>().expect_err(bad);
            assert_eq!(error.reason(), Reason::DigestInvalid, "{bad:?}");
        }
    }
}
