//! The file that a model signature is in.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;

use crate::bundle::Bundle;
use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::referrer::RawBundle;
use crate::unpack::Existing;

/// Reads the signatures in the file at `path`: one bundle, or one in each line.
pub fn read(path: &Path) -> Result<Vec<RawBundle>> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    split(read_capped(file, path, limits::BUNDLES_TOTAL)?.into())
}

fn split(bytes: Bytes) -> Result<Vec<RawBundle>> {
    let lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    // A bundle that is written over several lines has lines that are not objects.
    let is_object = |line: &&[u8]| line.starts_with(b"{") && line.ends_with(b"}");
    if lines.len() < 2 || !lines.iter().all(is_object) {
        return Ok(vec![RawBundle::new(bytes)]);
    }
    if lines.len() > limits::CANDIDATES {
        let message = format!("there are more than {} signatures", limits::CANDIDATES);
        return Err(Error::new(Reason::TooManyReferrers, message));
    }
    let bundle = |line: &[u8]| RawBundle::new(bytes.slice_ref(line));
    Ok(lines.into_iter().map(bundle).collect())
}

/// Writes `bundle` to the file at `path`, which appears whole or not at all.
pub fn write(path: &Path, bundle: &Bundle, existing: Existing) -> Result<()> {
    write_bytes(path, &bundle.to_bytes()?, existing)
}

/// Says that the file at `path` is not replaced without being asked.
pub fn exists(path: &Path) -> Error {
    let message = format!("`{}` exists already", path.display());
    Error::new(Reason::TargetExists, message)
        .hint("replace it with `--force`, or name another file with `--signature`")
}

/// Writes the bytes of a bundle to the file at `path`.
pub fn write_bytes(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".modelctl-signature-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Refuse => file.persist_noclobber(path),
    };
    match placed {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failed(error.error)),
    }
}
