//! Reads a `hosts.toml`, strictly: what is not understood is an error that names file, line and
//! field. A line that was passed over could be the one that kept a secret or a mirror out.

mod fields;

use std::ops::Range;
use std::path::Path;

use reqwest::Url;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use self::fields::Fields;
use super::super::endpoint::{Root, actual_host};
use super::super::http::Certificates;
use super::super::origin::{Origin, Scheme};
use super::hosts::{Address, Host, Hosts};
use crate::directory::read_capped;
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::position::Position;

/// A key or a value, and where it stands.
type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// Reads the file at `path`; the files that it names are read now too.
pub(super) fn read(path: &Path) -> Result<Hosts> {
    let open = std::fs::File::open(path).map_err(|error| Error::io("read", path, error))?;
    let bytes = read_capped(open, path, limits::LOCAL_FILE)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let message = format!("`{}` is not text", path.display());
        Error::new(Reason::HostsFileInvalid, message).because(error)
    })?;
    Document { path, text: &text }.hosts()
}

/// A file on its way to being understood.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Document<'_> {
    fn hosts(&self) -> Result<Hosts> {
        let table = DeTable::parse(self.text)
            .map_err(|error| self.wrong(error.span().unwrap_or_default(), error.message()))?;
        let table = table.get_ref();
        let mut own = Fields::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "server" | "host" => {}
                _ => own.take(self, key, value)?,
            }
        }
        let server = self.server(table, &own)?;
        let mirrors = match table.get("host") {
            Some(value) => self.mirrors(value)?,
            None => Vec::new(),
        };
        let own = own.any.then_some(own.settings);
        Ok(Hosts {
            server,
            own,
            mirrors,
        })
    }

    /// Returns where the registry itself is, if that is said.
    fn server(&self, table: &DeTable<'_>, own: &Fields) -> Result<Option<Address>> {
        let Some(value) = table.get("server") else {
            return match &own.skips {
                Some(at) => Err(self.skipping(at.clone())),
                None => Ok(None),
            };
        };
        let address = self.address(self.text(value)?, value.span(), own)?;
        Ok(Some(address))
    }

    /// Returns the mirrors in the order in which they stand in the file.
    fn mirrors(&self, value: &Value<'_>) -> Result<Vec<Host>> {
        let table = self.table(value)?;
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let host = |(key, value)| self.mirror(key, value);
        entries.into_iter().map(host).collect()
    }

    fn mirror(&self, key: &Key<'_>, value: &Value<'_>) -> Result<Host> {
        let mut fields = Fields::default();
        for (key, value) in self.table(value)? {
            fields.take(self, key, value)?;
        }
        let address = self.address(key.get_ref(), key.span(), &fields)?;
        Ok(Host {
            address,
            capabilities: fields.capabilities,
            settings: fields.settings,
        })
    }

    /// Reads the address of a host of which `fields` are said. Without a scheme it is https, as for
    /// containerd.
    fn address(&self, text: &str, at: Range<usize>, fields: &Fields) -> Result<Address> {
        let full = match text.contains("://") {
            true => text.to_owned(),
            false => format!("https://{text}"),
        };
        let url = full.parse::<Url>().ok().and_then(actual);
        let plain = |url: &Url| url.query().is_none() && url.fragment().is_none();
        let checked = url
            .filter(plain)
            .and_then(|url| Some((Origin::of(&url).ok()?, url)));
        let Some((origin, mut url)) = checked else {
            let why = "is not the http or https URL of a host, without user name or query";
            return Err(self.wrong(at, &format!("`{text}` {why}")));
        };
        let checked = fields.settings.certificates == Certificates::Checked;
        if !checked && origin.scheme() == Scheme::Https && !origin.is_loopback() {
            return Err(self.skipping(fields.skips.clone().unwrap_or(at)));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let path = match fields.root {
            Root::Specified => path.strip_suffix("/v2").unwrap_or(&path),
            Root::Base => &path,
        };
        url.set_path(&format!("{path}/"));
        Ok(Address {
            base: url,
            root: fields.root,
        })
    }

    fn skipping(&self, at: Range<usize>) -> Error {
        let why = "`skip_verify = true` is only for a host on this machine";
        self.wrong(at, why)
            .hint("name the host's CA instead: `ca = \"mirror.crt\"`")
    }

    fn table<'v, 't>(&self, value: &'v Value<'t>) -> Result<&'v DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(value.span(), "this must be a table")),
        }
    }

    fn text<'v>(&self, value: &'v Value<'_>) -> Result<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong(value.span(), "this must be a string")),
        }
    }

    /// Returns the error about what stands `at` a place in the file.
    fn wrong(&self, at: Range<usize>, why: &str) -> Error {
        let position = Position::of(self.text, at.start);
        let message = format!("`{}`, {position}: {why}", self.path.display());
        Error::new(Reason::HostsFileInvalid, message)
    }
}

/// Returns the URL of the host that is meant: `server = "https://docker.io"` stands in many files.
fn actual(mut url: Url) -> Option<Url> {
    let host = actual_host(url.host_str()?).to_owned();
    url.set_host(Some(&host)).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests;
