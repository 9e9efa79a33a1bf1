//! Distinguished names as text ([RFC 4514](https://www.rfc-editor.org/rfc/rfc4514)).

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use crate::certificate::DistinguishedName;
use crate::certificate::name::{Attribute, Value, attribute_named};
use crate::error::{Error, Reason, Result};

/// What must be escaped wherever it stands in a value (section 2.4).
const SPECIAL: &str = "\"+,;<>\\";

/// Reads a name. Spaces around its parts are passed over, as in the older RFC 2253.
pub(super) fn parse(text: &str) -> Result<DistinguishedName> {
    let mut names = Vec::new();
    if text.starts_with('/') {
        return Err(invalid(text, "it begins with a slash"));
    }
    let mut parser = Parser {
        text,
        rest: text.chars().peekable(),
    };
    while parser.rest.peek().is_some() || !names.is_empty() {
        let mut attributes = vec![parser.attribute()?];
        let mut next = parser.rest.next();
        while next == Some('+') {
            attributes.push(parser.attribute()?);
            next = parser.rest.next();
        }
        names.push(attributes);
        if next.is_none() {
            break;
        }
    }
    // The text has the most significant part last (section 2.1).
    names.reverse();
    Ok(DistinguishedName::from_relative_names(names))
}

/// Returns a value as it may stand in a name, with nothing in it that could drive a terminal.
pub(super) fn escaped(value: &str) -> String {
    let mut shown = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let at_an_end = (c == ' ' && (index == 0 || index == last)) || (c == '#' && index == 0);
        if at_an_end || SPECIAL.contains(c) {
            shown.push('\\');
            shown.push(c);
        } else if c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\{byte:02x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn attribute(&mut self) -> Result<Attribute> {
        let mut written = String::new();
        loop {
            match self.rest.next() {
                Some('=') => break,
                Some(c) => written.push(c),
                None => return Err(invalid(self.text, "a part of it has no `=`")),
            }
        }
        let written = written.trim_matches(' ');
        let kind = attribute_named(written)
            .ok_or_else(|| invalid(self.text, &format!("{written:?} is no known attribute")))?;
        while self.rest.next_if_eq(&' ').is_some() {}
        let value = match self.rest.peek() {
            Some('#') => self.encoded(),
            _ => self.string().map(Value::Text),
        }?;
        Ok(Attribute { kind, value })
    }

    /// Reads `#` and the DER of a value in hex.
    fn encoded(&mut self) -> Result<Value> {
        let mut digits = String::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ',' | '+')) {
            digits.push(c);
        }
        let digits = digits
            .strip_prefix('#')
            .unwrap_or_default()
            .trim_end_matches(' ');
        let der = hex::decode(digits).map_err(|_| invalid(self.text, "`#` is not before hex"))?;
        Value::from_der(&der).map_err(|_| invalid(self.text, "`#` is not before DER"))
    }

    fn string(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        // Spaces at the end do not count, unless they are escaped.
        let mut counted = 0;
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ',' | '+')) {
            match c {
                '\\' => bytes.push(self.escape()?),
                '"' | ';' | '<' | '>' | '\0' => {
                    return Err(invalid(self.text, &format!("{c:?} must be escaped")));
                }
                c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
            if c != ' ' {
                counted = bytes.len();
            }
        }
        bytes.truncate(counted);
        String::from_utf8(bytes).map_err(|_| invalid(self.text, "a value is not UTF-8"))
    }

    /// Reads what follows a backslash: a character that would mean something, or a byte in hex.
    fn escape(&mut self) -> Result<u8> {
        let bad = || invalid(self.text, "a backslash is not before what needs one");
        let first = self.rest.next().ok_or_else(bad)?;
        if first == ' ' || first == '#' || first == '=' || SPECIAL.contains(first) {
            return u8::try_from(first).map_err(|_| bad());
        }
        let second = self.rest.next().ok_or_else(bad)?;
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (digit(first), digit(second)) {
            (Some(high), Some(low)) => Ok(high << 4 | low),
            _ => Err(bad()),
        }
    }
}

fn invalid(text: &str, why: &str) -> Error {
    let message = format!("{text:?} is not a distinguished name: {why}");
    Error::new(Reason::Usage, message).hint(
        "write it as `openssl x509 -in CERTIFICATE -noout -subject -nameopt RFC2253` prints it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in [
            "release",
            "CN",
            "=x",
            "/CN=release",
            "XY=release",
            "CN=a,",
            "CN=a,,O=b",
            "CN=a+",
            "CN=\"a\"",
            "CN=a;O=b",
            "CN=a\\",
            "CN=a\\x",
            "CN=a\\f",
            "CN=\\ff",
            "CN=#",
            "CN=#zz",
            "CN=#ff",
            "2.5.4.=a",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.reason(), Reason::Usage, "{text}");
            assert!(error.advice().is_some());
        }
        parse("CN=a").unwrap();
    }
}
