//! Who signs without a key: where the identity token comes from.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::registry::web::Web;
use modelctl::secret::Secret;
use modelctl::sign::keyless::{GithubActions, IdentityToken, Login};

use super::environment;
use super::stores::read;
use super::terminal::Terminal;

/// Where the token comes from. Nothing is asked before it is needed.
pub(super) enum Source {
    /// It was given.
    Given(IdentityToken),
    /// A CI system gives it to its jobs when they ask.
    GithubActions(GithubActions),
    /// Somebody logs in.
    Browser,
}

impl Source {
    /// Finds the source: what `option` names, what the environment has, or somebody at a terminal.
    /// A token that cannot be used is refused at once.
    pub(super) fn find(option: Option<&str>) -> Result<Self> {
        if let Some(option) = option {
            return Self::given(read_token(option)?);
        }
        if let Some(token) = environment::identity_token() {
            return Self::given(token);
        }
        if let Some((url, secret)) = environment::github_actions() {
            return Ok(Self::GithubActions(GithubActions { url, secret }));
        }
        match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            true => Ok(Self::Browser),
            false => Err(nobody()),
        }
    }

    fn given(token: Secret) -> Result<Self> {
        let token = IdentityToken::parse(token)?;
        token.check_valid_at(Timestamp::now())?;
        Ok(Self::Given(token))
    }

    /// Returns the token.
    pub(super) async fn token(
        &self,
        web: &Web,
        provider: impl FnOnce() -> Result<String>,
        terminal: &Terminal,
    ) -> Result<IdentityToken> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::GithubActions(job) => job.token(web, Timestamp::now()).await,
            Self::Browser => {
                let login = Login::begin(web, &provider()?).await?;
                terminal.say("log in with a browser on this machine:");
                terminal.say(login.url());
                open(login.url());
                login.complete(web, Timestamp::now).await
            }
        }
    }
}

/// Reads `--identity-token`: the token, or a file with it.
fn read_token(option: &str) -> Result<Secret> {
    // A token is long, and never the name of a file that is there.
    if !Path::new(option).is_file() {
        return Ok(Secret::new(option.to_owned()));
    }
    let bytes = read(option, limits::LOCAL_FILE)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let message = format!("`{option}` does not hold an identity token");
        Error::new(Reason::IdentityTokenInvalid, message)
    })?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// Says how to say who signs.
fn nobody() -> Error {
    Error::new(
        Reason::IdentityMissing,
        "there is neither a key nor an identity to sign with",
    )
    .hint(
        "sign with a key (`--key cosign.key`), or give an identity token: `--identity-token`, \
         `SIGSTORE_ID_TOKEN` (GitLab: `id_tokens`), or on GitHub Actions `permissions: id-token: \
         write`; on a terminal a browser is opened",
    )
}

/// Opens a browser if there is one: the address is shown in any case.
fn open(url: &str) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let _ = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
