//! Names of hosts become addresses here and nowhere else, so that what is checked is what is
//! connected to.
//!
//! A URL that a registry leads to is judged by its spelling first (`origin`). A name says nothing,
//! and whoever owns one may let it point anywhere, so its addresses are judged too: a registry on
//! the internet must not make us knock at doors of this machine, this site or a cloud's metadata
//! service.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::origin::{Origin, Reach};

/// How names become addresses.
#[async_trait]
pub trait Names: Send + Sync {
    /// Returns the addresses of `name`, the one to try first first.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names that this machine knows, by its own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = name.to_owned();
        let found = tokio::task::spawn_blocking(move || (name.as_str(), 0).to_socket_addrs());
        let found = found.await.map_err(io::Error::other)??;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// How far away the hosts of each name turned out to be, at the farthest.
#[derive(Debug, Default)]
pub(super) struct Distances(Mutex<HashMap<String, Reach>>);

impl Distances {
    /// Returns how far away `registry` is. One whose name was never looked up here (a proxy does
    /// that) is taken to be anywhere.
    pub(super) fn of(&self, registry: &Origin) -> Reach {
        let known = self.0.lock().ok();
        let known = known.and_then(|known| known.get(registry.host()).copied());
        known.unwrap_or_else(|| registry.reach())
    }

    fn note(&self, name: &str, addresses: &[IpAddr]) {
        let farthest = addresses.iter().map(|address| Reach::of(*address)).max();
        if let (Some(farthest), Ok(mut known)) = (farthest, self.0.lock()) {
            let before = known.entry(name.to_owned()).or_insert(farthest);
            *before = farthest.max(*before);
        }
    }
}

/// Looks names up for one kind of connections.
#[derive(Clone)]
pub(super) struct Resolver {
    names: Arc<dyn Names>,
    distances: Arc<Distances>,
    /// How far away the registries are that lead to `watched` names.
    led_by: Option<Reach>,
    /// The names that registries led to. All others are the user's own, as those of proxies.
    watched: Arc<Mutex<HashSet<String>>>,
}

impl Resolver {
    /// Returns a resolver for places that the user named (`led_by` is `None`), or that a registry
    /// did which is that far away.
    pub(super) fn new(
        names: Arc<dyn Names>,
        distances: Arc<Distances>,
        led_by: Option<Reach>,
    ) -> Self {
        Self {
            names,
            distances,
            led_by,
            watched: Arc::default(),
        }
    }

    /// Judges the addresses of `name` from now on.
    pub(super) fn watch(&self, name: &str) {
        if let Ok(mut watched) = self.watched.lock()
            && self.led_by.is_some()
            && !watched.contains(name)
        {
            watched.insert(name.to_owned());
        }
    }

    /// Returns those of a name's addresses that may be connected to.
    fn judge(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Inside> {
        let Some(registry) = self.led_by.filter(|_| self.is_watched(name)) else {
            self.distances.note(name, &addresses);
            return Ok(addresses);
        };
        let may = |address: &IpAddr| registry.may_lead_to(Reach::of(*address));
        let allowed: Vec<_> = addresses.iter().copied().filter(may).collect();
        match addresses.is_empty() || !allowed.is_empty() {
            true => Ok(allowed),
            false => Err(Inside),
        }
    }

    fn is_watched(&self, name: &str) -> bool {
        // If that cannot be told, the name is watched: the stricter way.
        let watched = self.watched.lock();
        watched.map_or(true, |watched| watched.contains(name))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let name = name.as_str().to_ascii_lowercase();
            let addresses = this.names.addresses(&name).await?;
            let allowed = this.judge(&name, addresses)?;
            let places = allowed.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(places) as Addrs)
        })
    }
}

/// A registry led to a name that points to a place inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside;

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its name points into a private network")
    }
}

impl std::error::Error for Inside {}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn resolver(led_by: Option<Reach>) -> Resolver {
        Resolver::new(Arc::new(SystemNames), Arc::default(), led_by)
    }

    #[test]
    fn a_name_is_judged_by_its_addresses() {
        let metadata = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
        ];
        for (registry, inside, may) in [
            (Reach::Global, "127.0.0.1", false),
            (Reach::Global, "::1", false),
            (Reach::Global, "10.0.0.7", false),
            (Reach::Global, "fd00:ec2::254", false),
            (Reach::Global, "8.8.8.8", true),
            (Reach::Private, "10.0.0.7", true),
            (Reach::Private, "127.0.0.1", false),
            (Reach::Loopback, "127.0.0.1", true),
        ] {
            let resolver = resolver(Some(registry));
            resolver.watch("cdn.example");
            let judged = resolver.judge("cdn.example", addresses(&[inside]));
            assert_eq!(judged.is_ok(), may, "{registry:?} {inside}");
            for place in metadata {
                let judged = resolver.judge("cdn.example", addresses(&[place]));
                assert_eq!(judged, Err(Inside), "{registry:?} {place}");
            }
        }
    }

    #[test]
    fn of_several_addresses_only_those_outside_are_connected_to() {
        let resolver = resolver(Some(Reach::Global));
        resolver.watch("cdn.example");
        let both = addresses(&["10.0.0.7", "8.8.8.8", "::1"]);
        let judged = resolver.judge("cdn.example", both);
        assert_eq!(judged, Ok(addresses(&["8.8.8.8"])));
    }

    #[test]
    fn what_the_user_named_may_be_anywhere() {
        let inside = || addresses(&["10.0.0.7"]);
        let named = resolver(None);
        named.watch("registry.corp");
        assert_eq!(named.judge("registry.corp", inside()), Ok(inside()));
        // A proxy's name comes by the same way as those that a registry led to.
        let led = resolver(Some(Reach::Global));
        led.watch("cdn.example");
        assert_eq!(led.judge("proxy.corp", inside()), Ok(inside()));
        assert_eq!(led.judge("cdn.example", inside()), Err(Inside));
    }

    #[test]
    fn a_registry_is_as_far_away_as_its_farthest_address() {
        let resolver = resolver(None);
        let of = |url: &str| {
            let origin = Origin::of(&url.parse().unwrap()).unwrap();
            resolver.distances.of(&origin)
        };
        assert_eq!(of("https://reg.example"), Reach::Global);
        for (found, reach) in [
            (&["127.0.0.1"][..], Reach::Loopback),
            (&["10.0.0.1"], Reach::Private),
            (&["127.0.0.1"], Reach::Private),
            (&["127.0.0.1", "8.8.8.8"], Reach::Global),
            (&["10.0.0.1"], Reach::Global),
        ] {
            resolver.judge("reg.example", addresses(found)).unwrap();
            assert_eq!(of("https://reg.example"), reach, "{found:?}");
        }
        assert_eq!(of("https://10.0.0.1"), Reach::Private);
        assert_eq!(of("https://localhost"), Reach::Loopback);
    }
}
