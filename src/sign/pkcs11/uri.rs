//! The names of objects in tokens ([RFC 7512](https://www.rfc-editor.org/rfc/rfc7512)).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Reason, Result};
use crate::secret::Secret;

const SCHEME: &str = "pkcs11:";

/// Where a key is: in which token, under which name, and how to get at it.
///
/// An attribute that is not understood is refused: passing over one would mean another key.
#[derive(Debug, Clone, Default)]
pub struct Uri {
    pub(super) token: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) object: ObjectName,
    module: Option<PathBuf>,
    pin: Option<Secret>,
    pin_source: Option<PathBuf>,
}

/// Which of a token's objects is meant. A key pair and its certificate usually share both.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectName {
    pub(super) label: Option<String>,
    pub(super) id: Option<Vec<u8>>,
}

impl Uri {
    /// Whether `text` is meant to be one.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Returns the path of the library that speaks to the token (`module-path`).
    pub fn module(&self) -> Option<&Path> {
        self.module.as_deref()
    }

    /// Returns the PIN that stands in the URI itself (`pin-value`), for everyone to see.
    pub fn pin(&self) -> Option<&Secret> {
        self.pin.as_ref()
    }

    /// Returns the file that holds the PIN (`pin-source`).
    pub fn pin_source(&self) -> Option<&Path> {
        self.pin_source.as_deref()
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        let text =
            |value: Vec<u8>| String::from_utf8(value).map_err(|_| format!("`{name}` is not UTF-8"));
        match name {
            "id" => once(&mut self.object.id, value, name),
            "token" => once(&mut self.token, text(value)?, name),
            "serial" => once(&mut self.serial, text(value)?, name),
            "manufacturer" => once(&mut self.manufacturer, text(value)?, name),
            "model" => once(&mut self.model, text(value)?, name),
            "object" => once(&mut self.object.label, text(value)?, name),
            "slot-id" => {
                let number = text(value)?.parse();
                let number = number.map_err(|_| "`slot-id` is not a number".to_owned())?;
                once(&mut self.slot, number, name)
            }
            // What is looked for follows from what is done with it.
            "type" => match text(value)?.as_str() {
                "private" | "public" | "cert" => Ok(()),
                other => Err(format!("there is no key of the type {other:?}")),
            },
            other => Err(format!("`{other}` is not supported")),
        }
    }

    fn set_query(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8(value).map_err(|_| format!("`{name}` is not UTF-8"))?;
        match name {
            "module-path" => once(&mut self.module, PathBuf::from(text), name),
            "pin-value" => once(&mut self.pin, Secret::new(text), name),
            "pin-source" => once(&mut self.pin_source, pin_file(&text)?, name),
            "module-name" => Err("`module-name` is not supported; use `module-path`".to_owned()),
            other => Err(format!("`{other}` is not supported")),
        }
    }
}

