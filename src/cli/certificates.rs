//! Certificates in files.

use std::path::Path;

use modelctl::certificate::Certificate;
use modelctl::error::Result;
use modelctl::limits;

use super::stores::read;

/// Reads a file with one certificate.
pub(super) fn one(file: &Path) -> Result<Certificate> {
    Certificate::from_pem(
        &read(file, limits::LOCAL_FILE)?,
        &file.display().to_string(),
    )
}

/// Reads a file of certificates.
pub(super) fn all(file: &Path) -> Result<Vec<Certificate>> {
    Certificate::all_from_pem(
        &read(file, limits::LOCAL_FILE)?,
        &file.display().to_string(),
    )
}
