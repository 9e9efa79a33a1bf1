//! Logging in by browser: the authorization code flow with PKCE, for programs on somebody's own
//! machine ([RFC 8252](https://www.rfc-editor.org/rfc/rfc8252),
//! [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)).

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::token::{AUDIENCE, IdentityToken};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::registry::web::{Question, Web};
use crate::secret::Secret;
use crate::{json, limits};

const JSON: &str = "application/json";

/// Where the browser comes back to. Sigstore's provider lets this client use any port of
/// `localhost`.
const CALLBACK: &str = "/auth/callback";

/// The most that is read of the request by which the browser comes back.
const REQUEST: usize = 16 << 10;

/// How long one connection may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(5);

const DONE: &str = "You are logged in. This window can be closed.";

/// A login that somebody has to complete in a browser.
pub struct Login {
    url: Url,
    listener: TcpListener,
    redirect: String,
    token_endpoint: Url,
    state: String,
    nonce: String,
    verifier: Secret,
}

/// What a provider says about itself
/// ([OpenID Connect Discovery](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)).
#[derive(Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Login {
    /// Asks the provider `issuer` where to log in, and waits for the browser from now on.
    pub async fn begin(web: &Web, issuer: &str) -> Result<Self> {
        let provider = discover(web, issuer).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|error| failed("cannot be waited for").because(error))?;
        let port = listener
            .local_addr()
            .map_err(|error| failed("cannot be waited for").because(error))?
            .port();
        let mut login = Self {
            url: endpoint(&provider.authorization_endpoint)?,
            listener,
            redirect: format!("http://localhost:{port}{CALLBACK}"),
            token_endpoint: endpoint(&provider.token_endpoint)?,
            state: random()?,
            nonce: random()?,
            verifier: Secret::new(random()?),
        };
        let challenge = Digest::of(login.verifier.expose().as_bytes());
        login
            .url
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", AUDIENCE)
            .append_pair("scope", "openid email")
            .append_pair("redirect_uri", &login.redirect)
            .append_pair("state", &login.state)
            .append_pair("nonce", &login.nonce)
            .append_pair(
                "code_challenge",
                &URL_SAFE_NO_PAD.encode(challenge.as_bytes()),
            )
            .append_pair("code_challenge_method", "S256");
        Ok(login)
    }

    /// Returns the address that somebody has to open in a browser.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Waits until they have, and returns their token, which is valid by `clock` then.
    pub async fn complete(self, web: &Web, clock: impl Fn() -> Timestamp) -> Result<IdentityToken> {
        let code = tokio::time::timeout(limits::LOGIN_TIME, self.code())
            .await
            .map_err(|_| failed("was not completed in time"))??;
        let form = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", AUDIENCE),
            ("code", code.expose()),
            ("redirect_uri", &self.redirect),
            ("code_verifier", self.verifier.expose()),
        ]);
        let question = Question {
            method: Method::POST,
            url: self.token_endpoint.clone(),
            body: Some(("application/x-www-form-urlencoded", form.into())),
            accept: JSON,
            bearer: None,
            hidden: None,
            action: "get an identity token",
        };
        let reply = web.ask(&question).await?;
        // The error might quote the token.
        let tokens: Tokens = json::parse(&reply.body, "the answer")
            .map_err(|_| failed("ended without an identity token"))?;
        let token = IdentityToken::parse(Secret::new(tokens.id_token))?;
        if token.nonce() != Some(&self.nonce) {
            return Err(failed("ended with somebody else's identity token"));
        }
        token.check_valid_at(clock())?;
        Ok(token)
    }

    /// Returns the code that the browser brings. Whoever else knocks at the port is turned away:
    /// only the provider knows the state.
    async fn code(&self) -> Result<Secret> {
        loop {
            let accepted = self.listener.accept().await;
            let (mut stream, _) = accepted.map_err(|error| failed("broke off").because(error))?;
            let visit = tokio::time::timeout(REQUEST_TIME, self.visit(&mut stream));
            match visit.await {
                Ok(Some(Ok(code))) => {
                    say(&mut stream, "200 OK", DONE).await;
                    return Ok(code);
                }
                Ok(Some(Err(error))) => {
                    say(&mut stream, "403 Forbidden", "The login was refused.").await;
                    return Err(error);
                }
                Ok(None) | Err(_) => say(&mut stream, "404 Not Found", "There is nothing.").await,
            }
        }
    }

    /// Reads what a visitor brings; nothing if they are not the browser we wait for.
    async fn visit(&self, stream: &mut TcpStream) -> Option<Result<Secret>> {
        let request = read_request(stream).await?;
        let target = request.strip_prefix("GET ")?.split(' ').next()?;
        let url = Url::parse("http://localhost").ok()?.join(target).ok()?;
        let field = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        if url.path() != CALLBACK || field("state")? != self.state {
            return None;
        }
        match field("code") {
            Some(code) => Some(Ok(Secret::new(code))),
            None => {
                let said: String = field("error")?.chars().take(80).collect();
                Some(Err(failed(&format!("was refused: {said:?}"))))
            }
        }
    }
}

async fn discover(web: &Web, issuer: &str) -> Result<Provider> {
    let issuer = issuer.trim_end_matches('/');
    let question = Question {
        method: Method::GET,
        url: endpoint(&format!("{issuer}/.well-known/openid-configuration"))?,
        body: None,
        accept: JSON,
        bearer: None,
        hidden: None,
        action: "ask the identity provider where to log in",
    };
    let reply = web.ask(&question).await?;
    let provider: Provider = json::parse(&reply.body, "the identity provider's answer")
        .map_err(|error| failed("is not described by the identity provider").because(error))?;
    match provider.issuer.trim_end_matches('/') == issuer {
        true => Ok(provider),
        false => Err(failed(
            "is offered by another identity provider than was asked",
        )),
    }
}

fn endpoint(address: &str) -> Result<Url> {
    Url::parse(address).map_err(|error| failed("has no address").because(error))
}

fn form(fields: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return String::new();
    };
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// Returns 256 random bits as text.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(Reason::Internal, "there is no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a request up to the end of its first line.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.contains(&b'\n') && bytes.len() < REQUEST {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Answers a visitor, who may be gone.
async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}"
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn failed(what: &str) -> Error {
    Error::new(Reason::IdentityMissing, format!("the login {what}"))
        .hint("or give an identity token: `--identity-token`")
}
