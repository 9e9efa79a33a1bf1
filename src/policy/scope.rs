//! Scopes: which repositories a policy is for.

use std::fmt;

use crate::error::{Error, Reason, Result};
use crate::reference::Location;

/// Which repositories a policy is for: `HOST[:PORT]/REPOSITORY` in which a component `*` stands for
/// any one component and a last `**` for any one or more. `oci:**` is every layout on disk.
///
/// A component is whole or a star: `ghcr.io/acme*`, which would cover `ghcr.io/acme-evil`, is an
/// error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Anything to the end.
    Rest,
    /// One component, whatever it is.
    Any,
    /// One component.
    Exact(String),
}

/// The first component of a layout's name, which no host can have.
const LAYOUT: &str = "oci:";

impl Scope {
    /// Reads a scope.
    pub fn new(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            let message = format!("`{text}` is no scope: {why}");
            Error::new(Reason::PolicyInvalid, message).hint(
                "write `registry.example.com/acme/bert`, `registry.example.com/acme/**`, or \
                 `oci:**` for layouts on disk",
            )
        };
        if let Some(rest) = text.strip_prefix(LAYOUT) {
            return match rest {
                "**" => Ok(Self {
                    parts: vec![Part::Exact(LAYOUT.to_owned()), Part::Rest],
                }),
                _ => Err(invalid("layouts on disk are covered all or none")),
            };
        }
        let mut parts = Vec::new();
        for component in text.split('/') {
            if parts.last() == Some(&Part::Rest) {
                return Err(invalid("`**` must come last"));
            }
            parts.push(Part::new(component, parts.is_empty()).map_err(invalid)?);
        }
        if !matches!(parts.first(), Some(Part::Exact(_))) {
            return Err(invalid("it must begin with a host"));
        }
        if parts.len() < 2 {
            return Err(invalid("it names a host and no repository"));
        }
        Ok(Self { parts })
    }

    /// Whether a repository is covered.
    pub fn covers(&self, location: &Location) -> bool {
        let name = match location {
            Location::Registry { host, repository } => {
                format!("{}/{repository}", host.to_ascii_lowercase())
            }
            Location::Layout(_) => format!("{LAYOUT}/layout"),
        };
        let mut components = name.split('/');
        for part in &self.parts {
            match (part, components.next()) {
                (_, None) => return false,
                (Part::Rest, Some(_)) => return true,
                (Part::Exact(wanted), Some(found)) if wanted != found => return false,
                _ => {}
            }
        }
        components.next().is_none()
    }

    /// Whether this is more specific than `other`: the first component that differs decides, and a
    /// name there is more than `*`, which is more than `**`.
    pub fn is_more_specific_than(&self, other: &Self) -> bool {
        self.parts > other.parts
    }

    /// Whether `others`, more specific than this, together cover all that this does: `x/*` and
    /// `x/*/**` leave nothing to `x/**`.
    pub fn is_hidden_by<'a, I: Iterator<Item = &'a Self>>(&self, others: impl Fn() -> I) -> bool {
        let Some((Part::Rest, before)) = self.parts.split_last() else {
            return false;
        };
        let more = |parts: &[Part]| {
            let wanted = [before, parts].concat();
            others().any(|other| other.parts == wanted)
        };
        more(&[Part::Any]) && more(&[Part::Any, Part::Rest])
    }

    /// Whether some repository is covered by both, and neither is more specific: only when they are
    /// the same, because the order is total.
    pub fn ties_with(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Part {
    fn new(component: &str, is_host: bool) -> Result<Self, &'static str> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let fine_in_host = |b: u8| fine(b) || b":[]".contains(&b);
        match component {
            "" => Err("a component is empty"),
            "*" => Ok(Self::Any),
            "**" => Ok(Self::Rest),
            _ if component.contains('*') => Err("a component is whole or a star"),
            _ if component.contains('@') => Err("it is for a repository, not for a digest"),
            _ if is_host && component.bytes().all(fine_in_host) => {
                Ok(Self::Exact(component.to_owned()))
            }
            _ if !is_host && component.contains(':') => {
                Err("it is for a repository, whatever the tag")
            }
            _ if !is_host && component.bytes().all(fine) => Ok(Self::Exact(component.to_owned())),
            _ => Err("hosts and repositories are lower-case letters, digits, `.`, `_` and `-`"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Rest => "**",
                Part::Any => "*",
                Part::Exact(text) => text,
            })
            .collect();
        f.write_str(&shown.join("/").replace("oci:/", LAYOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    fn location(text: &str) -> Location {
        let reference: Reference = text.parse().unwrap();
        reference.location().clone()
    }

    #[test]
    fn a_scope_covers_whole_components_only() {
        for (scope, covered, other) in [
            (
                "ghcr.io/acme/**",
                "ghcr.io/acme/bert",
                "ghcr.io/acme-evil/bert",
            ),
            ("ghcr.io/acme/**", "ghcr.io/acme/a/b/c", "ghcr.io/acme"),
            ("ghcr.io/acme/*", "ghcr.io/acme/bert", "ghcr.io/acme/bert/x"),
            ("ghcr.io/*/bert", "ghcr.io/acme/bert", "ghcr.io/acme/gpt"),
            (
                "ghcr.io/acme/bert",
                "ghcr.io/acme/bert",
                "ghcr.io/acme/bert2",
            ),
            ("ghcr.io/**", "ghcr.io/x", "ghcr.io.evil/x"),
            ("ghcr.io/**", "GHCR.io/x", "evil.ghcr.io/x"),
            ("localhost:5000/**", "localhost:5000/x", "localhost:5001/x"),
            ("ghcr.io/**", "ghcr.io/a/b", "ghcr.io:443/a/b"),
            ("oci:**", "oci:./store:v1", "oci.example/store"),
            ("oci.example/**", "oci.example/store", "oci:./example/store"),
        ] {
            let read = Scope::new(scope).unwrap();
            assert!(read.covers(&location(covered)), "{scope} {covered}");
            assert!(!read.covers(&location(other)), "{scope} {other}");
            assert_eq!(read.to_string(), scope);
        }
    }

    #[test]
    fn the_more_specific_scope_is_the_one_with_the_first_more_specific_component() {
        let ordered = [
            "ghcr.io/**",
            "ghcr.io/*",
            "ghcr.io/*/**",
            "ghcr.io/*/bert",
            "ghcr.io/acme",
            "ghcr.io/acme/**",
            "ghcr.io/acme/*",
            "ghcr.io/acme/bert",
            "ghcr.io/acme/bert/**",
        ];
        let scopes: Vec<_> = ordered
            .iter()
            .map(|text| Scope::new(text).unwrap())
            .collect();
        for (at, low) in scopes.iter().enumerate() {
            assert!(low.ties_with(low) && !low.is_more_specific_than(low));
            for high in scopes.iter().skip(at + 1) {
                assert!(high.is_more_specific_than(low), "{high} {low}");
                assert!(!low.is_more_specific_than(high) && !low.ties_with(high));
            }
        }
    }

    #[test]
    fn what_could_cover_more_than_is_meant_is_refused() {
        for scope in [
            "",
            "*",
            "**",
            "ghcr.io",
            "ghcr.io/",
            "/x",
            "ghcr.io/acme*",
            "ghcr.io/**/x",
            "*.io/x",
            "*/x",
            "**/x",
            "ghcr.io//x",
            "ghcr.io/Acme",
            "GHCR.io/acme",
            "ghcr.io/acme/bert:v1",
            "ghcr.io/acme@sha256:00",
            "oci:",
            "oci:./store",
            "oci:*",
            "ghcr.io/acme/ **",
            "https://ghcr.io/acme",
        ] {
            let error = Scope::new(scope).unwrap_err();
            assert_eq!(error.reason(), Reason::PolicyInvalid, "{scope}");
        }
    }
}
