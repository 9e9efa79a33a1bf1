//! What a directory must be to be pushed: signed by someone, or at least as its own signature says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::identity::Match;
use modelctl::model_signature::{self, FreshSignature, RequiredSignature};
use modelctl::oms::{SIGNATURE_FILE, SIGNATURE_FILES};
use modelctl::pack::Plan;
use modelctl::policy::{Policy, Requirement};
use modelctl::push::Gate;
use modelctl::trust::pki::{Pki, Signers};
use modelctl::trust::sigstore::{Identity, Keyless, Repository};
use modelctl::trust::{Authority, TrustRoot};

use super::keyless::{fetched, trusted_root};
use super::terminal::Terminal;
use super::trust::pki::{concat, trusted};
use super::{certificates, keys};

/// Who must have signed the directory.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model signature")]
pub(super) struct GateArgs {
    /// Push nothing unless DIR is as a model signature (OMS) by someone trusted lists it.
    #[arg(long)]
    pub(super) require_signature: bool,
    /// The model signature that is required (default: `model.sig` in DIR).
    #[arg(long, value_name = "FILE", requires = "require_signature")]
    signature: Option<PathBuf>,
    /// Trust this public key to have made it; without `--sign` and `--attest`, `--key` says so too
    /// (repeatable).
    #[arg(long, value_name = "KEY", requires = "require_signature")]
    signed_by: Vec<String>,
    /// Trust whoever was certified to be this to have made it: an e-mail address, a workflow's URI,
    /// or a host name (repeatable). Takes who certified it: `--certificate-oidc-issuer` under
    /// Sigstore, or `--ca-roots`.
    #[arg(long, value_name = "IDENTITY", requires = "require_signature")]
    certificate_identity: Vec<String>,
    /// The identity provider that must have vouched for the identity. Without `--trusted-root` it
    /// is the public instance's.
    #[arg(
        long,
        value_name = "URL",
        requires = "certificate_identity",
        conflicts_with = "ca_roots"
    )]
    certificate_oidc_issuer: Option<String>,
    /// Trust certificates for the identity under these authorities: a PEM file, or a directory of
    /// them (repeatable).
    #[arg(long, value_name = "FILE|DIR", requires = "certificate_identity")]
    ca_roots: Vec<PathBuf>,
    /// Authorities between the signers and the roots, in PEM; they are not trusted by themselves
    /// (repeatable).
    #[arg(long, value_name = "FILE", requires = "ca_roots")]
    ca_intermediates: Vec<PathBuf>,
}

impl GateArgs {
    /// Whether identities are trusted that a Sigstore instance certifies.
    pub(super) fn trusts_instance(&self) -> bool {
        self.certificate_oidc_issuer.is_some()
    }

    /// Returns what `directory` must be to be pushed at all, if that is demanded; `own` is a
    /// further key that is trusted, and `instance` the file with the Sigstore instance under which
    /// identities are. What is wrong with any of them shows before a file is read.
    pub(super) async fn required(
        &self,
        directory: &Path,
        own: Option<&String>,
        instance: Option<&Path>,
        terminal: &Terminal,
    ) -> Result<Option<Arc<dyn Gate>>> {
        if !self.require_signature {
            return Ok(None);
        }
        let keys = self.signed_by.iter().chain(own);
        let mut authorities: Vec<_> = keys
            .map(|key| keys::authority(key))
            .collect::<Result<_>>()?;
        authorities.extend(self.certified(instance, terminal).await?);
        let trust = TrustRoot::new(authorities).map_err(|error| {
            error.hint(
                "name who must have signed the directory: `--signed-by publisher.pub`, or \
                 `--certificate-identity` with `--certificate-oidc-issuer` or `--ca-roots`",
            )
        })?;
        let bundles = match &self.signature {
            Some(file) => model_signature::read(file)?,
            None => match model_signature::read(&directory.join(SIGNATURE_FILE)) {
                Err(error) if error.reason() == Reason::FileNotFound => Vec::new(),
                read => read?,
            },
        };
        Ok(Some(Arc::new(RequiredSignature {
            model: directory.display().to_string(),
            bundles,
            trust,
            policy: Policy::new([Requirement::ModelSignature])?,
        })))
    }
}

impl GateArgs {
    /// Returns those who are trusted by name.
    async fn certified(
        &self,
        instance: Option<&Path>,
        terminal: &Terminal,
    ) -> Result<Vec<Authority>> {
        let names = self.certificate_identity.iter().map(Match::exact);
        let names = names.collect::<Result<Vec<_>>>()?;
        match (&self.certificate_oidc_issuer, self.ca_roots.first()) {
            (Some(issuer), _) => {
                let root = match instance {
                    Some(file) => trusted_root(file)?,
                    None => Arc::new(fetched(Repository::public_good(), terminal).await?),
                };
                let issuer = Match::exact(issuer)?;
                let authority = |name: Match| {
                    let identity = Identity::new(name, issuer.clone());
                    let root = Arc::clone(&root);
                    Authority::keyless(identity.to_string(), Keyless { root, identity })
                };
                Ok(names.into_iter().map(authority).collect())
            }
            (None, Some(first)) => {
                let signers = Signers {
                    identities: names,
                    ..Signers::default()
                };
                let roots = concat(&self.ca_roots, trusted)?;
                let pki = Pki::with_roots(roots, signers, Timestamp::now())?
                    .and_intermediates(concat(&self.ca_intermediates, certificates::all)?);
                Ok(vec![Authority::pki(first.display().to_string(), pki)])
            }
            (None, None) if names.is_empty() => Ok(Vec::new()),
            (None, None) => {
                let message = "an identity needs its issuer";
                Err(Error::new(Reason::Usage, message).hint(
                    "name who must have vouched for it: `--certificate-oidc-issuer URL`, or \
                     `--ca-roots root.pem`",
                ))
            }
        }
    }
}

/// Returns what makes sure that a signature that travels with the model fits it, if one does.
pub(super) fn fresh(directory: &Path, plan: &Plan) -> Result<Option<Arc<dyn Gate>>> {
    let mut names = plan.files().iter().map(|file| file.path().as_str());
    let Some(file) = names.find(|name| SIGNATURE_FILES.contains(name)) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(FreshSignature {
        file: file.to_owned(),
        bundles: model_signature::read(&directory.join(file))?,
    })))
}
