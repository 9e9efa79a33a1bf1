//! Whether the lines of a log are all that were written, unchanged and in their order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::line::{self, Fault, Head, Link};
use super::record::Torn;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Reason};
use crate::limits;

/// Says what a check of a log cannot find, if it is known to be what was signed up to the record
/// `signed`.
pub fn undetected(signed: Option<u64>) -> String {
    let what = match signed {
        None => "records removed from the end, or a log written anew from its beginning".to_owned(),
        Some(seq) => format!("records after {seq} that were removed from the end, or written anew"),
    };
    format!(
        "not detectable here: {what}, by someone who can write the file; only a checkpoint that was \
         signed later and kept elsewhere shows that"
    )
}

/// What is wrong at a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The line is not as it was written.
    Edited,
    /// Records are missing before it.
    Removed,
    /// Its record belongs elsewhere, or stands here twice.
    Reordered,
    /// It does not follow the record before it: one of the two was put there.
    Inserted,
    /// It was not written to its end.
    Torn,
    /// It is no record.
    Foreign,
}

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: Kind,
    /// The same as a sentence.
    pub message: String,
}

/// What a crash left of a line, which the next record marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TornLine {
    /// The line, counted from 1.
    pub line: u64,
    /// How much of it there is.
    pub bytes: u64,
}

/// What the check of a log came to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Records that are as they were written.
    pub records: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// Where the chain does not hold; the first hundred.
    pub breaks: Vec<Break>,
    /// How many more there are.
    pub more_breaks: u64,
    /// What crashes left, and was marked: nothing is missing there but what was not decided.
    pub torn: Vec<TornLine>,
    /// The hashes of the records that were asked for, by number.
    watched: BTreeMap<u64, Option<Digest>>,
}

impl Findings {
    /// Whether the chain holds from the first line to the last.
    pub fn holds(&self) -> bool {
        self.breaks.is_empty() && self.more_breaks == 0
    }

    /// Returns why the log called `name` is not to be believed, if so.
    pub fn broken(&self, name: &str) -> Option<Error> {
        let first = self.breaks.first()?;
        let more = match self.breaks.len() as u64 + self.more_breaks - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let message = format!(
            "the audit log `{name}` is broken at line {}: {}{more}",
            first.line, first.message
        );
        Some(
            Error::new(Reason::AuditBroken, message)
                .hint("compare it with a copy; keep it as it is, and begin a new one"),
        )
    }

    /// Returns the hash of the record `seq`, if it was asked for and is there.
    pub(super) fn hash_at(&self, seq: u64) -> Option<Digest> {
        self.watched.get(&seq).copied().flatten()
    }
}

/// A check of a log, line by line: what it keeps does not grow with the log.
#[derive(Debug, Default)]
pub struct Chain {
    lines: u64,
    /// The record that the next one must follow.
    last: Option<Anchor>,
    /// One that claims to be the next and does not follow the last: it may yet turn out that what
    /// comes follows it.
    rival: Option<Anchor>,
    /// Lines that could not be read, until it is known whether they are marked as torn.
    unread: Option<Unread>,
    /// How many could not since the last record: they may have been records.
    lost: u64,
    /// Where records are missing, by their numbers, until they turn up.
    gaps: Vec<Gap>,
    findings: Findings,
}

/// A record that another may follow.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    seq: u64,
    /// Its hash as it says, and as it is: who edited the one did not edit the other.
    hashes: [Digest; 2],
}

impl Anchor {
    fn of(head: Head) -> Self {
        Self {
            seq: head.seq,
            hashes: [head.hash; 2],
        }
    }
}

/// Lines that could not be read, as a mark would describe them.
#[derive(Default)]
struct Unread {
    first: u64,
    lines: u64,
    bytes: u64,
    hasher: Hasher,
    looks_ours: bool,
}

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} unread lines from {}", self.lines, self.first)
    }
}

/// Missing records, and the break that tells of them.
#[derive(Debug)]
struct Gap {
    first: u64,
    end: u64,
    found: usize,
}

impl Chain {
    /// Returns a check that has seen no line yet, and that notes the hashes of the records with
    /// these numbers.
    pub fn watching(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut chain = Self::default();
        chain.findings.watched = numbers.into_iter().map(|number| (number, None)).collect();
        chain
    }

