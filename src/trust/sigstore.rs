//! Keyless signatures: by whom a Sigstore instance certified, for minutes, to be someone.
//!
//! What has to be right is what the [Sigstore client specification] lists: the certificate chains
//! to the instance's authority at a proven time, a certificate log has seen it (SCT), a
//! transparency log holds the signature, and a clock that somebody else vouches for dates it. All
//! of that is [`SigstoreRoot`]'s to verify, without any network; who the certificate then names is
//! [`Identity`]'s to judge. This module alone names the Sigstore crates that verify.
//!
//! [Sigstore client specification]: https://github.com/sigstore/architecture-docs/blob/main/client-spec.md

mod certificate;
mod claim;
mod evidence;
mod identity;
mod refusal;
mod root;
pub(in crate::trust) mod timestamp;
mod tuf;

pub use claim::Claim;
pub use identity::{Identity, Match};
pub use root::{Instance, SigstoreRoot};
pub use tuf::{Fetched, Repository, Settings, Source, fetch};

use std::sync::Arc;

use crate::error::{Error, Reason, Result};
use crate::trust::signed::Signed;
use crate::trust::{SignerIdentity, Witness};

/// Whose keyless signatures are recognised, under which instance.
#[derive(Debug, Clone)]
pub struct Keyless {
    /// The instance whose certificates, logs and timestamps count.
    pub root: Arc<SigstoreRoot>,
    /// Who.
    pub identity: Identity,
}

/// Recognises a signature by `keyless`, called `name`.
pub(super) fn recognise(
    name: &str,
    keyless: &Keyless,
    signed: &Signed<'_>,
) -> Result<(SignerIdentity, Vec<Witness>)> {
    let Some(certificate) = signed.material.signing_certificate() else {
        let message = "it was signed with a key, and not by a trusted identity";
        return Err(Error::new(Reason::UntrustedSigner, message));
    };
    let verified = keyless.root.verify_certificate(signed)?;
    let holder = certificate::Holder::read(&certificate.raw_bytes, &verified)?;
    keyless.identity.admit(&holder)?;
    let witnesses = keyless.root.witnesses(signed)?;
    let signer = SignerIdentity::Keyless {
        name: name.to_owned(),
        identity: holder.identity,
        issuer: holder.issuer,
        claims: holder.claims,
    };
    Ok((signer, witnesses))
}
