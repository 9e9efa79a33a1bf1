//! Parsers that nobody outside needs, for `tests/fuzz` alone: behind the feature `fuzz`, so that
//! testing them does not widen what the library promises.

pub use crate::registry::fuzzing::{
    challenges, docker_config, hosts_file, next_page, refusal, retry_after, token,
};

use serde_json::Value;

use crate::error::Result;
use crate::json;
use crate::receipt::Receipt;
use crate::sign;
use crate::store::layout;

/// Reads strict JSON.
pub fn strict_json(bytes: &[u8]) -> Result<Value> {
    json::parse(bytes, "the test's document")
}

/// Reads a receipt.
pub fn receipt(bytes: &[u8]) -> Result<Receipt> {
    Receipt::parse(bytes)
}

/// Reads a layout's `index.json`, looks up every tag, and returns what would be written again.
pub fn layout_index(bytes: &[u8]) -> Result<Vec<u8>> {
    layout::rewrite_index(bytes)
}

/// Reads what a key file encrypted by cosign holds, short of decrypting it.
pub fn encrypted_key(bytes: &[u8]) -> Result<()> {
    sign::key::parse_encrypted(bytes)
}
