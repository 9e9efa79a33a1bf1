//! Where in a text something stands, for messages about files that people write.

use std::fmt;

/// A place in a text, counted as editors count: from 1, in lines and characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// Returns where the byte `offset` of `text` stands; the end of the text if it is beyond.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: last.chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_are_counted_from_one() {
        let text = "a = 1\nbé = 2\n";
        let cases = [(0, "line 1, column 1"), (5, "line 1, column 6")];
        let cases = cases
            .iter()
            .chain(&[(6, "line 2, column 1"), (9, "line 2, column 3")]);
        for (offset, expected) in cases {
            assert_eq!(Position::of(text, *offset).to_string(), *expected);
        }
        assert_eq!(Position::of(text, 99), Position { line: 3, column: 1 });
    }
}
