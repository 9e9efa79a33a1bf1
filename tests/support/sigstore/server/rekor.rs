//! Rekor's APIs: [v1](https://github.com/sigstore/rekor/blob/main/openapi.yaml) and
//! [v2](https://github.com/sigstore/rekor-tiles/blob/main/api/proto/rekor/v2/rekor_service.proto).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use modelctl::bundle::pre_authentication_encoding;
use modelctl::key::{Algorithm, PublicKey};
use serde_json::Value;
use spki::der::{Decode, Encode};
use x509_cert::Certificate;

use super::super::log::{KEY_DETAILS, Verifier, Version, dsse_body, hashed_body};
use super::super::unbase64;
use super::{Asked, Misdeed, Services, json_answer};

const BAD: StatusCode = StatusCode::BAD_REQUEST;

/// A key as it was sent: itself, or in a certificate.
struct Sent {
    certificate: Option<Vec<u8>>,
    key: PublicKey,
}

impl Sent {
    fn certificate(der: Vec<u8>) -> Option<Self> {
        let certificate = Certificate::from_der(&der).ok()?;
        let info = certificate.tbs_certificate.subject_public_key_info;
        let key = PublicKey::from_spki(&info.to_der().ok()?).ok()?;
        Some(Self {
            certificate: Some(der),
            key,
        })
    }

    fn pem(text: &[u8]) -> Option<Self> {
        let section = pem::parse(text).ok()?;
        match section.tag() {
            "CERTIFICATE" => Self::certificate(section.into_contents()),
            _ => Some(Self {
                certificate: None,
                key: PublicKey::from_pem(text, "the request").ok()?,
            }),
        }
    }

    fn verifier(&self) -> Verifier<'_> {
        match &self.certificate {
            Some(der) => Verifier::Certificate(der),
            None => Verifier::Key(&self.key),
        }
    }
}

impl Services {
    /// Enters a `dsse` or `hashedrekord` of version 0.0.1.
    pub(super) fn enter_v1(
        &self,
        asked: &Asked,
        misdeed: Option<&Misdeed>,
    ) -> Result<Response, StatusCode> {
        let request: Value = serde_json::from_slice(&asked.body).map_err(|_| BAD)?;
        let (kind, mut body) = match request["kind"].as_str() {
            Some("dsse") => (
                "dsse",
                dsse(&request["spec"]["proposedContent"]).ok_or(BAD)?,
            ),
            Some("hashedrekord") => ("hashedrekord", hashed_v1(&request["spec"]).ok_or(BAD)?),
            _ => return Err(BAD),
        };
        if let Some(Misdeed::OtherEntry) = misdeed {
            body = swapped(&body);
        }
        let mut entries = self.entries.lock().unwrap();
        if let Some(known) = entries.values().find(|entry| entry.body == body) {
            let location = format!("/api/v1/log/entries/{}", known.uuid());
            return Ok((StatusCode::CONFLICT, [(header::LOCATION, location)]).into_response());
        }
        let entry = self.sigstore.log_v1.enter(kind, body, Timestamp::now());
        let uuid = entry.uuid();
        // Go's clients find the entry in the answer by this field.
        let named = [(header::ETAG, uuid.clone())];
        let answer = json_answer(StatusCode::CREATED, &entry.to_answer());
        entries.insert(uuid, entry);
        Ok((named, answer).into_response())
    }

    /// Returns an entry by its name.
    pub(super) fn look_up(&self, path: &str) -> Result<Response, StatusCode> {
        let uuid = path.rsplit('/').next().unwrap_or_default();
        let entries = self.entries.lock().unwrap();
        let entry = entries.get(uuid).ok_or(StatusCode::NOT_FOUND)?;
        Ok(json_answer(StatusCode::OK, &entry.to_answer()))
    }

    /// Enters a `hashedrekord` of version 0.0.2.
    pub(super) fn enter_v2(
        &self,
        asked: &Asked,
        misdeed: Option<&Misdeed>,
    ) -> Result<Response, StatusCode> {
        let request: Value = serde_json::from_slice(&asked.body).map_err(|_| BAD)?;
        let mut body = hashed_v2(&request["hashedRekordRequestV002"]).ok_or(BAD)?;
        if let Some(Misdeed::OtherEntry) = misdeed {
            body = swapped(&body);
        }
        let log = &self.sigstore.log_v2;
        let entry = log.enter("hashedrekord", body, Timestamp::now());
        Ok(json_answer(StatusCode::CREATED, &entry.to_bundle()))
    }
}

/// Returns an entry that says something else.
fn swapped(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let other = |from: &str, to: &str| text.replace(from, to).into_bytes();
    match text.contains("\"content\":\"M") {
        true => other("\"content\":\"ME", "\"content\":\"MF"),
        false => other("\"signature\":\"ME", "\"signature\":\"MF"),
    }
}

fn dsse(content: &Value) -> Option<Vec<u8>> {
    let text = content["envelope"].as_str()?;
    let envelope: Value = serde_json::from_str(text).ok()?;
    let payload = unbase64(envelope["payload"].as_str()?)?;
    let signature = unbase64(envelope["signatures"][0]["sig"].as_str()?)?;
    let sent = Sent::pem(&unbase64(content["verifiers"][0].as_str()?)?)?;
    let message = pre_authentication_encoding(envelope["payloadType"].as_str()?, &payload);
    let is_right = sent.key.verifies(&message, &signature);
    is_right.then(|| dsse_body(text.as_bytes(), &payload, &signature, sent.verifier()))
}

fn hashed_v1(spec: &Value) -> Option<Vec<u8>> {
    let digest = hex::decode(spec["data"]["hash"]["value"].as_str()?).ok()?;
    let signature = unbase64(spec["signature"]["content"].as_str()?)?;
    let sent = Sent::pem(&unbase64(
        spec["signature"]["publicKey"]["content"].as_str()?,
    )?)?;
    let digest = digest.try_into().ok()?;
    Some(hashed_body(
        Version::V1,
        &digest,
        &signature,
        sent.verifier(),
    ))
}

fn hashed_v2(request: &Value) -> Option<Vec<u8>> {
    let digest = unbase64(request["digest"].as_str()?)?.try_into().ok()?;
    let signature = unbase64(request["signature"]["content"].as_str()?)?;
    let verifier = &request["signature"]["verifier"];
    let raw = |field: &str| unbase64(verifier[field]["rawBytes"].as_str()?);
    let sent = match raw("x509Certificate") {
        Some(der) => Sent::certificate(der)?,
        None => Sent {
            certificate: None,
            key: PublicKey::from_spki(&raw("publicKey")?).ok()?,
        },
    };
    if verifier["keyDetails"] != KEY_DETAILS || sent.key.algorithm() != Algorithm::EcdsaP256 {
        return None;
    }
    Some(hashed_body(
        Version::V2,
        &digest,
        &signature,
        sent.verifier(),
    ))
}
