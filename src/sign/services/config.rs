//! `signing_config.json`: where to sign
//! ([protobuf-specs, `SigningConfig`](https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_trustroot.proto)).

use std::collections::HashSet;

use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;

use crate::error::{Error, Reason, Result};
use crate::trust::sigstore::Instance;
use crate::{json, limits};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// The first version of any service's API.
pub(super) const VERSION_1: u32 = 1;

/// The versions of Rekor's API that are spoken, the best first.
pub(super) const LOG_VERSIONS: [u32; 2] = [2, 1];

/// Which services a signer uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningConfig {
    media_type: String,
    #[serde(default)]
    ca_urls: Vec<Service>,
    #[serde(default)]
    oidc_urls: Vec<Service>,
    #[serde(default)]
    rekor_tlog_urls: Vec<Service>,
    #[serde(default)]
    rekor_tlog_config: Selection,
    #[serde(default)]
    tsa_urls: Vec<Service>,
    #[serde(default)]
    tsa_config: Selection,
}

/// A service, and when it may be used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Service {
    url: String,
    #[serde(default)]
    major_api_version: u32,
    #[serde(default)]
    valid_for: Option<Window>,
    #[serde(default)]
    operator: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    #[serde(default)]
    start: Option<Timestamp>,
    #[serde(default)]
    end: Option<Timestamp>,
}

/// How many of several services are used.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    #[serde(default)]
    selector: Selector,
    #[serde(default)]
    count: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Selector {
    /// Protobuf leaves out the first value, so that this is what an empty object says.
    #[default]
    ServiceSelectorUndefined,
    All,
    Any,
    Exact,
}

impl Service {
    /// Returns the address as it is written.
    pub(super) fn address(&self) -> &str {
        &self.url
    }

    /// Returns the address.
    pub(super) fn url(&self) -> Result<Url> {
        let invalid = |why: &str| {
            let message = format!("the signing configuration names {:?}, {why}", self.url);
            Error::new(Reason::SigningConfigInvalid, message)
        };
        let url = Url::parse(&self.url).map_err(|_| invalid("which is no address"))?;
        match url.query().is_none() && url.fragment().is_none() && url.has_host() {
            true => Ok(url),
            false => Err(invalid("which is not the address of a service")),
        }
    }

    /// Returns the version of the API that is spoken there.
    pub(super) fn version(&self) -> u32 {
        self.major_api_version
    }

    fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid_for.is_none_or(|window| {
            window.start.is_none_or(|start| start <= now) && window.end.is_none_or(|end| now <= end)
        })
    }

    fn start(&self) -> Option<Timestamp> {
        self.valid_for.and_then(|window| window.start)
    }
}

impl SigningConfig {
    /// Reads a configuration of version 0.2; `what` names it in errors.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let invalid = |why: String| {
            let message = format!("`{what}` {why}");
            Error::new(Reason::SigningConfigInvalid, message)
                .hint("`cosign signing-config create` writes one")
        };
        if bytes.len() as u64 > limits::LOCAL_FILE {
            return Err(invalid("is larger than 1 MiB".to_owned()));
        }
        let config: Self = json::parse(bytes, "the signing configuration")
            .map_err(|error| invalid(format!("cannot be read: {error}")))?;
        if config.media_type != MEDIA_TYPE {
            let found = &config.media_type;
            return Err(invalid(format!(
                "is {found:?}, not a signing configuration of version 0.2"
            )));
        }
        let lists = [
            &config.ca_urls,
            &config.oidc_urls,
            &config.rekor_tlog_urls,
            &config.tsa_urls,
        ];
        for service in lists.into_iter().flatten() {
            service.url().map_err(|error| error.at(what))?;
        }
        Ok(config)
    }

    /// Returns the configuration of `instance`, as it was when this program was built.
    pub fn embedded(instance: Instance) -> Result<Self> {
        Self::parse(
            instance.signing_config().as_bytes(),
            "the embedded configuration",
        )
    }

    /// Returns the certificate authority to ask at `now`.
    pub(super) fn authority(&self, now: Timestamp) -> Result<&Service> {
        one(&self.ca_urls, now).ok_or_else(|| none("certificate authority", "caUrls"))
    }

    /// Returns the identity provider to ask at `now`.
    pub(super) fn identity_provider(&self, now: Timestamp) -> Result<&Service> {
        one(&self.oidc_urls, now).ok_or_else(|| none("identity provider", "oidcUrls"))
    }

    /// Returns the logs to use at `now`.
    pub(super) fn logs(&self, now: Timestamp) -> Result<Vec<&Service>> {
        let offered = usable(&self.rekor_tlog_urls, &LOG_VERSIONS, now);
        self.rekor_tlog_config
            .choose(offered, self.rekor_tlog_urls.len(), "transparency log")
    }

    /// Returns the timestamp authorities to use at `now`.
    pub(super) fn timestampers(&self, now: Timestamp) -> Result<Vec<&Service>> {
        let offered = usable(&self.tsa_urls, &[VERSION_1], now);
        self.tsa_config
            .choose(offered, self.tsa_urls.len(), "timestamp authority")
    }
}

