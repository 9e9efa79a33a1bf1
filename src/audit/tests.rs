//! Logs that were tampered with, and their honest twins.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;

use super::chain::{Break, Chain, Findings, Kind};
use super::line;
use super::log::{AuditLog, check};
use super::record::{Decision, Event, Origin};
use crate::digest::Digest;
use crate::error::Reason;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn origin() -> Origin {
    Origin {
        tool: "modelctl/0".to_owned(),
        host: None,
        user: None,
    }
}

fn decision(name: &str) -> Event {
    let decision = Decision::refused("pull", Reason::SignatureMissing);
    let decision = decision.about(name, Some(Digest::of(name.as_bytes())));
    Event::Decision(Box::new(decision))
}

/// Returns the lines of a log with `count` records, each with its newline.
fn lines(count: usize) -> Vec<Vec<u8>> {
    let mut head = None;
    let names = (0..count).map(|index| format!("host/acme/bert:v{index}"));
    names
        .map(|name| {
            let (line, next) =
                line::write(&decision(&name), head.as_ref(), NOW, &origin()).unwrap();
            head = Some(next);
            line
        })
        .collect()
}

fn judge(bytes: &[u8]) -> Findings {
    let mut chain = Chain::watching([]);
    let mut pieces: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let rest = pieces.pop().unwrap();
    pieces.into_iter().for_each(|line| chain.line(line));
    chain.end(rest)
}

fn kinds(lines: &[Vec<u8>]) -> Vec<(u64, Kind)> {
    let breaks = judge(&lines.concat()).breaks;
    breaks
        .iter()
        .map(|Break { line, kind, .. }| (*line, *kind))
        .collect()
}

/// Returns `line` with `from` replaced by `to`, and its hash made right again.
fn forged(line: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let body = text.rsplit_once(",\"hash\":").unwrap().0.replace(from, to);
    let hash = Digest::of(format!("modelctl audit log v1\n{body}}}").as_bytes());
    format!("{body},\"hash\":\"{hash}\"}}\n").into_bytes()
}

#[test]
fn a_log_as_it_was_written_holds() {
    for count in [0, 1, 2, 50] {
        let found = judge(&lines(count).concat());
        assert!(found.holds(), "{:?}", found.breaks);
        assert_eq!(found.records, count as u64);
        assert_eq!(found.head.map_or(0, |head| head.seq), count as u64);
    }
}

#[test]
fn anyone_can_compute_the_hash_of_a_line() {
    let written = lines(3);
    for line in &written {
        assert_eq!(&forged(line, "pull", "pull"), line);
    }
}

