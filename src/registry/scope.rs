//! What a token must allow. The registry's own idea of it, in the challenge, is not asked for:
//! it could name another repository, or more than is needed.

use std::fmt;

/// What a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// To be known.
    Login,
    /// To read a repository.
    Pull(String),
    /// To read and write a repository.
    Push(String),
    /// To write a repository with content of another.
    Mount {
        /// The repository that is written.
        to: String,
        /// The repository that has the content.
        from: String,
    },
}

impl Scope {
    /// Returns the scopes in the form that token servers read
    /// ([token scope documentation](https://distribution.github.io/distribution/spec/auth/scope/)).
    pub(super) fn parameters(&self) -> Vec<String> {
        match self {
            Self::Login => Vec::new(),
            Self::Pull(name) => vec![format!("repository:{name}:pull")],
            Self::Push(name) => vec![format!("repository:{name}:pull,push")],
            Self::Mount { to, from } => vec![
                format!("repository:{to}:pull,push"),
                format!("repository:{from}:pull"),
            ],
        }
    }

    /// Returns the repository that is read or written; of two, the one that is written.
    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Login => None,
            Self::Pull(name) | Self::Push(name) | Self::Mount { to: name, .. } => Some(name),
        }
    }

    /// Whether a token for this serves for `other` too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Push(name), Self::Pull(other)) => name == other,
            _ => self == other,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parameters().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_no_more_than_is_needed() {
        let name = || "acme/bert".to_owned();
        let mount = Scope::Mount {
            to: name(),
            from: "acme/base".to_owned(),
        };
        for (scope, text) in [
            (Scope::Login, ""),
            (Scope::Pull(name()), "repository:acme/bert:pull"),
            (Scope::Push(name()), "repository:acme/bert:pull,push"),
            (
                mount,
                "repository:acme/bert:pull,push repository:acme/base:pull",
            ),
        ] {
            assert_eq!(scope.to_string(), text);
        }
        assert!(Scope::Push(name()).covers(&Scope::Pull(name())));
        assert!(!Scope::Pull(name()).covers(&Scope::Push(name())));
        assert!(!Scope::Push(name()).covers(&Scope::Pull("acme/other".to_owned())));
    }
}
