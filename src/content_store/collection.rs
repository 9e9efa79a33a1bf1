//! Counting what is in a store, and removing what was not used for longest.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, Stat, flock};
use rustix::io::Errno;

use crate::content_store::probe::PROBE_SUFFIX;
use crate::content_store::shelves::{PART_SUFFIX, Shelves, is_named, part_name, status};
use crate::content_store::stored::Link;
use crate::digest::Digest;
use crate::directory::Directory;
use crate::error::Result;
use crate::manifest::Descriptor;

/// How old a partial file is that nobody will come back for.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// What is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Whole blobs.
    pub blobs: u64,
    /// Bytes of the whole blobs.
    pub blob_bytes: u64,
    /// Of these, bytes that installed models share by hard links: removing the blobs frees nothing
    /// before the models are gone too.
    pub linked_bytes: u64,
    /// Beginnings of blobs.
    pub partials: u64,
    /// Bytes that beginnings of blobs take, with the room that is set aside for their rest.
    pub partial_bytes: u64,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Files removed.
    pub removed: u64,
    /// Bytes of the files removed.
    pub removed_bytes: u64,
    /// Bytes that are left, of which those beyond the limit are in use.
    pub left_bytes: u64,
}

/// A whole blob or a beginning of one.
struct Item {
    form: Form,
    name: String,
    bytes: u64,
    /// Whether it has other names.
    linked: bool,
    /// When it was used, in nanoseconds since 1970.
    used: i128,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Blob,
    Partial,
}

/// Counts what is in the store.
pub(super) fn usage(shelves: &Shelves) -> Result<Usage> {
    let mut usage = Usage::default();
    for item in items(shelves)? {
        let (count, bytes) = match item.form {
            Form::Blob => (&mut usage.blobs, &mut usage.blob_bytes),
            Form::Partial => (&mut usage.partials, &mut usage.partial_bytes),
        };
        *count += 1;
        *bytes = bytes.saturating_add(item.bytes);
        if item.linked {
            usage.linked_bytes = usage.linked_bytes.saturating_add(item.bytes);
        }
    }
    Ok(usage)
}

/// Returns how many bytes of `wanted` must be written to have all of it as files, linked so.
pub(super) fn missing(shelves: &Shelves, wanted: &[Descriptor], link: Link) -> Result<u64> {
    let mut missing: u64 = 0;
    for blob in wanted {
        let there = match link.shares(blob.size) {
            true => there(shelves, blob)?.min(blob.size),
            false => 0,
        };
        missing = missing.saturating_add(blob.size - there);
    }
    Ok(missing)
}

/// Returns how many bytes of a blob have a place on the disk.
fn there(shelves: &Shelves, blob: &Descriptor) -> Result<u64> {
    if let Some(stored) = status(&shelves.blobs, blob.digest.hex())? {
        return Ok(size(&stored));
    }
    let part = status(&shelves.ingest, part_name(&blob.digest))?;
    Ok(part.map_or(0, |part| room(&part)))
}

/// Removes stale beginnings, and then what was not used for longest until `max_bytes` are left.
pub(super) fn collect(shelves: &Shelves, max_bytes: u64, now: Timestamp) -> Result<Collected> {
    remove_orphans(shelves)?;
    let stale = now.as_nanosecond() - STALE.as_nanos();
    let mut items = items(shelves)?;
    items.sort_unstable_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
    let sum = |sum: u64, item: &Item| sum.saturating_add(item.bytes);
    let mut collected = Collected {
        left_bytes: items.iter().fold(0, sum),
        ..Collected::default()
    };
    for item in items {
        let is_stale = item.form == Form::Partial && item.used < stale;
        if (is_stale || collected.left_bytes > max_bytes) && item.remove(shelves)? {
            collected.removed += 1;
            collected.removed_bytes = collected.removed_bytes.saturating_add(item.bytes);
            collected.left_bytes = collected.left_bytes.saturating_sub(item.bytes);
        }
    }
    Ok(collected)
}

