//! `--slsa-level` as it is told, and `--emit-vsa`: a verifier's word for those who do not look
//! themselves.

use clap::Args;
use jiff::Timestamp;
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::policy::Verdict;
use modelctl::predicate::VERIFICATION_SUMMARY;
use modelctl::sign::Signer;
use modelctl::slsa::{Check, Reached};
use modelctl::summary::{self, Uri, Verifier};
use modelctl::trust::pki::Signing;
use modelctl::verify::{Artifact, Verified};
use serde::Serialize;
use serde_json::json;

use super::attachment::Attachment;
use super::keys::SignerArgs;
use super::parse;
use super::policy::{Applied, Basis};
use super::report::{Failure, Report};
use super::stores::Stores;
use super::terminal::Terminal;
use super::trust::explain;

/// The level that was found, and by whose word it is that, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    #[serde(flatten)]
    reached: Reached,
    /// The policy file whose word it is; nothing is more than level 1 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    according_to: Option<Source>,
}

/// A policy file.
#[derive(Serialize)]
struct Source {
    file: String,
    digest: Digest,
}

/// Returns the level that `verdict` comes to, if one was asked for and reached.
pub(super) fn reached(basis: &Basis, verdict: &Verdict) -> Option<Found> {
    let source = |applied: &Applied| Source {
        file: applied.file.clone(),
        digest: applied.digest,
    };
    Some(Found {
        reached: Reached::by(&basis.policy, verdict)?,
        according_to: basis.applied.as_ref().map(source),
    })
}

/// Returns a verdict as lines, with the level that it comes to.
pub(super) fn explained(basis: &Basis, verdict: &Verdict) -> Vec<String> {
    let found = reached(basis, verdict);
    let levels = found.iter().flat_map(Found::lines);
    explain(verdict).into_iter().chain(levels).collect()
}

impl Found {
    /// Returns what was found for people: never that something is of a level, but who says so.
    pub(super) fn lines(&self) -> Vec<String> {
        let level = self.reached.level();
        let mut lines = vec![match &self.according_to {
            Some(Source { file, digest }) => {
                format!("{level} according to policy `{file}` ({digest})")
            }
            None => format!("{level} according to the flags; no policy file says more"),
        }];
        let listed = |word: &str, checks: &[Check]| -> Vec<String> {
            let line = |check: &Check| format!("     {word} {}", check.detail);
            checks.iter().map(line).collect()
        };
        lines.extend(listed("checked:", &self.reached.checked));
        lines.extend(listed("not checked:", &self.reached.not_checked));
        lines
    }
}

/// What a verifier signs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Verification summary")]
pub(super) struct SummaryArgs {
    /// Sign and attach a verification summary (VSA): that REF was verified by the policy file, and
    /// its SLSA level if one was asked for. A refusal gives none (docs/levels.md).
    #[arg(long, requires_all = ["vsa_key", "verifier_id"])]
    emit_vsa: bool,
    /// Sign it with this private key: a PEM file, `env://NAME`, or a `pkcs11:` URI. `--key` says who
    /// is trusted, and never signs here.
    #[arg(long, value_name = "KEY", requires = "emit_vsa")]
    vsa_key: Option<String>,
    /// Who verifies, as policies that rely on the summary name it.
    #[arg(long, value_name = "URI", requires = "emit_vsa", value_parser = parse::<Uri>)]
    verifier_id: Option<Uri>,
    /// Where others find the policy; without it, it is named by its digest.
    #[arg(long, value_name = "URI", requires = "emit_vsa", value_parser = parse::<Uri>)]
    policy_uri: Option<Uri>,
}

/// A summary that can be made as soon as the artifact is admitted.
pub(super) struct Summary {
    verifier: Verifier,
    signer: Box<dyn Signer>,
}

impl SummaryArgs {
    /// Refuses to summarise what was verified of a directory: there is nothing to attach it to.
    pub(super) fn refuse_for_directories(&self) -> Result<()> {
        match self.emit_vsa {
            false => Ok(()),
            true => Err(Error::new(
                Reason::Usage,
                "a verification summary is attached to an artifact",
            )
            .hint("name the artifact: `modelctl verify REF --emit-vsa …`")),
        }
    }

    /// Opens the key, before anything is asked of a registry, if a summary is wanted.
    pub(super) fn prepare(
        &self,
        applied: Option<&Applied>,
        terminal: &Terminal,
    ) -> Result<Option<Summary>> {
        let (true, Some(key), Some(id)) = (self.emit_vsa, &self.vsa_key, &self.verifier_id) else {
            return Ok(None);
        };
        let Some(applied) = applied else {
            let message = "a verification summary says by which policy, and no policy file applies";
            return Err(Error::new(Reason::Usage, message)
                .hint("write one: `modelctl policy init`, and name it: `--policy policy.toml`"));
        };
        Ok(Some(Summary {
            verifier: Verifier {
                id: id.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                policy_name: applied.name.clone(),
                policy_uri: self.policy_uri.clone(),
                policy_digest: applied.digest,
            },
            signer: SignerArgs::of_key(key.clone()).signer(Signing::Anything, terminal)?,
        }))
    }
}

impl Summary {
    /// Signs and attaches it, and adds that to `report`.
    pub(super) async fn emit(
        self,
        verified: &Verified<Artifact>,
        stores: &Stores,
        report: Report,
    ) -> Result<Report, Failure> {
        let store = stores.write(verified.value().reference().location())?;
        let (verifier, now) = (&self.verifier, Timestamp::now());
        let done = summary::attach(&*store, verified, verifier, &*self.signer, now).await?;
        let by = self.signer.authority().name().to_owned();
        let line = match done.existed {
            true => format!("verification summary attached before by {by}"),
            false => format!("verification summary attached by {by}"),
        };
        let attached = Attachment::new(VERIFICATION_SUMMARY, done, None);
        Ok(report.with(&json!({ "summary": attached }))?.say(line))
    }
}
