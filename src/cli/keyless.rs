//! Keyless identities: who is trusted by name, and under which Sigstore instance.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::identity::Match;
use modelctl::limits;
use modelctl::trust::Authority;
use modelctl::trust::sigstore::{
    Claim, Fetched, Identity, Keyless, Repository, Settings, SigstoreRoot, Source, fetch,
};

use super::environment;
use super::stores::read;
use super::terminal::Terminal;
use super::trust::IdentityArgs;

/// Who vouches for those who are trusted by name, under which Sigstore instance.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct KeylessArgs {
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
    /// Whether nothing is said of keyless signers.
    pub(super) fn is_empty(&self) -> bool {
        self.certificate_oidc_issuer.is_none()
            && self.certificate_oidc_issuer_regexp.is_none()
            && self.claims().is_empty()
    }

    /// Whether an instance is named.
    pub(super) fn names_instance(&self) -> bool {
        self.instance.trusted_root.is_some() || self.instance.tuf_mirror.is_some()
    }

    /// Returns those of `names` whom the issuer vouched for.
    pub(super) async fn authorities(
        &self,
        names: &IdentityArgs,
        terminal: &Terminal,
    ) -> Result<Vec<Authority>> {
        let identities = self.identities(names)?;
        let root = self.instance(terminal).await?;
        let authority = |identity: Identity| {
            let root = Arc::clone(&root);
            Authority::keyless(identity.to_string(), Keyless { root, identity })
        };
        Ok(identities.into_iter().map(authority).collect())
    }

    /// Returns the instance that is named, else the public one.
    pub(super) async fn instance(&self, terminal: &Terminal) -> Result<Arc<SigstoreRoot>> {
        match self.instance.named()? {
            Some(root) => Ok(root),
            None => Ok(Arc::new(self.instance.fetched(terminal).await?)),
        }
    }

    /// Returns under what to check log entries and timestamps of signatures by keys: only an
    /// instance that was named for it, because who trusts a key need not care for logs.
    pub(super) fn witnesses(&self) -> Result<Option<Arc<SigstoreRoot>>> {
        self.instance.named()
    }

    fn identities(&self, names: &IdentityArgs) -> Result<Vec<Identity>> {
        if names.is_empty() {
            let message = "it is not said who is trusted";
            return Err(Error::new(Reason::Usage, message).hint(
                "name the identity: `--certificate-identity ci@example.com`, and its issuer",
            ));
        }
        let Some(issuer) = self.issuer()? else {
            let message = "an identity needs its issuer";
            return Err(Error::new(Reason::Usage, message).hint(
                "name who must have vouched for it: `--certificate-oidc-issuer \
                 https://token.actions.githubusercontent.com`, or `--ca-roots root.pem`",
            ));
        };
        let identity = |identity: Match| Identity {
            claims: self.claims(),
            ..Identity::new(identity, issuer.clone())
        };
        Ok(names.matches()?.into_iter().map(identity).collect())
    }

    fn issuer(&self) -> Result<Option<Match>> {
        let exact = self.certificate_oidc_issuer.as_deref().map(Match::exact);
        let pattern = self.certificate_oidc_issuer_regexp.as_deref();
        exact.or_else(|| pattern.map(Match::pattern)).transpose()
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
