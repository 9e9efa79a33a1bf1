//! Keyless identities, as people name them: the command over a layout to which cosign attached
//! keyless signatures, and the refreshing of what they are verified under.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "that is how a test fails"
)]

#[cfg(test)]
mod command;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod repository;
#[path = "../support/command.rs"]
#[allow(dead_code, unreachable_pub)]
mod workspace;

use std::path::{Path, PathBuf};

use workspace::Workspace;

/// What cosign signed and attested, in the layout of the fixtures.
const REFERENCE: &str = "oci:./store:v1";
const IDENTITY: &str = "https://example.com/ci/model-release@refs/heads/main";
const ISSUER: &str = "http://127.0.0.1:3710";

/// The flags that trust who signed, without a network.
const TRUST: [&str; 6] = [
    "--certificate-identity",
    IDENTITY,
    "--certificate-oidc-issuer",
    ISSUER,
    "--trusted-root",
    "root.json",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// Returns a workspace with the layout in `store`, the instance's keys in `root.json`, and the key
/// that signed, too, in `cosign.pub`.
fn workspace() -> Workspace {
    let at = Workspace::new();
    copy(&fixture("keyless/layout"), &at.path("store"));
    std::fs::copy(
        fixture("keyless/cosign.trusted_root.json"),
        at.path("root.json"),
    )
    .unwrap();
    std::fs::copy(fixture("cosign/cosign.pub"), at.path("cosign.pub")).unwrap();
    at
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Returns `command` with `more` flags.
fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}
