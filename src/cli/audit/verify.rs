//! `modelctl audit verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use modelctl::audit::chain::{Break, Findings, TornLine, undetected};
use modelctl::audit::checkpoint::Checkpoint;
use modelctl::audit::line::Head;
use modelctl::audit::log::check;
use modelctl::blob::blocking;
use modelctl::bundle::Bundle;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::trust::{SignerIdentity, TrustRoot};
use serde::Serialize;

use super::super::report::{Failure, Report, count};
use super::super::stores::read;
use super::super::terminal::Terminal;
use super::super::trust::SignersArgs;

/// Check that nothing in an audit log was edited, removed, inserted or reordered.
///
/// Who can write the file can still cut records off its end, or write all of it anew: that shows only
/// against a checkpoint, which `modelctl audit checkpoint` signs and which is kept elsewhere.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl audit verify /var/log/modelctl/audit.log
  modelctl audit verify audit.log --checkpoint monday.json --key auditor.pub
  modelctl audit verify audit.log --json | jq .head")]
pub(super) struct VerifyArgs {
    /// The log.
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// Check too that the log is what this checkpoint says, with more after it (repeatable).
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    signers: SignersArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    file: &'a Path,
    holds: bool,
    records: u64,
    head: Option<Head>,
    breaks: &'a [Break],
    more_breaks: u64,
    torn: &'a [TornLine],
    checkpoints: Vec<Signed<'a>>,
    undetected: &'a str,
}

/// A checkpoint, and who signed it, in JSON.
#[derive(Serialize)]
struct Signed<'a> {
    file: &'a Path,
    #[serde(flatten)]
    checkpoint: &'a Checkpoint,
    signer: &'a SignerIdentity,
    holds: bool,
}

/// A checkpoint whose signature was verified.
struct Known {
    file: PathBuf,
    checkpoint: Checkpoint,
    signer: SignerIdentity,
}

pub(super) async fn run(args: VerifyArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let known = known(&args, terminal).await?;
    let numbers: Vec<_> = known
        .iter()
        .map(|known| known.checkpoint.head.seq)
        .collect();
    let path = args.log.clone();
    let findings = blocking(move || check(&path, numbers)).await?;
    let name = args.log.display().to_string();
    let checks = known
        .iter()
        .map(|known| known.checkpoint.check(&name, &findings));
    let checks: Vec<_> = checks.collect();
    let signed = known.iter().zip(&checks).map(|(known, check)| Signed {
        file: &known.file,
        checkpoint: &known.checkpoint,
        signer: &known.signer,
        holds: check.is_ok(),
    });
    let signed: Vec<_> = signed.collect();
    let proven = signed.iter().filter(|signed| signed.holds);
    let undetected = undetected(proven.map(|signed| signed.checkpoint.head.seq).max());
    let data = Verified {
        file: &args.log,
        holds: findings.holds() && checks.iter().all(Result::is_ok),
        records: findings.records,
        head: findings.head,
        breaks: &findings.breaks,
        more_breaks: findings.more_breaks,
        torn: &findings.torn,
        checkpoints: signed,
        undetected: &undetected,
    };
    let report = Report::of(&data)?;
    let lines = lines(&findings);
    let refusal = findings.broken(&name);
    if let Some(error) = refusal.or_else(|| checks.into_iter().find_map(Result::err)) {
        let failure = Failure::from(error).with(&report.json).details(lines);
        return Err(failure.details(vec![undetected]));
    }
    let report = report.line(headline(&name, &findings));
    let report = lines.into_iter().fold(report, Report::say);
    let report = known.iter().fold(report, |report, known| report.say(known));
    Ok(report.say(undetected))
}

/// Reads the checkpoints that are named, by someone who is trusted.
async fn known(args: &VerifyArgs, terminal: &Terminal) -> Result<Vec<Known>> {
    match (args.checkpoint.is_empty(), args.signers.is_empty()) {
        (true, true) => Ok(Vec::new()),
        (true, false) => {
            let message = "it is said who signs checkpoints, but none is named";
            Err(Error::new(Reason::Usage, message).hint("name one: `--checkpoint FILE`"))
        }
        (false, _) => {
            let trust = args.signers.root(terminal).await?;
            let known = args.checkpoint.iter().map(|file| Known::read(file, &trust));
            known.collect()
        }
    }
}

impl Known {
    fn read(file: &Path, trust: &TrustRoot) -> Result<Self> {
        let bytes = read(file, limits::BUNDLE)?;
        let at = |error: Error| error.at(file.display());
        let bundle = Bundle::parse(&bytes).map_err(at)?;
        let signed = trust.authenticate(&bundle).map_err(at)?;
        Ok(Self {
            file: file.to_owned(),
            checkpoint: Checkpoint::read(&signed).map_err(at)?,
            signer: signed.signer().clone(),
        })
    }
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Checkpoint { head, time, .. } = &self.checkpoint;
        let (seq, signer) = (head.seq, &self.signer);
        write!(f, "it has the record {seq} that {signer} signed at {time}")
    }
}

fn headline(name: &str, findings: &Findings) -> String {
    let records = count(
        usize::try_from(findings.records).unwrap_or(usize::MAX),
        "record",
    );
    match findings.head {
        Some(head) => format!("{name}: {records}, the last is {} {}", head.seq, head.hash),
        None => format!("{name}: no record"),
    }
}

/// Returns what was found, a line each.
fn lines(findings: &Findings) -> Vec<String> {
    let kind = |one: &Break| {
        let kind = serde_json::to_value(one.kind).unwrap_or_default();
        kind.as_str().unwrap_or_default().to_owned()
    };
    let breaks = findings.breaks.iter();
    let breaks = breaks.map(|one| format!("line {}: {}: {}", one.line, kind(one), one.message));
    let torn = findings.torn.iter();
    let torn = torn.map(|torn| {
        let TornLine { line, bytes } = torn;
        format!("note: line {line} was torn by a crash ({bytes} bytes), and is marked")
    });
    breaks.chain(torn).collect()
}
