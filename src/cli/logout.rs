//! `modelctl logout`.

use clap::Args;
use serde_json::json;

use super::login::check_host;
use super::report::{Failure, Report};
use super::stores::docker_config;
use super::terminal::Terminal;

/// Forget the credentials for a registry.
///
/// They are erased from the Docker configuration file and the credential helper that it names.
/// Where another tool's file still has some, that is said.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl logout registry.example.com")]
pub(super) struct LogoutArgs {
    /// The registry: HOST[:PORT].
    #[arg(value_name = "HOST")]
    host: String,
}

pub(super) async fn run(args: LogoutArgs, _: &Terminal) -> Result<Report, Failure> {
    check_host(&args.host)?;
    let erased = docker_config()?.erase(&args.host).await?;
    let summary = match erased.removed {
        true => format!("forgot the credentials for {}", args.host),
        false => format!("there were no credentials for {}", args.host),
    };
    let remains = erased.remains_in.map(|path| path.display().to_string());
    let data = json!({ "host": args.host, "erased": erased.removed, "remainsIn": remains });
    let left = remains.map(|path| format!("`{path}`, another tool's file, still has some"));
    let report = Report::of(&data)?.say(summary);
    Ok(left.into_iter().fold(report, Report::say))
}