/// Sets what must be said once only.
fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` stands there twice")),
    }
}

/// Returns the file that `pin-source` names; it may name a program too, which is not run.
fn pin_file(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    let path = path.strip_prefix("//").unwrap_or(path);
    match path.starts_with('/') {
        true => Ok(PathBuf::from(path)),
        false => Err("`pin-source` is not `file:` and an absolute path".to_owned()),
    }
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME).unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for attribute in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = pair(attribute).map_err(|why| invalid(&why))?;
            uri.set(name, value).map_err(|why| invalid(&why))?;
        }
        for attribute in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = pair(attribute).map_err(|why| invalid(&why))?;
            uri.set_query(name, value).map_err(|why| invalid(&why))?;
        }
        if uri.object.label.is_none() && uri.object.id.is_none() {
            return Err(invalid("it names no `object` and no `id`"));
        }
        if uri.pin.is_some() && uri.pin_source.is_some() {
            return Err(invalid("it has both `pin-value` and `pin-source`"));
        }
        Ok(uri)
    }
}

fn pair(attribute: &str) -> Result<(&str, Vec<u8>), String> {
    // What it is may be a secret: only its name is told.
    let (name, value) = attribute
        .split_once('=')
        .ok_or_else(|| "a part of it has no `=`".to_owned())?;
    let value = decoded(value).ok_or_else(|| format!("`{name}` has a bad `%`"))?;
    Ok((name, value))
}

/// Undoes percent-encoding ([RFC 3986, section 2.1](https://www.rfc-editor.org/rfc/rfc3986#section-2.1)).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                hex::decode(digits).ok()?.first().copied()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

fn invalid(why: &str) -> Error {
    Error::new(
        Reason::KeyInvalid,
        format!("the `pkcs11:` URI is not usable: {why}"),
    )
    .hint("write it as in `pkcs11:token=release;object=signing?module-path=/usr/lib/module.so`")
}

impl fmt::Display for Uri {
    /// Writes which key it is, and nothing that is secret or of this machine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot.map(|slot| slot.to_string());
        let attributes = [
            ("token", self.token.as_deref()),
            ("serial", self.serial.as_deref()),
            ("manufacturer", self.manufacturer.as_deref()),
            ("model", self.model.as_deref()),
            ("slot-id", slot.as_deref()),
            ("object", self.object.label.as_deref()),
        ];
        let named = attributes.iter();
        let named = named.filter_map(|(name, value)| Some((*name, encoded((*value)?.as_bytes()))));
        let id = self.object.id.as_ref().map(|id| ("id", encoded(id)));
        let written: Vec<_> = named
            .chain(id)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(f, "{SCHEME}{}", written.join(";"))
    }
}

/// Percent-encodes what has a meaning in a URI or none on a terminal.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_key_and_how_to_get_at_it() {
        let uri: Uri = "pkcs11:token=My%20HSM;object=sign;id=%01%ff;slot-id=7;type=private\
                        ?module-path=/usr/lib/p11.so&pin-source=file:/run/pin"
            .parse()
            .unwrap();
        assert_eq!(uri.token.as_deref(), Some("My HSM"));
        assert_eq!(uri.object.label.as_deref(), Some("sign"));
        assert_eq!(uri.object.id.as_deref(), Some(&[1, 0xff][..]));
        assert_eq!(uri.slot, Some(7));
        assert_eq!(uri.module(), Some(Path::new("/usr/lib/p11.so")));
        assert_eq!(uri.pin_source(), Some(Path::new("/run/pin")));
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=My%20HSM;slot-id=7;object=sign;id=%01%FF"
        );
        assert_eq!(
            uri.to_string().parse::<Uri>().unwrap().to_string(),
            uri.to_string()
        );
    }

    #[test]
    fn a_pin_is_never_shown() {
        let uri: Uri = "pkcs11:object=k?pin-value=12%2034".parse().unwrap();
        assert_eq!(uri.pin().unwrap().expose(), "12 34");
        assert!(!format!("{uri} {uri:?}").contains("34"));
        for bad in [
            "pkcs11:object=k?pin-value=1%zz34",
            "pkcs11:object=k?pin-valu=1234",
        ] {
            let error = bad.parse::<Uri>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("34"), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        for bad in [
            "pkcs11:",
            "pkcs11:token=a",
            "pkcs11:object",
            "pkcs11:object=a;object=b",
            "pkcs11:object=a;colour=b",
            "pkcs11:object=%",
            "pkcs11:object=%g0",
            "pkcs11:object=%ff",
            "pkcs11:object=a;slot-id=x",
            "pkcs11:object=a;type=secret-key",
            "pkcs11:object=a?module-name=x",
            "pkcs11:object=a?pin-source=|/bin/pin",
            "pkcs11:object=a?pin-source=relative",
            "pkcs11:object=a?pin-value=1&pin-source=/p",
            "pkcs11:object=a?pin-value=1&pin-value=2",
        ] {
            let refused = bad.parse::<Uri>().expect_err(bad);
            assert_eq!(refused.reason(), Reason::KeyInvalid, "{bad}");
        }
        "pkcs11:id=%01".parse::<Uri>().unwrap();
    }
}
