//! What a name alone decides: whether a file is left out of a model, or must not be in it.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::directory::Directory;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::path::RESERVED;
use crate::walk::STAGING_PREFIX;

/// The file at the root that says what to leave out.
pub const IGNORE_FILE: &str = ".modelignore";

/// Reads what `.modelignore` says, if there is one.
pub(super) fn read_ignores(root: &Directory) -> Result<Gitignore> {
    if root.look(IGNORE_FILE)?.is_none() {
        return Ok(Gitignore::empty());
    }
    let bytes = root.read(IGNORE_FILE, limits::LOCAL_FILE)?;
    let place = root.path().join(IGNORE_FILE);
    let invalid = |why: String| {
        let message = format!("`{}` {why}", place.display());
        Error::new(Reason::PatternInvalid, message)
    };
    let text = String::from_utf8(bytes)
        .map_err(|error| invalid("is not UTF-8".to_owned()).because(error))?;
    let mut builder = GitignoreBuilder::new("");
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        builder.add_line(None, line).map_err(|error| {
            invalid(format!("has a bad pattern in line {}", number + 1)).because(error)
        })?;
    }
    builder
        .build()
        .map_err(|error| invalid("cannot be understood".to_owned()).because(error))
}

/// Whether `path` is never part of a model: what version control, caches and this tool itself
/// leave behind. A pulled model that is pushed again must not carry its receipt.
pub(super) fn is_built_in(path: &Path) -> bool {
    let at_root = [RESERVED, IGNORE_FILE, ".cache/huggingface"];
    let anywhere = [".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store"];
    let name = path.file_name().unwrap_or_default();
    at_root.iter().any(|known| path == Path::new(known))
        || anywhere.iter().any(|known| name == *known)
        || name
            .as_encoded_bytes()
            .starts_with(STAGING_PREFIX.as_bytes())
}

/// Whether the name is one that keys and tokens have. A tripwire for mistakes, not a scanner.
pub(super) fn looks_secret(path: &Path) -> bool {
    const NAMES: [&str; 11] = [
        ".env",
        ".git-credentials",
        ".htpasswd",
        ".netrc",
        ".npmrc",
        ".pypirc",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_rsa",
        "kaggle.json",
    ];
    const EXTENSIONS: [&str; 6] = [".key", ".pem", ".p12", ".pfx", ".jks", ".keystore"];
    const HARMLESS: [&str; 3] = [".env.example", ".env.sample", ".env.template"];
    const DIRECTORIES: [&str; 4] = [".ssh", ".aws", ".gnupg", ".kube"];
    let lower = path.to_string_lossy().to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let is_env = name.starts_with(".env.") && !HARMLESS.contains(&name);
    is_env
        || NAMES.contains(&name)
        || EXTENSIONS.iter().any(|extension| name.ends_with(extension))
        || lower.split('/').any(|name| DIRECTORIES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_never_part_of_a_model() {
        for left_out in [
            ".git",
            "sub/.git",
            "a/__pycache__",
            ".ipynb_checkpoints",
            "x/.DS_Store",
            ".modelctl",
            ".modelignore",
            ".cache/huggingface",
            "sub/.modelctl-staging-0123",
        ] {
            assert!(is_built_in(Path::new(left_out)), "{left_out}");
        }
        for kept in [
            ".gitattributes",
            "git",
            ".cache",
            "sub/.cache/huggingface",
            "sub/.modelctl",
            "sub/.modelignore",
            "config.json",
        ] {
            assert!(!is_built_in(Path::new(kept)), "{kept}");
        }
    }

    #[test]
    fn knows_the_names_that_secrets_have() {
        for secret in [
            ".env",
            ".env.local",
            "deploy/.ENV",
            "cosign.key",
            "tls/server.PEM",
            "id_rsa",
            ".netrc",
            ".ssh/config",
            "kaggle.json",
        ] {
            assert!(looks_secret(Path::new(secret)), "{secret}");
        }
        for harmless in [
            ".env.example",
            "environment.yml",
            "cosign.pub",
            "id_rsa.pub",
            "keys.txt",
            "tokenizer.json",
            "ssh/config",
        ] {
            assert!(!looks_secret(Path::new(harmless)), "{harmless}");
        }
    }
}
