//! Names that point inside: a registry on the internet cannot make us go there.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use modelctl::blob::InMemory;
use modelctl::error::{Error, Reason, Result};
use modelctl::progress::Silent;
use modelctl::registry::{Names, Repository, Settings, Transport};
use modelctl::store::Store;

use crate::scripted::{Registry, Seen, with};
use crate::{content, known, repository, settings};

/// Where `reg.test` and `cdn.test` are said to be.
struct Said {
    registry: &'static [&'static str],
    elsewhere: &'static str,
}

#[async_trait]
impl Names for Said {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = match name {
            "reg.test" => self.registry,
            "cdn.test" => &[self.elsewhere],
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(addresses.iter().map(|text| text.parse().unwrap()).collect())
    }
}

/// On this machine so that it can be connected to, and on the internet for all that it says.
const OUTSIDE: &[&str] = &["127.0.0.1", "203.0.113.1"];
const INSIDE: &[&str] = &["127.0.0.1"];

/// Returns the repository `m` of `reg.test` at the port of `registry`.
fn named(registry: &Registry, names: Said, settings: Settings) -> Repository {
    let port = registry.host().split_once(':').unwrap().1.to_owned();
    let settings = Settings {
        transport: Transport::Plain,
        names: Arc::new(names),
        ..settings
    };
    repository(&format!("reg.test:{port}"), settings)
}

fn port(registry: &Registry) -> String {
    registry.host().split_once(':').unwrap().1.to_owned()
}

/// Starts a registry that sends whoever wants a blob to `cdn.test`.
async fn leading_to(elsewhere: &Registry) -> Registry {
    let port = port(elsewhere);
    Registry::start(move |seen, _| {
        let location = format!("http://cdn.test:{port}{}", seen.path);
        let headers = [("location", location.as_str())];
        seen.is("GET", "/blobs/").then(|| with(307, &headers, ""))
    })
    .await
}

async fn fetched(store: &Repository) -> Result<bytes::Bytes> {
    let (_, declared) = content(10);
    store.blob(&declared).await?.into_bytes(100).await
}

#[tokio::test]
async fn a_redirect_to_a_name_that_points_inside_is_not_followed() {
    let (bytes, declared) = content(10);
    let elsewhere = Registry::honest().await;
    let path = format!("m/blobs/{}", declared.digest);
    elsewhere.shelf().put(&path, "x", bytes.clone());
    let registry = leading_to(&elsewhere).await;
    for inside in [
        "127.0.0.1",
        "::1",
        "10.0.0.7",
        "192.168.1.1",
        "169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
        "::",
    ] {
        let names = Said {
            registry: OUTSIDE,
            elsewhere: inside,
        };
        let error = fetched(&named(&registry, names, known()))
            .await
            .unwrap_err();
        assert_eq!(
            error.reason(),
            Reason::RegistryProtocol,
            "{inside}: {error}"
        );
        assert!(error.message().contains("cdn.test"), "{error}");
        assert!(
            error.advice().unwrap().contains("--private-host"),
            "{error:?}"
        );
    }
    assert!(elsewhere.seen().is_empty());

    // The twins: a registry that is inside itself, and a host that the user named.
    let inner = Said {
        registry: INSIDE,
        elsewhere: "127.0.0.1",
    };
    assert_eq!(
        fetched(&named(&registry, inner, known())).await.unwrap(),
        bytes
    );
    let outer = Said {
        registry: OUTSIDE,
        elsewhere: "127.0.0.1",
    };
    let allowing = Settings {
        private_hosts: vec!["cdn.test".to_owned()],
        ..known()
    };
    assert_eq!(
        fetched(&named(&registry, outer, allowing)).await.unwrap(),
        bytes
    );
    assert_eq!(elsewhere.seen().len(), 2);
}

#[tokio::test]
async fn not_even_a_registry_inside_leads_to_a_metadata_service() {
    let elsewhere = Registry::honest().await;
    let registry = leading_to(&elsewhere).await;
    let names = Said {
        registry: INSIDE,
        elsewhere: "169.254.169.254",
    };
    let refused: Result<_, Error> = fetched(&named(&registry, names, settings())).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::RegistryProtocol);
}

#[tokio::test]
async fn uploads_and_token_servers_do_not_go_inside_either() {
    let elsewhere = Registry::honest().await;
    let port = port(&elsewhere);
    let registry = Registry::start(move |seen: &Seen, _| {
        let location = format!("https://cdn.test:{port}/v2/m/blobs/uploads/1");
        let challenge = format!("Bearer realm=\"https://cdn.test:{port}/token\"");
        match seen.method.as_str() {
            "POST" => Some(with(202, &[("location", location.as_str())], "")),
            _ => Some(with(401, &[("www-authenticate", challenge.as_str())], "")),
        }
    })
    .await;
    let names = || Said {
        registry: OUTSIDE,
        elsewhere: "127.0.0.1",
    };
    let store = named(&registry, names(), known());
    let (bytes, declared) = content(10);
    let put = store.put_blob(&declared, &InMemory(bytes), &Silent).await;
    assert_eq!(put.unwrap_err().reason(), Reason::RegistryProtocol);
    let listed = store.tags().await;
    assert_eq!(listed.unwrap_err().reason(), Reason::RegistryProtocol);
    assert!(elsewhere.seen().is_empty());
}
