//! A file that has come to its place in the staging directory.

use std::fs::File;

use crate::content_store::{Materialised, Method};
use crate::directory::{Directory, Stamp};
use crate::error::Result;
use crate::model::ModelFile;
use crate::receipt::{InstalledFile, Sharing};
use crate::unpack::durability::Durability;

/// A file that is in its place, and as durable as it must be by now.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) installed: InstalledFile,
    pub(super) size: u64,
    /// Its bytes that were on this machine already.
    pub(super) reused: u64,
}

impl Arrival {
    /// Settles a file of which all bytes were fetched.
    pub(super) fn fetched(
        file: &ModelFile,
        made: &File,
        root: &Directory,
        durability: Durability,
    ) -> Result<Self> {
        let place = file.path.below(root.path());
        durability.of_file(made, file.descriptor.size, &place)?;
        Self::look(file, made, root, Sharing::Nothing, 0)
    }

    /// Settles a file that came by way of the content store, which had `reused` bytes of it.
    pub(super) fn stored(
        file: &ModelFile,
        made: &Materialised,
        reused: u64,
        root: &Directory,
        durability: Durability,
    ) -> Result<Self> {
        let arrival = match made.method {
            // It is the store's own file, which came to the disk before it got its name there.
            Method::HardLinked => Self::look(file, &made.file, root, Sharing::HardLinked, reused)?,
            Method::Reflinked | Method::Copied => Self {
                reused,
                ..Self::fetched(file, &made.file, root, durability)?
            },
        };
        Ok(arrival)
    }

    fn look(
        file: &ModelFile,
        made: &File,
        root: &Directory,
        sharing: Sharing,
        reused: u64,
    ) -> Result<Self> {
        let installed = InstalledFile {
            path: file.path.clone(),
            stamp: Stamp::of(made, &file.path.below(root.path()))?,
            sharing,
        };
        Ok(Self {
            installed,
            size: file.descriptor.size,
            reused,
        })
    }
}
