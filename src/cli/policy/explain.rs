//! `modelctl policy explain`.

use clap::Args;
use modelctl::error::Result;
use modelctl::policy::{Pins, Policy, Rule, Verdict};
use modelctl::reference::Reference;
use modelctl::verify::{Artifact, verify};
use serde::Serialize;

use super::super::audit::{AuditArgs, Grounds, Recorder};
use super::super::parse;
use super::super::report::{Failure, Report};
use super::super::stores::{MirrorArgs, RegistryArgs};
use super::super::terminal::{Terminal, printable};
use super::super::trust::{TrustArgs, explain};
use super::check::contents;
use super::{Applied, Asked, PolicyArgs};

/// Show which policy covers an artifact, what it asks for, and what meets each requirement or why
/// nothing does.
///
/// Nothing is fetched but manifests and bundles. The exit code is that of `verify`, which walks the
/// chain besides if the policy asks for it.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl policy explain registry.example.com/acme/bert:v1
  modelctl policy explain oci:./store:v1 --policy policy.toml --json")]
pub(super) struct ExplainArgs {
    /// What to explain.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    audit: AuditArgs,
}

#[derive(Serialize)]
struct Explained<'a> {
    admitted: bool,
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Applied>,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

pub(super) async fn run(args: ExplainArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let recorder = args
        .audit
        .recorder("policy explain", &args.reference)
        .await?;
    let explained = explain_artifact(&args, &recorder, terminal).await;
    recorder.finish(explained).await
}

async fn explain_artifact(
    args: &ExplainArgs,
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let asked = Asked {
        location: args.reference.location(),
        verify: !args.trust.is_empty(),
        pins: Pins::default(),
    };
    let ruling = args
        .policy
        .ruling(&args.trust, asked, &stores, terminal)
        .await?;
    let basis = ruling.basis()?;
    let store = stores.read(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let verification = verify(&*store, artifact, &basis.trust, &basis.policy).await?;
    let verdict = verification.verdict();
    let digest = verification.artifact().digest();
    recorder
        .judged(Grounds::from(&basis), Some(digest), verdict)
        .await?;
    let data = Explained {
        admitted: verdict.admits(),
        reference: verification.artifact().pinned().to_string(),
        digest: verification.artifact().digest().to_string(),
        policy: basis.applied.as_ref(),
        verdict,
    };
    let json = serde_json::to_value(&data).unwrap_or_default();
    let mut lines = vec![match &basis.applied {
        Some(applied) => applied.to_string(),
        None => "the flags ask for:".to_owned(),
    }];
    lines.extend(asks(&basis.policy));
    if basis.chain.as_ref().is_some_and(|c| c.rule().required) {
        let chain = "  a whole chain, which `modelctl verify` walks and this does not";
        lines.push(chain.to_owned());
    }
    lines.push(format!("{} has:", verification.artifact().pinned()));
    lines.extend(explain(verdict));
    match verification.admit() {
        Err(error) => Err(Failure::from(error).with(&json).details(lines)),
        Ok(_) => {
            let report = Report::of(&json)?;
            let report = lines
                .iter()
                .fold(report, |report, line| report.line(printable(line)));
            Ok(report.say("it is admitted"))
        }
    }
}

/// Returns what a policy asks for, as lines.
fn asks(policy: &Policy) -> Vec<String> {
    let rules = policy.rules().iter().flat_map(rule);
    let content = policy.content().map(contents).unwrap_or_default();
    let content = content.into_iter().map(|line| format!("  {line}"));
    rules.chain(content).collect()
}

fn rule(rule: &Rule) -> Vec<String> {
    let whose = match rule.authorities() {
        None => "anyone who is trusted".to_owned(),
        Some(names) => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("{} of {}", rule.threshold(), names.join(", "))
        }
    };
    let mut lines = vec![format!("  {} by {whose}", rule.requirement())];
    let constraints = rule.constraints().iter();
    lines.extend(constraints.map(|constraint| format!("     in which {constraint}")));
    lines.extend(
        rule.conditions()
            .lines()
            .iter()
            .map(|line| format!("     {line}")),
    );
    lines
}
