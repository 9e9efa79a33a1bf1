//! Mirrors and pull-through caches: other hosts that have copies of what a registry has.
//!
//! Where they are is said as containerd says it, in a `hosts.toml` for each registry
//! ([containerd, "Registry Configuration"][hosts]), which its users have already. What they are
//! believed is less: **content may come from anybody, because its digest is checked; what a tag
//! means and who signed is asked at the registry itself.** A mirror that fails or lies costs another
//! try elsewhere and never a wrong byte; one that says "there is none" is never believed.
//!
//! * `document` reads a `hosts.toml` into `hosts`, strictly; `opening` makes repositories of them;
//! * `peer` is one of these with what became of asking it, `peers` is all of them in their order;
//! * `relay` is a blob on its way, which goes on at the next host where one breaks off;
//! * `mirrored` is the [`Store`](crate::store::Store) that all of this is for. It is read only.
//!
//! [hosts]: https://github.com/containerd/containerd/blob/main/docs/hosts.md

mod document;
mod hosts;
mod mirrored;
mod opening;
mod peer;
mod peers;
mod relay;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use self::mirrored::Mirrored;
pub use self::peer::Source;

use self::hosts::Hosts;
use super::auth::CredentialSource;
use crate::error::{Error, Reason, Result};

/// Reads a `hosts.toml`, as [`Mirrors`] does.
#[cfg(feature = "fuzz")]
pub(super) fn parse(text: &str) -> Result<()> {
    document::parse(text, Path::new("hosts.toml")).map(drop)
}

/// Who says what a tag means, and who refers to an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResolveAt {
    /// The registry itself, and nobody else.
    #[default]
    Origin,
    /// Mirrors that have the capability `resolve`, and the registry where none of them knows.
    Mirror,
}

/// Where mirrors are looked up, and how far they are trusted.
#[derive(Clone)]
pub struct Mirrors {
    directory: PathBuf,
    resolve_at: ResolveAt,
    credentials: Arc<dyn CredentialSource>,
}

impl Mirrors {
    /// Returns the mirrors that the files below `directory` name. `credentials` are asked for each
    /// mirror's own host; those for the registry are never shown to a mirror.
    pub fn new(
        directory: impl Into<PathBuf>,
        credentials: Arc<dyn CredentialSource>,
    ) -> Result<Self> {
        let directory = directory.into();
        std::fs::read_dir(&directory)
            .map_err(|error| Error::io("read the hosts directory", &directory, error))?;
        Ok(Self {
            directory,
            resolve_at: ResolveAt::Origin,
            credentials,
        })
    }

    /// Asks what tags mean and who refers to an artifact there.
    #[must_use]
    pub fn resolving_at(mut self, resolve_at: ResolveAt) -> Self {
        self.resolve_at = resolve_at;
        self
    }

    /// Reads what is said about the registry `host`; nothing may be.
    fn hosts(&self, host: &str) -> Result<Option<Hosts>> {
        for name in names(host) {
            let folder = self.directory.join(&name);
            if !is_one_component(&name) || !exists(&folder)? {
                continue;
            }
            let file = folder.join("hosts.toml");
            if exists(&file)? {
                return document::read(&file).map(Some);
            }
            let message = format!("`{}` has no hosts.toml", folder.display());
            return Err(Error::new(Reason::HostsFileInvalid, message).hint(
                "certificate files alone are not read: name them in it, `ca = \"NAME.crt\"`",
            ));
        }
        Ok(None)
    }
}

/// Returns the names of directories for `HOST[:PORT]`, the most specific first
/// ([containerd, "Port Handling in Registry Host"](https://github.com/containerd/containerd/blob/main/docs/hosts.md#port-handling-in-registry-host)).
fn names(host: &str) -> Vec<String> {
    let port = host
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'));
    let escaped = port.map(|(name, port)| format!("{name}_{port}_"));
    let rest = [host.to_owned(), "_default".to_owned()];
    escaped.into_iter().chain(rest).collect()
}

fn is_one_component(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .map_err(|error| Error::io("look at", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::auth::Anonymous;

    #[test]
    fn the_most_specific_directory_is_looked_at_first() {
        for (host, expected) in [
            ("reg.example", &["reg.example", "_default"][..]),
            (
                "reg.example:5000",
                &["reg.example_5000_", "reg.example:5000", "_default"],
            ),
            ("[::1]", &["[::1]", "_default"]),
            ("[::1]:5000", &["[::1]_5000_", "[::1]:5000", "_default"]),
        ] {
            assert_eq!(names(host), expected, "{host}");
        }
    }

    fn mirrors(files: &[(&str, &str)]) -> (tempfile::TempDir, Mirrors) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mirrors = Mirrors::new(directory.path(), Arc::new(Anonymous)).unwrap();
        (directory, mirrors)
    }

    fn first(mirrors: &Mirrors, host: &str) -> Option<String> {
        let hosts = mirrors.hosts(host).unwrap()?;
        Some(hosts.mirrors.first()?.address.base.to_string())
    }

    #[test]
    fn one_file_is_read_and_no_other() {
        let (_directory, mirrors) = mirrors(&[
            ("reg.example_5000_/hosts.toml", "[host.\"http://escaped\"]"),
            ("reg.example:5000/hosts.toml", "[host.\"http://colon\"]"),
            ("reg.example/hosts.toml", "[host.\"http://plain\"]"),
            ("_default/hosts.toml", "[host.\"http://default\"]"),
            ("none.example/hosts.toml", ""),
        ]);
        for (host, expected) in [
            ("reg.example:5000", Some("http://escaped/")),
            ("reg.example", Some("http://plain/")),
            ("other.example", Some("http://default/")),
            ("reg.example:5001", Some("http://default/")),
            ("none.example", None),
        ] {
            assert_eq!(first(&mirrors, host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn a_registry_without_a_file_has_no_mirrors() {
        let (_directory, mirrors) = mirrors(&[("reg.example/hosts.toml", "")]);
        assert!(mirrors.hosts("other.example").unwrap().is_none());
        assert!(mirrors.hosts("..").unwrap().is_none());
        assert!(mirrors.hosts("reg.example").unwrap().is_some());
    }

    #[test]
    fn certificate_files_alone_are_not_passed_over_in_silence() {
        let (_directory, mirrors) = mirrors(&[("reg.example/ca.crt", "x")]);
        let error = mirrors.hosts("reg.example").err().unwrap();
        assert_eq!(error.reason(), Reason::HostsFileInvalid);
    }

    #[test]
    fn a_directory_that_is_named_must_be_there() {
        let error = Mirrors::new("/nowhere/at/all", Arc::new(Anonymous)).err();
        assert_eq!(error.unwrap().reason(), Reason::FileNotFound);
    }
}
