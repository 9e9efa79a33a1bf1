//! The identity provider: tokens that say who somebody is, as OpenID Connect has them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use modelctl::key::Algorithm;
use modelctl::sign::key::PrivateKey;
use serde_json::{Value, json};

use super::authority::Subject;

/// What a token says.
#[derive(Debug, Clone)]
pub struct Claims {
    pub subject: Subject,
    pub audience: Value,
    /// Seconds from now until it expires.
    pub expires_in: i64,
    pub issuer: Option<String>,
    /// What a login asked to be repeated.
    pub nonce: Option<String>,
}

impl Claims {
    /// Returns the claims of someone with a verified email address.
    pub fn email(address: &str) -> Self {
        Self::of(Subject::Email(address.to_owned()))
    }

    /// Returns the claims of a workload.
    pub fn uri(uri: &str) -> Self {
        Self::of(Subject::Uri(uri.to_owned()))
    }

    fn of(subject: Subject) -> Self {
        Self {
            subject,
            audience: "sigstore".into(),
            expires_in: 600,
            issuer: None,
            nonce: None,
        }
    }
}

/// An identity provider.
pub struct Provider {
    pub url: String,
    key: PrivateKey,
}

impl Provider {
    /// Returns a provider with a new key.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: PrivateKey::generate(Algorithm::Ed25519).unwrap(),
        }
    }

    /// Returns a signed token.
    pub fn mint(&self, claims: &Claims) -> String {
        let now = Timestamp::now().as_second();
        let mut body = json!({
            "iss": claims.issuer.as_ref().unwrap_or(&self.url),
            "sub": claims.subject.name(),
            "aud": claims.audience,
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + claims.expires_in,
        });
        if let Subject::Email(address) = &claims.subject {
            body["sub"] = "CgQxMjM0EgZnaXRodWI".into();
            body["email"] = address.as_str().into();
            body["email_verified"] = true.into();
        }
        if let Some(nonce) = &claims.nonce {
            body["nonce"] = nonce.as_str().into();
        }
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "test" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&body));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns what a token says, if it is one of this provider's for Sigstore and still valid.
    pub fn check(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self
            .key
            .public_key()
            .verifies(signed.as_bytes(), &signature)
        {
            return None;
        }
        let body = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&body).ok()?;
        let is_current = claims["exp"].as_i64()? > Timestamp::now().as_second();
        let is_ours = claims["iss"] == self.url.as_str() && claims["aud"] == "sigstore";
        (is_current && is_ours).then_some(claims)
    }

    /// Returns the discovery document.
    pub fn discovery(&self) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }
}
