//! Proving who we are to one registry, as little as needed: anonymously if that will do, with a
//! token for just this repository, and with a password only where it belongs.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::WWW_AUTHENTICATE;
use tokio::sync::Mutex;

use super::answer::Answer;
use super::auth::{Credential, CredentialSource};
use super::challenge::{self, Challenge};
use super::endpoint::Endpoint;
use super::http::Authorization;
use super::origin::Origin;
use super::quota::Quota;
use super::referral::{self, Realm};
use super::scope::Scope;
use super::token::{self, Asked, Token};
use crate::error::{Error, Reason, Result};
use crate::limits;

/// What is shown to a registry, and what stands behind it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pass {
    authorization: Authorization,
    standing: Standing,
}

/// Who a registry takes us for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Nobody, because the user has no credentials for it.
    Anonymous,
    /// The user.
    Known,
    /// Nobody, because the credentials could not be shown to this token server.
    Withheld(String),
}

impl Pass {
    /// Returns what to send.
    pub(super) fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

/// A pass instead of one that was refused.
pub(super) enum Renewed {
    /// It was got just now.
    New(Pass),
    /// It was there already, and may be as old as the one that was refused.
    Other(Pass),
}

impl Renewed {
    /// Returns the pass.
    pub(super) fn into_pass(self) -> Pass {
        match self {
            Self::New(pass) | Self::Other(pass) => pass,
        }
    }
}

/// Our side of signing in to one registry.
pub(super) struct Login {
    host: String,
    origin: Origin,
    source: Arc<dyn CredentialSource>,
    token_hosts: Vec<String>,
    /// One task at a time signs in; the others find what it got.
    passes: Mutex<Passes>,
}

/// What was got, and how often.
#[derive(Default)]
struct Passes {
    kept: Vec<Kept>,
    tokens: Quota,
}

/// A pass that worked, or at least was given.
struct Kept {
    good_for: GoodFor,
    pass: Pass,
    expires: Option<Instant>,
}

/// What a pass is good for.
enum GoodFor {
    /// What its token allows.
    Scope(Scope),
    /// Everything in the repository that the credential was asked for: another may have another.
    Repository(Option<String>),
}

impl Kept {
    fn serves(&self, scope: &Scope) -> bool {
        let is_good = match &self.good_for {
            GoodFor::Scope(own) => own.covers(scope),
            GoodFor::Repository(own) => own.as_deref() == scope.repository(),
        };
        is_good && self.is_fresh()
    }

    fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| expires > Instant::now())
    }
}

impl Login {
    /// Returns a way to sign in to the registry that references call `host`, at `origin`.
    pub(super) fn new(
        host: &str,
        origin: Origin,
        source: Arc<dyn CredentialSource>,
        token_hosts: Vec<String>,
    ) -> Self {
        Self {
            host: host.to_owned(),
            origin,
            source,
            token_hosts,
            passes: Mutex::default(),
        }
    }

    /// Returns the pass that is there already for `scope`.
    pub(super) async fn pass(&self, scope: &Scope) -> Option<Pass> {
        let passes = self.passes.lock().await;
        let kept = passes.kept.iter().find(|kept| kept.serves(scope))?;
        Some(kept.pass.clone())
    }

    /// Gets a pass for `scope` that answers the challenges in `refused`, which came although
    /// `shown` was shown.
    pub(super) async fn renew(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        refused: &Answer,
        shown: Option<&Pass>,
    ) -> Result<Renewed> {
        let mut passes = self.passes.lock().await;
        passes
            .kept
            .retain(|kept| Some(&kept.pass) != shown && kept.is_fresh());
        if let Some(other) = passes.kept.iter().find(|kept| kept.serves(scope)) {
            return Ok(Renewed::Other(other.pass.clone()));
        }

        let challenges = challenges(refused);
        let named = |scheme| challenges.iter().find(|c| c.scheme() == scheme);
        let kept = match (named("bearer"), named("basic")) {
            (Some(_), _) if !passes.tokens.allows(scope, Instant::now()) => {
                return Err(self.never_satisfied());
            }
            (Some(bearer), _) => self.bearer(endpoint, scope, bearer).await?,
            (None, Some(_)) => self.basic(scope, shown).await?,
            (None, None) => {
                let message = format!("{} wants a proof of identity of no known kind", self.host);
                return Err(Error::new(Reason::Unauthorised, message));
            }
        };
        let pass = kept.pass.clone();
        passes.kept.push(kept);
        Ok(Renewed::New(pass))
    }

