//! `modelctl man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use modelctl::error::Error;
use serde_json::json;

use super::Cli;
use super::report::{Failure, Report};

/// Print the manual page, or write one page for each command.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl man | man -l -
  modelctl man --output-dir ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

pub(super) fn run(args: ManArgs) -> Result<Report, Failure> {
    if let Some(directory) = args.output_dir {
        let failed = |error| Error::io("write manual pages into", &directory, error);
        std::fs::create_dir_all(&directory).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &directory).map_err(failed)?;
        return Ok(Report::of(&json!({ "directory": directory }))?.line(directory.display()));
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Error::io("write", "the manual page", error))?;
    let page = String::from_utf8_lossy(&page).into_owned();
    let mut report = Report::of(&json!({ "page": page }))?;
    report.stdout = page;
    Ok(report)
}
