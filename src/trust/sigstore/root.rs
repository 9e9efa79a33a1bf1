//! A Sigstore instance's root of trust: its authorities' certificates and its logs' keys
//! ([`sigstore_trustroot.proto`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_trustroot.proto)),
//! and what is verified under it.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use sigstore_trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_types::{
    Artifact, DerPublicKey, Sha256Hash, SignatureBytes, TimestampToken, TsaAuthority,
};
use sigstore_verify::{
    Error as Failure, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier,
};

use super::{evidence, refusal};
use crate::bundle::{Bundle, Envelope};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::PublicKey;
use crate::trust::Witness;
use crate::trust::signed::{Blob, Message, Signed};
use crate::{json, limits};

/// The media types of trusted roots, now and formerly.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
];

/// A Sigstore instance whose keys come with this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The public-good instance, `sigstore.dev`.
    PublicGood,
    /// Its staging instance, `sigstage.dev`, which protects nothing.
    Staging,
}

impl Instance {
    /// Returns its `signing_config.json`: the services to sign with.
    pub(crate) fn signing_config(self) -> &'static str {
        match self {
            Self::PublicGood => sigstore_trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG,
            Self::Staging => sigstore_trust_root::SIGSTORE_STAGING_SIGNING_CONFIG,
        }
    }
}

/// A Sigstore instance's root of trust.
pub struct SigstoreRoot {
    verifier: Verifier,
    /// The timestamp authorities, with what to call them.
    authorities: Vec<(String, TsaAuthority)>,
    /// The identifiers of the logs' keys, with where the logs are.
    logs: Vec<(Vec<u8>, String)>,
}

impl fmt::Debug for SigstoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logs: Vec<_> = self.logs.iter().map(|(_, log)| log).collect();
        f.debug_struct("SigstoreRoot")
            .field("logs", &logs)
            .finish_non_exhaustive()
    }
}

