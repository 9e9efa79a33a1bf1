//! `inspect --provenance`: how a model came to be, as a table.

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::provenance::explanation::{Row, Stated, explain};
use modelctl::referrer::{self, Content, RawBundle};
use modelctl::statement::Statement;
use modelctl::store::Store;
use modelctl::trust::TrustRoot;
use modelctl::verify::{Artifact, verify};
use serde::Serialize;

use super::levels::{self, Found};
use super::policy::{Basis, PolicyArgs};
use super::stores::Stores;
use super::terminal::Terminal;
use super::trust::SignersArgs;

/// What is asked about a model's origin.
#[derive(Args, Clone)]
pub(super) struct ProvenanceArgs {
    /// Show how the model came to be: what is proven, what is claimed and by whom, and what is not
    /// said. Without a key or identity every claim is shown as not verified.
    #[arg(long)]
    provenance: bool,
    #[command(flatten)]
    signers: SignersArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// The table, in JSON; there only if it was asked for.
#[derive(Serialize)]
pub(super) struct Provenance {
    provenance: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slsa: Option<Found>,
}

impl ProvenanceArgs {
    /// Reads what is attached to `artifact`, if that was asked for.
    pub(super) async fn read(
        &self,
        store: &dyn Store,
        artifact: &Artifact,
        stores: &Stores,
        terminal: &Terminal,
    ) -> Result<Option<Provenance>> {
        if !self.provenance {
            return match self.signers.is_empty() && !self.policy.is_given() {
                true => Ok(None),
                // Whoever names a key must not take what is shown for verified.
                false => Err(Error::new(Reason::Usage, "`inspect` verifies nothing")
                    .hint("add `--provenance`, or run `modelctl verify`")),
            };
        }
        let location = artifact.reference().location();
        let beliefs = self.policy.beliefs(location, stores, terminal).await?;
        let slsa = match &beliefs {
            Some(beliefs) => level(store, artifact, beliefs).await?,
            None => None,
        };
        let named = match self.signers.is_empty() {
            true => None,
            false => Some(self.signers.root(terminal).await?),
        };
        let trust = named
            .into_iter()
            .chain(beliefs.map(|beliefs| beliefs.trust));
        let trust = trust.reduce(TrustRoot::and);
        let referrers = referrer::collect(store, artifact.document().descriptor()).await?;
        let bundles = referrers
            .iter()
            .filter_map(|referrer| match referrer.content() {
                Content::Bundle(raw) => Some(raw),
                _ => None,
            });
        let stated: Vec<_> = bundles
            .filter_map(|raw| stated(raw, trust.as_ref()))
            .collect();
        Ok(Some(Provenance {
            provenance: explain(artifact.digest(), &stated),
            slsa,
        }))
    }
}

/// Returns the level that the policy believes the artifact's provenance to be of.
async fn level(store: &dyn Store, artifact: &Artifact, beliefs: &Basis) -> Result<Option<Found>> {
    let (trust, policy) = (&beliefs.trust, &beliefs.policy);
    let found = verify(store, artifact.clone(), trust, policy).await?;
    Ok(levels::reached(beliefs, found.verdict()))
}

/// Returns what a bundle states, verified if anybody is trusted to have signed it. One that cannot
/// be read states nothing.
fn stated(raw: &RawBundle, trust: Option<&TrustRoot>) -> Option<Stated> {
    let bundle = raw.bundle().ok()?;
    if let Some(Ok(found)) = trust.map(|trust| trust.authenticate(&bundle)) {
        return Some(Stated {
            statement: found.statement().clone(),
            signer: Some(found.signer().clone()),
            witnesses: found.witnesses().to_vec(),
        });
    }
    let payload = bundle.envelope().ok()?.unverified_payload();
    Some(Stated {
        statement: Statement::parse(payload).ok()?,
        signer: None,
        witnesses: Vec::new(),
    })
}

impl Provenance {
    /// Returns the table for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for row in &self.provenance {
            let by = row
                .by
                .as_ref()
                .map_or(String::new(), |by| format!("  [{by}]"));
            let standing = row.standing.to_string();
            let line = format!("{:<22}{standing:<20}{}{by}", row.field.name(), row.value);
            lines.push(line.trim_end().to_owned());
        }
        if let Some(slsa) = &self.slsa {
            lines.push(String::new());
            lines.extend(slsa.lines());
        }
        lines
    }
}
