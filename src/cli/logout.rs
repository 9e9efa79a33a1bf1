//! `modelctl logout`.

use clap::Args;
use serde_json::json;

use super::login::check_host;
use super::report::{Failure, Report};
use super::stores::docker_config;
use super::terminal::Terminal;

/// Forget the credentials for a registry.
#[derive(Args)]
pub(super) struct LogoutArgs {
    /// The registry: HOST[:PORT].
    #[arg(value_name = "HOST")]
    host: String,
}

pub(super) async fn run(args: LogoutArgs, _: &Terminal) -> Result<Report, Failure> {
    check_host(&args.host)?;
    let found = docker_config()?.erase(&args.host).await?;
    let summary = if found {
        "forgotten"
    } else {
        "there was nothing to forget"
    };
    Ok(Report::of(&json!({ "host": args.host, "erased": found }))?.say(summary))
}