impl SigstoreRoot {
    /// Reads a `trusted_root.json`; `what` names it in errors.
    pub fn from_json(bytes: &[u8], what: &str) -> Result<Self> {
        /// What is looked at before anything else is.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            media_type: String,
        }
        let invalid = |error: Error| {
            let message = format!("`{what}` is not a trusted root");
            Error::new(Reason::TrustRootInvalid, message)
                .because(error)
                .hint("it is the file that `cosign trusted-root create` writes")
        };
        if bytes.len() as u64 > limits::TRUSTED_ROOT {
            let error = Error::new(Reason::TooLarge, "it is larger than 1 MiB");
            return Err(invalid(error));
        }
        let shape: Shape = json::parse(bytes, "it").map_err(invalid)?;
        if !MEDIA_TYPES.contains(&shape.media_type.as_str()) {
            let message = format!("it is {:?}", shape.media_type);
            return Err(invalid(Error::new(Reason::TrustRootInvalid, message)));
        }
        json::parse(bytes, "it")
            .and_then(Self::new)
            .map_err(invalid)
    }

    /// Returns the root that came with this program.
    pub fn embedded(instance: Instance) -> Result<Self> {
        let instance = match instance {
            Instance::PublicGood => SigstoreInstance::PublicGood,
            Instance::Staging => SigstoreInstance::Staging,
        };
        Self::from_json(
            instance.embedded_trusted_root_json().as_bytes(),
            "the embedded trusted root",
        )
    }

    /// Returns `root`, unless a key or certificate in it is malformed or it has more of them than
    /// any instance.
    pub(super) fn new(root: TrustedRoot) -> Result<Self> {
        let invalid = |why: &str| Error::new(Reason::TrustRootInvalid, why);
        let lists = [
            root.tlogs.len(),
            root.ctlogs.len(),
            root.certificate_authorities.len(),
            root.timestamp_authorities.len(),
        ];
        if lists
            .into_iter()
            .any(|len| len > limits::TRUSTED_ROOT_ENTRIES)
        {
            return Err(invalid(
                "it has more than 64 logs or authorities of one kind",
            ));
        }
        let chains = root.certificate_authorities.iter().map(|a| &a.cert_chain);
        let others = root.timestamp_authorities.iter().map(|a| &a.cert_chain);
        let mut chains = chains.chain(others).map(|chain| chain.certificates.len());
        if chains.any(|len| len > limits::CERTIFICATES) {
            return Err(invalid("it has a chain of more than 16 certificates"));
        }
        let verifier = Verifier::new(&root).map_err(|error| {
            invalid("a key or certificate in it is malformed").because(error.to_string())
        })?;
        Ok(Self {
            verifier,
            authorities: named_authorities(&root),
            logs: root
                .tlogs
                .iter()
                .map(|log| (log.log_id.key_id.as_bytes().to_vec(), log.base_url.clone()))
                .collect(),
        })
    }

    /// Returns the identifiers of the logs' keys, in hex.
    pub(in crate::trust) fn log_identifiers(&self) -> Vec<String> {
        self.logs.iter().map(|(key, _)| hex::encode(key)).collect()
    }

    /// Verifies all about a signature with a certificate but whom that names.
    pub(super) fn verify_certificate(&self, signed: &Signed<'_>) -> Result<VerificationResult> {
        if signed.material.tlog_entries.is_empty() {
            let message = "the signature stands in no transparency log";
            return Err(Error::new(Reason::LogEntryMissing, message));
        }
        evidence::check_entries(signed)?;
        let bundle = theirs(signed.bundle)?;
        self.verifier
            .verify(
                content(signed)?,
                &bundle,
                &VerificationPolicy::any_identity(),
            )
            .map_err(|failure| refusal::of(failure, signed))
    }

    /// Verifies the log entries and timestamps, if there are any, of a signature that `key` was
    /// found to have made, and returns them.
    pub(in crate::trust) fn witnesses_of_key(
        &self,
        key: &PublicKey,
        signed: &Signed<'_>,
    ) -> Result<Vec<Witness>> {
        let is_logged = !signed.material.tlog_entries.is_empty();
        if !is_logged && signed.material.timestamps().is_empty() {
            return Ok(Vec::new());
        }
        evidence::check_entries(signed)?;
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.spki().to_vec()));
        let policy = match is_logged {
            true => policy,
            false => policy.skip_tlog_unsafe(),
        };
        let bundle = theirs(signed.bundle)?;
        match self.verifier.verify(content(signed)?, &bundle, &policy) {
            Ok(_) => self.witnesses(signed),
            // The signature is known to be right: only its hash is another than the key's usual.
            Err(failure @ Failure::SignatureInvalid(_)) => {
                let message = "log entries of signatures with this hash cannot be verified";
                Err(Error::new(Reason::BundleUnsupported, message).because(failure.to_string()))
            }
            Err(failure) => Err(refusal::of(failure, signed)),
        }
    }

    /// Returns which authority dated `signature` by `token`, and when.
    pub(in crate::trust) fn dated_by(
        &self,
        token: &[u8],
        signature: &[u8],
    ) -> Result<(String, Timestamp)> {
        let token = TimestampToken::new(token.to_vec());
        let signature = SignatureBytes::new(signature.to_vec());
        let mut last = None;
        for (name, authority) in &self.authorities {
            match sigstore_tsa::verify_timestamp_for_authority(&token, &signature, authority) {
                Ok(time) => return Ok((name.clone(), time)),
                Err(error) => last = Some(error),
            }
        }
        let error = Error::new(Reason::TimestampInvalid, "a timestamp does not verify");
        Err(match last {
            Some(cause) => error.because(cause),
            None => error.hint("the trusted root names no timestamp authority"),
        })
    }

    /// Returns where the log with the key `id` is.
    pub(super) fn log_name(&self, id: &[u8]) -> String {
        let log = self.logs.iter().find(|(key, _)| key == id);
        log.map_or_else(|| hex::encode(id), |(_, name)| name.clone())
    }
}

