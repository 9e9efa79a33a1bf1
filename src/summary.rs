//! Verification summaries (VSA): a verifier's signed word that an artifact was verified, by which
//! policy and which evidence, for those who trust the verifier and do not look themselves
//! ([SLSA v1.2, verification summary](https://slsa.dev/spec/v1.2/verification_summary)).
//!
//! Only what a policy admitted has one: it is made of a [`Verified`] artifact, and there is no way
//! to one that says otherwise. A refusal gives an error, and no statement.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::attest::{Attached, Attacher, says_the_same};
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::policy::Verdict;
use crate::predicate::{self, PredicateType, VERIFICATION_SUMMARY, is_absolute_uri};
use crate::reference::Reference;
use crate::sign::Signer;
use crate::slsa::Level;
use crate::statement::Statement;
use crate::store::Store;
use crate::verify::{Artifact, Proof, Verified};

/// The version of SLSA by which levels are told apart.
const SLSA_VERSION: &str = "1.2";

/// For how long a summary that says the same is not made anew: whoever verifies every hour must not
/// pile up more evidence than will be looked at ([`crate::limits::CANDIDATES`]).
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// The field that says when an artifact was verified.
const TIME: &str = "timeVerified";

/// A URI, checked to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl std::str::FromStr for Uri {
    type Err = Error;

    /// Reads an absolute URI.
    fn from_str(text: &str) -> Result<Self> {
        match is_absolute_uri(text) {
            true => Ok(Self(text.to_owned())),
            false => {
                let shown: String = text.chars().take(100).collect();
                let message = format!("{shown:?} is not an absolute URI");
                Err(Error::new(Reason::Usage, message)
                    .hint("write it with its scheme: `https://acme.example/verifier`"))
            }
        }
    }
}

/// By whom and by what an artifact was verified.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// Who verified, as policies that rely on it name it.
    pub id: Uri,
    /// The version of this program.
    pub version: String,
    /// What the policy is called.
    pub policy_name: String,
    /// Where the policy is; without one it is named by its digest
    /// ([RFC 6920, section 7](https://www.rfc-editor.org/rfc/rfc6920#section-7)).
    pub policy_uri: Option<Uri>,
    /// What the policy's bytes hash to.
    pub policy_digest: Digest,
}

/// Returns what `verifier` says of `verified`, as a predicate of the type
/// [`VERIFICATION_SUMMARY`]. What nobody verified has none.
pub fn predicate(
    verified: &Verified<Artifact>,
    verifier: &Verifier,
    now: Timestamp,
) -> Result<Value> {
    let Proof::Verdict { verdict, .. } = verified.proof() else {
        let message = "what was not verified has no verification summary";
        return Err(Error::new(Reason::NothingToVerifyAgainst, message));
    };
    let predicate = json!({
        "verifier": { "id": verifier.id.0, "version": { "modelctl": verifier.version } },
        TIME: now.to_string(),
        "resourceUri": resource(verified.value().reference()),
        "policy": policy(verifier),
        "inputAttestations": inputs(verdict),
        "verificationResult": "PASSED",
        "verifiedLevels": [level(verdict).map_or(Level::UNEVALUATED, Level::name)],
        "slsaVersion": SLSA_VERSION,
    });
    let predicate_type: PredicateType = VERIFICATION_SUMMARY.parse()?;
    predicate::check(&predicate_type, &predicate)?;
    Ok(predicate)
}

