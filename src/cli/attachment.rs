//! Signed statements on their way to an artifact, as `push`, `sign` and `attest` attach them.

use jiff::Timestamp;
use modelctl::attest::{Attached, Attacher, attest_legacy, sign_legacy};
use modelctl::error::Result;
use modelctl::manifest::Descriptor;
use modelctl::oms;
use modelctl::provenance::claim::Claim;
use modelctl::sign::Signer;
use modelctl::statement::SIGNATURE;
use modelctl::store::Store;
use modelctl::verify::Artifact;
use serde::Serialize;
use serde_json::{Map, Value};

use super::audit::Recorder;

/// A referrer that a command attached, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    pub(super) predicate_type: String,
    pub(super) referrer: Descriptor,
    pub(super) existed: bool,
    /// The image at cosign's older tag, if that form was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) legacy: Option<Descriptor>,
}

impl Attachment {
    pub(super) fn new(
        predicate_type: &str,
        attached: Attached,
        legacy: Option<Descriptor>,
    ) -> Self {
        Self {
            predicate_type: predicate_type.to_owned(),
            referrer: attached.referrer,
            existed: attached.existed,
            legacy,
        }
    }
}

/// What is to be signed or attested, and by whom.
pub(super) struct Target<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) artifact: &'a Artifact,
    pub(super) signer: &'a dyn Signer,
    /// Whether in cosign's older form, too.
    pub(super) is_legacy: bool,
    /// What records it, before it is done.
    pub(super) recorder: &'a Recorder,
}

/// A target that was looked at.
pub(super) struct Attaching<'a> {
    to: Target<'a>,
    attacher: Attacher<'a>,
}

impl<'a> Target<'a> {
    /// Looks at what is attached already.
    pub(super) async fn open(self) -> Result<Attaching<'a>> {
        let attacher = Attacher::open(self.store, self.artifact, self.signer).await?;
        Ok(Attaching { to: self, attacher })
    }
}

impl Attaching<'_> {
    /// Signs the artifact; `annotations` are signed with it.
    pub(super) async fn sign(&mut self, annotations: Map<String, Value>) -> Result<Attachment> {
        self.record(SIGNATURE).await?;
        let done = self.attacher.sign(annotations.clone(), Timestamp::now());
        let (done, to) = (done.await?, &self.to);
        let legacy = match to.is_legacy {
            true => Some(sign_legacy(to.store, to.artifact, annotations, to.signer).await?),
            false => None,
        };
        Ok(Attachment::new(SIGNATURE, done, legacy))
    }

    /// Signs the list of the artifact's files, as a model called `name`. After [`Self::sign`]: a
    /// model signature alone would make cosign overlook older kinds of signatures.
    pub(super) async fn sign_model(&mut self, name: &str) -> Result<Attachment> {
        self.record(oms::PREDICATE).await?;
        let done = self.attacher.sign_model(name, Timestamp::now()).await?;
        Ok(Attachment::new(oms::PREDICATE, done, None))
    }

    /// Attests `claims`, one after the other.
    pub(super) async fn attest(&mut self, claims: Vec<Claim>) -> Result<Vec<Attachment>> {
        let mut attached = Vec::new();
        for claim in claims {
            let predicate_type = claim.predicate_type.clone();
            self.record(&predicate_type).await?;
            let done = self.attacher.attest(claim, Timestamp::now()).await?;
            let legacy = match self.to.is_legacy {
                true => Some(attest_legacy(self.to.store, self.to.artifact, &done).await?),
                false => None,
            };
            attached.push(Attachment::new(&predicate_type, done, legacy));
        }
        Ok(attached)
    }

    /// Records what is about to be signed.
    async fn record(&self, predicate_type: &str) -> Result<()> {
        let Target {
            artifact,
            signer,
            recorder,
            ..
        } = &self.to;
        recorder.signing(artifact, *signer, predicate_type).await
    }
}

/// Reads an annotation of the form `K=V`.
pub(super) fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("an annotation is `K=V`".to_owned()),
    }
}
