//! Certificates from Fulcio ([API, version 2](https://github.com/sigstore/fulcio/blob/main/fulcio.proto)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::token::IdentityToken;
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::registry::web::Question;
use crate::sign::key::PrivateKey;
use crate::sign::services::{Services, below};

const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<Chained>,
}

#[derive(Deserialize)]
struct Chained {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Returns the certificate, DER, for `key` as that of whoever `token` names.
pub(super) async fn request(
    services: &Services,
    token: &IdentityToken,
    key: &PrivateKey,
) -> Result<Vec<u8>> {
    let url = below(&services.authority()?, "api/v2/signingCert")?;
    // The signature proves that whoever shows the token has the key.
    let proof = key.sign(token.name().as_bytes())?;
    let body = json!({
        "credentials": { "oidcIdentityToken": token.secret().expose() },
        "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.public_key().to_pem() },
            "proofOfPossession": STANDARD.encode(proof),
        },
    });
    let question = Question {
        method: Method::POST,
        url,
        body: Some((JSON, body.to_string().into())),
        accept: JSON,
        bearer: None,
        hidden: Some(token.secret()),
        action: "get a certificate for the identity token",
    };
    let reply = services.web.ask(&question).await.map_err(|error| {
        match error.reason() {
            Reason::Unauthorised | Reason::Forbidden => error.hint(
                "the authority does not accept the identity token: is its issuer one that it knows?",
            ),
            _ => error,
        }
    })?;
    let wrong = |what: &str| {
        let message = format!("the certificate authority {what}");
        Error::new(Reason::RegistryProtocol, message)
    };
    let answer: Answer = json::parse(&reply.body, "the certificate authority's answer")
        .map_err(|error| wrong("does not answer in JSON").because(error))?;
    let Some(chained) = answer.signed_certificate_embedded_sct else {
        return Err(wrong(
            "keeps no log of its certificates, so that none of them proves anything",
        ));
    };
    let first = chained.chain.certificates.first();
    let first = first.and_then(|text| pem::parse(text).ok());
    match first.filter(|section| section.tag() == "CERTIFICATE") {
        Some(section) => Ok(section.into_contents()),
        None => Err(wrong("answers without a certificate")),
    }
}
