//! Lists that come in pages, each naming the next in its `Link` field
//! ([RFC 8288 §3](https://www.rfc-editor.org/rfc/rfc8288#section-3)).

use std::collections::HashSet;

use reqwest::Url;
use reqwest::header::LINK;

use super::answer::Answer;
use super::header::Cursor;
use super::origin::Origin;
use crate::error::{Error, Reason, Result};
use crate::limits;

/// The pages of one list, which cannot lead elsewhere, in circles, or on for ever.
pub(super) struct Pages {
    next: Option<Url>,
    current: Url,
    seen: HashSet<Url>,
    action: String,
    /// What it means when there are more pages than will be read.
    overflow: Reason,
}

impl Pages {
    /// Returns the pages that begin at `first`; `action` names the list in errors.
    pub(super) fn new(first: Url, action: &str, overflow: Reason) -> Self {
        Self {
            next: Some(first.clone()),
            current: first,
            seen: HashSet::new(),
            action: action.to_owned(),
            overflow,
        }
    }

    /// Returns the next page's address, until there is none.
    pub(super) fn turn(&mut self) -> Result<Option<Url>> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        if !self.seen.insert(url.clone()) {
            return Err(self.wrong("the pages of the list go round in circles"));
        }
        if self.seen.len() > limits::PAGES {
            let message = format!(
                "cannot {}: the list has more than {} pages",
                self.action,
                limits::PAGES
            );
            return Err(Error::new(self.overflow, message));
        }
        self.current = url.clone();
        Ok(Some(url))
    }

    /// Takes the next page's address from the answer that is the current page.
    pub(super) fn read(&mut self, page: &Answer) -> Result<()> {
        for field in page.fields(&LINK) {
            let field = field.ok_or_else(|| self.wrong("a `Link` is not text"))?;
            let target = next(field).map_err(|Malformed| self.wrong("a `Link` is malformed"))?;
            if let Some(target) = target {
                self.next = Some(self.resolve(&target)?);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next page must be on the same origin and the same list.
    fn resolve(&self, target: &str) -> Result<Url> {
        let url = self
            .current
            .join(target)
            .map_err(|error| self.wrong("a `Link` is not a URL").because(error))?;
        let same_origin = Origin::of(&url)? == Origin::of(&self.current)?;
        if !same_origin || url.path() != self.current.path() {
            return Err(self.wrong("a `Link` leads to another place"));
        }
        Ok(url)
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(
            Reason::RegistryProtocol,
            format!("cannot {}: {why}", self.action),
        )
    }
}

/// A `Link` that cannot be read: what it hides may be the next page, so it is never skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Returns the target of the link whose relation is `next`, if there is one.
pub(super) fn next(field: &str) -> Result<Option<String>, Malformed> {
    let mut cursor = Cursor::new(field);
    cursor.skip_commas();
    while !cursor.is_done() {
        if !cursor.take('<') {
            return Err(Malformed);
        }
        let target = cursor.take_while(|c| c != '>').to_owned();
        if !cursor.take('>') {
            return Err(Malformed);
        }
        if is_next(&mut cursor)? {
            return Ok(Some(target));
        }
        cursor.skip_commas();
    }
    Ok(None)
}

/// Reads a link's parameters, and whether one of its relations is `next`.
fn is_next(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    let mut found = false;
    loop {
        cursor.skip_spaces();
        if !cursor.take(';') {
            return Ok(found);
        }
        cursor.skip_spaces();
        let name = cursor.token();
        if !cursor.sees_equals() {
            continue;
        }
        let value = cursor.value().ok_or(Malformed)?;
        let relations = value.split_ascii_whitespace();
        found |= name.eq_ignore_ascii_case("rel")
            && relations
                .into_iter()
                .any(|r| r.eq_ignore_ascii_case("next"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_link_among_others() {
        for (field, target) in [
            ("</v2/a?last=b>; rel=\"next\"", Some("/v2/a?last=b")),
            ("</a>;rel=next", Some("/a")),
            (
                "</p>; rel=prev, </a,b>; title=\"x, y\"; REL=\"last Next\"",
                Some("/a,b"),
            ),
            ("</p>; rel=prev", None),
            ("</p>; crossorigin; rel=next", Some("/p")),
            ("</p>", None),
            ("", None),
        ] {
            assert_eq!(next(field), Ok(target.map(str::to_owned)), "{field}");
        }
    }

    #[test]
    fn a_link_that_cannot_be_read_is_never_skipped() {
        for field in [
            "/v2/a; rel=next",
            "</v2/a; rel=next",
            "</a>; rel=\"next",
            "</a>; rel=",
            "x",
        ] {
            assert_eq!(next(field), Err(Malformed), "{field}");
        }
    }

    fn pages() -> Pages {
        let first = "https://r.example/v2/m/tags/list".parse().unwrap();
        let mut pages = Pages::new(first, "list tags", Reason::TooLarge);
        pages.turn().unwrap().unwrap();
        pages
    }

    #[test]
    fn a_page_is_followed_only_within_its_list() {
        for good in [
            "?last=x",
            "/v2/m/tags/list?n=1",
            "https://r.example:443/v2/m/tags/list",
        ] {
            pages().resolve(good).expect(good);
        }
        for bad in [
            "/v2/other/tags/list",
            "../../other/tags/list",
            "/v2/m/tags/list/../../../x",
            "http://r.example/v2/m/tags/list",
            "https://r.example:444/v2/m/tags/list",
            "https://evil.example/v2/m/tags/list",
            "//evil.example/v2/m/tags/list",
            "https://u:p@r.example/v2/m/tags/list",
            "https://",
        ] {
            let error = pages().resolve(bad).expect_err(bad);
            assert_eq!(error.reason(), Reason::RegistryProtocol, "{bad}");
        }
    }

    #[test]
    fn circles_and_endless_lists_end() {
        let mut circle = pages();
        circle.next = Some(circle.current.clone());
        assert_eq!(
            circle.turn().unwrap_err().reason(),
            Reason::RegistryProtocol
        );

        let mut endless = pages();
        let error = (0..)
            .find_map(|n| {
                endless.next = Some(endless.resolve(&format!("?n={n}")).unwrap());
                endless.turn().err()
            })
            .unwrap();
        assert_eq!(error.reason(), Reason::TooLarge);
        assert_eq!(endless.seen.len(), limits::PAGES + 1);
    }
}
