//! The parsers of what registries answer, for [`crate::fuzzing`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{challenge, credentials, mirrors, pages, refusal, retry, token};
use crate::error::Result;

/// Reads a `WWW-Authenticate` field; returns how many challenges it has.
pub fn challenges(field: &str) -> Option<usize> {
    challenge::parse(field).map(|challenges| challenges.len())
}

/// Reads a `Link` field; returns the target of the link to the next page, and nothing for a field
/// that is malformed.
pub fn next_page(field: &str) -> Option<Option<String>> {
    pages::next(field).ok()
}

/// Reads a `Retry-After` field.
pub fn retry_after(field: &str) -> Option<Duration> {
    retry::retry_after(field, Timestamp::UNIX_EPOCH)
}

/// Reads the answer of a token server.
pub fn token(bytes: &[u8]) -> Result<()> {
    token::read(bytes, Instant::now(), "the test").map(drop)
}

/// Reads the body of a refusal; returns what would be shown of it.
pub fn refusal(bytes: &[u8]) -> Option<String> {
    refusal::read(bytes, Some("text/plain"))
}

/// Reads Docker's `config.json`.
pub fn docker_config(bytes: &[u8]) -> Result<()> {
    credentials::parse(bytes)
}

/// Reads a `hosts.toml`.
pub fn hosts_file(text: &str) -> Result<()> {
    mirrors::parse(text)
}