/// Signs and attaches what `verifier` says of `verified`, unless `signer` said the same within a
/// day.
pub async fn attach(
    store: &dyn Store,
    verified: &Verified<Artifact>,
    verifier: &Verifier,
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Attached> {
    let artifact = verified.value();
    let predicate = predicate(verified, verifier, now)?;
    let name = artifact.reference().location().to_string();
    let statement =
        Statement::attestation(artifact.digest(), &name, VERIFICATION_SUMMARY, predicate);
    let same = |found: &Statement, new: &Statement| {
        is_fresh(found, now) && says_the_same(&timeless(found), &timeless(new))
    };
    let mut attacher = Attacher::open(store, artifact, signer).await?;
    attacher.attach_unless(statement, same, now).await
}

/// Returns the name under which the artifact was asked for. The digest is the statement's subject.
fn resource(asked: &Reference) -> String {
    Reference::new(asked.location().clone(), asked.tag().cloned(), None).to_string()
}

fn policy(verifier: &Verifier) -> Value {
    let digest = &verifier.policy_digest;
    let uri = match &verifier.policy_uri {
        Some(uri) => uri.0.clone(),
        None => format!("nih:sha-256;{}", digest.hex()),
    };
    json!({
        "name": verifier.policy_name,
        "uri": uri,
        "digest": { "sha256": digest.hex() },
    })
}

/// Returns every bundle that counted, once each: a list must have all of them.
fn inputs(verdict: &Verdict) -> Vec<Value> {
    let mut bundles: Vec<_> = verdict.evidence().iter().map(|e| e.bundle).collect();
    bundles.dedup();
    let input = |digest: &Digest| json!({ "digest": { "sha256": digest.hex() } });
    bundles.iter().map(input).collect()
}

/// Returns the highest level that was asked for and reached, if one was asked for.
fn level(verdict: &Verdict) -> Option<Level> {
    let evidence = verdict.findings.iter().flat_map(|found| &found.met_by);
    evidence.filter_map(|e| Some(e.slsa.as_ref()?.level)).max()
}

/// Returns the statement without the time of verification.
fn timeless(statement: &Statement) -> Statement {
    let mut statement = statement.clone();
    if let Some(fields) = statement.predicate.as_object_mut() {
        fields.remove(TIME);
    }
    statement
}

fn is_fresh(statement: &Statement, now: Timestamp) -> bool {
    let time = statement.predicate.get(TIME).and_then(Value::as_str);
    let time: Option<Timestamp> = time.and_then(|time| time.parse().ok());
    time.is_some_and(|time| (SignedDuration::ZERO..FRESH).contains(&now.duration_since(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RawDocument;

    fn verifier() -> Verifier {
        Verifier {
            id: "https://acme.example/verifier".parse().unwrap(),
            version: "1.2.3".to_owned(),
            policy_name: "models".to_owned(),
            policy_uri: None,
            policy_digest: Digest::of(b"policy"),
        }
    }

    #[test]
    fn what_nobody_verified_has_no_summary() {
        let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let kind = "application/vnd.oci.image.index.v1+json";
        let document = RawDocument::read(manifest.into(), kind, None, "it").unwrap();
        let reference = "oci:./store:v1".parse().unwrap();
        let unchecked = Verified::unchecked(Artifact::stored(reference, document), "no reason");
        let error = predicate(&unchecked, &verifier(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.reason(), Reason::NothingToVerifyAgainst);
    }

    #[test]
    fn a_resource_is_what_was_asked_for_without_the_digest_that_is_the_subject() {
        let digest = Digest::of(b"x");
        for (asked, told) in [
            (
                "r.example/acme/bert:v1".to_owned(),
                "r.example/acme/bert:v1",
            ),
            (
                format!("r.example/acme/bert:v1@{digest}"),
                "r.example/acme/bert:v1",
            ),
            (
                format!("r.example/acme/bert@{digest}"),
                "r.example/acme/bert",
            ),
        ] {
            assert_eq!(resource(&asked.parse().unwrap()), told, "{asked}");
        }
    }

    #[test]
    fn a_policy_is_named_by_its_place_or_else_by_its_digest() {
        let mut verifier = verifier();
        let hex = verifier.policy_digest.hex();
        assert_eq!(policy(&verifier)["uri"], format!("nih:sha-256;{hex}"));
        verifier.policy_uri = Some("https://acme.example/policy.toml".parse().unwrap());
        let told = policy(&verifier);
        assert_eq!(told["uri"], "https://acme.example/policy.toml");
        assert_eq!(told["digest"]["sha256"], hex);
    }

    #[test]
    fn the_same_is_said_again_after_a_day_and_not_before() {
        let digest = Digest::of(b"x");
        let now: Timestamp = "2026-06-02T12:00:00Z".parse().unwrap();
        for (time, is_fresh_then) in [
            ("2026-06-02T12:00:00Z", true),
            ("2026-06-01T12:00:01Z", true),
            ("2026-06-01T12:00:00Z", false),
            ("2026-06-02T12:00:01Z", false),
            ("yesterday", false),
        ] {
            let predicate = json!({ TIME: time, "x": 1 });
            let statement = Statement::attestation(&digest, "m", VERIFICATION_SUMMARY, predicate);
            assert_eq!(is_fresh(&statement, now), is_fresh_then, "{time}");
            assert_eq!(timeless(&statement).predicate, json!({ "x": 1 }));
        }
    }

    #[test]
    fn a_verifier_is_named_by_a_uri() {
        for text in ["", "acme", "//acme.example", "https://acme example/"] {
            let error = text.parse::<Uri>().unwrap_err();
            assert_eq!(error.reason(), Reason::Usage, "{text}");
        }
        "urn:acme:verifier".parse::<Uri>().unwrap();
    }
}
