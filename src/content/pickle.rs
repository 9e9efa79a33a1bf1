//! Python's pickles, told by running their opcodes on a stack that holds nothing.
//!
//! A pickle is a program. It needs no header, so a file is one if the program gets so far that it
//! has imported something and called it, whatever stands behind ([pickletools] describes the
//! opcodes). Nothing is imported or called here, and nothing found makes a pickle harmless.
//!
//! [pickletools]: https://github.com/python/cpython/blob/v3.13.0/Lib/pickletools.py

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::source::{Cursor, Source};
use crate::error::Result;

/// The opcode by which protocol 2 and later begin.
pub(super) const PROTO: u8 = 0x80;

/// Things on the stack or in the memo; honest pickles of tensors have far fewer.
const ITEMS: usize = 1 << 18;

/// Bytes of a line, and of a string that can name a module.
const LINE: usize = 1 << 12;
const NAME: usize = 256;

/// Imports that are named.
const IMPORTS: usize = 32;

/// Pickles that are looked at in one file: PyTorch's old format has five.
const PICKLES: usize = 8;

/// A file that is a pickle.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pickle {
    /// What it imports (`posix.system`), as far as it was followed.
    pub(super) imports: BTreeSet<String>,
}

/// Returns what the bytes in `range` are as a pickle, if they are one.
pub(super) fn read(source: &mut Source<'_>, range: Range<u64>) -> Result<Option<Pickle>> {
    let mut found = None;
    let mut start = range.start;
    for _ in 0..PICKLES {
        let mut walk = Walk::new(source.cursor(start..range.end));
        let end = walk.run()?;
        if !walk.is_pickle(&end) {
            break;
        }
        let position = walk.cursor.position();
        found
            .get_or_insert_with(Pickle::default)
            .imports
            .append(&mut walk.imports);
        match end {
            End::Stopped if position < range.end => start = position,
            _ => break,
        }
    }
    Ok(found)
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// At the opcode that ends a pickle.
    Stopped,
    /// Where Python would raise an error.
    Broken,
    /// Because it would have gone on for too long.
    Exhausted,
}

/// What stands behind an opcode.
enum Argument {
    Nothing,
    Fixed(u8),
    /// A length of so many bytes, and as many bytes as it says.
    Counted(u8),
    Line,
    TwoLines,
}

fn argument(opcode: u8) -> Option<Argument> {
    Some(match opcode {
        b'('
        | b'.'
        | b'0'
        | b'1'
        | b'2'
        | b'N'
        | b'Q'
        | b'R'
        | b'a'
        | b'b'
        | b'd'
        | b'}'
        | b'e'
        | b'l'
        | b']'
        | b'o'
        | b's'
        | b't'
        | b')'
        | b'u'
        | 0x81
        | 0x85..=0x89
        | 0x8f..=0x94
        | 0x97
        | 0x98 => Argument::Nothing,
        b'K' | b'h' | b'q' | PROTO | 0x82 => Argument::Fixed(1),
        b'M' | 0x83 => Argument::Fixed(2),
        b'J' | b'j' | b'r' | 0x84 => Argument::Fixed(4),
        b'G' | 0x95 => Argument::Fixed(8),
        b'U' | b'C' | 0x8a | 0x8c => Argument::Counted(1),
        b'T' | b'X' | b'B' | 0x8b => Argument::Counted(4),
        0x8d | 0x8e | 0x96 => Argument::Counted(8),
        b'F' | b'I' | b'L' | b'P' | b'S' | b'V' | b'g' | b'p' => Argument::Line,
        b'c' | b'i' => Argument::TwoLines,
        _ => return None,
    })
}

/// What a walk knows about a thing on the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Mark,
    Name(Box<str>),
    Other,
}

