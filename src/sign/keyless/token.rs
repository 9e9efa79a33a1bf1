//! Identity tokens: what an identity provider says about somebody
//! ([OpenID Connect Core, section 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken)).
//!
//! Whether a token is genuine is the certificate authority's to verify. Here it is read only to
//! refuse early, and in clear words, what the authority would refuse.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{Error, Reason, Result};
use crate::json;
use crate::secret::Secret;

/// Whom a token must be for.
pub(super) const AUDIENCE: &str = "sigstore";

/// The largest token that is read.
const SIZE: usize = 64 << 10;

/// A token, which lets whoever has it sign as the one it names.
#[derive(Clone)]
pub struct IdentityToken {
    raw: Secret,
    claims: Claims,
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    /// In seconds since 1970; JSON allows fractions.
    exp: f64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    federated_claims: Option<Federated>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Through whom the provider, which is Dex, knows the identity.
#[derive(Debug, Clone, Deserialize)]
struct Federated {
    #[serde(default)]
    connector_id: Option<String>,
}

impl IdentityToken {
    /// Reads a token; one that is not for Sigstore or names nobody is refused.
    pub fn parse(raw: Secret) -> Result<Self> {
        let malformed = || {
            refusal("the identity token is not one: it must be three parts in base64 (a JWT)")
                .hint("`--identity-token` takes the token itself or a file with it")
        };
        let claims = {
            let parts: Vec<_> = raw.expose().split('.').collect();
            let [_, claims, _] = parts.as_slice() else {
                return Err(malformed());
            };
            if raw.expose().len() > SIZE {
                return Err(malformed());
            }
            let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| malformed())?;
            // The error might quote the token.
            json::parse::<Claims>(&claims, "the identity token")
                .map_err(|_| refusal("the identity token lacks `iss`, `sub`, `aud` or `exp`"))?
        };
        let token = Self { raw, claims };
        token.check_usable()?;
        Ok(token)
    }

    fn check_usable(&self) -> Result<()> {
        let is_for = |audience: &String| audience == AUDIENCE;
        let is_for_us = match &self.claims.aud {
            Audience::One(audience) => is_for(audience),
            Audience::Several(audiences) => audiences.iter().any(is_for),
        };
        if !is_for_us {
            let message = format!("the identity token is not for the audience `{AUDIENCE}`");
            return Err(refusal(&message).hint("ask the identity provider for one that is"));
        }
        if self.claims.email.is_some() && self.claims.email_verified == Some(false) {
            return Err(refusal(
                "the identity token's e-mail address is not verified",
            ));
        }
        match self.name().is_empty() {
            true => Err(refusal("the identity token names nobody")),
            false => Ok(()),
        }
    }

    /// Refuses a token that has expired at `now`.
    pub fn check_valid_at(&self, now: Timestamp) -> Result<()> {
        let late = now.as_second() as f64 - self.claims.exp;
        if late < 0.0 {
            return Ok(());
        }
        let message = format!("the identity token expired {late:.0} s ago");
        Err(refusal(&message).hint("get a new one; if it is new, check this machine's clock"))
    }

    /// Returns the name that the key must sign to be certified: the e-mail address, or whatever the
    /// provider calls the subject.
    pub fn name(&self) -> &str {
        self.email().unwrap_or(&self.claims.sub)
    }

    /// Returns the e-mail address, if the token has one.
    pub fn email(&self) -> Option<&str> {
        self.claims.email.as_deref()
    }

    /// Returns who knows the identity: the provider, or whoever it asks in turn.
    pub fn issuer(&self) -> &str {
        let federated = self.claims.federated_claims.as_ref();
        let connector = federated.and_then(|federated| federated.connector_id.as_deref());
        // Some connectors are names; a certificate has addresses.
        let connector = connector.filter(|connector| connector.starts_with("https://"));
        connector.unwrap_or(&self.claims.iss)
    }

    /// Returns what was sent along when the token was asked for.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// Returns the token, for the one place that must send it.
    pub(super) fn secret(&self) -> &Secret {
        &self.raw
    }
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn refusal(message: &str) -> Error {
    Error::new(Reason::IdentityTokenInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn parse(claims: &str) -> Result<IdentityToken> {
        let claims = URL_SAFE_NO_PAD.encode(claims);
        IdentityToken::parse(Secret::new(format!("e30.{claims}.c2ln")))
    }

    fn claims(more: &str) -> String {
        format!(
            r#"{{"iss":"https://i","sub":"s","aud":"sigstore","exp":{}{more}}}"#,
            NOW + 60
        )
    }

    #[test]
    fn reads_who_is_named_by_whom() {
        let email = r#","email":"a@b","email_verified":true"#;
        let dex = r#","email":"a@b","federated_claims":{"connector_id":"https://g","user_id":"1"}"#;
        let local = r#","federated_claims":{"connector_id":"local"}"#;
        for (more, name, issuer) in [
            ("", "s", "https://i"),
            (email, "a@b", "https://i"),
            (dex, "a@b", "https://g"),
            (local, "s", "https://i"),
        ] {
            let token = parse(&claims(more)).unwrap();
            assert_eq!((token.name(), token.issuer()), (name, issuer), "{more}");
        }
        parse(&claims("").replace(r#""sigstore""#, r#"["x","sigstore"]"#)).unwrap();
    }

    #[test]
    fn refuses_what_the_authority_would_refuse() {
        let good = claims("");
        for bad in [
            good.replace("sigstore", "sigstores"),
            good.replace(r#""sigstore""#, "[]"),
            good.replace(r#""s""#, r#""""#),
            good.replace("iss", "issuer"),
            claims(r#","email":"a@b","email_verified":false"#),
            claims(r#","email":"""#),
            claims(r#","aud":"sigstore""#),
            "[]".to_owned(),
        ] {
            let error = parse(&bad).expect_err(&bad);
            assert_eq!(error.reason(), Reason::IdentityTokenInvalid, "{bad}");
        }
        for bad in ["", "a.b", "a.b.c.d", "e30.!.e30"] {
            IdentityToken::parse(Secret::new(bad.to_owned())).expect_err(bad);
        }
    }

    #[test]
    fn expires_to_the_second_and_is_never_shown() {
        let token = parse(&claims("")).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        token.check_valid_at(at(NOW + 59)).unwrap();
        for late in [60, 61] {
            let error = token.check_valid_at(at(NOW + late)).unwrap_err();
            assert_eq!(error.reason(), Reason::IdentityTokenInvalid);
        }
        assert_eq!(format!("{token:?}"), "***");
    }
}
