//! Tokens: a short-lived proof for one repository, from the server that a registry names
//! ([token authentication](https://distribution.github.io/distribution/spec/auth/token/)).

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, StatusCode, Url};
use serde::Deserialize;

use super::auth::Credential;
use super::endpoint::Endpoint;
use super::http::{Authorization, Call};
use super::login::basic;
use super::origin::Origin;
use super::refusal;
use super::retry::Failure;
use super::scope::Scope;
use crate::error::{Error, Reason, Result};
use crate::secret::Secret;
use crate::{json, limits};

/// How long a token lives that does not say so, and the shortest life that servers may give one.
const LIFETIME: Duration = Duration::from_secs(60);

/// The longest time a token is kept, whatever its server says.
const LONGEST: Duration = Duration::from_secs(3600);

/// A token, and until when it is used.
pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) expires: Instant,
}

/// What a token server answers.
pub(super) enum Asked {
    Given(Token),
    /// It wants to be shown other credentials, or some; the sentence says so.
    Denied(String),
}

#[derive(Deserialize)]
struct Body200 {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

/// Asks the server at `realm` for a token for `scope`, showing it `credential` if there is one.
pub(super) async fn ask(
    endpoint: &Endpoint,
    realm: &Url,
    service: &str,
    scope: &Scope,
    credential: Option<&Credential>,
) -> Result<Asked> {
    let question = Question::new(realm, service, scope, credential)?;
    let mut backoff = endpoint.backoff();
    loop {
        match attempt(endpoint, &question).await {
            Ok(asked) => return Ok(asked),
            Err(failure) => {
                backoff
                    .wait(failure, &question.action, endpoint.progress())
                    .await?;
            }
        }
    }
}

/// One request to a token server: everything but the sending.
struct Question {
    method: Method,
    url: Url,
    form: Option<String>,
    authorization: Option<Authorization>,
    action: String,
}

impl Question {
    fn new(
        realm: &Url,
        service: &str,
        scope: &Scope,
        credential: Option<&Credential>,
    ) -> Result<Self> {
        let origin = Origin::of(realm)?;
        let action = format!("get a token from {origin}");
        let mut url = realm.clone();
        url.set_fragment(None);
        match credential {
            Some(Credential::IdentityToken(secret)) => Ok(Self {
                method: Method::POST,
                url,
                form: Some(refresh_form(service, scope, secret)?),
                authorization: None,
                action,
            }),
            Some(Credential::Basic { username, password }) => {
                let authorization = basic(&origin, username, password.expose())?;
                ask_by_query(&mut url, service, scope);
                Ok(Self {
                    method: Method::GET,
                    url,
                    form: None,
                    authorization: Some(authorization),
                    action,
                })
            }
            None => {
                ask_by_query(&mut url, service, scope);
                Ok(Self {
                    method: Method::GET,
                    url,
                    form: None,
                    authorization: None,
                    action,
                })
            }
        }
    }

    fn call(&self, wait: Duration) -> Call<'_> {
        let mut headers = HeaderMap::new();
        if self.form.is_some() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
        }
        Call {
            method: self.method.clone(),
            url: self.url.clone(),
            headers,
            body: self.form.clone().map(Body::from).unwrap_or_default(),
            authorization: self.authorization.as_ref(),
            wait,
        }
    }
}

fn ask_by_query(url: &mut Url, service: &str, scope: &Scope) {
    let mut query = url.query_pairs_mut();
    if !service.is_empty() {
        query.append_pair("service", service);
    }
    for scope in scope.parameters() {
        query.append_pair("scope", &scope);
    }
}

/// Returns the form that exchanges a refresh token
/// ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
fn refresh_form(service: &str, scope: &Scope, secret: &Secret) -> Result<String> {
    // A query and a form are encoded alike, and a URL's query is what is at hand.
    let mut form = Url::parse("form:")
        .map_err(|e| Error::new(Reason::Internal, "a form cannot be written").because(e))?;
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service)
        .append_pair("client_id", "modelctl")
        .append_pair("scope", &scope.to_string())
        .append_pair("refresh_token", secret.expose());
    Ok(form.query().unwrap_or_default().to_owned())
}