    /// Looks at the next line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        match line::read(line) {
            Ok(link) => {
                self.settle(link.torn);
                self.findings.records += 1;
                self.place(&link);
            }
            Err(Fault::Edited { claimed, found }) => {
                self.settle(None);
                self.edited(claimed, found);
            }
            Err(Fault::Unreadable) => self.unreadable(line),
        }
    }

    /// Looks at what stands after the last newline.
    pub fn end(mut self, rest: &[u8]) -> Findings {
        if !rest.is_empty() {
            match line::read(rest) {
                // Only its newline is missing.
                Ok(_) => self.line(rest),
                Err(_) => {
                    self.settle(None);
                    self.lines += 1;
                    let message = "it was not written to its end, and no record says so: a crash \
                        or an edit";
                    self.report(self.lines, Kind::Torn, message);
                }
            }
        }
        self.settle(None);
        self.findings.head = self.last.map(|last| Head {
            seq: last.seq,
            hash: last.hashes[0],
        });
        self.findings
    }

    /// Judges a record that is as it was written by its place.
    fn place(&mut self, link: &Link) {
        if link.head.seq > self.next()
            && let Some(rival) = self.rival.take()
        {
            self.last = Some(rival);
        }
        let next = self.next();
        match link.head.seq.cmp(&next) {
            std::cmp::Ordering::Less => self.late(link.head.seq),
            std::cmp::Ordering::Greater => {
                self.gap(next, link.head.seq);
                self.follow(link);
            }
            std::cmp::Ordering::Equal if self.follows(link) => self.follow(link),
            std::cmp::Ordering::Equal => {
                let message = format!(
                    "record {next} does not follow the record before it: one of the two was \
                     replaced or inserted"
                );
                self.report(self.lines, Kind::Inserted, message);
                self.rival = Some(Anchor::of(link.head));
            }
        }
        self.lost = 0;
    }

    fn next(&self) -> u64 {
        self.last.map_or(0, |last| last.seq).saturating_add(1)
    }

    fn follows(&self, link: &Link) -> bool {
        match (self.last, link.previous) {
            (None, None) => true,
            (Some(last), Some(previous)) => last.hashes.contains(&previous),
            _ => false,
        }
    }

    fn follow(&mut self, link: &Link) {
        self.last = Some(Anchor::of(link.head));
        self.rival = None;
        if let Some(hash) = self.findings.watched.get_mut(&link.head.seq) {
            *hash = Some(link.head.hash);
        }
    }

    /// Records a line that hashes to something else than it says. What it says of its place is
    /// believed only as far as it fits.
    fn edited(&mut self, claimed: Head, found: Digest) {
        let seq = claimed.seq;
        let message = format!("it is not as it was written (it says that it is record {seq})");
        self.report(self.lines, Kind::Edited, message);
        self.last = Some(Anchor {
            seq: self.next(),
            hashes: [claimed.hash, found],
        });
        self.rival = None;
    }

    fn unreadable(&mut self, line: &[u8]) {
        let number = self.lines;
        let unread = self.unread.get_or_insert_with(|| Unread {
            first: number,
            looks_ours: looks_ours(line),
            ..Unread::default()
        });
        if unread.lines > 0 {
            unread.hasher.update(b"\n");
            unread.bytes += 1;
        }
        unread.lines += 1;
        unread.bytes += line.len() as u64;
        unread.hasher.update(line);
    }

    /// Decides what the lines were that could not be read, now that one can be: torn ones, if it
    /// says exactly that.
    fn settle(&mut self, mark: Option<Torn>) {
        let Some(unread) = self.unread.take() else {
            if let Some(mark) = mark {
                let message = format!("the {} bytes that it marks as torn are gone", mark.bytes);
                self.report(self.lines, Kind::Removed, message);
            }
            return;
        };
        let found = Torn {
            bytes: unread.bytes,
            digest: unread.hasher.finish(),
        };
        if mark == Some(found) {
            let (line, bytes) = (unread.first, found.bytes);
            self.findings.torn.push(TornLine { line, bytes });
            return;
        }
        self.lost += unread.lines;
        let (kind, message) = match (mark, unread.looks_ours) {
            (Some(_), _) => (
                Kind::Edited,
                "it is not as it was when it was marked as torn",
            ),
            (None, true) => (Kind::Edited, "it cannot be read as a record any more"),
            (None, false) => (Kind::Foreign, "it is no record"),
        };
        for line in unread.first..unread.first.saturating_add(unread.lines) {
            self.report(line, kind, message);
        }
    }

    /// Records that numbers from `first` are missing before `end`, unless that many lines there
    /// cannot be read.
    fn gap(&mut self, first: u64, end: u64) {
        if end - first <= self.lost {
            return;
        }
        let message = match end - first {
            1 => format!("record {first} is missing before it"),
            _ => format!("records {first} to {} are missing before it", end - 1),
        };
        self.report(self.lines, Kind::Removed, message);
        if self.gaps.len() < limits::AUDIT_BREAKS && self.findings.more_breaks == 0 {
            let found = self.findings.breaks.len().saturating_sub(1);
            self.gaps.push(Gap { first, end, found });
        }
    }

    /// Records that a record comes too late. If it was missed, it was not removed.
    fn late(&mut self, seq: u64) {
        let gap = self
            .gaps
            .iter()
            .find(|gap| (gap.first..gap.end).contains(&seq));
        let missed = gap.and_then(|gap| self.findings.breaks.get_mut(gap.found));
        if let Some(missed) = missed {
            missed.kind = Kind::Reordered;
        }
        let message = format!("record {seq} stands after later ones, or twice");
        self.report(self.lines, Kind::Reordered, message);
    }

    fn report(&mut self, line: u64, kind: Kind, message: impl Into<String>) {
        if self.findings.breaks.len() == limits::AUDIT_BREAKS {
            self.findings.more_breaks += 1;
            return;
        }
        let message = message.into();
        self.findings.breaks.push(Break {
            line,
            kind,
            message,
        });
    }
}

/// Whether a line that cannot be read was probably a record.
fn looks_ours(line: &[u8]) -> bool {
    const MARKS: [&[u8]; 2] = [br#""version":1,"#, br#","hash":"sha256:"#];
    let has = |mark: &[u8]| line.windows(mark.len()).any(|window| window == mark);
    MARKS.into_iter().any(has)
}