    /// Answers a Basic challenge. The password goes to the registry itself, over TLS or where the
    /// user chose plain http.
    async fn basic(&self, scope: &Scope, shown: Option<&Pass>) -> Result<Kept> {
        let repository = scope.repository();
        let credential = self.source.credential(&self.host, repository);
        let authorization = match credential.await? {
            Some(Credential::Basic { username, password }) => {
                basic(&self.origin, &username, password.expose())?
            }
            Some(Credential::IdentityToken(_)) => {
                let message = format!("{} wants a password, not an identity token", self.host);
                return Err(self.log_in(Reason::Unauthorised, message));
            }
            None => return Err(self.log_in(Reason::Unauthorised, self.wants_credentials())),
        };
        let pass = Pass {
            authorization,
            standing: Standing::Known,
        };
        if Some(&pass) == shown {
            let message = format!("{} does not accept the credentials for it", self.host);
            return Err(self.log_in(Reason::Unauthorised, message));
        }
        Ok(Kept {
            good_for: GoodFor::Repository(repository.map(str::to_owned)),
            pass,
            expires: None,
        })
    }

    /// Answers a Bearer challenge with a token from the server that it names.
    async fn bearer(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        challenge: &Challenge,
    ) -> Result<Kept> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        let realm = referral::realm(&self.origin, realm, &self.token_hosts)?;
        let credential = self.source.credential(&self.host, scope.repository());
        let credential = credential.await?;
        let (url, credential, standing) = match (realm, credential) {
            (Realm::Trusted(url), Some(credential)) => (url, Some(credential), Standing::Known),
            (Realm::Stranger(url), Some(_)) => {
                let realm = Origin::of(&url)?.to_string();
                (url, None, Standing::Withheld(realm))
            }
            (Realm::Trusted(url) | Realm::Stranger(url), None) => (url, None, Standing::Anonymous),
        };
        let service = challenge.parameter("service").unwrap_or_default();
        let asked = token::ask(endpoint, &url, service, scope, credential.as_ref()).await?;
        let Token { text, expires } = match asked {
            Asked::Given(token) => token,
            Asked::Denied(said) => {
                return Err(self.denied(&standing, Reason::Unauthorised, said));
            }
        };
        let authorization = Authorization::new(&self.origin, &format!("Bearer {}", text.expose()))?;
        Ok(Kept {
            good_for: GoodFor::Scope(scope.clone()),
            pass: Pass {
                authorization,
                standing,
            },
            expires: Some(expires),
        })
    }

    /// Returns the error for a registry's refusal of what was shown.
    pub(super) fn explain(&self, reason: Reason, message: String, shown: Option<&Pass>) -> Error {
        let standing = shown.map_or(&Standing::Anonymous, |pass| &pass.standing);
        self.denied(standing, reason, message)
    }

    fn denied(&self, standing: &Standing, reason: Reason, message: String) -> Error {
        match standing {
            Standing::Withheld(realm) => {
                let message = format!(
                    "{message}; the credentials for {} were not sent to {realm}, which it names \
                     as its token server and which is not under its domain",
                    self.host
                );
                Error::new(Reason::CredentialsWithheld, message)
            }
            Standing::Known => Error::new(reason, message).hint(format!(
                "the registry knows the user but refuses this; `modelctl login {}` as one who may",
                self.host
            )),
            Standing::Anonymous => self.log_in(reason, message),
        }
    }

    fn never_satisfied(&self) -> Error {
        let message = format!(
            "{} honoured none of {} tokens for long, all asked for within {} s",
            self.host,
            limits::TOKENS,
            limits::TOKENS_TIME.as_secs()
        );
        Error::new(Reason::Unauthorised, message)
            .hint("the registry or its token server is at fault; their clocks may disagree")
    }

    fn wants_credentials(&self) -> String {
        format!("{} wants credentials, and there are none for it", self.host)
    }

    fn log_in(&self, reason: Reason, message: String) -> Error {
        Error::new(reason, message).hint(format!("run `modelctl login {}`", self.host))
    }
}

/// Returns the field for HTTP Basic ([RFC 7617 §2](https://www.rfc-editor.org/rfc/rfc7617#section-2)).
pub(super) fn basic(origin: &Origin, username: &str, password: &str) -> Result<Authorization> {
    if username.contains(':') {
        let message = "a user name with a colon in it cannot be sent";
        return Err(Error::new(Reason::CredentialsInvalid, message));
    }
    let both = zeroize::Zeroizing::new(format!("{username}:{password}"));
    let encoded = zeroize::Zeroizing::new(STANDARD.encode(both.as_bytes()));
    Authorization::new(origin, &format!("Basic {}", *encoded))
}

/// Returns every challenge that can be read in only one way.
fn challenges(refused: &Answer) -> Vec<Challenge> {
    let fields = refused.fields(&WWW_AUTHENTICATE).flatten();
    fields.filter_map(challenge::parse).flatten().collect()
}
