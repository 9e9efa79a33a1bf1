//! In-toto statements: what a signer says about which content
//! ([in-toto attestation, Statement v1](https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::{json, limits, oms};

/// The `_type` of a statement.
pub const TYPE_V1: &str = "https://in-toto.io/Statement/v1";

/// The `_type` that cosign still writes for attestations.
pub const TYPE_V01: &str = "https://in-toto.io/Statement/v0.1";

/// The predicate type of a signature, as cosign 3 writes it.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// A claim about content, to be signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The version of this format.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The content that the claim is about.
    pub subject: Vec<Subject>,
    /// What kind of claim it is.
    pub predicate_type: String,
    /// The claim.
    #[serde(default)]
    pub predicate: Value,
}

/// Content that a statement is about: in-toto's ResourceDescriptor, as far as it names content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// What the content is called there; a name proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digests by algorithm, without prefix.
    #[serde(default)]
    pub digest: BTreeMap<String, String>,
    /// Whatever else the signer says about it (`cosign sign -a`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Map<String, Value>>,
}

impl Subject {
    /// Returns the content with this digest, called `name`.
    pub fn named(name: &str, digest: &Digest) -> Self {
        Self {
            name: Some(name.to_owned()),
            digest: digest_set(digest),
            annotations: None,
        }
    }
}

impl Statement {
    /// Returns the statement that is a signature on `digest`, byte for byte as cosign 3 makes it;
    /// `annotations` are signed with it.
    pub fn signature(digest: &Digest, annotations: serde_json::Map<String, Value>) -> Self {
        Self {
            kind: TYPE_V1.to_owned(),
            subject: vec![Subject {
                name: None,
                digest: digest_set(digest),
                annotations: Some(annotations),
            }],
            predicate_type: SIGNATURE.to_owned(),
            predicate: Value::Object(serde_json::Map::new()),
        }
    }

    /// Returns an attestation about `digest`, known as `name`.
    pub fn attestation(
        digest: &Digest,
        name: &str,
        predicate_type: impl Into<String>,
        predicate: Value,
    ) -> Self {
        Self {
            kind: TYPE_V1.to_owned(),
            subject: vec![Subject::named(name, digest)],
            predicate_type: predicate_type.into(),
            predicate,
        }
    }

    /// Reads an authenticated payload: strictly, because what was signed must have one meaning.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(
                Reason::StatementInvalid,
                format!("the signed statement {why}"),
            )
        };
        let statement: Self = json::parse(payload, "the signed statement")
            .map_err(|error| Error::new(Reason::StatementInvalid, error.to_string()))?;
        if statement.kind != TYPE_V1 && statement.kind != TYPE_V01 {
            return Err(invalid("is not an in-toto statement of version 1 or 0.1"));
        }
        if statement.subject.is_empty() {
            return Err(invalid("has no subject"));
        }
        // The first model signatures have a subject for each file.
        let limit = match oms::is_model_signature(&statement.predicate_type) {
            true => limits::FILES,
            false => limits::SUBJECTS,
        };
        if statement.subject.len() > limit {
            return Err(invalid(&format!("has more than {limit} subjects")));
        }
        if statement.predicate_type.is_empty() {
            return Err(invalid("has no predicate type"));
        }
        Ok(statement)
    }

    /// Returns the bytes to be signed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(Reason::Internal, "cannot write a statement").because(error)
        })
    }

    /// Whether one of the subjects is the content with this digest. Names and other algorithms do
    /// not count.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subject.iter().any(|subject| subject.is(digest))
    }
}

impl Subject {
    /// Whether this is the content with this digest.
    pub fn is(&self, digest: &Digest) -> bool {
        self.digest.get(Digest::ALGORITHM) == Some(&digest.hex())
    }
}

fn digest_set(digest: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([(Digest::ALGORITHM.to_owned(), digest.hex())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_written_as_cosign_writes_it() {
        let bytes = Statement::signature(&Digest::of(b"x"), Default::default())
            .to_bytes()
            .unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!(
                r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#,
                Digest::of(b"x").hex()
            )
        );
    }

    #[test]
    fn only_the_sha256_of_a_subject_counts() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        let upper = hex.to_uppercase();
        let statement = |subjects: &str| {
            format!(
                r#"{{"_type":"{TYPE_V1}","subject":{subjects},"predicateType":"t","predicate":{{}}}}"#
            )
        };
        for (subjects, about) in [
            (format!(r#"[{{"digest":{{"sha256":"{hex}"}}}}]"#), true),
            (
                format!(r#"[{{"name":"a","digest":{{}}}},{{"digest":{{"sha256":"{hex}"}}}}]"#),
                true,
            ),
            (
                format!(r#"[{{"digest":{{"sha512":"00","sha256":"{hex}"}}}}]"#),
                true,
            ),
            (format!(r#"[{{"digest":{{"sha256":"{upper}"}}}}]"#), false),
            (format!(r#"[{{"digest":{{"sha1":"{hex}"}}}}]"#), false),
            (
                format!(r#"[{{"name":"sha256:{hex}","digest":{{}}}}]"#),
                false,
            ),
            (
                format!(r#"[{{"name":"x"}},{{"digest":{{"sha256":"sha256:{hex}"}}}}]"#),
                false,
            ),
        ] {
            let parsed = Statement::parse(statement(&subjects).as_bytes()).unwrap();
            assert_eq!(parsed.is_about(&digest), about, "{subjects}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_clear_statement() {
        let subject = r#"[{"digest":{"sha256":"00"}}]"#;
        for bad in [
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"{{"_type":"x","subject":{subject},"predicateType":"t"}}"#),
            format!(r#"{{"_type":"{TYPE_V1}","subject":[],"predicateType":"t"}}"#),
            format!(r#"{{"_type":"{TYPE_V1}","subject":{subject},"predicateType":""}}"#),
            format!(r#"{{"_type":"{TYPE_V1}","subject":{subject}}}"#),
            format!(
                r#"{{"_type":"{TYPE_V1}","subject":{subject},"predicateType":"t","predicateType":"u"}}"#
            ),
            format!(
                r#"{{"_type":"{TYPE_V1}","subject":{subject},"predicateType":"t","predicate":{{"a":1,"a":2}}}}"#
            ),
            format!(
                r#"{{"_type":"{TYPE_V1}","subject":[{}],"predicateType":"t"}}"#,
                [&subject[1..subject.len() - 1]; 1025].join(",")
            ),
        ] {
            let error = Statement::parse(bad.as_bytes()).expect_err(&bad);
            assert_eq!(error.reason(), Reason::StatementInvalid, "{bad:.200}");
        }
    }
}