#[test]
fn lines_that_are_removed_moved_copied_or_put_in_between_are_found() {
    use Kind::{Edited, Foreign, Inserted, Removed, Reordered, Torn};
    let honest = lines(6);
    type Row = (&'static str, fn(&mut Vec<Vec<u8>>), &'static [(u64, Kind)]);
    let table: &[Row] = &[
        ("nothing", |_| {}, &[]),
        ("first removed", |l| drop(l.remove(0)), &[(1, Removed)]),
        ("one removed", |l| drop(l.remove(2)), &[(3, Removed)]),
        ("three removed", |l| drop(l.drain(1..4)), &[(2, Removed)]),
        // What this cannot find, a checkpoint does.
        ("last removed", |l| drop(l.pop()), &[]),
        (
            "swapped",
            |l| l.swap(2, 3),
            &[(3, Reordered), (4, Reordered)],
        ),
        (
            "last to front",
            |l| l.rotate_right(1),
            &[
                (1, Reordered),
                (2, Reordered),
                (3, Reordered),
                (4, Reordered),
                (5, Reordered),
                (6, Reordered),
            ],
        ),
        ("copied", |l| l.insert(3, l[1].clone()), &[(4, Reordered)]),
        (
            "doubled at the end",
            |l| l.push(l[5].clone()),
            &[(7, Reordered)],
        ),
        (
            "a line of something else",
            |l| l.insert(3, b"hello\n".to_vec()),
            &[(4, Foreign)],
        ),
        (
            "an empty line",
            |l| l.insert(3, b"\n".to_vec()),
            &[(4, Foreign)],
        ),
        (
            "a record become something else",
            |l| l[3] = b"hello\n".to_vec(),
            &[(4, Foreign)],
        ),
        (
            "cut in the middle",
            |l| drop(l[3].drain(40..60)),
            &[(4, Edited)],
        ),
        (
            "its hash lost",
            |l| {
                l[3].truncate(60);
                l[3].push(b'\n')
            },
            &[(4, Edited)],
        ),
        ("cut at the end", |l| l[5].truncate(60), &[(6, Torn)]),
        (
            "cut at the end, by a byte",
            |l| {
                let n = l[5].len();
                l[5].truncate(n - 2)
            },
            &[(6, Torn)],
        ),
        // A record is whole without its newline.
        (
            "newline lost at the end",
            |l| {
                l[5].pop();
            },
            &[],
        ),
        (
            "newline lost between",
            |l| {
                l[2].pop();
            },
            &[(3, Edited), (4, Removed)],
        ),
        (
            "rewritten, hash and all",
            |l| l[2] = forged(&l[2], "refused", "admitted"),
            &[(4, Inserted)],
        ),
        (
            "renumbered",
            |l| l[2] = forged(&l[2], "\"seq\":3", "\"seq\":30"),
            &[(3, Removed), (4, Reordered), (5, Reordered), (6, Reordered)],
        ),
        (
            "forged before one",
            |l| {
                let other = forged(&l[2], "bert:v2", "evil:v2");
                let other = forged(
                    &other,
                    "\"previous\":\"sha256:",
                    "\"previous\":\"sha256:0000",
                )
                .drain(..)
                .collect();
                l.insert(2, other);
            },
            &[(3, Foreign)],
        ),
        (
            "of another log",
            |l| {
                let mut others = l.clone();
                others[0] = forged(&l[0], "bert", "bart");
                l.insert(
                    2,
                    forged(
                        &l[2],
                        "\"previous\":\"sha256:",
                        &format!("\"previous\":\"{}\",\"was\":\"", Digest::of(&others[0])),
                    ),
                );
            },
            &[(3, Inserted)],
        ),
    ];
    for (what, change, expected) in table {
        let mut changed = honest.clone();
        change(&mut changed);
        let mut found = kinds(&changed);
        found.sort_by_key(|(line, _)| *line);
        assert_eq!(&found, expected, "{what}");
    }
}

#[test]
fn an_edit_of_any_field_is_found_where_it_was_made() {
    let honest = lines(5);
    let line = String::from_utf8(honest[2].clone()).unwrap();
    for (from, to) in [
        ("\"seq\":3", "\"seq\":4"),
        ("1970-01", "1971-01"),
        ("\"previous\":\"sha256:", "\"previous\":\"sha256:ab"),
        ("\"event\":\"decision\"", "\"event\":\"torn\""),
        ("\"command\":\"pull\"", "\"command\":\"push\""),
        ("bert:v2", "bert:v3"),
        ("\"digest\":\"sha256:", "\"digest\":\"sha255:"),
        ("\"refused\"", "\"admitted\""),
        ("signature-missing", "signature-mis"),
        ("modelctl/0", "modelctl/1"),
        ("{\"version\":1", "{ \"version\":1"),
        ("}\n", "} \n"),
        ("}\n", "}\r\n"),
    ] {
        let edited = line.replacen(from, to, 1);
        assert_ne!(edited, line, "{from}");
        let mut changed = honest.clone();
        changed[2] = edited.into_bytes();
        assert_eq!(kinds(&changed), [(3, Kind::Edited)], "{from} → {to}");
    }
}

