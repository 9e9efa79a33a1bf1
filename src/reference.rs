//! References: what a user types to name an artifact, one grammar on every command.
//!
//! `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` names an artifact in a registry,
//! `oci:PATH[:TAG][@DIGEST]` one in an OCI image layout on disk. Nothing is implied: no default
//! registry, no `latest`. The grammar of repository and tag is the distribution-spec's
//! ([§ "Pulling manifests"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests)).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};

/// The longest host and repository together, as the reference implementation has it.
const NAME_MAX: usize = 255;

/// Where artifacts live: a repository of a registry, or an OCI image layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A repository of a registry.
    Registry {
        /// The host, with its port if one is given.
        host: String,
        /// The repository's name.
        repository: String,
    },
    /// An OCI image layout directory.
    Layout(PathBuf),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { host, repository } => write!(f, "{host}/{repository}"),
            Self::Layout(path) => write!(f, "oci:{}", path.display()),
        }
    }
}

impl Location {
    /// Returns the last component: what a directory pulled from here is called, as `git clone`
    /// does it.
    pub fn last_component(&self) -> Option<&str> {
        match self {
            Self::Registry { repository, .. } => repository.rsplit('/').next(),
            Self::Layout(path) => path.file_name()?.to_str(),
        }
    }
}

/// A tag: at most 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Returns the tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag under which referrers of `subject` are listed where a registry has no
    /// referrers API
    /// ([distribution-spec, "Referrers tag schema"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema)).
    pub fn for_referrers(subject: &Digest) -> Self {
        Self(format!("{}-{}", Digest::ALGORITHM, subject.hex()))
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let starts = !text.starts_with(['.', '-']);
        if text.is_empty() || text.len() > 128 || !starts || !text.bytes().all(fine) {
            return Err(
                Error::new(Reason::ReferenceInvalid, format!("{text:?} is not a tag"))
                    .hint("a tag is up to 128 letters, digits, `_`, `.` and `-`"),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked for at a location: by tag, by digest, or by a tag that must be that digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Whatever the tag names now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

/// A reference as typed: a location, and a tag, a digest, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    location: Location,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// Returns a reference from its parts.
    pub fn new(location: Location, tag: Option<Tag>, digest: Option<Digest>) -> Self {
        Self {
            location,
            tag,
            digest,
        }
    }

    /// Returns where the artifact lives.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Returns the tag, if one is given.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns what to ask for: the digest where there is one, else the tag; neither is an error,
    /// because `latest` is never implied.
    pub fn selector(&self) -> Result<Selector> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Ok(Selector::Digest(*digest)),
            (None, Some(tag)) => Ok(Selector::Tag(tag.clone())),
            (None, None) => Err(Error::new(
                Reason::ReferenceInvalid,
                format!("`{self}` names a repository, not an artifact"),
            )
            .hint(format!(
                "add a tag or a digest: `{self}:v1`; `latest` is never implied"
            ))),
        }
    }

    /// Returns the same location pinned to `digest`, without the tag.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            location: self.location.clone(),
            tag: None,
            digest: Some(digest),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.location, f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(
                Reason::ReferenceInvalid,
                format!("{text:?} is not a reference: {why}"),
            )
            .hint(
                "write `HOST[:PORT]/REPOSITORY:TAG` for a registry or `oci:PATH:TAG` for an OCI \
                 image layout on disk",
            )
        };
        let (named, digest) = match text.rsplit_once('@') {
            Some((named, digest)) => (
                named,
                Some(digest.parse().map_err(|e: Error| invalid(e.message()))?),
            ),
            None => (text, None),
        };
        // A tag follows the last colon, unless a `/` follows that colon too (a port, a path).
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && name != "oci" => (
                name,
                Some(tag.parse().map_err(|e: Error| invalid(e.message()))?),
            ),
            _ => (named, None),
        };
        let location = match name.strip_prefix("oci:") {
            Some("") => return Err(invalid("the layout's path is empty")),
            Some(path) if path.contains('\0') => return Err(invalid("the path has a NUL")),
            Some(path) => Location::Layout(PathBuf::from(path)),
            None => registry_location(name).map_err(invalid)?,
        };
        Ok(Self {
            location,
            tag,
            digest,
        })
    }
}

