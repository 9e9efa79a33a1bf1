//! `modelctl login`.

use std::sync::Arc;

use clap::Args;
use modelctl::error::{Error, Reason, Result};
use modelctl::registry::auth::{Credential, Fixed};
use modelctl::registry::credentials::Stored;
use serde_json::json;

use super::keys::prompt;
use super::report::{Failure, Report};
use super::stores::{RegistryArgs, docker_config};
use super::terminal::Terminal;

/// Check credentials with a registry and keep them where Docker keeps them.
///
/// They go to the credential helper that the Docker configuration file names, else into that file.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl login registry.example.com
  modelctl login registry.example.com --username robot --password-stdin < token.txt")]
pub(super) struct LoginArgs {
    /// The registry: HOST[:PORT].
    #[arg(value_name = "HOST")]
    host: String,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(args: LoginArgs, terminal: &Terminal) -> Result<Report, Failure> {
    check_host(&args.host)?;
    let credential = match args.registry.credential()? {
        Some(credential) => credential,
        None => ask()?,
    };
    let Credential::Basic { username, password } = credential.clone() else {
        return Err(Error::new(Reason::Internal, "a login is a user name and a password").into());
    };
    let client = args
        .registry
        .client(Arc::new(Fixed(credential)), terminal)?;
    client.check_login(&args.host).await?;
    let stored = docker_config()?
        .store(&args.host, &username, &password)
        .await?;
    let kept = match &stored {
        Stored::Helper(name) => name.clone(),
        Stored::Unencrypted(path) => path.display().to_string(),
    };
    let data = json!({ "host": args.host, "username": username, "kept": kept });
    let report = Report::of(&data)?.say(format!("logged in to {}", args.host));
    Ok(stored.warning().into_iter().fold(report, Report::say))
}

/// A host is what stands before the first `/` of a reference.
pub(super) fn check_host(host: &str) -> Result<()> {
    let probe: Result<modelctl::reference::Reference> = format!("{host}/x").parse();
    match probe {
        Ok(_) if !host.contains('/') => Ok(()),
        _ => Err(Error::new(
            Reason::Usage,
            format!("{host:?} is not a registry's HOST[:PORT]"),
        )
        .hint("for example `modelctl login registry.example.com`")),
    }
}

fn ask() -> Result<Credential> {
    use std::io::{BufRead, IsTerminal, Write};
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(
            Reason::Usage,
            "there is no terminal to ask for a user name on",
        )
        .hint("use `--username NAME --password-stdin`"));
    }
    let failed = |error| Error::io("ask for a user name on", "the terminal", error);
    let mut username = String::new();
    write!(std::io::stderr(), "User name: ").map_err(failed)?;
    std::io::stdin()
        .lock()
        .read_line(&mut username)
        .map_err(failed)?;
    let password = prompt("Password or token: ")?;
    Ok(Credential::Basic {
        username: username.trim().to_owned(),
        password,
    })
}