#[test]
fn what_is_wrong_with_a_log_is_counted_and_not_listed_for_ever() {
    let found = judge("x\n".repeat(1000).as_bytes());
    assert_eq!((found.breaks.len(), found.more_breaks), (100, 900));
    assert!(!found.holds());
    let error = found.broken("audit.log").unwrap();
    assert_eq!(error.reason(), Reason::AuditBroken);
    assert!(
        error.message().contains("line 1") && error.message().contains("999 more"),
        "{error}"
    );
    assert!(judge(&lines(2).concat()).broken("audit.log").is_none());
}

proptest! {
    #[test]
    fn any_changed_byte_of_any_line_is_found(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let honest = lines(4).concat();
        let mut changed = honest.clone();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != to);
        changed[at] = to;
        prop_assert!(!judge(&changed).holds(), "byte {at} became {to}");
        prop_assert!(judge(&honest).holds());
    }

    #[test]
    fn any_log_cut_short_is_a_shorter_one_or_torn(at in any::<prop::sample::Index>()) {
        let written = lines(4);
        let whole = written.concat();
        let cut = at.index(whole.len());
        let found = judge(&whole[..cut]);
        let ends = |count: usize| written[..count].concat().len();
        let fits = (0..=4).any(|count| cut == ends(count) || cut + 1 == ends(count));
        prop_assert_eq!(found.holds(), fits);
        prop_assert!(found.breaks.iter().all(|one| one.kind == Kind::Torn));
    }

    #[test]
    fn whatever_is_in_a_file_is_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let found = judge(&bytes);
        prop_assert_eq!(found.records, 0);
    }
}

/// A directory, and a log in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn append(&self, name: &str) -> crate::error::Result<u64> {
        let log = AuditLog::open(&self.path(), origin())?;
        Ok(log.append(&decision(name), NOW)?.seq)
    }

    fn write(&self, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .unwrap();
        file.write_all(bytes).unwrap();
    }
}

fn breaks(path: &Path) -> Vec<Kind> {
    let found = check(path, []).unwrap();
    found.breaks.iter().map(|one| one.kind).collect()
}

