//! Keyless identities: who is trusted by name, and under which Sigstore instance.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::trust::Authority;
use modelctl::trust::sigstore::{
    Claim, Fetched, Identity, Keyless, Match, Repository, Settings, SigstoreRoot, Source, fetch,
};

use super::environment;
use super::stores::read;
use super::terminal::Terminal;

/// Who is trusted by name.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct KeylessArgs {
    /// Trust whoever a Sigstore instance certified to be this: an e-mail address, or a workflow's
    /// URI. Needs the issuer, too.
    #[arg(
        long,
        value_name = "IDENTITY",
        conflicts_with = "certificate_identity_regexp"
    )]
    certificate_identity: Option<String>,
    /// The same, as a regular expression that must match from beginning to end.
    #[arg(long, value_name = "REGEXP")]
    certificate_identity_regexp: Option<String>,
    /// The identity provider that must have vouched for the identity, such as
    /// https://token.actions.githubusercontent.com.
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "certificate_oidc_issuer_regexp"
    )]
    certificate_oidc_issuer: Option<String>,
    /// The same, as a regular expression that must match from beginning to end.
    #[arg(long, value_name = "REGEXP")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// Require the event that started the GitHub workflow.
    #[arg(long, value_name = "EVENT")]
    certificate_github_workflow_trigger: Option<String>,
    /// Require the commit that the GitHub workflow ran on.
    #[arg(long, value_name = "SHA")]
    certificate_github_workflow_sha: Option<String>,
    /// Require the GitHub workflow's name.
    #[arg(long, value_name = "NAME")]
    certificate_github_workflow_name: Option<String>,
    /// Require the repository that the GitHub workflow ran for.
    #[arg(long, value_name = "OWNER/NAME")]
    certificate_github_workflow_repository: Option<String>,
    /// Require the ref that the GitHub workflow ran on.
    #[arg(long, value_name = "REF")]
    certificate_github_workflow_ref: Option<String>,
    #[command(flatten)]
    instance: InstanceArgs,
}

/// Which Sigstore instance certifies, logs and dates.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
struct InstanceArgs {
    /// The Sigstore instance's keys and certificates, instead of the public instance's: a
    /// `trusted_root.json`. No network is used for them. Log entries and timestamps of signatures
    /// by `--key` are then checked, too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tuf_mirror", "tuf_root"])]
    trusted_root: Option<String>,
    /// Fetch the Sigstore instance's keys and certificates from this TUF repository.
    #[arg(long, value_name = "URL", requires = "tuf_root")]
    tuf_mirror: Option<String>,
    /// The TUF repository's `root.json`, of any version.
    #[arg(long, value_name = "FILE", requires = "tuf_mirror")]
    tuf_root: Option<String>,
}

