//! Who the user is to a registry: credentials, and where they come from.

use async_trait::async_trait;

use crate::error::Result;
use crate::secret::Secret;

/// What proves who the user is to one registry.
#[derive(Debug, Clone)]
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

/// Where credentials come from.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// Returns the credential for `host`, which is `HOST[:PORT]` as it stands in the reference;
    /// `None` means that the user has none and goes there anonymously.
    async fn credential(&self, host: &str) -> Result<Option<Credential>>;
}
