//! Logs that were tampered with, and their honest twins.

mod log;

use jiff::Timestamp;
use proptest::prelude::*;

use super::chain::{Break, Chain, Findings, Kind};
use super::line;
use super::record::{Decision, Event, Origin};
use crate::digest::Digest;
use crate::error::Reason;
use crate::limits;
use crate::policy::{Evidence, Finding, Requirement, Verdict};
use crate::trust::{Format, SignerIdentity};

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
            &[
                (3, Reordered),
                (4, Reordered),
                (5, Reordered),
                (6, Reordered),
            ],
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
            &[(3, Edited)],
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
    assert!(text.len() < limits::AUDIT_LINE);
}

/// Returns a verdict by `count` signers with names of this length.
fn verdict(count: usize, length: usize) -> Verdict {
    let evidence = (0..count).map(|number| Evidence {
        bundle: Digest::of(&number.to_le_bytes()),
        predicate_type: "https://example.com/p".to_owned(),
        signer: SignerIdentity::Keyless {
            name: "ci".to_owned(),
            identity: "\u{1}".repeat(length),
            issuer: "https://example.com".to_owned(),
            claims: Default::default(),
        },
        format: Format::Bundle,
        not_covered: Vec::new(),
        time: None,
        witnesses: Vec::new(),
        slsa: None,
    });
    let finding = Finding {
        requirement: Requirement::Signature,
        authorities: Vec::new(),
        threshold: 1,
        signers: count,
        met_by: evidence.collect(),
        refused: Vec::new(),
        reason: None,
    };
    Verdict {
        findings: vec![finding],
        objections: Vec::new(),
    }
}

#[test]
fn evidence_that_does_not_fit_is_left_out_and_counted() {
    for (count, length, listed) in [(3, 10, 3), (32, 10, 32), (200, 10, 32), (32, 5000, 8)] {
        let decision = Decision::judged("pull", &verdict(count, length));
        let event = Event::Decision(Box::new(decision));
        let (line, _) = line::write(&event, None, NOW, &origin()).unwrap();
        assert!(line.len() <= limits::AUDIT_LINE && judge(&line).holds());
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(record["verdict"], "admitted");
        assert_eq!(record["evidence"].as_array().unwrap().len(), listed);
        let left_out = record["evidenceLeftOut"].as_u64().unwrap_or_default();
        assert_eq!(left_out, (count - listed) as u64);
    }
}
