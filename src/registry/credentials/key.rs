//! What an entry of a configuration file is for: a host, or a namespace of one.

/// Docker Hub's names: its users say `docker.io`, its registry answers as `registry-1.docker.io`,
/// and its credentials are kept under [`HUB_SERVER`].
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// Returns the name under which the credentials of `host` are written and helpers know them.
pub(super) fn server(host: &str) -> String {
    let host = canonical(host);
    match HUB.contains(&host.as_str()) {
        true => HUB_SERVER.to_owned(),
        false => host,
    }
}

fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match HUB.iter().position(|name| *name == host) {
        Some(_) => HUB[0].to_owned(),
        None => host,
    }
}

/// An entry's key, read: `HOST[:PORT]`, as a URL or not, with or without a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    host: String,
    /// Empty where the entry is for all of the host.
    namespace: String,
}

impl Key {
    /// Reads a key. Docker once wrote `https://HOST/v1/`: there the path is the version of a
    /// protocol, and no namespace.
    pub(super) fn of(text: &str) -> Self {
        let bare = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let namespace = match path.trim_matches('/') {
            "v1" | "v2" => "",
            namespace => namespace,
        };
        Self {
            host: canonical(host),
            namespace: namespace.to_owned(),
        }
    }

    /// Whether this is for all of `host`.
    pub(super) fn is_host(&self, host: &str) -> bool {
        self.namespace.is_empty() && self.host == canonical(host)
    }

    /// Returns how specifically this is for `repository` of `host`, if it is for that or a
    /// namespace above it; an entry for all of the host does not count.
    pub(super) fn covers(&self, host: &str, repository: &str) -> Option<usize> {
        if self.namespace.is_empty() || self.host != canonical(host) {
            return None;
        }
        let rest = repository.strip_prefix(self.namespace.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(self.namespace.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_the_host_it_names_in_whichever_way_it_is_written() {
        for (key, host) in [
            ("host.example", "host.example"),
            ("Host.Example", "host.example"),
            ("host.example:5000", "host.example:5000"),
            ("https://host.example", "host.example"),
            ("https://host.example/", "host.example"),
            ("http://host.example:5000/v2/", "host.example:5000"),
            ("host.example/v1/", "host.example"),
            ("[::1]:5000", "[::1]:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("https://index.docker.io/v1/", "registry-1.docker.io"),
            ("docker.io", "index.docker.io"),
        ] {
            assert!(Key::of(key).is_host(host), "{key} {host}");
        }
        for (key, host) in [
            ("host.example", "host.example:443"),
            ("host.example:5000", "host.example"),
            ("host.example/acme", "host.example"),
            ("https://host.example/acme", "host.example"),
            ("host.example", "a.host.example"),
            ("host.example.org", "host.example"),
            ("", "host.example"),
            ("docker.io", "evil-docker.io"),
        ] {
            assert!(!Key::of(key).is_host(host), "{key} {host}");
        }
    }

    #[test]
    fn a_namespace_covers_what_is_below_it_and_nothing_else() {
        for (key, expected) in [
            ("host.example/acme", Some(4)),
            ("host.example/acme/bert", Some(9)),
            ("https://host.example/acme/", Some(4)),
            ("host.example", None),
            ("host.example/acm", None),
            ("host.example/acme/bert/large", None),
            ("host.example/acme/ber", None),
            ("other.example/acme", None),
        ] {
            let covers = Key::of(key).covers("host.example", "acme/bert");
            assert_eq!(covers, expected, "{key}");
        }
    }

    #[test]
    fn docker_hub_has_a_name_of_its_own_among_servers() {
        for host in HUB {
            assert_eq!(server(host), HUB_SERVER);
        }
        assert_eq!(server("host.example:5000"), "host.example:5000");
    }
}
