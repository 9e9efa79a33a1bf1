//! What went wrong below HTTP, in words: no connection, no TLS, no answer.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::names::Inside;
use super::origin::{Origin, Scheme};
use crate::error::{Error, Reason};

const HINT_CA: &str = "if the registry's CA is your own, name its certificate with `--ca-file`";
const HINT_INSIDE: &str = "a registry on the internet must not reach into this network; if the host is \
                           meant to be here (a private endpoint), say so with `--private-host HOST`";
const HINT_PLAIN: &str = "if the registry speaks plain http, say so with `--plain-http`";

/// Returns what an error of the HTTP library, in talking with `peer`, means. Its URL is left out:
/// the query of a redirect's target may be as good as a password.
pub(super) fn failed(error: reqwest::Error, peer: &Origin) -> Error {
    if let Some(error) = find::<TlsError>(&error) {
        return tls(error, peer);
    }
    if find::<Inside>(&error).is_some() {
        let message = format!("{peer}, where the registry leads, is refused: {Inside}");
        return Error::new(Reason::RegistryProtocol, message).hint(HINT_INSIDE);
    }
    if error.is_timeout() {
        return Error::new(Reason::TimedOut, format!("{peer} does not answer"));
    }
    let root = root_cause(&error);
    // What a TLS server says to plain http, and the other way round, is not HTTP.
    if root.starts_with("invalid HTTP") {
        let wrong = Error::new(Reason::Tls, format!("{peer} does not speak plain http"));
        return match peer.scheme() {
            Scheme::Http => wrong.hint("if it speaks TLS, name its CA with `--ca-file`"),
            Scheme::Https => Error::new(
                Reason::RegistryProtocol,
                format!("{peer} does not speak HTTP"),
            ),
        };
    }
    if root == "tls handshake eof" {
        let message = format!("{peer} ends the connection instead of speaking TLS");
        return Error::new(Reason::Tls, message).hint(HINT_PLAIN);
    }
    let message = match error.is_connect() {
        true => format!("cannot connect to {peer}"),
        false => format!("the connection to {peer} broke"),
    };
    Error::new(Reason::Connection, message).because(root)
}

/// Returns what a failure of TLS means.
fn tls(error: &TlsError, peer: &Origin) -> Error {
    let (what, hint) = match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ("its certificate is from an unknown CA", HINT_CA)
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "its certificate is for another name",
            "use the name that the certificate is for",
        ),
        TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => (
            "its certificate has expired",
            "the registry's operator must renew it; check this machine's clock too",
        ),
        TlsError::InvalidCertificate(_) => ("its certificate is not valid", HINT_CA),
        TlsError::InvalidMessage(_) => ("it does not speak TLS", HINT_PLAIN),
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::UnknownCA,
        ) => (
            "it wants another client certificate",
            "give one with `--cert-file` and `--key-file`",
        ),
        _ => ("TLS failed", "the registry must speak TLS 1.2 or 1.3"),
    };
    Error::new(Reason::Tls, format!("cannot trust {peer}: {what}"))
        .hint(hint)
        .because(error.to_string())
}

/// Returns what a failure to set up the HTTP library means.
pub(super) fn unusable(error: reqwest::Error) -> Error {
    let root = root_cause(&error);
    if root.contains("No CA certificates were loaded") {
        return Error::new(Reason::Tls, "this machine has no CA certificates")
            .hint("install them (`ca-certificates`), or name one with `--ca-file`");
    }
    let message = "the CA or client certificate cannot be used";
    Error::new(Reason::TlsSettingsInvalid, message).because(root)
}

/// Returns the innermost error's text: the layers above it only say where it passed.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// Returns the first `T` among `error` and its causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An `io::Error` passes over what it wraps when asked for its source.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_tls_error_inside_an_io_error() {
        let inner = io::Error::other(TlsError::DecryptError);
        let outer = io::Error::other(inner);
        assert_eq!(find::<TlsError>(&outer), Some(&TlsError::DecryptError));
        assert_eq!(find::<TlsError>(&io::Error::other("x")), None);
    }
}
