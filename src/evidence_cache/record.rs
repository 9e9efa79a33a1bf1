//! One record: a line of JSON that says what follows, and the bundles' exact bytes.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::referrer::RawBundle;
use crate::{json, limits};

/// The version of the format: records of others are none.
const VERSION: u32 = 1;

/// What was attached to an artifact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// Where.
    pub(super) location: String,
    /// To what.
    pub(super) digest: Digest,
    /// When.
    pub(super) collected: Timestamp,
    /// The bundles.
    pub(super) bundles: Vec<RawBundle>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    version: u32,
    location: String,
    digest: Digest,
    collected: Timestamp,
    bundles: Vec<Part>,
}

/// A bundle that follows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    digest: Digest,
    size: u64,
}

impl Record {
    /// The most bytes of a record.
    pub(super) const LARGEST: u64 = limits::BUNDLES_TOTAL + limits::SMALL_BODY;

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let parts = self.bundles.iter().map(|raw| Part {
            digest: raw.digest(),
            size: raw.bytes().len() as u64,
        });
        let header = Header {
            version: VERSION,
            location: self.location.clone(),
            digest: self.digest,
            collected: self.collected,
            bundles: parts.collect(),
        };
        let mut bytes = serde_json::to_vec(&header)
            .map_err(|e| Error::new(Reason::Internal, "cannot write evidence").because(e))?;
        bytes.push(b'\n');
        for raw in &self.bundles {
            bytes.extend_from_slice(raw.bytes());
        }
        Ok(bytes)
    }

    /// Reads a record on `digest` at `location`; nothing if it is of something else, or not whole,
    /// or a bundle in it is not what its digest says.
    pub(super) fn parse(bytes: Vec<u8>, location: &str, digest: &Digest) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let header: Header = json::parse(&bytes.slice(..end), "a record").ok()?;
        let is_meant = header.version == VERSION
            && header.location == location
            && header.digest == *digest
            && header.bundles.len() <= limits::CANDIDATES;
        if !is_meant {
            return None;
        }
        let mut rest = bytes.slice(end + 1..);
        let mut bundles = Vec::new();
        for part in &header.bundles {
            let size = usize::try_from(part.size).ok()?;
            let raw = RawBundle::kept((size <= rest.len()).then(|| rest.split_to(size))?);
            if raw.digest() != part.digest {
                return None;
            }
            bundles.push(raw);
        }
        rest.is_empty().then_some(Self {
            location: header.location,
            digest: header.digest,
            collected: header.collected,
            bundles,
        })
    }
}