#[test]
fn records_follow_each_other_in_a_file_that_others_cannot_read() {
    let place = Place::new();
    for seq in 1..=3 {
        assert_eq!(place.append("a").unwrap(), seq);
    }
    let found = check(&place.path(), []).unwrap();
    assert!(found.holds());
    assert_eq!(found.records, 3);
    let mode = fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_torn_line_is_marked_and_never_deleted() {
    let whole = lines(3).concat();
    let third = lines(3)[2].clone();
    // From all of a line but its newline to a byte of it.
    for kept in [1, 10, 40, third.len() - 2] {
        let place = Place::new();
        place.write(&whole);
        place.write(&third[..kept]);
        assert_eq!(breaks(&place.path()), [Kind::Torn], "{kept}");
        assert_eq!(place.append("after").unwrap(), 5, "{kept}");
        let found = check(&place.path(), []).unwrap();
        assert!(found.holds(), "{kept}: {:?}", found.breaks);
        assert_eq!((found.torn.len(), found.records), (1, 5));
        assert_eq!((found.torn[0].line, found.torn[0].bytes), (4, kept as u64));
        // What is left of it is as much part of the log as everything else.
        let text = fs::read(place.path()).unwrap();
        let start = whole.len();
        assert_eq!(&text[start..start + kept], &third[..kept]);
        let mut edited = text.clone();
        edited[start] ^= 1;
        assert_eq!(judge(&edited).breaks[0].kind, Kind::Edited);
        let gone = [&text[..start], &text[start + kept + 1..]].concat();
        assert_eq!(judge(&gone).breaks[0].kind, Kind::Removed);
    }
}

#[test]
fn a_first_line_and_a_mark_can_be_torn_too() {
    for torn in [
        &b"{\"version\":1,\"seq\":1,\"ti"[..],
        b"{\"v",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let place = Place::new();
        place.write(torn);
        assert_eq!(place.append("after").unwrap(), 2);
        assert!(check(&place.path(), []).unwrap().holds());
    }
    let place = Place::new();
    place.write(&lines(2).concat());
    place.write(b"{\"version\":1,\"seq\":3,\n{\"version\":1,\"se");
    assert_eq!(place.append("after").unwrap(), 4);
    let found = check(&place.path(), []).unwrap();
    assert!(found.holds(), "{:?}", found.breaks);
}

#[test]
fn a_record_without_its_newline_is_a_record() {
    let place = Place::new();
    let whole = lines(2).concat();
    place.write(&whole[..whole.len() - 1]);
    assert_eq!(place.append("after").unwrap(), 3);
    assert!(check(&place.path(), []).unwrap().holds());
    assert!(fs::read(place.path()).unwrap().starts_with(&whole));
}

#[test]
fn nothing_is_appended_to_what_is_no_log_or_ends_in_an_edited_record() {
    let mut edited = lines(2).concat();
    let last = edited.len() - 100;
    edited[last] ^= 1;
    let long = [lines(1).concat(), vec![b'x'; 300_000]].concat();
    for bytes in [&b"root:x:0:0\n"[..], b"no newline", &edited, &long, b"\n"] {
        let place = Place::new();
        place.write(bytes);
        assert_eq!(place.append("a").unwrap_err().reason(), Reason::AuditBroken);
        assert_eq!(fs::read(place.path()).unwrap(), bytes);
    }
    let place = Place::new();
    place.write(&lines(2).concat());
    place.append("a").unwrap();
}

#[test]
fn a_place_that_cannot_be_a_log_is_the_disks_fault() {
    let place = Place::new();
    let directory = place.directory.path();
    let open = |name: &str| AuditLog::open(&directory.join(name), origin());
    fs::create_dir(directory.join("directory")).unwrap();
    std::os::unix::fs::symlink("elsewhere", directory.join("link")).unwrap();
    fs::write(directory.join("open"), "").unwrap();
    fs::set_permissions(directory.join("open"), fs::Permissions::from_mode(0o666)).unwrap();
    for name in ["missing/audit.log", "directory", "link", "open"] {
        let error = open(name).unwrap_err();
        assert_eq!(error.reason(), Reason::Disk, "{name}");
        assert!(error.message().contains(name), "{error}");
    }
    assert!(!directory.join("elsewhere").exists());
    fs::set_permissions(directory.join("open"), fs::Permissions::from_mode(0o660)).unwrap();
    open("open").unwrap();
}

#[test]
fn eight_writers_at_once_write_one_chain() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..50 {
                    place.append(&format!("writer-{writer}")).unwrap();
                }
            });
        }
    });
    let found = check(&place.path(), []).unwrap();
    assert!(found.holds(), "{:?}", found.breaks);
    assert_eq!(found.records, 400);
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let place = Place::new();
    let log = AuditLog::open(&place.path(), origin()).unwrap();
    log.append(&decision("a"), NOW).unwrap();
    let old = place.directory.path().join("audit.log.1");
    fs::rename(place.path(), &old).unwrap();
    assert_eq!(log.append(&decision("b"), NOW).unwrap().seq, 1);
    assert!(check(&place.path(), []).unwrap().holds() && check(&old, []).unwrap().holds());
}

#[test]
fn a_line_has_no_secret_nothing_for_the_terminal_and_an_end() {
    let why = "pkcs11:token=t?pin-value=1234";
    let name = "a\u{1b}[2J\u{9b}1m\u{202e}\u{7f}\u{2028}b\n\"".repeat(400);
    let decision = Decision::unverified("pull", why).about(&name, None);
    let event = Event::Decision(Box::new(decision));
    let (line, _) = line::write(&event, None, NOW, &origin()).unwrap();
    let text = String::from_utf8(line).unwrap();
    assert!(
        !text.contains("1234") && text.contains("pkcs11:token=t"),
        "{text}"
    );
    let line = text.strip_suffix('\n').unwrap();
    assert!(
        line.chars().all(|c| c.is_ascii() && !c.is_control()),
        "{line}"
    );
    assert!(judge(text.as_bytes()).holds());
    assert!(text.len() < crate::limits::AUDIT_LINE);
}