struct Walk<'s, 'a> {
    cursor: Cursor<'s, 'a>,
    stack: Vec<Item>,
    memo: HashMap<u64, Item>,
    imports: BTreeSet<String>,
    opcodes: u64,
    has_header: bool,
    has_imported: bool,
    has_called: bool,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(cursor: Cursor<'s, 'a>) -> Self {
        Self {
            cursor,
            stack: Vec::new(),
            memo: HashMap::new(),
            imports: BTreeSet::new(),
            opcodes: 0,
            has_header: false,
            has_imported: false,
            has_called: false,
        }
    }

    /// Whether what was walked is a pickle. Text can begin like one by accident (`cat`, `dog` are
    /// an import), so without a header it takes a call, or an end at the very end.
    fn is_pickle(&self, end: &End) -> bool {
        let is_whole = *end == End::Stopped && self.cursor.is_at_end() && self.opcodes > 3;
        self.has_header || self.has_called || is_whole || *end == End::Exhausted
    }

    fn run(&mut self) -> Result<End> {
        loop {
            let Some(opcode) = self.cursor.byte()? else {
                return Ok(self.ended());
            };
            if self.stack.len() > ITEMS || self.memo.len() > ITEMS {
                return Ok(End::Exhausted);
            }
            self.opcodes += 1;
            if opcode == b'.' {
                let has_result = self.pop().is_some();
                return Ok(if has_result {
                    End::Stopped
                } else {
                    End::Broken
                });
            }
            if self.step(opcode)?.is_none() {
                return Ok(self.ended());
            }
        }
    }

    fn ended(&self) -> End {
        match self.cursor.is_exhausted() {
            true => End::Exhausted,
            false => End::Broken,
        }
    }

    /// Does what an opcode does; nothing where Python would raise an error.
    fn step(&mut self, opcode: u8) -> Result<Option<()>> {
        let Some(argument) = argument(opcode) else {
            return Ok(None);
        };
        Ok(match argument {
            Argument::Nothing => self.act(opcode),
            Argument::Fixed(count) => match self.cursor.number(count)? {
                Some(number) => self.with_number(opcode, number),
                None => None,
            },
            Argument::Counted(count) => self.counted(opcode, count)?,
            Argument::Line => match self.cursor.line(LINE)? {
                Some(line) => self.with_line(opcode, &line),
                None => None,
            },
            Argument::TwoLines => {
                let (module, name) = (self.cursor.line(NAME)?, self.cursor.line(NAME)?);
                module
                    .zip(name)
                    .and_then(|(m, n)| self.named(opcode, &m, &n))
            }
        })
    }

    /// Pushes a string, which is kept if it can be part of a name.
    fn counted(&mut self, opcode: u8, count: u8) -> Result<Option<()>> {
        let Some(length) = self.cursor.number(count)? else {
            return Ok(None);
        };
        let is_text = matches!(opcode, b'X' | b'U' | b'T' | 0x8c | 0x8d);
        if !is_text || length > NAME as u64 {
            self.stack.push(Item::Other);
            return Ok(self.cursor.skip(length).then_some(()));
        }
        let text = self.cursor.take(usize::try_from(length).unwrap_or(NAME))?;
        Ok(text.map(|text| self.push_text(&text)))
    }

    fn push_text(&mut self, text: &[u8]) {
        let name = dotted(text).map(|name| Item::Name(name.into()));
        self.stack.push(name.unwrap_or(Item::Other));
    }

    fn with_number(&mut self, opcode: u8, number: u64) -> Option<()> {
        match opcode {
            PROTO if self.opcodes == 1 && number <= 5 => self.has_header = true,
            // Python wants no more than a known protocol, wherever it is said.
            PROTO if number > 5 => return None,
            // A frame is only a hint to readers.
            PROTO | 0x95 => {}
            b'h' | b'j' => self.recall(number)?,
            b'q' | b'r' => self.memoize(number)?,
            0x82..=0x84 => self.import(format!("extension {number}")),
            _ => self.stack.push(Item::Other),
        }
        Some(())
    }

