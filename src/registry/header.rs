//! The small grammar that structured header fields share
//! ([RFC 9110 §5.6](https://www.rfc-editor.org/rfc/rfc9110#section-5.6)).

/// A place in the text of a header field.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Returns the beginning of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Skips spaces and tabs.
    pub(super) fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips what may stand between the elements of a list: spaces and commas.
    pub(super) fn skip_commas(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    /// Takes `wanted` if it comes next.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes characters as long as they are `fine`.
    pub(super) fn take_while(&mut self, fine: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fine(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes a token, which may be empty if none comes next.
    pub(super) fn token(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    }

    /// Takes `= value`, where the value is a token or a quoted string; `None` if it is malformed.
    pub(super) fn value(&mut self) -> Option<String> {
        self.skip_spaces();
        if !self.take('=') {
            return None;
        }
        self.skip_spaces();
        if self.take('"') {
            return self.quoted();
        }
        Some(self.token().to_owned()).filter(|value| !value.is_empty())
    }

    /// Takes the rest of a quoted string.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
        None
    }

    /// Whether an equals sign comes next, after spaces.
    pub(super) fn sees_equals(&self) -> bool {
        self.rest.trim_start_matches([' ', '\t']).starts_with('=')
    }
}
