//! Timestamps on signatures ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)).

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Method, Url};
use spki::der::asn1::AnyRef;
use spki::der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::config::Service;
use crate::bundle::{Material, RawTimestamp};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::registry::web::{Question, Web};
use crate::sign::{Signed, Witness};

/// A TimeStampReq up to the digest: version 1 and SHA-256 (section 2.4.1).
const HEAD: [u8; 22] = [
    0x30, 0x3e, 2, 1, 1, 0x30, 0x2f, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 4,
    0x20,
];

/// The tag and length of the nonce that follows.
const NONCE: [u8; 2] = [2, 8];

/// A timestamp authority.
pub(super) struct Timestamper {
    web: Arc<Web>,
    url: Url,
}

impl Timestamper {
    /// Returns the authority at `service`, whose address is the whole one.
    pub(super) fn new(web: Arc<Web>, service: &Service) -> Result<Self> {
        let url = service.url()?;
        Ok(Self { web, url })
    }
}

#[async_trait]
impl Witness for Timestamper {
    async fn witness(&self, signed: &Signed<'_>, material: &mut Material) -> Result<()> {
        let digest = Digest::of(signed.signature);
        let nonce = new_nonce()?;
        let request = [&HEAD[..], digest.as_bytes(), &NONCE, &nonce].concat();
        let question = Question {
            method: Method::POST,
            url: self.url.clone(),
            body: Some(("application/timestamp-query", request.into())),
            accept: "application/timestamp-reply",
            bearer: None,
            hidden: None,
            action: "have the signature timestamped",
        };
        let reply = self.web.ask(&question).await?;
        let answers = Answered::parse(&reply.body).filter(|answered| {
            answered.digest == digest.as_bytes() && answered.nonce == Some(&nonce)
        });
        if answers.is_none() {
            let message = format!("{} does not timestamp what it was sent", self.url);
            return Err(Error::new(Reason::RegistryProtocol, message));
        }
        let timestamps = material.timestamp_verification_data.get_or_insert_default();
        timestamps.rfc3161_timestamps.push(RawTimestamp {
            signed_timestamp: reply.body.to_vec(),
        });
        Ok(())
    }
}

/// Returns a random positive number of exactly eight bytes in DER.
fn new_nonce() -> Result<[u8; 8]> {
    let mut nonce = [0; 8];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Error::new(Reason::Internal, "there is no randomness"))?;
    nonce[0] = nonce[0] & 0x3f | 0x40;
    Ok(nonce)
}

/// What a TimeStampResp says about the request. Whether its signature is right, and whose it is, a
/// verifier says.
struct Answered<'a> {
    digest: &'a [u8],
    nonce: Option<&'a [u8]>,
}

impl<'a> Answered<'a> {
    /// Reads a TimeStampResp (section 2.4.2) that grants the request.
    fn parse(der: &'a [u8]) -> Option<Self> {
        let response = parts(parts(der)?.first()?)?;
        let [status, token] = response.as_slice() else {
            return None;
        };
        let status = parts(status)?.first()?.value();
        if !matches!(status, [0 | 1]) {
            return None;
        }
        // ContentInfo, SignedData, EncapsulatedContentInfo (RFC 5652), and the TSTInfo in it.
        let signed = parts(parts(parts(token)?.get(1)?)?.first()?)?;
        let content = parts(signed.get(2)?)?;
        let octets = *parts(content.get(1)?)?.first()?;
        let info = parts(parts(octets.value())?.first()?)?;
        let imprint = parts(info.get(2)?)?;
        let nonce = info.iter().skip(5).find(|part| part.tag() == Tag::Integer);
        Some(Self {
            digest: imprint.get(1)?.value(),
            nonce: nonce.map(|nonce| nonce.value()),
        })
    }
}

/// Something that contains DER values.
trait Container<'a> {
    fn content(self) -> &'a [u8];
}

impl<'a> Container<'a> for &'a [u8] {
    fn content(self) -> &'a [u8] {
        self
    }
}

impl<'a> Container<'a> for &AnyRef<'a> {
    fn content(self) -> &'a [u8] {
        self.value()
    }
}

/// Returns the values that `container` contains.
fn parts<'a>(container: impl Container<'a>) -> Option<Vec<AnyRef<'a>>> {
    let mut reader = SliceReader::new(container.content()).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}
