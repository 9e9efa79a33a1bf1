//! Origins: scheme, host and port, to which secrets are bound, and how far away an address is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::error::{Error, Reason, Result};

/// Scheme, host and port of a URL: what a secret is bound to
/// ([RFC 6454 §4](https://www.rfc-editor.org/rfc/rfc6454#section-4)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The two schemes that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// How far away an address is, the farthest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A neighbour on the link, a group, or no address at all: cloud metadata services live here.
    Special,
    /// This machine.
    Loopback,
    /// This site's own network.
    Private,
    /// Everywhere else.
    Global,
}

impl Reach {
    /// Returns how far away `address` is.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => reach_v4(address),
            IpAddr::V6(address) => reach_v6(address),
        }
    }

    /// Whether a registry this far away may lead us to a place that is `target` far. One on the
    /// internet must not make us knock at doors of this machine, this site or a cloud's metadata
    /// service; one that is itself inside may name its neighbours.
    pub(super) fn may_lead_to(self, target: Self) -> bool {
        match target {
            Self::Global => true,
            Self::Special => false,
            Self::Loopback => self == Self::Loopback,
            Self::Private => matches!(self, Self::Loopback | Self::Private),
        }
    }
}

impl Origin {
    /// Returns the origin of `url`, which must be http or https and carry no user name.
    pub(super) fn of(url: &Url) -> Result<Self> {
        let refuse = |why: &str| Err(Error::new(Reason::RegistryProtocol, why.to_owned()));
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => return refuse(&format!("a registry cannot lead to a `{other}:` URL")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("a registry cannot lead to a URL with a user name in it");
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refuse("a registry cannot lead to a URL without a host");
        };
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Returns the host's name or address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the scheme.
    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the host is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.reach() == Reach::Loopback
    }

    /// Returns the address, if the host is not a name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.parse().ok()
    }

    /// Returns how far away the host is, as far as its spelling tells; a name is taken to be
    /// anywhere.
    pub(super) fn reach(&self) -> Reach {
        match self.address() {
            Some(address) => Reach::of(address),
            // RFC 6761 §6.3: every name under `localhost` is this machine.
            None => match self.host.trim_end_matches('.').rsplit('.').next() {
                Some("localhost") => Reach::Loopback,
                _ => Reach::Global,
            },
        }
    }

    /// Whether this origin, a registry the user named, may lead us to `target`, as far as their
    /// spelling tells; what a name points to is judged when it is looked up (`names`).
    pub(super) fn may_lead_to(&self, target: &Self) -> bool {
        self.host == target.host || self.reach().may_lead_to(target.reach())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = match self.scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        write!(f, "{scheme}://{}", self.host)?;
        match self.port {
            port if port == default => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, ..] = address.octets();
    match (a, b) {
        (127, _) => Reach::Loopback,
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Reach::Private,
        // "This network", link-local, protocol assignments, and everything from multicast on.
        (0, _) | (169, 254) | (192, 0) | (224.., _) => Reach::Special,
        _ => Reach::Global,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address.is_loopback() {
        return Reach::Loopback;
    }
    if let Some(inner) = embedded_v4(address) {
        return reach_v4(inner);
    }
    match address.segments()[0] {
        0xfc00..=0xfdff => Reach::Private,
        0 | 0xfe80..=0xfeff | 0xff00.. => Reach::Special,
        _ => Reach::Global,
    }
}

/// Returns the IPv4 address that an IPv6 address stands for: mapped (RFC 4291 §2.5.5.2), behind
/// NAT64 (RFC 6052 §2.1) or 6to4 (RFC 3056 §2).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn equal_origins_are_equal_however_they_are_spelled() {
        for (one, other) in [
            ("https://a.example/x", "https://a.example:443/y?z"),
            ("http://a.example", "http://A.EXAMPLE:80/"),
            ("https://[::1]:5000", "https://[0:0:0:0:0:0:0:1]:5000"),
            ("http://127.0.0.1:5000", "http://2130706433:5000"),
        ] {
            assert_eq!(origin(one), origin(other), "{one} {other}");
        }
    }

    #[test]
    fn other_scheme_host_or_port_is_another_origin() {
        for other in [
            "http://a.example",
            "https://a.example:444",
            "https://b.example",
            "https://a.example.",
            "https://x.a.example",
        ] {
            assert_ne!(origin("https://a.example"), origin(other), "{other}");
        }
    }

    #[test]
    fn refuses_urls_that_a_registry_cannot_mean() {
        for bad in [
            "file:///etc/passwd",
            "ftp://a.example/",
            "https://user@a.example/",
            "https://:pw@a.example/",
            "data:text/plain,x",
        ] {
            let error = Origin::of(&bad.parse().unwrap()).expect_err(bad);
            assert_eq!(error.reason(), Reason::RegistryProtocol, "{bad}");
        }
    }

    #[test]
    fn knows_every_spelling_of_the_places_inside() {
        for (host, reach) in [
            ("127.0.0.1", Reach::Loopback),
            ("127.1", Reach::Loopback),
            ("0x7f.0.0.1", Reach::Loopback),
            ("2130706433", Reach::Loopback),
            ("0177.0.0.1", Reach::Loopback),
            ("[::1]", Reach::Loopback),
            ("[::ffff:127.0.0.1]", Reach::Loopback),
            ("localhost", Reach::Loopback),
            ("LOCALHOST.", Reach::Loopback),
            ("a.localhost", Reach::Loopback),
            ("169.254.169.254", Reach::Special),
            ("2852039166", Reach::Special),
            ("[::ffff:a9fe:a9fe]", Reach::Special),
            ("[64:ff9b::a9fe:a9fe]", Reach::Special),
            ("[2002:a9fe:a9fe::]", Reach::Special),
            ("[fe80::1]", Reach::Special),
            ("[::]", Reach::Special),
            ("0.0.0.0", Reach::Special),
            ("0", Reach::Special),
            ("192.0.0.192", Reach::Special),
            ("255.255.255.255", Reach::Special),
            ("[::127.0.0.1]", Reach::Special),
            ("[ff02::1]", Reach::Special),
            ("10.1.2.3", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("192.168.0.1", Reach::Private),
            ("100.100.100.200", Reach::Private),
            ("[fd00:ec2::254]", Reach::Private),
            ("172.32.0.1", Reach::Global),
            ("8.8.8.8", Reach::Global),
            ("[2606:4700::1111]", Reach::Global),
            ("localhost.example", Reach::Global),
        ] {
            assert_eq!(origin(&format!("https://{host}")).reach(), reach, "{host}");
        }
    }

    #[test]
    fn only_an_inner_registry_may_lead_inside() {
        for (registry, target, may) in [
            ("https://reg.example", "https://cdn.example", true),
            ("https://reg.example", "https://reg.example:8443", true),
            ("https://reg.example", "https://10.0.0.7", false),
            ("https://reg.example", "https://127.0.0.1", false),
            ("https://reg.example", "https://localhost", false),
            ("https://reg.example", "https://169.254.169.254", false),
            ("https://10.0.0.5", "https://10.0.0.7:9000", true),
            ("https://10.0.0.5", "https://127.0.0.1", false),
            ("https://10.0.0.5", "https://169.254.169.254", false),
            ("http://127.0.0.1:5000", "http://localhost:5001", true),
            ("http://127.0.0.1:5000", "http://169.254.169.254", false),
        ] {
            let allowed = origin(registry).may_lead_to(&origin(target));
            assert_eq!(allowed, may, "{registry} -> {target}");
        }
    }
}
