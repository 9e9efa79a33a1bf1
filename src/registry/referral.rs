//! Where a registry may send us: redirects, upload sessions and token realms.
//!
//! A registry is believed about the place of content, because content is checked. It is not
//! believed about who may see a secret: that is decided here, from the origin that the user named.

use reqwest::Url;

use super::origin::{Origin, Scheme};
use crate::error::{Error, Reason, Result};

/// Returns where a redirect, answered to a request for `from`, leads.
pub(super) fn redirect(registry: &Origin, from: &Url, location: &str) -> Result<Url> {
    let (url, target) = resolve(registry, from, location, "redirects")?;
    if Origin::of(from)?.scheme() == Scheme::Https && target.scheme() == Scheme::Http {
        return Err(refused(
            registry,
            "redirects",
            &target,
            "from https to http",
        ));
    }
    Ok(url)
}

/// Returns where an upload goes on, as answered to a request for `from`. Another origin is taken
/// only over TLS; it will see the content, and no credentials.
pub(super) fn upload(registry: &Origin, from: &Url, location: &str) -> Result<Url> {
    let (url, target) = resolve(registry, from, location, "sends the upload")?;
    if target != *registry && target.scheme() == Scheme::Http {
        let error = refused(registry, "sends the upload", &target, "over plain http");
        return Err(error.hint(
            "if this is a proxy in front of the registry, let it forward the scheme and host \
             that clients use",
        ));
    }
    Ok(url)
}

fn resolve(registry: &Origin, from: &Url, location: &str, verb: &str) -> Result<(Url, Origin)> {
    let url = from.join(location).map_err(|error| {
        let message = format!("{registry} {verb} to something that is not a URL");
        Error::new(Reason::RegistryProtocol, message).because(error)
    })?;
    let target = Origin::of(&url).map_err(|error| error.at(registry))?;
    if !registry.may_lead_to(&target) {
        return Err(refused(registry, verb, &target, "into a private network"));
    }
    Ok((url, target))
}

fn refused(registry: &Origin, verb: &str, target: &Origin, how: &str) -> Error {
    Error::new(
        Reason::RegistryProtocol,
        format!("{registry} {verb} to {target}, {how}; this is refused"),
    )
}

/// A token server that a registry named, and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Realm {
    /// Credentials for the registry may be sent there.
    Trusted(Url),
    /// It may be asked, but only anonymously.
    Stranger(Url),
}

/// Reads a `realm`. Credentials go only to the registry's own host or domain, or to one of
/// `listed` hosts, and only over TLS, unless the registry itself is on plain http, where the user
/// chose that.
pub(super) fn realm(registry: &Origin, realm: &str, listed: &[String]) -> Result<Realm> {
    let refuse = |why: String| {
        let message = format!("{registry} names a token server {why}");
        Err(Error::new(Reason::CredentialsWithheld, message)
            .hint("no credentials were sent; the registry, or somebody in between, is at fault"))
    };
    let Ok(url) = realm.parse::<Url>() else {
        return refuse("that is not a URL".to_owned());
    };
    let target = match Origin::of(&url) {
        Ok(target) => target,
        Err(error) => return refuse(format!("that is refused: {}", error.message())),
    };
    if !registry.may_lead_to(&target) {
        return refuse(format!("in a private network: {target}"));
    }
    let local = registry.is_loopback() && target.is_loopback();
    let same = registry.host() == target.host();
    if target.scheme() == Scheme::Http {
        return match registry.scheme() {
            Scheme::Http if same || local => Ok(Realm::Trusted(url)),
            _ => refuse(format!("that does not use TLS: {target}")),
        };
    }
    let trusted = same
        || (local && registry.scheme() == Scheme::Http)
        || same_domain(registry, &target)
        || listed.iter().any(|host| host == target.host());
    Ok(match trusted {
        true => Realm::Trusted(url),
        false => Realm::Stranger(url),
    })
}

/// Whether `realm` is under the domain of `registry`, as `auth.docker.io` is for
/// `registry-1.docker.io`, `gitlab.com` for `registry.gitlab.com`.
fn same_domain(registry: &Origin, realm: &Origin) -> bool {
    if registry.address().is_some() || realm.address().is_some() {
        return false;
    }
    let under = |domain: &str| match realm.host().strip_suffix(domain) {
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    };
    let parent = registry.host().split_once('.').map(|(_, parent)| parent);
    under(registry.host()) || parent.is_some_and(|parent| is_owned(parent) && under(parent))
}

