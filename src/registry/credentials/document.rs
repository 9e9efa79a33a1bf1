//! One configuration file: read as far as it is about credentials, and changed without touching
//! the rest of it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, engine::general_purpose};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::helper::HelperName;
use super::key::{self, Key};
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::limits;
use crate::registry::auth::Credential;
use crate::secret::Secret;

/// The fields of an entry that authenticate; whatever else it has is kept.
const SECRETS: [&str; 5] = [
    "auth",
    "username",
    "password",
    "identitytoken",
    "registrytoken",
];

/// Symlinks followed from the file's name: as many as Linux follows.
const LINKS: usize = 40;

/// A configuration file, as far as it is about credentials.
#[derive(Debug, Clone)]
pub(super) struct Document {
    path: PathBuf,
    entries: Vec<Entry>,
    /// `credHelpers`; an empty name means no helper for that host.
    helpers: Vec<(Key, Option<HelperName>)>,
    /// `credsStore`.
    store: Option<HelperName>,
}

/// One of `auths`. A bad one matters only to those who need it.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    key: Key,
    found: Result<Option<Credential>, &'static str>,
}

impl Document {
    /// Reads the file, which may not exist.
    pub(super) fn load(path: PathBuf) -> Result<Self> {
        let read = read(&path)?;
        Self::of(path, &read)
    }

    fn of(path: PathBuf, read: &Map<String, Value>) -> Result<Self> {
        let malformed = |what: &str| malformed(&path, &format!("`{what}` is malformed"));
        let entries = object(read, "auths").ok_or_else(|| malformed("auths"))?;
        let entries = entries.iter().map(|(name, value)| Entry {
            name: name.clone(),
            key: Key::of(name),
            found: credential(value),
        });
        let helpers = object(read, "credHelpers").ok_or_else(|| malformed("credHelpers"))?;
        let helpers = helpers
            .iter()
            .map(|(name, value)| Some((Key::of(name), helper(value)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| malformed("credHelpers"))?;
        let store = read.get("credsStore").unwrap_or(&Value::Null);
        Ok(Self {
            entries: entries.collect(),
            helpers,
            store: helper(store).ok_or_else(|| malformed("credsStore"))?,
            path,
        })
    }

    /// Reads what a file would hold.
    #[cfg(feature = "fuzz")]
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let path = Path::new("config.json");
        Self::of(path.to_owned(), &parse(bytes, path)?)
    }

    /// Returns the file's name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the helper that keeps the credentials of `host`.
    pub(super) fn helper(&self, host: &str) -> Option<&HelperName> {
        match self.helpers.iter().find(|(key, _)| key.is_host(host)) {
            Some((_, helper)) => helper.as_ref(),
            None => self.store.as_ref(),
        }
    }

    /// Returns the entry that is for all of `host`, the one that is named as Docker names it
    /// first.
    pub(super) fn host_entry(&self, host: &str) -> Option<Result<Credential>> {
        let server = key::server(host);
        let mut fitting: Vec<_> = self
            .entries
            .iter()
            .filter(|e| e.key.is_host(host))
            .collect();
        fitting.sort_by_key(|entry| entry.name != server);
        fitting.into_iter().find_map(|entry| self.take(entry))
    }

    /// Returns the most specific entry that is for `repository` or a namespace above it.
    pub(super) fn namespace_entry(
        &self,
        host: &str,
        repository: &str,
    ) -> Option<Result<Credential>> {
        let covers = |entry: &&Entry| entry.key.covers(host, repository);
        let mut fitting: Vec<_> = self
            .entries
            .iter()
            .filter(|e| covers(e).is_some())
            .collect();
        fitting.sort_by_key(|entry| std::cmp::Reverse(covers(entry)));
        fitting.into_iter().find_map(|entry| self.take(entry))
    }

    fn take(&self, entry: &Entry) -> Option<Result<Credential>> {
        match &entry.found {
            Ok(credential) => credential.clone().map(Ok),
            Err(why) => {
                let why = format!("the entry {:?} of `auths` {why}", entry.name);
                Some(Err(malformed(&self.path, &why)))
            }
        }
    }

    /// Writes a user name and password for `host`, in place of what was there for all of it.
    pub(super) fn store(&self, host: &str, username: &str, password: &Secret) -> Result<()> {
        let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
        let auth = general_purpose::STANDARD.encode(pair.as_bytes());
        self.change(|auths| {
            strip(auths, host);
            let server = key::server(host);
            let name = match auths.contains_key(&server) {
                true => Some(server.clone()),
                false => names(auths, host).into_iter().next(),
            };
            let entry = auths.entry(name.unwrap_or(server)).or_insert(Value::Null);
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            if let Value::Object(entry) = entry {
                entry.insert("auth".to_owned(), Value::String(auth));
            }
            true
        })
        .map(drop)
    }

    /// Removes what authenticates from the entries for all of `host`.
    pub(super) fn strip(&self, host: &str) -> Result<bool> {
        self.change(|auths| strip(auths, host))
    }

    /// Removes the entries for all of `host`; `false` means that there were none.
    pub(super) fn erase(&self, host: &str) -> Result<bool> {
        self.change(|auths| {
            let names = names(auths, host);
            names
                .iter()
                .filter_map(|name| auths.shift_remove(name))
                .count()
                > 0
        })
    }

    /// Changes `auths` in the file as it is now; `change` says whether there is anything to write.
    fn change(&self, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<bool> {
        let mut document = read(&self.path)?;
        let auths = document
            .entry("auths")
            .or_insert_with(|| Value::Object(Map::new()));
        if auths.is_null() {
            *auths = Value::Object(Map::new());
        }
        let Value::Object(auths) = auths else {
            return Err(malformed(&self.path, "`auths` is malformed"));
        };
        let changed = change(auths);
        if changed {
            write(&self.path, &document)?;
        }
        Ok(changed)
    }
}

/// Returns the names of the entries for all of `host`.
fn names(auths: &Map<String, Value>, host: &str) -> Vec<String> {
    let names = auths.keys().filter(|name| Key::of(name).is_host(host));
    names.cloned().collect()
}

fn strip(auths: &mut Map<String, Value>, host: &str) -> bool {
    let mut stripped = false;
    for name in names(auths, host) {
        if let Some(Value::Object(entry)) = auths.get_mut(&name) {
            for field in SECRETS {
                stripped |= entry.shift_remove(field).is_some();
            }
        }
    }
    stripped
}

/// Returns an object's member that is an object too; `null` and none at all are empty.
fn object(document: &Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    match document.get(name) {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(object)) => Some(object.clone()),
        Some(_) => None,
    }
}

/// Reads a helper's name; the outer `None` means that it is none that may be run.
fn helper(value: &Value) -> Option<Option<HelperName>> {
    match value {
        Value::Null => Some(None),
        Value::String(name) if name.is_empty() => Some(None),
        Value::String(name) => HelperName::parse(name).map(Some),
        _ => None,
    }
}

/// Reads an entry: `identitytoken` before `auth` before `username` and `password`, as Docker does.
fn credential(entry: &Value) -> Result<Option<Credential>, &'static str> {
    let Value::Object(entry) = entry else {
        return Err("is not an object");
    };
    let text = |name: &str| match entry.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err("has a field that should be text and is not"),
    };
    if let Some(token) = text("identitytoken")? {
        let token = Secret::new(token.to_owned());
        return Ok(Some(Credential::IdentityToken(token)));
    }
    if let Some(auth) = text("auth")? {
        return decode(auth).map(Some);
    }
    match (text("username")?, text("password")?) {
        (Some(username), Some(password)) => Ok(Some(Credential::Basic {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
        })),
        (None, None) if text("registrytoken")?.is_some() => {
            Err("has only a `registrytoken`, which is not supported")
        }
        (None, None) => Ok(None),
        _ => Err("has only one of `username` and `password`"),
    }
}

