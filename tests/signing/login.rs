//! Logging in by browser.

use std::io::{Read, Write};
use std::net::TcpStream;

use jiff::Timestamp;
use modelctl::error::{Error, Reason};
use modelctl::sign::keyless::{IdentityToken, Login};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::bench::web;
use crate::support::sigstore::server::openid::VISITOR;
use crate::support::sigstore::{Misdeed, Server};

/// Returns where the provider sends the browser that opens `url`.
async fn sent_to(url: &str) -> Url {
    let browser = Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = browser.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    Url::parse(location).unwrap()
}

/// Visits the waiting program, and returns the status of its answer.
fn visit(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn request(url: &Url) -> String {
    let query = url.query().unwrap();
    format!(
        "GET {}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        url.path()
    )
}

/// Logs in with a browser that first does what `before` says, with the address it was sent to.
async fn log_in(
    server: &Server,
    before: impl FnOnce(&Url) + Send + 'static,
    change: impl FnOnce(String) -> String + Send + 'static,
) -> Result<IdentityToken, Error> {
    let web = web();
    let login = Login::begin(&web, &server.provider.url).await?;
    let back = sent_to(login.url()).await;
    let browser = std::thread::spawn(move || {
        before(&back);
        visit(back.port().unwrap(), &change(request(&back)))
    });
    let token = login.complete(&web, Timestamp::now).await;
    browser.join().unwrap();
    token
}

#[tokio::test]
async fn whoever_logs_in_gets_their_token() {
    let server = Server::start();
    let token = log_in(&server, |_| (), |request| request).await.unwrap();
    assert_eq!(token.email(), Some(VISITOR));
}

#[tokio::test]
async fn strangers_at_the_port_are_turned_away() {
    let server = Server::start();
    let strangers = |back: &Url| {
        let port = back.port().unwrap();
        let code =
            |state: &str| format!("GET /auth/callback?code=code-0&state={state} HTTP/1.1\r\n\r\n");
        for request in [code("guess"), code(""), "GET / HTTP/1.1\r\n\r\n".to_owned()] {
            assert_eq!(visit(port, &request), "HTTP/1.1 404 Not Found", "{request}");
        }
        // One that says nothing and hangs up.
        drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    };
    let token = log_in(&server, strangers, |request| request).await.unwrap();
    assert_eq!(token.email(), Some(VISITOR));
}

#[tokio::test]
async fn a_refused_login_ends() {
    let server = Server::start();
    let refused = |request: String| request.replace("code=code-0", "error=access_denied");
    let error = log_in(&server, |_| (), refused).await.unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityMissing);
    assert!(error.to_string().contains("access_denied"), "{error}");
}

#[tokio::test]
async fn a_token_for_another_login_is_refused() {
    let server = Server::start();
    let token = server
        .provider
        .mint(&crate::support::sigstore::Claims::email(VISITOR));
    let answer = serde_json::json!({ "id_token": token }).to_string();
    server.misbehave("/token", Misdeed::Answers(200, answer.into_bytes()));
    let error = log_in(&server, |_| (), |request| request)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityMissing);
}

#[tokio::test]
async fn a_provider_that_is_another_is_refused() {
    let server = Server::start();
    let mut other = server.provider.discovery();
    other["issuer"] = "https://other.example".into();
    let answer = Misdeed::Answers(200, other.to_string().into_bytes());
    server.misbehave("/.well-known/openid-configuration", answer);
    let begun = Login::begin(&web(), &server.provider.url).await;
    assert_eq!(begun.err().unwrap().reason(), Reason::IdentityMissing);
}
