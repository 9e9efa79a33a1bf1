//! Finding out how files can share their bytes with the store, by trying.
//!
//! Device numbers do not say it: what is mounted twice has one and cannot be linked, and subvolumes
//! have several and can share.

use std::fs::File;

use rustix::fs::{AtFlags, OFlags, linkat};

use crate::content_store::shelves::Shelves;
use crate::content_store::stored::Link;
use crate::directory::Directory;
use crate::error::Result;
use crate::{private_directory, random};

/// How the names of files end that something is tried out with.
pub(super) const PROBE_SUFFIX: &str = ".probe";

/// Returns the most that can be done between the store and `target`, and not more than `most`.
pub(super) fn link(shelves: &Shelves, target: &Directory, most: Link) -> Result<Link> {
    if most == Link::Copy {
        return Ok(Link::Copy);
    }
    let name = random::digits() + PROBE_SUFFIX;
    // A store that cannot be written can still be read.
    let Ok(blob) = private_directory::file(&shelves.ingest, &name, OFlags::RDWR) else {
        return Ok(Link::Copy);
    };
    let link = attempt(shelves, target, &name, &blob, most);
    let _ = shelves.ingest.remove(&name);
    link
}

fn attempt(
    shelves: &Shelves,
    target: &Directory,
    name: &str,
    blob: &File,
    most: Link,
) -> Result<Link> {
    let file = target.create_file(name)?;
    let can_reflink = reflink(&file, blob);
    target.remove(name)?;
    if can_reflink {
        return Ok(Link::Reflink);
    }
    if most == Link::HardLink
        && linkat(&shelves.ingest, name, target, name, AtFlags::empty()).is_ok()
    {
        return target.remove(name).map(|()| Link::HardLink);
    }
    Ok(Link::Copy)
}

/// Makes `empty` share the bytes of `blob`, if the file system can.
#[cfg(target_os = "linux")]
pub(super) fn reflink(empty: &File, blob: &File) -> bool {
    rustix::fs::ioctl_ficlone(empty, blob).is_ok()
}

/// Does nothing: this system makes reflinks in another way.
#[cfg(not(target_os = "linux"))]
pub(super) fn reflink(_empty: &File, _blob: &File) -> bool {
    false
}
