//! Fulcio's API ([v2](https://github.com/sigstore/fulcio/blob/main/fulcio.proto)).

use axum::http::{StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use modelctl::key::PublicKey;
use serde_json::{Value, json};
use spki::der::{Decode, Encode};
use x509_cert::request::CertReq;

use super::super::authority::{Grant, Subject};
use super::super::{new_key, pem, unbase64};
use super::{Asked, Misdeed, Services, json_answer};

impl Services {
    /// Issues a certificate to whoever shows a token and that they have the key.
    pub(super) fn certify(
        &self,
        asked: &Asked,
        misdeed: Option<&Misdeed>,
    ) -> Result<Response, StatusCode> {
        let request: Value =
            serde_json::from_slice(&asked.body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let token = bearer(asked)
            .or(request["credentials"]["oidcIdentityToken"].as_str())
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let provider = &self.sigstore.provider;
        let claims = provider.check(token).ok_or(StatusCode::UNAUTHORIZED)?;
        let key = proven_key(&request, &claims).ok_or(StatusCode::BAD_REQUEST)?;
        let mut subject = subject(&claims).ok_or(StatusCode::BAD_REQUEST)?;
        let mut certified = key;
        match misdeed {
            Some(Misdeed::OtherKey) => certified = new_key().public_key().clone(),
            Some(Misdeed::OtherSubject) => subject = Subject::Email("eve@example.com".to_owned()),
            _ => {}
        }
        let grant = Grant {
            subject,
            issuer: provider.url.clone(),
            claims: Vec::new(),
            not_before: Timestamp::now(),
            flaw: None,
        };
        let authority = &self.sigstore.authority;
        let leaf = authority.issue(&certified, &grant);
        let chain = [&leaf, &authority.intermediate.der, &authority.root.der];
        let certificates = chain.map(|der| pem("CERTIFICATE", der));
        let answer = json!({
            "signedCertificateEmbeddedSct": { "chain": { "certificates": certificates } },
        });
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// Returns the authority's own certificates.
    pub(super) fn trust_bundle(&self) -> Response {
        let authority = &self.sigstore.authority;
        let chain = [&authority.intermediate.der, &authority.root.der];
        let certificates = chain.map(|der| pem("CERTIFICATE", der));
        let answer = json!({ "chains": [{ "certificates": certificates }] });
        json_answer(StatusCode::OK, &answer)
    }
}

fn bearer(asked: &Asked) -> Option<&str> {
    let field = asked.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    field.strip_prefix("Bearer ")
}

/// Returns the key, if the request proves that its sender has the private half: by a signature on
/// the token's name, or by a certificate signing request.
fn proven_key(request: &Value, claims: &Value) -> Option<PublicKey> {
    if let Some(encoded) = request["certificateSigningRequest"].as_str() {
        let text = unbase64(encoded)?;
        let section = pem::parse(&text).ok()?;
        let csr = CertReq::from_der(section.contents()).ok()?;
        let key = PublicKey::from_spki(&csr.info.public_key.to_der().ok()?).ok()?;
        let signed = csr.info.to_der().ok()?;
        return key
            .verifies(&signed, csr.signature.raw_bytes())
            .then_some(key);
    }
    let request = &request["publicKeyRequest"];
    let text = request["publicKey"]["content"].as_str()?;
    let key = PublicKey::from_pem(text.as_bytes(), "the request").ok()?;
    let proof = unbase64(request["proofOfPossession"].as_str()?)?;
    let name = claims["email"].as_str().or(claims["sub"].as_str())?;
    key.verifies(name.as_bytes(), &proof).then_some(key)
}

fn subject(claims: &Value) -> Option<Subject> {
    match (claims["email"].as_str(), claims["sub"].as_str()) {
        (Some(email), _) if claims["email_verified"] == true => {
            Some(Subject::Email(email.to_owned()))
        }
        (None, Some(sub)) if sub.contains("://") => Some(Subject::Uri(sub.to_owned())),
        _ => None,
    }
}
