//! Logs as files: written by several at once, torn by crashes, and in places where none can be.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::chain::Kind;
use super::super::log::{AuditLog, check};
use super::{NOW, decision, judge, lines, origin};
use crate::error::Reason;

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