impl Selection {
    /// Returns as many of `offered` as are asked for, of `listed` in all.
    fn choose<'a>(
        self,
        mut offered: Vec<&'a Service>,
        listed: usize,
        what: &str,
    ) -> Result<Vec<&'a Service>> {
        let refuse = |why: String| {
            let message = format!("the signing configuration {why}");
            Err(Error::new(Reason::SigningConfigInvalid, message))
        };
        // None at all is a choice, which cosign's empty configuration makes.
        if listed == 0 {
            return Ok(offered);
        }
        if offered.is_empty() {
            return refuse(format!("has no {what} that can be used now"));
        }
        let count = match self.selector {
            Selector::All => offered.len(),
            Selector::Any => 1,
            Selector::Exact if self.count == 0 => {
                return refuse(format!("asks for exactly 0 of: {what}"));
            }
            Selector::Exact if self.count > offered.len() => {
                let (asked, found) = (self.count, offered.len());
                return refuse(format!(
                    "asks for exactly {asked} of: {what}; {found} can be used now, of different operators"
                ));
            }
            Selector::Exact => self.count,
            Selector::ServiceSelectorUndefined => {
                return refuse(format!("does not say how many to use of: {what}"));
            }
        };
        offered.truncate(count);
        Ok(offered)
    }
}

/// Returns one usable service.
fn one(services: &[Service], now: Timestamp) -> Option<&Service> {
    usable(services, &[VERSION_1], now).into_iter().next()
}

/// Returns the services that can be used at `now`, one of each operator: of the best version, and
/// of these the newest.
fn usable<'a>(services: &'a [Service], versions: &[u32], now: Timestamp) -> Vec<&'a Service> {
    let mut newest: Vec<_> = services.iter().filter(|s| s.is_valid_at(now)).collect();
    newest.sort_by_key(|service| std::cmp::Reverse(service.start()));
    let mut operators = HashSet::new();
    let of = |version: &u32| {
        let version = *version;
        newest.iter().filter(move |s| s.version() == version)
    };
    let best_first = versions.iter().flat_map(of);
    best_first
        .filter(|service| operators.insert(service.operator.as_str()))
        .copied()
        .collect()
}

fn none(what: &str, field: &str) -> Error {
    let message = format!("the signing configuration has no {what} that can be used now");
    Error::new(Reason::SigningConfigInvalid, message)
        .hint(format!("add one to `{field}`, or sign with a key: `--key`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn service(url: &str, version: u32, start: u32, operator: &str) -> String {
        format!(
            r#"{{"url":"https://{url}","majorApiVersion":{version},
                "validFor":{{"start":"{start}-01-01T00:00:00Z"}},"operator":"{operator}"}}"#
        )
    }

    fn with(fields: &str) -> Result<SigningConfig> {
        let text = format!(r#"{{"mediaType":"{MEDIA_TYPE}"{fields}}}"#);
        SigningConfig::parse(text.as_bytes(), "config")
    }

    fn logs(services: &[String], selection: &str) -> Result<Vec<String>> {
        let services = services.join(",");
        let config = with(&format!(
            r#","rekorTlogUrls":[{services}],"rekorTlogConfig":{selection}"#
        ))?;
        let logs = config.logs(now())?;
        Ok(logs
            .iter()
            .map(|log| log.url.replace("https://", ""))
            .collect())
    }

    #[test]
    fn the_public_good_configuration_can_be_used() {
        let config = SigningConfig::embedded(Instance::PublicGood).unwrap();
        let log = config.logs(now()).unwrap()[0].url().unwrap();
        assert_eq!(log.as_str(), "https://rekor.sigstore.dev/");
        assert_eq!(config.timestampers(now()).unwrap().len(), 1);
        let authority = config.authority(now()).unwrap();
        assert_eq!(authority.address(), "https://fulcio.sigstore.dev");
        config.identity_provider(now()).unwrap();
        SigningConfig::embedded(Instance::Staging).unwrap();
    }

    #[test]
    fn the_best_and_newest_service_of_each_operator_is_chosen() {
        let services = [
            service("old", 1, 2021, "a"),
            service("two", 2, 2024, "a"),
            service("new", 2, 2025, "a"),
            service("b", 1, 2020, "b"),
            service("three", 3, 2025, "c"),
            service("later", 2, 2027, "d"),
        ];
        for (selection, expected) in [
            (r#"{"selector":"ANY"}"#, vec!["new"]),
            (r#"{"selector":"ALL"}"#, vec!["new", "b"]),
            (r#"{"selector":"EXACT","count":1}"#, vec!["new"]),
            (r#"{"selector":"EXACT","count":2}"#, vec!["new", "b"]),
        ] {
            assert_eq!(logs(&services, selection).unwrap(), expected, "{selection}");
        }
        for selection in [
            r#"{"selector":"EXACT","count":3}"#,
            r#"{"selector":"EXACT"}"#,
            "{}",
            r#"{"selector":"SOME"}"#,
        ] {
            let error = logs(&services, selection).unwrap_err();
            assert_eq!(error.reason(), Reason::SigningConfigInvalid, "{selection}");
        }
    }

    #[test]
    fn none_listed_is_a_choice_and_none_usable_is_not() {
        assert!(logs(&[], "{}").unwrap().is_empty());
        let any = r#"{"selector":"ANY"}"#;
        for service in [service("a", 3, 2024, "a"), service("a", 1, 2027, "a")] {
            let error = logs(&[service], any).unwrap_err();
            assert_eq!(error.reason(), Reason::SigningConfigInvalid);
        }
        let ended = service("a", 1, 2020, "a").replace("\"start\"", "\"end\"");
        logs(&[ended], any).unwrap_err();
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        with("").unwrap();
        for bad in [
            r#","unknown":1"#,
            r#","caUrls":[{"url":"nowhere"}]"#,
            r#","caUrls":[{"url":"https://a/?x=1"}]"#,
            r#","caUrls":[{"url":"https://a/","more":1}]"#,
            r#","tsaConfig":{"count":-1}"#,
            r#","caUrls":[],"caUrls":[]"#,
        ] {
            let error = with(bad).expect_err(bad);
            assert_eq!(error.reason(), Reason::SigningConfigInvalid, "{bad}");
        }
        let old = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}"#;
        SigningConfig::parse(old.as_bytes(), "config").unwrap_err();
    }
}