/// Lists what is in the store; files with names that are none of the store's are left alone.
fn items(shelves: &Shelves) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for name in names(&shelves.blobs)? {
        let (true, Some(blob)) = (is_hex(&name), status(&shelves.blobs, &name)?) else {
            continue;
        };
        let voucher = status(&shelves.stamps, &name)?;
        let used = modified(&voucher.unwrap_or(blob));
        items.push(Item::new(Form::Blob, name, &blob, used));
    }
    for name in names(&shelves.ingest)? {
        let is_part = name.strip_suffix(PART_SUFFIX).is_some_and(is_hex);
        let (true, Some(part)) = (is_part, status(&shelves.ingest, &name)?) else {
            continue;
        };
        let used = modified(&part);
        items.push(Item::new(Form::Partial, name, &part, used));
    }
    Ok(items)
}

fn names(directory: &Directory) -> Result<impl Iterator<Item = String>> {
    let entries = directory.entries()?.into_iter();
    Ok(entries.filter_map(|(name, _)| name.into_string().ok()))
}

fn is_hex(name: &str) -> bool {
    Digest::from_hex(name).is_ok()
}

#[allow(
    clippy::useless_conversion,
    reason = "the types differ from system to system"
)]
fn size(status: &Stat) -> u64 {
    u64::try_from(status.st_size).unwrap_or_default()
}

/// Returns the room that a file takes, which may be more than its size: it is set aside before it
/// is filled.
#[allow(
    clippy::useless_conversion,
    reason = "the types differ from system to system"
)]
fn room(status: &Stat) -> u64 {
    let blocks = u64::try_from(status.st_blocks).unwrap_or_default();
    blocks.saturating_mul(512).max(size(status))
}

/// Returns when a file was modified, in nanoseconds since 1970.
#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types differ from system to system"
)]
fn modified(status: &Stat) -> i128 {
    i128::from(status.st_mtime) * 1_000_000_000 + status.st_mtime_nsec as i128
}

/// Removes vouchers for blobs that are not there, and what is there for nothing.
fn remove_orphans(shelves: &Shelves) -> Result<()> {
    // In this order: whoever puts a blob in place vouches for it afterwards.
    let vouchers: Vec<String> = names(&shelves.stamps)?.collect();
    let blobs: HashSet<String> = names(&shelves.blobs)?.collect();
    for voucher in vouchers.iter().filter(|name| !blobs.contains(*name)) {
        shelves.stamps.remove(voucher)?;
    }
    // What a process left that was killed while it tried something out.
    for probe in names(&shelves.ingest)?.filter(|name| name.ends_with(PROBE_SUFFIX)) {
        shelves.ingest.remove(&probe)?;
    }
    Ok(())
}

impl Item {
    fn new(form: Form, name: String, status: &Stat, used: i128) -> Self {
        Self {
            form,
            name,
            bytes: match form {
                Form::Blob => size(status),
                Form::Partial => room(status),
            },
            linked: status.st_nlink > 1,
            used,
        }
    }

    /// Removes it unless it is in use or gone, and returns whether it did.
    fn remove(&self, shelves: &Shelves) -> Result<bool> {
        let shelf = match self.form {
            Form::Blob => &shelves.blobs,
            Form::Partial => &shelves.ingest,
        };
        let Ok(file) = shelf.open_file(&self.name) else {
            return Ok(false);
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            // Where there are no locks, nobody can say that a part is not in use; a blob can go,
            // as whoever uses it holds it open.
            Err(_) if self.form == Form::Partial => return Ok(false),
            Err(_) => {}
        }
        // Between listing and locking it may have been put in place, or replaced.
        if !is_named(shelf, &self.name, &file)? {
            return Ok(false);
        }
        if self.form == Form::Blob {
            shelves.stamps.remove(&self.name)?;
        }
        shelf.remove(&self.name).map(|()| true)
    }
}