/// Whether `domain` can belong to one owner: `example.com` and below, but not `com`, nor what looks
/// like a country's registry such as `co.uk` (a registry at `shop.co.uk` has no say over
/// `evil.co.uk`).
fn is_owned(domain: &str) -> bool {
    let labels: Vec<_> = domain.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [] | [_] => false,
        [second, top] => !(top.len() == 2 && second.len() <= 3),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    const REGISTRY: &str = "https://reg.example.com/v2/m/blobs/x";

    fn redirected(from: &str, location: &str) -> Result<Url> {
        redirect(&origin(from), &from.parse().unwrap(), location)
    }

    #[test]
    fn follows_redirects_that_cannot_harm() {
        for (from, location, to) in [
            (REGISTRY, "/y", "https://reg.example.com/y"),
            (
                REGISTRY,
                "z?a=b",
                "https://reg.example.com/v2/m/blobs/z?a=b",
            ),
            (REGISTRY, "https://cdn.example/y", "https://cdn.example/y"),
            (REGISTRY, "//cdn.example/y", "https://cdn.example/y"),
            (
                "http://127.0.0.1:5000/x",
                "http://localhost:1/y",
                "http://localhost:1/y",
            ),
            (
                "http://127.0.0.1:5000/x",
                "https://cdn.example/",
                "https://cdn.example/",
            ),
        ] {
            assert_eq!(redirected(from, location).unwrap().as_str(), to);
        }
    }

    #[test]
    fn refuses_redirects_that_can() {
        for location in [
            "http://reg.example.com/y",
            "http://cdn.example/y",
            "https://user:pw@cdn.example/y",
            "https://169.254.169.254/latest/meta-data",
            "https://[::ffff:169.254.169.254]/",
            "https://localhost/y",
            "https://10.0.0.1/",
            "file:///etc/passwd",
            "ftp://cdn.example/",
            "javascript:alert(1)",
            "https://",
        ] {
            let error = redirected(REGISTRY, location).expect_err(location);
            assert_eq!(error.reason(), Reason::RegistryProtocol, "{location}");
        }
    }

    #[test]
    fn a_second_redirect_may_not_leave_tls_either() {
        let registry = origin("http://reg.example.com");
        let from = "https://cdn.example/x".parse().unwrap();
        redirect(&registry, &from, "https://b.example/").unwrap();
        assert!(redirect(&registry, &from, "http://b.example/").is_err());
    }

    #[test]
    fn an_upload_leaves_its_origin_only_over_tls() {
        let go = |from: &str, location: &str| {
            upload(&origin(from), &from.parse().unwrap(), location)
                .map(|url| url.to_string())
                .map_err(|error| error.reason())
        };
        let refused = Err(Reason::RegistryProtocol);
        let plain = "http://127.0.0.1:5000/v2/m/blobs/uploads/";
        for (from, location, expected) in [
            (REGISTRY, "/u/1?s=2", Ok("https://reg.example.com/u/1?s=2")),
            (REGISTRY, "https://up.example/1", Ok("https://up.example/1")),
            (plain, "/u/1", Ok("http://127.0.0.1:5000/u/1")),
            (
                plain,
                "http://127.0.0.1:5000/u",
                Ok("http://127.0.0.1:5000/u"),
            ),
            (REGISTRY, "http://reg.example.com/u/1", refused),
            (REGISTRY, "http://up.example/1", refused),
            (REGISTRY, "https://192.168.1.1/1", refused),
            (plain, "http://127.0.0.1:5001/u", refused),
        ] {
            assert_eq!(
                go(from, location),
                expected.map(str::to_owned),
                "{location}"
            );
        }
    }

    #[test]
    fn credentials_go_only_to_the_registrys_own_token_server() {
        let hub = "https://registry-1.docker.io";
        let local = "http://127.0.0.1:5000";
        let listed = ["login.example.net".to_owned()];
        for (registry, url, trusted) in [
            (hub, "https://auth.docker.io/token", true),
            (hub, "https://registry-1.docker.io:8443/token", true),
            (hub, "https://docker.io/token", true),
            (hub, "https://login.example.net/token", true),
            (
                "https://registry.gitlab.com",
                "https://gitlab.com/jwt/auth",
                true,
            ),
            ("https://ghcr.io", "https://ghcr.io/token", true),
            (
                "https://example.com",
                "https://auth.example.com/token",
                true,
            ),
            (
                "https://r.corp.co.uk",
                "https://auth.corp.co.uk/token",
                true,
            ),
            (local, "http://127.0.0.1:5001/token", true),
            (local, "http://localhost:5001/token", true),
            (local, "https://localhost:5001/token", true),
            (
                "http://reg.example.com",
                "http://reg.example.com/token",
                true,
            ),
            (hub, "https://auth.docker.io.evil.example/token", false),
            (hub, "https://evildocker.io/token", false),
            (hub, "https://evil.example/token", false),
            ("https://ghcr.io", "https://auth.io/token", false),
            ("https://shop.co.uk", "https://evil.co.uk/token", false),
            ("https://127.0.0.1", "https://localhost/token", false),
            ("https://8.8.8.8", "https://9.8.8.8/token", false),
        ] {
            let found = realm(&origin(registry), url, &listed).unwrap();
            let expected = match trusted {
                true => Realm::Trusted(url.parse().unwrap()),
                false => Realm::Stranger(url.parse().unwrap()),
            };
            assert_eq!(found, expected, "{registry} {url}");
        }
    }

    #[test]
    fn token_servers_without_tls_or_inside_are_not_asked_at_all() {
        for (registry, url) in [
            ("https://reg.example.com", "http://reg.example.com/token"),
            ("https://reg.example.com", "http://auth.example.com/token"),
            ("https://reg.example.com", "https://169.254.169.254/token"),
            ("https://reg.example.com", "https://localhost/token"),
            ("https://reg.example.com", "https://[::1]/token"),
            ("https://reg.example.com", "https://u@reg.example.com/token"),
            ("https://reg.example.com", "file:///token"),
            ("https://reg.example.com", "/token"),
            ("https://reg.example.com", ""),
            ("https://127.0.0.1", "http://127.0.0.1:1/token"),
            ("http://127.0.0.1:5000", "http://auth.example.com/token"),
            ("http://reg.example.com", "http://auth.example.com/token"),
        ] {
            let error = realm(&origin(registry), url, &[]).expect_err(url);
            assert_eq!(error.reason(), Reason::CredentialsWithheld, "{url}");
        }
    }
}
