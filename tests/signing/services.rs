//! Services that fail, lie or forget: nothing wrong is signed, and what passes is tried again.

use jiff::Timestamp;
use modelctl::error::Reason;
use modelctl::secret::Secret;
use modelctl::sign::keyless::{GithubActions, IdentityToken, KeylessSigner};
use modelctl::sign::services::{Services, SigningConfig};

use crate::bench::{self, CI, sign, signer};
use crate::support::sigstore::server::openid::{AMBIENT_IDENTITY, AMBIENT_SECRET};
use crate::support::sigstore::{Claims, Misdeed, Server, Version};

const FULCIO: &str = "/api/v2/signingCert";
const REKOR_1: &str = "/api/v1/log/entries";
const REKOR_2: &str = "/api/v2/log/entries";
const TSA: &str = "/api/v1/timestamp";

/// Signs while one service misbehaves once.
async fn sign_despite(server: &Server, path: &str, misdeed: Misdeed) -> Result<(), Reason> {
    let logs = match path {
        REKOR_2 | TSA => [Version::V2],
        _ => [Version::V1],
    };
    server.misbehave(path, misdeed);
    sign(signer(server, &logs).await).await.map(|_| ())
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = Server::start();
    for path in [FULCIO, REKOR_1, REKOR_2, TSA] {
        let before = server.asked(path).len();
        for misdeed in [
            Misdeed::Answers(503, Vec::new()),
            Misdeed::Answers(429, Vec::new()),
            Misdeed::LosesAnswer,
        ] {
            let outcome = sign_despite(&server, path, misdeed.clone()).await;
            assert_eq!(outcome, Ok(()), "{path} {misdeed:?}");
        }
        assert!(server.asked(path).len() >= before + 6, "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_not_signed() {
    let server = Server::start();
    let body = |text: &str| Misdeed::Answers(201, text.as_bytes().to_vec());
    for (path, misdeed, reason) in [
        (FULCIO, Misdeed::OtherKey, Reason::RegistryProtocol),
        (FULCIO, Misdeed::OtherSubject, Reason::RegistryProtocol),
        (
            FULCIO,
            Misdeed::Answers(401, Vec::new()),
            Reason::Unauthorised,
        ),
        (FULCIO, Misdeed::Answers(403, Vec::new()), Reason::Forbidden),
        (
            FULCIO,
            Misdeed::Answers(400, Vec::new()),
            Reason::RegistryFailed,
        ),
        (FULCIO, body("{}"), Reason::RegistryProtocol),
        (FULCIO, body("<html>"), Reason::RegistryProtocol),
        (
            FULCIO,
            Misdeed::Answers(200, vec![b' '; 2 << 20]),
            Reason::TooLarge,
        ),
        (REKOR_1, Misdeed::OtherEntry, Reason::RegistryProtocol),
        (
            REKOR_1,
            Misdeed::Answers(409, Vec::new()),
            Reason::RegistryProtocol,
        ),
        (REKOR_1, body("{}"), Reason::RegistryProtocol),
        (
            REKOR_1,
            Misdeed::Answers(400, Vec::new()),
            Reason::RegistryFailed,
        ),
        (REKOR_2, Misdeed::OtherEntry, Reason::RegistryProtocol),
        (REKOR_2, body("{}"), Reason::RegistryProtocol),
        (TSA, Misdeed::OtherImprint, Reason::RegistryProtocol),
        (TSA, Misdeed::OtherNonce, Reason::RegistryProtocol),
        (TSA, body("nonsense"), Reason::RegistryProtocol),
        (TSA, body("0\u{3}0\u{1}"), Reason::RegistryProtocol),
    ] {
        let outcome = sign_despite(&server, path, misdeed.clone()).await;
        assert_eq!(outcome, Err(reason), "{path} {misdeed:?}");
    }
    assert_eq!(sign_despite(&server, "/nothing", body("")).await, Ok(()));
}

#[tokio::test]
async fn an_expired_token_is_refused_before_anybody_is_asked() {
    let server = Server::start();
    let services = bench::services(&server, &[Version::V1]);
    let claims = Claims {
        expires_in: -1,
        ..Claims::email(CI)
    };
    let token = bench::token(&server, &claims);
    let request = KeylessSigner::request(&services, &token, None, Timestamp::now());
    let reason = request.await.err().unwrap().reason();
    assert_eq!(reason, Reason::IdentityTokenInvalid);
    assert!(server.asked("/").is_empty());
}

#[tokio::test]
async fn the_authority_has_the_last_word_on_a_token() {
    let (server, stranger) = (Server::start(), Server::start());
    let services = bench::services(&server, &[Version::V1]);
    // Well-formed, unexpired, and by somebody the authority does not know.
    let token = bench::token(&stranger, &Claims::email(CI));
    let request = KeylessSigner::request(&services, &token, None, Timestamp::now());
    let error = request.await.err().unwrap();
    assert_eq!(error.reason(), Reason::Unauthorised);
    let text = format!("{error} {:?} {error:?}", error.advice());
    assert!(
        !text.contains(&stranger.provider.mint(&Claims::email(CI))[..30]),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_needs_somebody_who_proves_the_time() {
    let server = Server::start();
    let mut config = server.signing_config(&[Version::V2]);
    config["tsaUrls"] = serde_json::json!([]);
    let config = SigningConfig::parse(config.to_string().as_bytes(), "config").unwrap();
    let services = Services::new(bench::web(), config, Timestamp::now());
    let token = bench::token(&server, &Claims::email(CI));
    let request = KeylessSigner::request(&services, &token, None, Timestamp::now());
    let reason = request.await.err().unwrap().reason();
    assert_eq!(reason, Reason::SigningConfigInvalid);
    assert!(server.asked("/").is_empty());
}

#[tokio::test]
async fn tokens_go_to_the_authority_and_nowhere_else() {
    let server = Server::start();
    sign(signer(&server, &[Version::V2]).await).await.unwrap();
    for asked in server.asked("/") {
        let text = String::from_utf8_lossy(&asked.body);
        let is_authority = asked.path == FULCIO;
        assert_eq!(
            text.contains("oidcIdentityToken"),
            is_authority,
            "{}",
            asked.path
        );
        assert!(!asked.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear() {
    let server = Server::start();
    let config = server.signing_config(&[Version::V1]).to_string();
    let config = config.replace("http://localhost:", "http://signing.example:");
    let config = SigningConfig::parse(config.as_bytes(), "config").unwrap();
    let services = Services::new(bench::web(), config, Timestamp::now());
    let token = bench::token(&server, &Claims::email(CI));
    let request = KeylessSigner::request(&services, &token, None, Timestamp::now());
    let reason = request.await.err().unwrap().reason();
    assert_eq!(reason, Reason::CredentialsWithheld);
}

#[tokio::test]
async fn a_job_of_github_actions_gets_its_token() {
    let server = Server::start();
    let job = |secret: &str| GithubActions {
        url: format!("{}/ambient?api-version=2.0", server.url),
        secret: Secret::new(secret.to_owned()),
    };
    let web = bench::web();
    let token: IdentityToken = job(AMBIENT_SECRET)
        .token(&web, Timestamp::now())
        .await
        .unwrap();
    assert_eq!(token.name(), AMBIENT_IDENTITY);
    let error = job("wrong")
        .token(&web, Timestamp::now())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthorised);
}

#[tokio::test]
async fn a_service_that_repeats_the_token_is_not_quoted() {
    let server = Server::start();
    let services = bench::services(&server, &[Version::V1]);
    let token = server.provider.mint(&Claims::email(CI));
    let parsed = IdentityToken::parse(Secret::new(token.clone())).unwrap();
    for (said, shown) in [("no: ", false), ("the token is bad", true)] {
        let said = match shown {
            true => said.to_owned(),
            false => format!("{said}{token}"),
        };
        let body = serde_json::json!({ "code": 3, "message": said }).to_string();
        server.misbehave(FULCIO, Misdeed::Answers(400, body.into_bytes()));
        let request = KeylessSigner::request(&services, &parsed, None, Timestamp::now());
        let error = request.await.err().unwrap().to_string();
        assert!(!error.contains(&token[..20]), "{error}");
        assert_eq!(error.contains(&said), shown, "{error}");
    }
}
