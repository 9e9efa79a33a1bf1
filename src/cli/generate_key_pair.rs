//! `modelctl generate-key-pair`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::Algorithm;
use modelctl::sign::key::PrivateKey;
use serde_json::json;

use super::keys::new_passphrase;
use super::report::{Failure, Report};
use super::terminal::Terminal;

/// Make a key pair in cosign's format: `cosign.key` (encrypted, mode 0600) and `cosign.pub`.
///
/// The passphrase comes from MODELCTL_PASSWORD, COSIGN_PASSWORD or a prompt; it may be empty.
/// Files that exist are never overwritten.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl generate-key-pair
  modelctl generate-key-pair --output-key-prefix release")]
pub(super) struct GenerateKeyPairArgs {
    /// Name the files PREFIX.key and PREFIX.pub.
    #[arg(long, value_name = "PREFIX", default_value = "cosign")]
    output_key_prefix: String,
}

pub(super) fn run(args: GenerateKeyPairArgs, _: &Terminal) -> Result<Report, Failure> {
    let private_path = PathBuf::from(format!("{}.key", args.output_key_prefix));
    let public_path = PathBuf::from(format!("{}.pub", args.output_key_prefix));
    for path in [&private_path, &public_path] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path).into());
        }
    }
    let passphrase = new_passphrase()?;
    let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
    let encrypted = key.to_encrypted_pem(&passphrase)?;
    write_new(&private_path, encrypted.as_bytes(), 0o600)?;
    write_new(&public_path, key.public_key().to_pem().as_bytes(), 0o644)?;
    let report = Report::of(&json!({
        "privateKey": private_path,
        "publicKey": public_path,
        "fingerprint": key.public_key().fingerprint(),
    }))?;
    Ok(report
        .say(format!(
            "keep {} secret; give {} to everyone",
            private_path.display(),
            public_path.display()
        ))
        .line(public_path.display()))
}

fn exists(path: &Path) -> Error {
    Error::new(
        Reason::TargetExists,
        format!("`{}` exists already", path.display()),
    )
    .hint("keys are never overwritten; choose another name with `--output-key-prefix`")
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::io("write", path, error),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| Error::io("write", path, error))
}