async fn attempt(endpoint: &Endpoint, question: &Question) -> Result<Asked, Failure> {
    let started = Instant::now();
    let call = question.call(endpoint.stall());
    let answer = endpoint.exchange(call).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let failure = refusal::failure(answer, &question.action).await;
            return Ok(Asked::Denied(failure.error.message().to_owned()));
        }
        _ => return Err(refusal::failure(answer, &question.action).await),
    }
    let answer = answer.read(limits::SMALL_BODY, &question.action).await?;
    let from = answer.origin().to_string();
    let token = read(&answer.bytes(), started, &from).map_err(Failure::last)?;
    Ok(Asked::Given(token))
}

pub(super) fn read(bytes: &[u8], started: Instant, from: &str) -> Result<Token> {
    let outside = |why: &str| {
        let message = format!("the token server {from} answers {why}");
        Error::new(Reason::RegistryProtocol, message)
    };
    // The parser's words could quote the token.
    let body: Body200 =
        json::parse(bytes, "a token").map_err(|_| outside("something that is no token"))?;
    let text = [body.token, body.access_token].into_iter().flatten();
    let text = text.into_iter().find(|text| !text.is_empty());
    let text = text.ok_or_else(|| outside("without a token"))?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(outside("with a token that cannot be sent"));
    }
    let seconds = body.expires_in.as_ref().and_then(serde_json::Value::as_u64);
    let lifetime = seconds.map_or(LIFETIME, Duration::from_secs);
    let lifetime = lifetime.clamp(LIFETIME, LONGEST);
    // Counted from before the request, and ended early, so that it does not expire on its way.
    let expires = started + lifetime.mul_f64(0.9);
    Ok(Token {
        text: Secret::new(text),
        expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(json: &str) -> Result<(String, u64), Reason> {
        let started = Instant::now();
        let token = read(json.as_bytes(), started, "it").map_err(|error| error.reason())?;
        let lifetime = token.expires.duration_since(started);
        Ok((token.text.expose().to_owned(), lifetime.as_secs()))
    }

    #[test]
    fn reads_either_name_of_the_token_and_bounds_its_life() {
        for (json, text, lifetime) in [
            (r#"{"token":"a"}"#, "a", 54),
            (r#"{"access_token":"a","expires_in":300}"#, "a", 270),
            (r#"{"token":"","access_token":"b","expires_in":0}"#, "b", 54),
            (
                r#"{"token":"a","access_token":"b","expires_in":null}"#,
                "a",
                54,
            ),
            (
                r#"{"token":"a","expires_in":18446744073709551615}"#,
                "a",
                3240,
            ),
            (
                r#"{"token":"a","expires_in":-5,"refresh_token":"r"}"#,
                "a",
                54,
            ),
        ] {
            assert_eq!(seconds(json), Ok((text.to_owned(), lifetime)), "{json}");
        }
    }

    #[test]
    fn refuses_what_is_no_token_without_quoting_it() {
        for json in [
            "{}",
            r#"{"token":""}"#,
            r#"{"token":"a\r\nX: y"}"#,
            r#"{"token":"a b"}"#,
            r#"{"token":"a","token":"b"}"#,
            r#"{"token":5}"#,
            "<html>",
            "",
        ] {
            assert_eq!(seconds(json), Err(Reason::RegistryProtocol), "{json}");
        }
    }

    #[test]
    fn a_refresh_token_is_encoded_as_a_form() {
        let scope = Scope::Pull("a/b".to_owned());
        let form = refresh_form("a b", &scope, &Secret::new("x&y=z".to_owned())).unwrap();
        assert_eq!(
            form,
            "grant_type=refresh_token&service=a+b&client_id=modelctl\
             &scope=repository%3Aa%2Fb%3Apull&refresh_token=x%26y%3Dz"
        );
    }
}
