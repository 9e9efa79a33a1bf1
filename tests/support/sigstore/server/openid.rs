//! An identity provider's endpoints: a login by browser
//! ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)), and the tokens that CI systems give.

use std::collections::HashMap;

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::json;

use super::super::identity::Claims;
use super::super::sha256;
use super::{Asked, Services, json_answer};

/// The email address of whoever logs in by browser.
pub const VISITOR: &str = "visitor@example.com";

/// The secret with which a CI job asks for its token.
pub const AMBIENT_SECRET: &str = "ambient-secret";

/// The identity of the CI job.
pub const AMBIENT_IDENTITY: &str =
    "https://ci.example/acme/models/.github/workflows/train.yml@main";

/// A login that was begun.
pub struct Login {
    challenge: String,
    redirect: String,
    nonce: Option<String>,
}

impl Services {
    /// Logs the visitor in at once, and sends them back with a code.
    pub(super) fn log_in(&self, uri: &Uri) -> Result<Response, StatusCode> {
        let query = fields(uri.query().unwrap_or_default());
        let field = |name: &str| query.get(name).cloned().ok_or(StatusCode::BAD_REQUEST);
        if field("code_challenge_method")? != "S256" || field("response_type")? != "code" {
            return Err(StatusCode::BAD_REQUEST);
        }
        let (redirect, challenge) = (field("redirect_uri")?, field("code_challenge")?);
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        let target = format!("{redirect}?code={code}&state={}", field("state")?);
        let login = Login {
            challenge,
            redirect,
            nonce: query.get("nonce").cloned(),
        };
        codes.insert(code, login);
        Ok((StatusCode::FOUND, [(header::LOCATION, target)]).into_response())
    }

    /// Gives a token for a code, to whoever began the login.
    pub(super) fn exchange(&self, asked: &Asked) -> Result<Response, StatusCode> {
        let form = fields(&String::from_utf8_lossy(&asked.body));
        let field = |name: &str| form.get(name).ok_or(StatusCode::BAD_REQUEST);
        let login = self.codes.lock().unwrap().remove(field("code")?);
        let login = login.ok_or(StatusCode::BAD_REQUEST)?;
        let proof = URL_SAFE_NO_PAD.encode(sha256(field("code_verifier")?.as_bytes()));
        if proof != login.challenge || *field("redirect_uri")? != login.redirect {
            return Err(StatusCode::BAD_REQUEST);
        }
        let claims = Claims {
            nonce: login.nonce,
            ..Claims::email(VISITOR)
        };
        let token = self.sigstore.provider.mint(&claims);
        let answer = json!({ "access_token": "unused", "id_token": token });
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// Gives a CI job its token, as GitHub Actions does.
    pub(super) fn ambient(&self, asked: &Asked, uri: &Uri) -> Result<Response, StatusCode> {
        let expected = format!("bearer {AMBIENT_SECRET}");
        let given = asked.headers.get(header::AUTHORIZATION);
        if given.is_none_or(|given| !given.as_bytes().eq_ignore_ascii_case(expected.as_bytes())) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let query = fields(uri.query().unwrap_or_default());
        let mut claims = Claims::uri(AMBIENT_IDENTITY);
        claims.audience = query.get("audience").cloned().into();
        let token = self.sigstore.provider.mint(&claims);
        Ok(json_answer(StatusCode::OK, &json!({ "value": token })))
    }
}

/// Returns the fields of a query or form.
fn fields(text: &str) -> HashMap<String, String> {
    let url = Url::parse(&format!("http://localhost/?{text}")).unwrap();
    let pairs = url.query_pairs();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
