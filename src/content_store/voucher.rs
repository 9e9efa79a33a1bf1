//! What a blob looked like when its content was last known to be right.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps, UTIME_NOW};
use serde::{Deserialize, Serialize};

use crate::content_store::shelves::Shelves;
use crate::digest::Digest;
use crate::directory::Stamp;
use crate::error::{Error, Result};
use crate::{json, private_directory};

/// The mode of a whole blob.
const BLOB_MODE: u32 = 0o444;

/// Blobs smaller than this are hashed before each use, and nobody vouches for them: hashing takes
/// less time than bringing one file to the disk, and models can have thousands of small files.
const SMALL: u64 = 1 << 20;

/// Bytes of a voucher, and more.
const CAP: u64 = 1024;

/// A voucher, as it stands below `stamps`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voucher {
    stamp: Stamp,
    /// Whether the blob has, had or is about to have other names than its own: making and removing
    /// them changes the change time.
    linked: bool,
}

impl Voucher {
    fn covers(&self, stamp: &Stamp) -> bool {
        match self.linked {
            true => self.stamp.same_but_for_links(stamp),
            false => self.stamp == *stamp,
        }
    }
}

/// Whether a blob of `size` bytes is hashed before each use, so that nothing depends on its having
/// come to the disk.
pub(super) fn is_small(size: u64) -> bool {
    size < SMALL
}

/// Whether a blob that looks like `stamp` can be taken for right without reading it.
pub(super) fn covers(shelves: &Shelves, digest: &Digest, stamp: &Stamp) -> bool {
    covering(shelves, digest, stamp).is_some()
}

/// Returns the voucher for a blob that looks like `stamp`.
fn covering(shelves: &Shelves, digest: &Digest, stamp: &Stamp) -> Option<Voucher> {
    if is_small(stamp.size) {
        return None;
    }
    // A voucher that is missing, torn or unreadable vouches for nothing.
    let bytes = shelves.stamps.read(digest.hex(), CAP).ok()?;
    let voucher: Voucher = json::parse(&bytes, "a stamp").ok()?;
    voucher.covers(stamp).then_some(voucher)
}

/// Makes the voucher for a blob that looks like `stamp`, if there is one, hold for the links that
/// will be made to it. Before the first of them: a process that looks at the blob after that, and
/// then at an older voucher, would hash it for nothing.
pub(super) fn expect_links(shelves: &Shelves, digest: &Digest, stamp: &Stamp) -> Result<()> {
    match covering(shelves, digest, stamp) {
        Some(Voucher {
            stamp,
            linked: false,
        }) => {
            let linked = true;
            write(shelves, digest, &Voucher { stamp, linked })
        }
        _ => Ok(()),
    }
}

/// Vouches for the open blob, whose content was right when it looked like `proven`; if it has
/// changed since, nobody vouches for it. Closes it to writing too.
pub(super) fn vouch(shelves: &Shelves, digest: &Digest, blob: &File, proven: &Stamp) -> Result<()> {
    let place = shelves.blob_place(digest);
    let failed = |error| Error::io("examine", &place, error);
    let mode = blob.metadata().map_err(failed)?.mode() & 0o7777;
    if mode != BLOB_MODE {
        blob.set_permissions(Permissions::from_mode(BLOB_MODE))
            .map_err(|error| Error::io("close", &place, error))?;
    }
    if is_small(proven.size) {
        return Ok(());
    }
    let stamp = Stamp::of(blob, &place)?;
    if !stamp.same_but_for_links(proven) {
        return Ok(());
    }
    let linked = blob.metadata().map_err(failed)?.nlink() > 1;
    write(shelves, digest, &Voucher { stamp, linked })
}

/// Writes a voucher in one step, so that a reader sees the old or the new one.
fn write(shelves: &Shelves, digest: &Digest, voucher: &Voucher) -> Result<()> {
    let name = digest.hex();
    let new = format!("{name}.new");
    let failed = |error| Error::io("write", shelves.stamps.path().join(&name), error);
    let bytes = serde_json::to_vec(voucher).map_err(|error| failed(error.into()))?;
    // What a killed process left. If another one is writing the same, one of the two fails, and
    // the blob is hashed once more another day.
    shelves.stamps.remove(&new)?;
    let flags = OFlags::WRONLY | OFlags::EXCL;
    let mut file = private_directory::file(&shelves.stamps, &new, flags)?;
    file.write_all(&bytes).map_err(failed)?;
    rustix::fs::renameat(&shelves.stamps, &new, &shelves.stamps, &name)
        .map_err(|error| failed(error.into()))
}

/// Notes that the blob is used now. The note is on the voucher, because it would change the blob;
/// small blobs do without, and count as used when they were made.
pub(super) fn touch(shelves: &Shelves, digest: &Digest, size: u64) {
    if is_small(size) {
        return;
    }
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    // Without a voucher, or on a read-only disk, the blob counts as not used: nothing worse.
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let _ = rustix::fs::utimensat(&shelves.stamps, digest.hex(), &times, flags);
}
