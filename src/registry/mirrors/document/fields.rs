//! The fields that every host of a `hosts.toml` may have, the registry itself included.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{HeaderName, HeaderValue};
use toml::de::DeValue;
use zeroize::Zeroizing;

use super::super::hosts::{Capabilities, HostSettings};
use super::{Certificates, Document, Key, Root, Value};
use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::registry::ClientIdentity;

/// Fields that say where a request ends or what it is for: they are the client's to set.
const RESERVED: [&str; 7] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-range",
    "range",
    "transfer-encoding",
];

/// What is said about one host.
pub(super) struct Fields {
    pub(super) capabilities: Capabilities,
    pub(super) root: Root,
    pub(super) settings: HostSettings,
    /// Where certificates are said not to matter.
    pub(super) skips: Option<Range<usize>>,
    /// Whether anything is said.
    pub(super) any: bool,
}

impl Default for Fields {
    /// Returns what holds for a host of which nothing is said.
    fn default() -> Self {
        Self {
            capabilities: Capabilities::ALL,
            root: Root::Specified,
            settings: HostSettings::default(),
            skips: None,
            any: false,
        }
    }
}

impl Fields {
    /// Takes one field.
    pub(super) fn take(
        &mut self,
        document: &Document<'_>,
        key: &Key<'_>,
        value: &Value<'_>,
    ) -> Result<()> {
        self.any = true;
        match key.get_ref().as_ref() {
            "capabilities" => self.capabilities = document.capabilities(value)?,
            "ca" => self.settings.ca_pem = Some(document.authorities(value)?),
            "client" => self.settings.identity = Some(document.identity(value)?),
            "header" => document.headers(value, &mut self.settings)?,
            "dial_timeout" => self.settings.connect = Some(document.duration(value)?),
            "override_path" if document.boolean(value)? => self.root = Root::Base,
            "override_path" => self.root = Root::Specified,
            "skip_verify" if document.boolean(value)? => {
                self.settings.certificates = Certificates::Unchecked;
                self.skips = Some(key.span());
            }
            "skip_verify" => self.settings.certificates = Certificates::Checked,
            unknown => {
                let why = format!("there is no field `{unknown}` here");
                return Err(document.wrong(key.span(), &why));
            }
        }
        Ok(())
    }
}

impl Document<'_> {
    /// An empty list says nothing, for containerd: the host can do everything.
    fn capabilities(&self, value: &Value<'_>) -> Result<Capabilities> {
        let entries = self.texts(value)?;
        if entries.is_empty() {
            return Ok(Capabilities::ALL);
        }
        let mut found = Capabilities::NONE;
        for entry in entries {
            match entry.to_ascii_lowercase().as_str() {
                "pull" => found.pull = true,
                "resolve" => found.resolve = true,
                "referrers" => found.referrers = true,
                "push" => {}
                _ => {
                    let why = format!("`{entry}` is no capability: pull, resolve, referrers, push");
                    return Err(self.wrong(value.span(), &why));
                }
            }
        }
        Ok(found)
    }

    /// Reads one file of CA certificates, or several.
    fn authorities(&self, value: &Value<'_>) -> Result<Vec<u8>> {
        let mut pem = Vec::new();
        for name in self.texts(value)? {
            pem.extend_from_slice(&self.file(name, value)?);
            pem.push(b'\n');
        }
        Ok(pem)
    }

    /// Reads a certificate and its key: from one file, or from a pair of files.
    fn identity(&self, value: &Value<'_>) -> Result<ClientIdentity> {
        let only = match value.get_ref() {
            DeValue::Array(array) => match (array.first(), array.get(1)) {
                (Some(only), None) => only,
                _ => {
                    let why = "one client certificate is shown to a host, not several";
                    return Err(self.wrong(value.span(), why));
                }
            },
            _ => value,
        };
        let (certificate, key) = match self.texts(only)?.as_slice() {
            [both] | [both, ""] => (self.file(both, only)?, Vec::new()),
            [certificate, key] => (self.file(certificate, only)?, self.file(key, only)?),
            _ => return Err(self.wrong(only.span(), "this must be a certificate and its key")),
        };
        Ok(ClientIdentity {
            certificate_pem: certificate,
            key_pem: Zeroizing::new(key),
        })
    }

    fn headers(&self, value: &Value<'_>, settings: &mut HostSettings) -> Result<()> {
        for (key, value) in self.table(value)? {
            let name = HeaderName::from_bytes(key.get_ref().as_bytes()).ok();
            let Some(name) = name.filter(|name| !RESERVED.contains(&name.as_str())) else {
                let why = format!("`{}` is no field that can be set", key.get_ref());
                return Err(self.wrong(key.span(), &why));
            };
            for text in self.texts(value)? {
                let field = HeaderValue::from_str(text);
                let mut field = field
                    .map_err(|_| self.wrong(value.span(), "HTTP cannot carry this in a field"))?;
                // It may be a token; only its owner knows.
                field.set_sensitive(true);
                settings.headers.append(name.clone(), field);
            }
        }
        Ok(())
    }

    /// Reads a duration as Go writes it: `1s`, `500ms`, `1m30s`.
    fn duration(&self, value: &Value<'_>) -> Result<Duration> {
        let text = self.text(value)?;
        let parsed = text.starts_with(|c: char| c.is_ascii_digit());
        let parsed = parsed
            .then(|| text.parse::<SignedDuration>().ok())
            .flatten();
        let positive = parsed.and_then(|duration| Duration::try_from(duration).ok());
        let positive = positive.filter(|duration| !duration.is_zero());
        positive.ok_or_else(|| {
            let why = format!("`{text}` is no duration such as `500ms`, `1s` or `1m30s`");
            self.wrong(value.span(), &why)
        })
    }

    fn boolean(&self, value: &Value<'_>) -> Result<bool> {
        match value.get_ref() {
            DeValue::Boolean(boolean) => Ok(*boolean),
            _ => Err(self.wrong(value.span(), "this must be true or false")),
        }
    }

    /// Returns a string, or those of an array.
    fn texts<'v>(&self, value: &'v Value<'_>) -> Result<Vec<&'v str>> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|value| self.text(value)).collect(),
            _ => Ok(vec![self.text(value)?]),
        }
    }

    /// Reads a file that is named in this one, relative to it.
    fn file(&self, name: &str, value: &Value<'_>) -> Result<Vec<u8>> {
        let folder = self.path.parent().map(PathBuf::from).unwrap_or_default();
        let path = folder.join(name);
        let open = std::fs::File::open(&path).map_err(|error| Error::io("read", &path, error));
        let bytes = open.and_then(|file| read_capped(file, &path, limits::LOCAL_FILE));
        bytes.map_err(|error| {
            let place = self.wrong(value.span(), "this file cannot be used");
            Error::new(Reason::HostsFileInvalid, place.message()).because(error)
        })
    }
}