    fn with_line(&mut self, opcode: u8, line: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(line).ok()?.trim();
        match opcode {
            b'g' => return self.recall(text.parse().ok()?),
            b'p' => return self.memoize(text.parse().ok()?),
            b'I' | b'L' => {
                let digits = text.trim_end_matches('L').trim_start_matches(['-', '+']);
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                is_number.then_some(())?;
            }
            b'F' => drop(text.parse::<f64>().ok()?),
            b'S' => {
                let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
                let inner = text.get(1..)?.strip_suffix(quote)?;
                self.push_text(inner.as_bytes());
                return Some(());
            }
            b'V' => {
                self.push_text(line);
                return Some(());
            }
            _ => {}
        }
        self.stack.push(Item::Other);
        Some(())
    }

    fn named(&mut self, opcode: u8, module: &[u8], name: &[u8]) -> Option<()> {
        let (module, name) = (dotted(module)?, dotted(name)?);
        if opcode == b'i' {
            self.pop_to_mark()?;
        }
        self.import(format!("{module}.{name}"));
        self.has_called |= opcode == b'i';
        Some(())
    }

    /// Notes an import, and pushes what it would give.
    fn import(&mut self, name: String) {
        self.has_imported = true;
        if self.imports.len() < IMPORTS {
            self.imports.insert(name);
        }
        self.stack.push(Item::Other);
    }

    fn act(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'(' => self.stack.push(Item::Mark),
            b'N' | b'}' | b']' | b')' | 0x88 | 0x89 | 0x8f | 0x97 => self.stack.push(Item::Other),
            b'0' => drop(self.stack.pop()?),
            b'1' => self.pop_to_mark()?,
            b'2' => {
                let top = self.peek()?.clone();
                self.stack.push(top);
            }
            b'a' => self.replace(2, 1)?,
            b's' => self.replace(3, 1)?,
            b'e' | b'u' | 0x90 => {
                self.pop_to_mark()?;
                self.peek()?;
            }
            b'd' | b'l' | b't' | 0x91 => {
                self.pop_to_mark()?;
                self.stack.push(Item::Other);
            }
            0x85 | b'Q' | 0x98 => self.replace(1, 1)?,
            0x86 => self.replace(2, 1)?,
            0x87 => self.replace(3, 1)?,
            0x94 => self.memoize(self.memo.len() as u64)?,
            0x93 => self.stack_global()?,
            _ => return self.call(opcode),
        }
        Some(())
    }

    /// Calls something, which must have been imported.
    fn call(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            b'R' | b'b' | 0x81 => self.replace(2, 1)?,
            0x92 => self.replace(3, 1)?,
            b'o' => {
                self.pop_to_mark()?;
                self.stack.push(Item::Other);
            }
            _ => return None,
        }
        self.has_called |= self.has_imported;
        Some(())
    }

    /// Imports what the two strings on the stack name.
    fn stack_global(&mut self) -> Option<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let name = match (module, name) {
            (Item::Name(module), Item::Name(name)) => format!("{module}.{name}"),
            _ => "a computed name".to_owned(),
        };
        self.import(name);
        Some(())
    }

    fn peek(&self) -> Option<&Item> {
        self.stack.last().filter(|item| **item != Item::Mark)
    }

    fn pop(&mut self) -> Option<Item> {
        self.peek()?;
        self.stack.pop()
    }

    fn pop_to_mark(&mut self) -> Option<()> {
        while self.stack.pop()? != Item::Mark {}
        Some(())
    }

    fn replace(&mut self, taken: usize, given: usize) -> Option<()> {
        for _ in 0..taken {
            self.pop()?;
        }
        self.stack.extend(std::iter::repeat_n(Item::Other, given));
        Some(())
    }

    fn recall(&mut self, key: u64) -> Option<()> {
        let item = self.memo.get(&key)?.clone();
        self.stack.push(item);
        Some(())
    }

    fn memoize(&mut self, key: u64) -> Option<()> {
        let item = self.peek()?.clone();
        self.memo.insert(key, item);
        Some(())
    }
}

/// Returns `text` if it can name something in Python.
fn dotted(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '<' | '>');
    (!text.is_empty() && text.chars().all(is_name)).then_some(text)
}
