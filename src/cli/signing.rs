//! Signing flags: who signs, with a key or without, and who testifies to it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::registry::web::Web;
use modelctl::sign::keyless::KeylessSigner;
use modelctl::sign::services::{Services, SigningConfig};
use modelctl::sign::{Signer, Witnessed};
use modelctl::trust::sigstore::{Instance, SigstoreRoot};

use super::identity::Source;
use super::keyless::trusted_root;
use super::keys::SignerArgs;
use super::stores::{RegistryArgs, read};
use super::terminal::Terminal;

/// Who signs, and who testifies to it.
#[derive(Args, Clone)]
#[command(next_help_heading = "Signing")]
pub(super) struct SigningArgs {
    #[command(flatten)]
    key: SignerArgs,
    /// Sign as whoever this identity token names: the token, or a file with it. Without it and
    /// without a key: SIGSTORE_ID_TOKEN, GitHub Actions, or a login by browser.
    #[arg(long, value_name = "TOKEN", conflicts_with = "key")]
    identity_token: Option<String>,
    /// The services to use: a `signing_config.json`. Without it the public-good instance certifies
    /// identities, and signatures by key are not logged.
    #[arg(long, value_name = "FILE")]
    signing_config: Option<PathBuf>,
    /// What those services' signatures are checked with: a `trusted_root.json`.
    #[arg(long, value_name = "FILE", requires = "signing_config")]
    trusted_root: Option<PathBuf>,
    /// Store it in this form, too: `legacy` are the tags `sha256-….sig` and `.att` that cosign 2 and
    /// Kyverno's key rules read.
    #[arg(long, value_enum, value_name = "FORM")]
    compat: Option<Compat>,
    /// Do not ask before an identity is published in a transparency log.
    #[arg(long, short)]
    yes: bool,
}

/// A form for other tools, besides the bundle.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compat {
    /// cosign's before version 3.
    Legacy,
}

/// Who is going to sign. Whatever could be checked before is right.
pub(super) struct Signing {
    method: Method,
    services: Option<Services>,
    root: Option<Arc<SigstoreRoot>>,
    web: Arc<Web>,
}

enum Method {
    Key(Box<dyn Signer>),
    Keyless(Source),
}

/// Somebody who can sign now, and what to call them.
pub(super) struct Ready {
    pub(super) signer: Box<dyn Signer>,
    pub(super) name: String,
}

impl SigningArgs {
    /// Whether cosign's older form is wanted, too.
    pub(super) fn is_legacy(&self) -> bool {
        self.compat == Some(Compat::Legacy)
    }

    /// Whether a flag says who signs.
    pub(super) fn is_given(&self) -> bool {
        self.key.key.is_some() || self.identity_token.is_some()
    }

    /// Returns what `--key` names.
    pub(super) fn key(&self) -> Option<&String> {
        self.key.key.as_ref()
    }

    /// Reads everything that the flags name, and asks whatever there is to ask.
    pub(super) fn prepare(&self, registry: &RegistryArgs, terminal: &Terminal) -> Result<Signing> {
        let method = match &self.key.key {
            Some(_) => Method::Key(self.key.signer(terminal)?),
            None => Method::Keyless(Source::find(self.identity_token.as_deref())?),
        };
        let is_keyless = matches!(method, Method::Keyless(_));
        let web = Arc::new(registry.web(terminal)?);
        let services = self
            .config(is_keyless)?
            .map(|config| Services::new(Arc::clone(&web), config, Timestamp::now()));
        if let (true, Some(services)) = (is_keyless, &services) {
            services.check_proves_time()?;
            if services.has_log()? {
                self.confirm(terminal)?;
            }
        }
        Ok(Signing {
            method,
            services,
            root: self.root(is_keyless)?,
            web,
        })
    }

    fn config(&self, is_keyless: bool) -> Result<Option<SigningConfig>> {
        match &self.signing_config {
            Some(path) => {
                let bytes = read(path, limits::LOCAL_FILE)?;
                SigningConfig::parse(&bytes, &path.display().to_string()).map(Some)
            }
            None if is_keyless => SigningConfig::embedded(Instance::PublicGood).map(Some),
            None => Ok(None),
        }
    }

    fn root(&self, is_keyless: bool) -> Result<Option<Arc<SigstoreRoot>>> {
        match (&self.trusted_root, &self.signing_config) {
            (Some(path), _) => trusted_root(path).map(Some),
            (None, None) if is_keyless => {
                let root = SigstoreRoot::embedded(Instance::PublicGood)?;
                Ok(Some(Arc::new(root)))
            }
            (None, _) => Ok(None),
        }
    }

    /// Says what will be public for ever, and asks whoever is there whether that is wanted.
    fn confirm(&self, terminal: &Terminal) -> Result<()> {
        terminal.say(
            "note: your identity, what you sign and when go into a public transparency log, \
             from which nothing can be removed",
        );
        if self.yes || !std::io::stdin().is_terminal() {
            return Ok(());
        }
        let unasked = |error| Error::io("ask on", "the terminal", error);
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "Go on? [y/N] ").map_err(unasked)?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(unasked)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::new(Reason::Usage, "nothing was signed")
                .hint("sign with a key instead (`--key`), or answer `y` (`--yes`)")),
        }
    }
}

impl Signing {
    /// Returns the signer; without a key, this is when its certificate begins.
    pub(super) async fn signer(self, terminal: &Terminal) -> Result<Ready> {
        let (signer, name): (Box<dyn Signer>, _) = match (self.method, &self.services) {
            (Method::Key(signer), _) => {
                let name = signer.authority().name().to_owned();
                (signer, name)
            }
            (Method::Keyless(source), Some(services)) => {
                let provider = || services.identity_provider();
                let token = source.token(&self.web, provider, terminal).await?;
                let root = self.root.clone();
                let signer = KeylessSigner::request(services, &token, root, Timestamp::now());
                let signer = signer.await?;
                let certified = signer.certified();
                let name = format!("{} (issuer {})", certified.identity(), certified.issuer());
                (Box::new(signer), name)
            }
            (Method::Keyless(_), None) => {
                let message = "keyless signing has no services";
                return Err(Error::new(Reason::Internal, message));
            }
        };
        let Some(services) = &self.services else {
            return Ok(Ready { signer, name });
        };
        let witnessed = Witnessed::new(signer, services.witnesses()?, self.root);
        let signer = Box::new(witnessed);
        Ok(Ready { signer, name })
    }
}