/// Returns the timestamp authorities with what to call them: who they are, and where.
fn named_authorities(root: &TrustedRoot) -> Vec<(String, TsaAuthority)> {
    let mut named = Vec::new();
    for authority in &root.timestamp_authorities {
        let mut alone = root.clone();
        alone.timestamp_authorities = vec![authority.clone()];
        let place = authority.uri.clone().filter(|uri| !uri.is_empty());
        let name = place.or_else(|| authority.subject.common_name.clone());
        let name = name.unwrap_or_else(|| "a timestamp authority without a name".to_owned());
        named.extend(
            alone
                .tsa_authorities()
                .into_iter()
                .map(|a| (name.clone(), a)),
        );
    }
    named
}

/// Returns `bundle` as the verifying library has it, by what was understood of it and no more.
fn theirs(bundle: &Bundle) -> Result<sigstore_types::Bundle> {
    let invalid = || Error::new(Reason::BundleInvalid, "the bundle is malformed");
    let text = String::from_utf8(bundle.to_bytes()?).map_err(|error| invalid().because(error))?;
    sigstore_types::Bundle::from_json(&text).map_err(|error| invalid().because(error.to_string()))
}

/// Returns what `signed` is on. A statement is bound to whatever it is about here, and to an
/// artifact by whoever asks about one.
fn content<'a>(signed: &'a Signed<'_>) -> Result<Artifact<'a>> {
    let digest = match &signed.message {
        Message::Blob(Blob::Bytes(bytes)) => return Ok(Artifact::Blob(bytes)),
        Message::Blob(Blob::Digest(digest)) => *digest,
        Message::Statement(envelope) => first_subject(envelope)?,
    };
    let digest = Sha256Hash::new(*digest.as_bytes());
    Ok(Artifact::from_digest(digest))
}

/// Returns the digest of the first subject of an unverified statement.
fn first_subject(envelope: &Envelope) -> Result<Digest> {
    #[derive(Deserialize)]
    struct Subjects {
        subject: Vec<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: Option<Digests>,
    }
    #[derive(Deserialize)]
    struct Digests {
        sha256: Option<String>,
    }
    let invalid = |why| Error::new(Reason::StatementInvalid, format!("the statement {why}"));
    let statement: Subjects = serde_json::from_slice(envelope.unverified_payload())
        .map_err(|error| invalid("is not one").because(error))?;
    let digests = statement.subject.into_iter().filter_map(|s| s.digest);
    let hex = digests.filter_map(|digests| digests.sha256).next();
    let hex = hex.ok_or_else(|| invalid("is about nothing with a SHA-256 digest"))?;
    format!("sha256:{hex}")
        .parse()
        .map_err(|error: Error| invalid("is about a malformed digest").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Reason {
        SigstoreRoot::from_json(text.as_bytes(), "it")
            .unwrap_err()
            .reason()
    }

    #[test]
    fn the_embedded_roots_can_be_used() {
        for instance in [Instance::PublicGood, Instance::Staging] {
            let root = SigstoreRoot::embedded(instance).unwrap();
            assert!(!root.logs.is_empty() && !root.authorities.is_empty());
        }
    }

    #[test]
    fn a_file_that_is_no_trusted_root_is_refused() {
        const MEDIA_TYPE: &str =
            r#""mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1""#;
        let with = |more: &str| format!("{{{MEDIA_TYPE}{more}}}");
        SigstoreRoot::from_json(with("").as_bytes(), "it").unwrap();
        let authority = r#"{"uri":"","certChain":{"certificates":[]}}"#;
        let certificates = vec![r#"{"rawBytes":"AAAA"}"#; 17].join(",");
        for bad in [
            String::new(),
            "{}".to_owned(),
            with("").replace("trustedroot", "clienttrustconfig"),
            with("").replace("0.1", "0.9"),
            with(",\"tlogs\":[],\"tlogs\":[]"),
            with(",\"tlogs\":[{}]"),
            with(&format!(",\"certificateAuthorities\":[{authority}]")),
            with(&format!(
                ",\"timestampAuthorities\":[{}]",
                authority.replace("[]", &format!("[{certificates}]"))
            )),
            with(&format!(
                ",\"timestampAuthorities\":[{}]",
                vec![authority; 65].join(",")
            )),
            with(&" ".repeat(1 << 20)),
        ] {
            assert_eq!(refusal(&bad), Reason::TrustRootInvalid, "{bad:.200}");
        }
    }
}
