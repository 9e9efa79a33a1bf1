//! Trust in certificates of one's own authorities.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use modelctl::certificate::{Certificate, DistinguishedName, RevocationList};
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::trust::Authority;
use modelctl::trust::pki::{Pki, Signers, TimestampAuthority};

use super::super::certificates::{all, one};
use super::super::parse;
use super::super::stores::read;
use super::IdentityArgs;

/// The names of files that a directory of trusted certificates holds.
const EXTENSIONS: [&str; 4] = ["pem", "crt", "cer", "cert"];

/// Whose certificates are trusted.
#[derive(Args, Clone)]
#[command(next_help_heading = "Trust in certificates")]
pub(in super::super) struct PkiArgs {
    /// Trust certificates under these authorities: a PEM file, or a directory of them
    /// (repeatable). Takes a name of the signer too, such as `--certificate-identity`.
    #[arg(long, value_name = "FILE|DIR")]
    ca_roots: Vec<PathBuf>,
    /// Authorities between the signers and the roots, in PEM; they are not trusted by themselves
    /// (repeatable).
    #[arg(long, value_name = "FILE", requires = "ca_roots")]
    ca_intermediates: Vec<PathBuf>,
    /// The same in one PEM file: authorities from the signer's issuer up, the root last.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ca_roots", "ca_intermediates"])]
    certificate_chain: Option<PathBuf>,
    /// Trust the holder of exactly this certificate, in PEM; with roots, it must lead to one too.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The signer's distinguished name, as in `CN=release,O=Acme` (RFC 4514; repeatable).
    #[arg(long, value_name = "DN", value_parser = parse::<DistinguishedName>)]
    certificate_subject_dn: Vec<DistinguishedName>,
    /// Believe the timestamps (RFC 3161) of the authority with this chain, in PEM: a certificate
    /// that was valid then is good, though it has expired (repeatable).
    #[arg(long, value_name = "FILE")]
    timestamp_certificate_chain: Vec<PathBuf>,
    /// Refuse what this revocation list has, in PEM or DER. There must be a current one of every
    /// authority below the root (repeatable).
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
}

impl PkiArgs {
    /// Whether nothing is said of certificates.
    pub(super) fn is_empty(&self) -> bool {
        !self.names_authority() && !self.says_more()
    }

    /// Whether it is said who issues certificates that are trusted, or which one is.
    pub(super) fn names_authority(&self) -> bool {
        self.name().is_some()
    }

    /// Returns those of `names` whom the certificates' authority vouched for.
    pub(super) fn authority(&self, names: &IdentityArgs, now: Timestamp) -> Result<Authority> {
        let name = self.name().ok_or_else(Self::without_root)?;
        let leaf = self.certificate.as_deref().map(one).transpose()?;
        let (roots, intermediates) = self.authorities()?;
        let pki = match leaf {
            Some(leaf) if roots.is_empty() => self.pinned(leaf, names, now)?,
            leaf => Pki::with_roots(roots, self.signers(leaf.as_ref(), names)?, now)?,
        };
        let pki = pki
            .and_intermediates(intermediates)
            .and_timestamping(timestamping(&self.timestamp_certificate_chain)?)
            .and_revocations(revocations(&self.crl)?);
        Ok(Authority::pki(name.display().to_string(), pki))
    }

    /// Returns what the user calls the authority.
    fn name(&self) -> Option<&Path> {
        let roots = self.ca_roots.first().or(self.certificate_chain.as_ref());
        roots.or(self.certificate.as_ref()).map(PathBuf::as_path)
    }

    /// Whether there is anything that means something only under a root.
    fn says_more(&self) -> bool {
        !self.certificate_subject_dn.is_empty()
            || !self.crl.is_empty()
            || !self.timestamp_certificate_chain.is_empty()
    }

    pub(super) fn without_root() -> Error {
        let message = "certificates are described, but nobody is trusted to have issued them";
        Error::new(Reason::NothingToVerifyAgainst, message)
            .hint("name the authority: `--ca-roots root.pem`")
    }

    fn pinned(&self, leaf: Certificate, names: &IdentityArgs, now: Timestamp) -> Result<Pki> {
        let says_who = !names.is_empty() || !self.certificate_subject_dn.is_empty();
        if says_who || !self.crl.is_empty() {
            let message = "`--certificate` alone trusts that certificate, whatever it says";
            return Err(Error::new(Reason::Usage, message)
                .hint("name its authority too: `--ca-roots root.pem`"));
        }
        Ok(Pki::pinned(leaf, now))
    }

    /// Returns the roots, and the authorities below them.
    fn authorities(&self) -> Result<(Vec<Certificate>, Vec<Certificate>)> {
        if let Some(file) = &self.certificate_chain {
            let mut chain = all(file)?;
            let root = chain.pop();
            return Ok((root.into_iter().collect(), chain));
        }
        Ok((
            concat(&self.ca_roots, trusted)?,
            concat(&self.ca_intermediates, all)?,
        ))
    }

    fn signers(&self, leaf: Option<&Certificate>, names: &IdentityArgs) -> Result<Signers> {
        Ok(Signers {
            identities: names.matches()?,
            subjects: self.certificate_subject_dn.clone(),
            certificates: leaf.map(Certificate::fingerprint).into_iter().collect(),
        })
    }
}

/// Reads the chains of authorities whose timestamps are believed, one in each file.
pub(in super::super) fn timestamping(files: &[PathBuf]) -> Result<Vec<TimestampAuthority>> {
    let authority = |file: &PathBuf| {
        TimestampAuthority::from_chain(all(file)?)
            .map_err(|error| error.at(format_args!("`{}`", file.display())))
    };
    files.iter().map(authority).collect()
}

/// Reads lists of revoked certificates.
pub(in super::super) fn revocations(files: &[PathBuf]) -> Result<Vec<RevocationList>> {
    concat(files, |file| {
        let bytes = read(file, limits::REVOCATION_LIST)?;
        RevocationList::all_from_file(&bytes, &file.display().to_string())
    })
}

pub(in super::super) fn concat<T>(
    files: &[PathBuf],
    read: impl Fn(&Path) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file)?);
    }
    Ok(all)
}

/// Reads a file of certificates, or those of a directory in which an organisation keeps whom it
/// trusts.
pub(in super::super) fn trusted(path: &Path) -> Result<Vec<Certificate>> {
    if !path.is_dir() {
        return all(path);
    }
    let unreadable = |error| Error::io("read", path, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            files.push(file);
        }
    }
    if files.is_empty() {
        let message = format!("`{}` holds no certificate", path.display());
        return Err(Error::new(Reason::CertificateFileInvalid, message)
            .hint("the files' names end in `.pem`, `.crt`, `.cer` or `.cert`"));
    }
    files.sort();
    concat(&files, all)
}
