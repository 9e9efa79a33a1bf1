//! The subject's alternative names, as texts that cannot be taken for one another.
//!
//! A policy compares identities without asking of which kind they are. So none may look like one of
//! another kind: an issuer that may name hosts only must not name the "host" `ceo@acme.example`.

use std::net::IpAddr;

use x509_cert::ext::pkix::name::GeneralName;

use crate::error::{Error, Reason, Result};

/// Returns those names that are texts or IP addresses; other kinds identify nobody here.
pub(super) fn read(names: &[GeneralName]) -> Result<Vec<String>> {
    let mut identities = Vec::new();
    for name in names {
        let (text, is_proper) = match name {
            GeneralName::Rfc822Name(text) => (text.as_str().to_owned(), is_address(text.as_str())),
            GeneralName::DnsName(text) => (text.as_str().to_owned(), is_host(text.as_str())),
            GeneralName::UniformResourceIdentifier(text) => {
                (text.as_str().to_owned(), is_uri(text.as_str()))
            }
            GeneralName::IpAddress(bytes) => match ip_address(bytes.as_bytes()) {
                Some(address) => (address.to_string(), true),
                None => ("an IP address".to_owned(), false),
            },
            _ => continue,
        };
        if !is_proper {
            let message = format!("the certificate's alternative name {text:?} is malformed");
            return Err(Error::new(Reason::CertificateInvalid, message));
        }
        identities.push(text);
    }
    Ok(identities)
}

/// Whether `text` is a mailbox ([RFC 5280, section 4.2.1.6]) without quotes, which nobody uses.
///
/// [RFC 5280, section 4.2.1.6]: https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6
fn is_address(text: &str) -> bool {
    let is_atom = |c: char| c.is_ascii_graphic() && !"\"(),:;<>@[\\]/".contains(c);
    // The name of a build machine's account may have slashes before the `@`.
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && local.chars().all(|c| is_atom(c) || c == '/') && is_host(host)
    })
}

/// Whether `text` is a host's name, perhaps with a wildcard.
fn is_host(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
    !text.is_empty() && text.chars().all(is_letter) && text.parse::<IpAddr>().is_err()
}

/// Whether `text` is a URI: a scheme, a colon and more, without spaces.
fn is_uri(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.chars().all(|c| c.is_ascii_graphic())
        && text.parse::<IpAddr>().is_err()
        && text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(is_letter)
                && !rest.is_empty()
        })
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_of_two_kinds() {
        let names = [
            "release@acme.example",
            "svc/build@acme.example",
            "acme.example",
            "*.acme.example",
            "https://ci.example/acme?a@b",
            "spiffe://acme.example/release",
            "urn:uuid:f81d4fae",
            "127.0.0.1",
            "2001:db8::1",
            "cafe::1",
        ];
        for name in names {
            let kinds = [
                is_address(name),
                is_host(name),
                is_uri(name),
                name.parse::<IpAddr>().is_ok(),
            ];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{name}");
        }
        for name in [
            "", "a b", "a\0b", "@", "a@", "@b", "a@b@c", "a:b@c d", "é@b", ":x", "1:x",
        ] {
            assert!(
                !is_address(name) && !is_host(name) && !is_uri(name),
                "{name:?}"
            );
        }
    }
}
