//! Who a certificate must name, whoever issued it.

use clap::Args;
use modelctl::error::Result;
use modelctl::identity::Match;

/// Whom certificates must name: any one of these.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(in super::super) struct IdentityArgs {
    /// Trust whoever was certified to be this: an e-mail address, a workflow's URI, or a host name
    /// (repeatable: one of them). Takes who certified it: `--certificate-oidc-issuer` under
    /// Sigstore, or `--ca-roots`.
    #[arg(long, value_name = "IDENTITY")]
    certificate_identity: Vec<String>,
    /// The same, as a regular expression that must match from beginning to end (repeatable).
    #[arg(long, value_name = "REGEXP")]
    certificate_identity_regexp: Vec<String>,
}

impl IdentityArgs {
    /// Whether nobody is named.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.certificate_identity.is_empty() && self.certificate_identity_regexp.is_empty()
    }

    /// Returns who is named.
    pub(in super::super) fn matches(&self) -> Result<Vec<Match>> {
        let exact = self.certificate_identity.iter().map(Match::exact);
        let patterns = self.certificate_identity_regexp.iter();
        let patterns = patterns.map(|pattern| Match::pattern(pattern));
        exact.chain(patterns).collect()
    }
}
