//! `modelctl audit checkpoint`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::audit::checkpoint::Checkpoint;
use modelctl::audit::log::check;
use modelctl::blob::blocking;
use modelctl::error::{Error, Reason, Result};
use serde_json::{Value, json};

use super::super::report::{Failure, Report};
use super::super::signing::SigningArgs;
use super::super::stores::RegistryArgs;
use super::super::terminal::Terminal;

/// Sign what an audit log is now: the number and hash of its last record.
///
/// The log is checked first; a broken one is not signed. Keep what this prints where who can write
/// the log cannot write: `modelctl audit verify --checkpoint` then shows whatever was removed or
/// rewritten before it.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl audit checkpoint /var/log/modelctl/audit.log --key auditor.key -o monday.json
  modelctl audit checkpoint audit.log --key auditor.key | ssh vault 'cat > monday.json'
  modelctl audit checkpoint audit.log --sign --identity-token token.jwt --yes")]
pub(super) struct CheckpointArgs {
    /// The log.
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// Write it to FILE, which must not be there yet, instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign it; a checkpoint is always signed.
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(args: CheckpointArgs, terminal: &Terminal) -> Result<Report, Failure> {
    if args.signing.is_legacy() {
        let message = "`--compat` is for artifacts";
        return Err(Error::new(Reason::Usage, message).into());
    }
    let signing = args.signing.prepare(&args.registry, terminal)?;
    let path = args.log.clone();
    let findings = blocking(move || check(&path, [])).await?;
    let checkpoint = Checkpoint::of(&name(&args.log), &findings, Timestamp::now())?;
    let by = signing.signer(terminal).await?;
    let bundle = checkpoint.sign(&*by.signer).await?.to_bytes()?;
    let text = String::from_utf8_lossy(&bundle).into_owned();
    let head = checkpoint.head;
    let summary = format!("record {} {} signed by {}", head.seq, head.hash, by.name);
    let report = Report::of(&json!({
        "file": args.log,
        "checkpoint": checkpoint,
        "output": args.output,
        "bundle": serde_json::from_slice::<Value>(&bundle).unwrap_or_default(),
    }))?;
    let report = report.say(summary);
    let Some(output) = &args.output else {
        return Ok(report.line(text));
    };
    write(output, &bundle)?;
    Ok(report.line(output.display()))
}

/// Returns what the log is called.
fn name(log: &Path) -> String {
    let name = log.file_name().unwrap_or(log.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Writes a checkpoint where none is: an older one says what a newer one cannot.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("`{}` is there already", path.display());
            Error::new(Reason::TargetExists, message).hint("keep it, and name another file")
        }
        _ => Error::io("write", path, error),
    })
}
