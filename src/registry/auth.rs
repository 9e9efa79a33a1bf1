//! Who the user is to a registry: credentials, and where they come from.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::secret::Secret;

/// What proves who the user is to one registry.
#[derive(Clone)]
pub enum Credential {
    /// A user name and password, or whatever a registry takes for them.
    Basic {
        /// The user name.
        username: String,
        /// The password, or an access token in its place.
        password: Secret,
    },
    /// A refresh token, which the registry's token server exchanges for short-lived ones
    /// (Docker's `identitytoken`).
    IdentityToken(Secret),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(***)",
            Self::IdentityToken(_) => "IdentityToken(***)",
        })
    }
}

/// Where credentials come from.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// Returns the credential for a `repository` of `host`, which is `HOST[:PORT]` as it stands in
    /// the reference, or, without one, for all of the host; `None` means that the user has none and
    /// goes there anonymously.
    async fn credential(&self, host: &str, repository: Option<&str>) -> Result<Option<Credential>>;
}

/// No credentials for any registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl CredentialSource for Anonymous {
    async fn credential(&self, _: &str, _: Option<&str>) -> Result<Option<Credential>> {
        Ok(None)
    }
}

/// The same credential for every registry: what the user gave on the command line.
#[derive(Debug, Clone)]
pub struct Fixed(pub Credential);

#[async_trait]
impl CredentialSource for Fixed {
    async fn credential(&self, _: &str, _: Option<&str>) -> Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_neither_user_nor_secret() {
        let basic = Credential::Basic {
            username: "alice".to_owned(),
            password: Secret::new("s3cret".to_owned()),
        };
        let token = Credential::IdentityToken(Secret::new("s3cret".to_owned()));
        for shown in [format!("{:?}", Fixed(basic)), format!("{token:?}")] {
            assert!(shown.contains("***"), "{shown}");
            assert!(
                !shown.contains("alice") && !shown.contains("s3cret"),
                "{shown}"
            );
        }
    }
}
