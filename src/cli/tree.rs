//! `modelctl tree`.

use std::collections::HashSet;

use clap::Args;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use modelctl::digest::Digest;
use modelctl::error::Result;
use modelctl::limits;
use modelctl::manifest::{Annotations, Document, annotation};
use modelctl::reference::Reference;
use modelctl::referrer::{self, Content, RawBundle, Referrer};
use modelctl::store::{RawDocument, Store};
use modelctl::trust::{SignerIdentity, TrustRoot, Witness};
use modelctl::verify::{Artifact, check_subject};
use modelctl::{oms, statement};
use serde::Serialize;

use super::parse;
use super::report::{Failure, Report};
use super::stores::{MirrorArgs, RegistryArgs};
use super::terminal::{Terminal, printable};
use super::trust::SignersArgs;

/// Show what is attached to an artifact: signatures, attestations, SBOMs, and by whom.
///
/// With `--key`, an identity or `--ca-roots`, each bundle is verified and its signer named; without, everything
/// shown is what the bundles claim. `tree` shows, `verify` decides.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl tree oci:./store:v1
  modelctl tree registry.example.com/acme/bert:v1 --key release.pub")]
pub(super) struct TreeArgs {
    /// What to show.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    #[command(flatten)]
    signers: SignersArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

#[derive(Serialize)]
struct Tree {
    reference: String,
    digest: String,
    referrers: Vec<Node>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    digest: Digest,
    artifact_type: String,
    /// At which of cosign's older tags it is, if it is no referrer.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// What a bundle states: proven where `signer` is there, else claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    /// Who signed it, where a key that was given proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<SignerIdentity>,
    /// The logs and timestamp authorities that were verified to have seen it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<Witness>,
    /// Why the signer is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    annotations: Annotations,
    referrers: Vec<Node>,
}

pub(super) async fn run(args: TreeArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let trust = match args.signers.is_empty() {
        true => None,
        false => Some(args.signers.root(terminal).await?),
    };
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let store = stores.read(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let mut walk = Walk {
        store: &*store,
        trust,
        seen: HashSet::from([*artifact.digest()]),
    };
    let mut referrers = walk
        .below(artifact.document(), limits::REFERRER_DEPTH)
        .await?;
    referrers.extend(walk.tagged(artifact.document()).await?);
    let tree = Tree {
        reference: artifact.pinned().to_string(),
        digest: artifact.digest().to_string(),
        referrers,
    };
    let mut report = Report::of(&tree)?.line(printable(&tree.reference));
    draw(&tree.referrers, "", &mut report.stdout);
    if tree.referrers.is_empty() {
        report = report.say("nothing is attached; `modelctl sign` attaches a signature");
    }
    Ok(report)
}

/// A walk through referrers of referrers that visits nothing twice.
struct Walk<'a> {
    store: &'a dyn Store,
    trust: Option<TrustRoot>,
    seen: HashSet<Digest>,
}

impl Walk<'_> {
    fn below<'b>(
        &'b mut self,
        subject: &'b RawDocument,
        depth: usize,
    ) -> BoxFuture<'b, Result<Vec<Node>>> {
        async move {
            let mut nodes = Vec::new();
            if depth == 0 {
                return Ok(nodes);
            }
            for referrer in referrer::collect(self.store, subject.descriptor()).await? {
                if !self.seen.insert(*referrer.document().digest()) {
                    continue;
                }
                let referrers = self.below(referrer.document(), depth - 1).await?;
                nodes.push(self.node(&referrer, subject, referrers));
            }
            nodes.sort_by_key(|node| (node.rank(), node.digest));
            Ok(nodes)
        }
        .boxed()
    }

    /// Returns what is at cosign's older tags, each layer as one.
    async fn tagged(&self, subject: &RawDocument) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for tagged in referrer::collect_tagged(self.store, subject.digest()).await? {
            for (layer, found) in tagged.layers() {
                let mut node = Node {
                    tag: Some(tagged.tag().to_string()),
                    ..Node::new(layer.digest, &layer.media_type, layer.annotations.clone())
                };
                match found {
                    Ok(raw) => {
                        node.digest = raw.digest();
                        self.describe(&mut node, raw, subject);
                    }
                    Err(error) => node.unverified = Some(error.to_string()),
                }
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    fn node(&self, referrer: &Referrer, subject: &RawDocument, referrers: Vec<Node>) -> Node {
        let annotations = match referrer.document().document() {
            Document::Manifest(manifest) => manifest.annotations.clone(),
            Document::Index(index) => index.annotations.clone(),
        };
        let digest = *referrer.document().digest();
        let mut node = Node {
            referrers,
            ..Node::new(digest, referrer.kind(), annotations)
        };
        match referrer.content() {
            Content::Other => {}
            Content::Unusable(error) => node.unverified = Some(error.to_string()),
            Content::Bundle(raw) => self.describe(&mut node, raw, subject),
        }
        node
    }

    /// Says what a bundle states and who signed it.
    fn describe(&self, node: &mut Node, raw: &RawBundle, subject: &RawDocument) {
        let evidence = match raw.evidence() {
            Ok(evidence) => evidence,
            Err(error) => {
                node.unverified = Some(error.to_string());
                return;
            }
        };
        node.predicate_type = evidence.claimed_predicate_type();
        let Some(trust) = &self.trust else {
            node.unverified = Some("nobody is named to be trusted".to_owned());
            return;
        };
        let authenticated = evidence.authenticate(trust).and_then(|found| {
            check_subject(&found, subject)?;
            Ok(found)
        });
        match authenticated {
            Ok(found) => {
                node.signer = Some(found.signer().clone());
                node.witnesses = found.witnesses().to_vec();
            }
            Err(error) => node.unverified = Some(error.to_string()),
        }
    }
}

impl Node {
    /// Returns what a manifest says of itself.
    fn new(digest: Digest, artifact_type: &str, annotations: Annotations) -> Self {
        Self {
            digest,
            artifact_type: artifact_type.to_owned(),
            tag: None,
            predicate_type: None,
            signer: None,
            witnesses: Vec::new(),
            unverified: None,
            created: annotations.get(annotation::CREATED).cloned(),
            annotations,
            referrers: Vec::new(),
        }
    }

    /// Returns the place among what is attached to the same: signatures first.
    fn rank(&self) -> usize {
        match self.predicate_type.as_deref() {
            Some(statement::SIGNATURE) => 0,
            Some(other) if oms::is_model_signature(other) => 1,
            Some(_) => 2,
            None => 3,
        }
    }

    fn label(&self) -> String {
        let what = match self.predicate_type.as_deref() {
            Some(statement::SIGNATURE) => "signature".to_owned(),
            Some(other) if oms::is_model_signature(other) => "model signature".to_owned(),
            Some(predicate_type) => format!("attestation {predicate_type}"),
            None => self.artifact_type.clone(),
        };
        let who = match (&self.signer, &self.unverified) {
            (Some(signer), _) => format!("verified: {signer}"),
            (None, Some(why)) => format!("not verified: {why}"),
            (None, None) => String::new(),
        };
        let what = match &self.tag {
            Some(_) => format!("{what} (cosign's older form)"),
            None => what,
        };
        format!("{what}  {:.19}…  {who}", self.digest.to_string())
            .trim_end()
            .to_owned()
    }
}

fn draw(nodes: &[Node], indent: &str, out: &mut String) {
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let (branch, rest) = if last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        out.push_str(&format!("{indent}{branch}{}\n", printable(&node.label())));
        draw(&node.referrers, &format!("{indent}{rest}"), out);
    }
}