impl KeylessArgs {
    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.certificate_identity.is_none()
            && self.certificate_identity_regexp.is_none()
            && self.certificate_oidc_issuer.is_none()
            && self.certificate_oidc_issuer_regexp.is_none()
            && self.claims().is_empty()
    }

    /// Whether an instance is named.
    pub(super) fn names_instance(&self) -> bool {
        self.instance.trusted_root.is_some() || self.instance.tuf_mirror.is_some()
    }

    /// Returns who is trusted by name, if somebody is.
    pub(super) async fn authority(&self, terminal: &Terminal) -> Result<Option<Authority>> {
        if self.is_empty() {
            return Ok(None);
        }
        let identity = self.identity()?;
        let root = match self.instance.named()? {
            Some(root) => root,
            None => Arc::new(self.instance.fetched(terminal).await?),
        };
        let name = identity.to_string();
        Ok(Some(Authority::keyless(name, Keyless { root, identity })))
    }

    /// Returns under what to check log entries and timestamps of signatures by keys: only an
    /// instance that was named for it, because who trusts a key need not care for logs.
    pub(super) fn witnesses(&self) -> Result<Option<Arc<SigstoreRoot>>> {
        self.instance.named()
    }

    fn identity(&self) -> Result<Identity> {
        let identity = one(
            &self.certificate_identity,
            &self.certificate_identity_regexp,
        )?;
        let issuer = one(
            &self.certificate_oidc_issuer,
            &self.certificate_oidc_issuer_regexp,
        )?;
        let (identity, issuer) = match (identity, issuer) {
            (Some(identity), Some(issuer)) => (identity, issuer),
            (Some(_), None) => {
                return Err(
                    Error::new(Reason::Usage, "an identity needs its issuer").hint(
                        "name who must have vouched for it: `--certificate-oidc-issuer \
                     https://token.actions.githubusercontent.com`",
                    ),
                );
            }
            (None, _) => {
                return Err(Error::new(Reason::Usage, "it is not said who is trusted").hint(
                    "name the identity: `--certificate-identity ci@example.com`, and its issuer",
                ));
            }
        };
        Ok(Identity {
            claims: self.claims(),
            ..Identity::new(identity, issuer)
        })
    }

    fn claims(&self) -> Vec<(Claim, String)> {
        let flags = [
            (
                Claim::GithubWorkflowTrigger,
                &self.certificate_github_workflow_trigger,
            ),
            (
                Claim::GithubWorkflowSha,
                &self.certificate_github_workflow_sha,
            ),
            (
                Claim::GithubWorkflowName,
                &self.certificate_github_workflow_name,
            ),
            (
                Claim::GithubWorkflowRepository,
                &self.certificate_github_workflow_repository,
            ),
            (
                Claim::GithubWorkflowRef,
                &self.certificate_github_workflow_ref,
            ),
        ];
        let given = |(claim, value): (Claim, &Option<String>)| Some((claim, value.clone()?));
        flags.into_iter().filter_map(given).collect()
    }
}

/// Reads what is given exactly or as a regular expression.
fn one(exact: &Option<String>, pattern: &Option<String>) -> Result<Option<Match>> {
    let exact = exact.as_deref().map(Match::exact);
    exact
        .or_else(|| pattern.as_deref().map(Match::pattern))
        .transpose()
}

impl InstanceArgs {
    /// Reads the instance's file, if one is named.
    fn named(&self) -> Result<Option<Arc<SigstoreRoot>>> {
        self.trusted_root.as_ref().map(trusted_root).transpose()
    }

    /// Returns the root of the public instance, or of the repository that is named, as fresh as it
    /// is to be had.
    async fn fetched(&self, terminal: &Terminal) -> Result<SigstoreRoot> {
        let repository = match (&self.tuf_mirror, &self.tuf_root) {
            (Some(mirror), Some(root)) => {
                Repository::custom(mirror, read(root, limits::TRUSTED_ROOT)?)
            }
            _ => Repository::public_good(),
        };
        fetched(repository, terminal).await
    }
}

/// Reads a `trusted_root.json`.
pub(super) fn trusted_root(file: impl AsRef<Path>) -> Result<Arc<SigstoreRoot>> {
    let file = file.as_ref();
    let bytes = read(file, limits::TRUSTED_ROOT).map_err(|error| {
        Error::new(Reason::TrustRootInvalid, "the trusted root cannot be read").because(error)
    })?;
    let name = file.display().to_string();
    Ok(Arc::new(SigstoreRoot::from_json(&bytes, &name)?))
}

/// Returns the root that a TUF repository has, as fresh as it is to be had.
pub(super) async fn fetched(repository: Repository, terminal: &Terminal) -> Result<SigstoreRoot> {
    let settings = Settings {
        repository,
        cache: environment::cache_directory().map(|caches| caches.join("sigstore")),
        stale_after: None,
        now: Timestamp::now(),
    };
    let fetched = fetch(&settings).await?;
    if let Some(note) = note(&fetched) {
        terminal.say(&note);
    }
    Ok(fetched.root)
}

/// Says how old the root is, if it should be newer.
fn note(fetched: &Fetched) -> Option<String> {
    let failure = fetched.failure.as_ref()?;
    let since = fetched.since.strftime("%Y-%m-%d");
    let origin = match fetched.source {
        Source::Embedded => "that this version came with, ",
        Source::Cache | Source::Network => "",
    };
    Some(format!(
        "note: {}; those {origin}of {since} are used",
        failure.message()
    ))
}