fn registry_location(name: &str) -> Result<Location, &'static str> {
    let (host, repository) = name
        .split_once('/')
        .ok_or("there is no `/` after the host")?;
    if !is_host(host) {
        return Err("the part before the first `/` is not a host name, address or HOST:PORT");
    }
    if name.len() > NAME_MAX || !repository.split('/').all(is_repository_component) {
        return Err(
            "the repository's name must be lower-case letters, digits and single . _ - \
                    or __ between them, in components divided by `/`",
        );
    }
    Ok(Location::Registry {
        host: host.to_ascii_lowercase(),
        repository: repository.to_owned(),
    })
}

/// Whether `text` is a name with a dot, a port or `localhost` (else `acme/bert` would be taken for
/// a host), or an address.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if port.is_some_and(|port| !is_port(port)) {
        return false;
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label)
        && (name.contains('.') || port.is_some() || name.eq_ignore_ascii_case("localhost"))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_repository_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    if !edges
        .iter()
        .all(|edge| edge.is_some_and(|b| alphanumeric(*b)))
    {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|between| {
        matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
    })
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: Error| serde::de::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Reference {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn reads_registry_references() {
        for (text, location, tag) in [
            (
                "registry.example.com/acme/bert:v1",
                "registry.example.com/acme/bert",
                Some("v1"),
            ),
            ("localhost/m", "localhost/m", None),
            ("localhost:5000/m", "localhost:5000/m", None),
            (
                "127.0.0.1:5000/a/b-c/d__e.f:V1.0_x-y",
                "127.0.0.1:5000/a/b-c/d__e.f",
                Some("V1.0_x-y"),
            ),
            ("[::1]:5000/m:1", "[::1]:5000/m", Some("1")),
            (
                "Registry.Example.COM/m:v1",
                "registry.example.com/m",
                Some("v1"),
            ),
            ("host:5000/a--b:v1", "host:5000/a--b", Some("v1")),
        ] {
            let reference = parse(text);
            assert_eq!(reference.location().to_string(), location);
            assert_eq!(reference.tag().map(Tag::as_str), tag);
            assert!(reference.digest().is_none());
            let pinned = parse(&format!("{text}@{DIGEST}"));
            assert_eq!(pinned.digest().unwrap().to_string(), DIGEST);
            assert_eq!(
                pinned.selector().unwrap(),
                Selector::Digest(DIGEST.parse().unwrap())
            );
        }
    }

    #[test]
    fn reads_layout_references() {
        for (text, path, tag) in [
            ("oci:./store:v1", "./store", Some("v1")),
            ("oci:store", "store", None),
            ("oci:/a:b/c", "/a:b/c", None),
            ("oci:/a:b/c:v1", "/a:b/c", Some("v1")),
            ("oci:../x.y:latest", "../x.y", Some("latest")),
        ] {
            let reference = parse(text);
            assert_eq!(reference.location(), &Location::Layout(path.into()));
            assert_eq!(reference.tag().map(Tag::as_str), tag);
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let long = format!("host.example/{}", "a".repeat(300));
        let long_tag = format!("host.example/a:{}", "a".repeat(129));
        for bad in [
            "",
            "bert",
            "bert:v1",
            "acme/bert:v1",
            "/a/b",
            "host.example/",
            "host.example//a",
            "host.example/A",
            "host.example/a/",
            "host.example/a..b",
            "host.example/a___b",
            "host.example/-a",
            "host.example/a:",
            "host.example/a:-x",
            "host.example/a:v 1",
            "host.example/a@sha256:12",
            "host.example/a@md5:12",
            "host.example:0/a",
            "host.example:99999/a",
            "host.example:x/a",
            "host.example./a",
            ".host.example/a",
            "-h.example/a",
            "[::1/a",
            "[::g]/a",
            "user@host.example/a",
            "https://host.example/a",
            "oci:",
            "oci:@",
            "oci::v1",
            "host.example/a%2fb",
            "höst.example/a",
            "host.example/é",
            "host.example/a:v1:v2",
            "host.example/a\0b",
            &long,
            &long_tag,
            "[::1]x/a",
            "[::1]:/a",
            "oci:a\0b",
        ] {
            let error = bad.parse::<Reference>().expect_err(bad);
            assert_eq!(error.reason(), Reason::ReferenceInvalid, "{bad:?}");
        }
    }

    #[test]
    fn never_implies_latest() {
        let error = parse("host.example/a").selector().unwrap_err();
        assert_eq!(error.reason(), Reason::ReferenceInvalid);
    }
}
