//! A record as a line, and a line as a place in the chain.
//!
//! The last member of a line is `hash`: the SHA-256 of `modelctl audit log v1`, a newline, and the
//! line's own bytes without that member. There is nothing to bring into a canonical form, so that
//! every byte of a line counts and a dozen lines of any language can check it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Event, Origin, Torn};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason, Result};
use crate::{json, limits};

/// What is hashed before a line, so that its hash is never taken for one of something else.
const DOMAIN: &[u8] = b"modelctl audit log v1\n";

/// What every line begins with.
pub(super) const START: &str = r#"{"version":1,"seq":"#;

/// What stands before and after a line's own hash.
const HASH: &[u8] = br#","hash":""#;
const END: &[u8] = br#""}"#;

/// The length of a digest as text.
const DIGEST: usize = "sha256:".len() + 64;

/// A record's number, from 1, and its hash, which stands for everything before it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The number.
    pub seq: u64,
    /// The hash.
    pub hash: Digest,
}

/// A whole line, as far as it holds the chain together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) head: Head,
    pub(super) previous: Option<Digest>,
    /// What it marks as torn.
    pub(super) torn: Option<Torn>,
}

/// What is wrong with a line by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no record at all, or only the beginning of one.
    Unreadable,
    /// It is not as it was written: the place that it claims in the chain, and what it hashes to.
    Edited { claimed: Head, found: Digest },
}

/// A record without its hash.
#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    seq: u64,
    time: Timestamp,
    previous: Option<Digest>,
    #[serde(flatten)]
    event: &'a Event,
    #[serde(flatten)]
    origin: &'a Origin,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Fields {
    seq: u64,
    previous: Option<Digest>,
    event: String,
    bytes: Option<u64>,
    digest: Option<Digest>,
}

/// Returns the line, with its newline, that says `event` after the record `previous`, and the place
/// that it has. If it is too long, evidence is left out, and the line says so.
pub(super) fn write(
    event: &Event,
    previous: Option<&Head>,
    time: Timestamp,
    origin: &Origin,
) -> Result<(Vec<u8>, Head)> {
    let seq = previous.map_or(0, |head| head.seq).saturating_add(1);
    let body = Body {
        version: 1,
        seq,
        time,
        previous: previous.map(|head| head.hash),
        event,
        origin,
    };
    let mut line = serde_json::to_string(&body)
        .map(|text| escaped(&text).into_bytes())
        .map_err(|error| Error::new(Reason::Internal, "cannot write a record").because(error))?;
    if line.len() + HASH.len() + DIGEST + 1 > limits::AUDIT_LINE {
        return write(&shorter(event)?, previous, time, origin);
    }
    let hash = hash_of(&line);
    line.pop();
    line.extend_from_slice(HASH);
    line.extend_from_slice(hash.to_string().as_bytes());
    line.extend_from_slice(END);
    line.push(b'\n');
    Ok((line, Head { seq, hash }))
}

fn shorter(event: &Event) -> Result<Event> {
    let shorter = match event {
        Event::Decision(decision) => decision.shorter(),
        Event::Signing(_) | Event::Torn(_) => None,
    };
    let shorter = shorter.map(|decision| Event::Decision(Box::new(decision)));
    shorter.ok_or_else(|| {
        let message = "a record is longer than a line of the audit log may be";
        Error::new(Reason::TooLarge, message)
    })
}

/// Reads a line, without its newline.
pub(super) fn read(line: &[u8]) -> Result<Link, Fault> {
    let (text, stated) = split(line).ok_or(Fault::Unreadable)?;
    let found = hash_of(&text);
    let fields: Fields = json::parse(&text, "a record").map_err(|_| Fault::Unreadable)?;
    let torn = match (fields.event.as_str(), fields.bytes, fields.digest) {
        ("torn", Some(bytes), Some(digest)) => Some(Torn { bytes, digest }),
        _ => None,
    };
    let claimed = Head {
        seq: fields.seq,
        hash: stated,
    };
    if found != stated {
        return Err(Fault::Edited { claimed, found });
    }
    Ok(Link {
        head: claimed,
        previous: fields.previous,
        torn,
    })
}

/// Parts a line into its text without the hash, and the hash.
fn split(line: &[u8]) -> Option<(Vec<u8>, Digest)> {
    if line.len() >= limits::AUDIT_LINE {
        return None;
    }
    let rest = line.strip_suffix(END)?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(DIGEST)?)?;
    let rest = rest.strip_suffix(HASH)?;
    let hash = std::str::from_utf8(hash).ok()?.parse().ok()?;
    let text = [rest, b"}"].concat();
    text.starts_with(START.as_bytes()).then_some((text, hash))
}

/// Returns the hash of a line's text without its hash.
fn hash_of(text: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(DOMAIN);
    hasher.update(text);
    hasher.finish()
}

/// Returns JSON text with everything escaped that could drive a terminal or reorder what is read on
/// it: who looks at a log with `cat` sees what is written there. JSON itself asks for the escaping
/// of C0 only (RFC 8259, section 7); all of these stand in strings.
fn escaped(text: &str) -> String {
    let dangerous = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len() + HASH.len() + DIGEST + END.len());
    for c in text.chars() {
        match dangerous(c) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    shown
}