/// Reads `auth`: base64 of the user name, a colon and the password, padded or not.
fn decode(auth: &str) -> Result<Credential, &'static str> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let pair = GeneralPurpose::new(&STANDARD, lenient).decode(auth.trim());
    let pair = Zeroizing::new(pair.map_err(|_| "has an `auth` that is not base64")?);
    let pair = std::str::from_utf8(&pair).map_err(|_| "has an `auth` that is not UTF-8")?;
    let (username, password) = pair
        .split_once(':')
        .ok_or("has an `auth` without a colon between user name and password")?;
    Ok(Credential::Basic {
        username: username.to_owned(),
        // Old clients padded the password with NULs.
        password: Secret::new(password.trim_end_matches('\0').to_owned()),
    })
}

fn malformed(path: &Path, why: &str) -> Error {
    let message = format!(
        "the credentials file `{}` cannot be used: {why}",
        path.display()
    );
    Error::new(Reason::CredentialsInvalid, message).hint("correct it, or move it away")
}

/// Reads the file; one that does not exist, or has nothing in it, is an empty object.
fn read(path: &Path) -> Result<Map<String, Value>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Map::new());
        }
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(limits::LOCAL_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", path, error))?;
    if bytes.len() as u64 > limits::LOCAL_FILE {
        let why = format!("it is larger than {} bytes", limits::LOCAL_FILE);
        return Err(malformed(path, &why));
    }
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Map<String, Value>> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    // A `Value` takes anything, so that the error tells a position and no content.
    match json::parse::<Value>(bytes, "it") {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(malformed(path, "it is not a JSON object")),
        Err(error) => Err(malformed(path, &error.to_string())),
    }
}

/// Replaces the file, indented as Docker does it, readable to nobody else.
fn write(path: &Path, document: &Map<String, Value>) -> Result<()> {
    let target = target(path)?;
    let directory = target.parent().unwrap_or(Path::new("."));
    make(directory).map_err(|error| Error::io("create", directory, error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut *bytes, indent);
    serde::Serialize::serialize(document, &mut serializer).map_err(|error| {
        Error::new(Reason::Internal, "cannot write the credentials file").because(error)
    })?;
    // A temporary file is made with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".config.json.")
        .tempfile_in(directory)
        .map_err(|error| Error::io("create a file in", directory, error))?;
    file.write_all(&bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| Error::io("write", &target, error))?;
    file.persist(&target)
        .map(drop)
        .map_err(|error| Error::io("replace", &target, error.error))
}

fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match directory.as_os_str().is_empty() {
        true => Ok(()),
        false => builder.recursive(true).create(directory),
    }
}

/// Returns the file that `path` is a link to, so that replacing it leaves the link as it is.
fn target(path: &Path) -> Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&target) {
            // A relative link counts from the directory that it is in.
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(malformed(
        path,
        "it is a symlink that leads round in circles",
    ))
}
