//! What the documents say is so: reasons and exit codes, what a file is for, links and paths.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use modelctl::error::Reason;
use modelctl::model::Kind;

/// Reads a file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every document, by its path in the repository.
fn documents() -> Vec<PathBuf> {
    let in_directory = |directory: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        let paths = entries.map(|entry| Path::new(directory).join(entry.unwrap().file_name()));
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect()
    };
    let mut found = ["", "docs", "fixtures"].map(in_directory).concat();
    found.sort();
    assert!(found.len() > 8, "{found:?}");
    found
}

/// Returns the cells of the rows of a Markdown text's tables, without those of heads.
fn cells(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.map(|row| row.trim_end_matches('|').replace("\\|", "&#124;"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Returns what stands between backticks, outside of fenced blocks.
fn code_spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// Returns the exit code of each class of failures, as the command line has it.
fn exit_codes() -> BTreeMap<String, String> {
    let source = read("src/cli/exit.rs");
    let arms = source.lines().filter_map(|line| {
        let (class, code) = line.trim().strip_prefix("Class::")?.split_once(" => ")?;
        Some((class.to_owned(), code.strip_suffix(',')?.to_owned()))
    });
    arms.collect()
}

/// Returns what the source says of each reason, by its code.
fn meanings() -> BTreeMap<String, String> {
    let source = read("src/error.rs");
    let mut meanings = BTreeMap::new();
    let mut said = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            said = format!("{said} {text}");
            continue;
        }
        let mut parts = line.split('"');
        if let (Some(name), Some(code), Some(class)) = (parts.next(), parts.next(), parts.next())
            && name.ends_with(" = ")
            && class.starts_with(" => ")
        {
            meanings.insert(code.to_owned(), said.trim().to_owned());
        }
        said.clear();
    }
    meanings
}

#[test]
fn every_reason_is_listed_with_its_exit_code_and_meaning() {
    let (exit_codes, meanings) = (exit_codes(), meanings());
    let row = |reason: &Reason| {
        let class = format!("{:?}", reason.class());
        let (exit_code, meaning) = (&exit_codes[&class], &meanings[reason.code()]);
        format!("| `{}` | {exit_code} | {meaning} |", reason.code())
    };
    let expected: Vec<_> = Reason::ALL.iter().map(row).collect();
    let document = read("docs/exit-codes.md");
    let (_, table) = document
        .split_once("\n| reason | code | meaning |\n|---|---|---|\n")
        .unwrap();
    let expected = expected.join("\n");
    assert_eq!(
        table.trim_end(),
        expected,
        "the table should be:\n{expected}"
    );
}

#[test]
fn every_exit_code_has_a_row() {
    let document = read("docs/exit-codes.md");
    let codes = exit_codes();
    assert_eq!(codes.len(), 8, "{codes:?}");
    for code in codes.values() {
        let row = format!("\n| {code} | ");
        assert_eq!(document.matches(&row).count(), 1, "exit code {code}");
    }
}

#[test]
fn every_refusal_of_packing_has_a_reason_that_exists() {
    let document = read("docs/packing.md");
    let (_, section) = document.split_once("\n## What is refused\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let refused = cells(section).split_off(1);
    assert!(refused.len() > 5, "the table was not found");
    for row in refused {
        let spans = code_spans(&row[1]);
        let code = |reason: &&Reason| spans.first().is_some_and(|span| span == reason.code());
        let reason = Reason::ALL.iter().find(code);
        let reason = reason.unwrap_or_else(|| panic!("{:?} is no reason", row[1]));
        let exit_code = &exit_codes()[&format!("{:?}", reason.class())];
        let says_so = row[1].contains(&format!("(exit {exit_code})"));
        assert_eq!(exit_code != "4", says_so, "{row:?}");
    }
}

#[test]
fn files_are_for_what_the_document_says() {
    let mut seen = 0;
    for row in cells(&read("docs/packing.md")) {
        let [kind, files] = row.as_slice() else {
            continue;
        };
        let Some(kind) = Kind::ALL
            .into_iter()
            .find(|known| *kind == format!("`{known}`"))
        else {
            continue;
        };
        for glob in code_spans(files) {
            let name = match glob.strip_prefix('*') {
                Some(rest) => format!("x{rest}"),
                None => glob.trim_end_matches('*').to_owned(),
            };
            assert_eq!(Kind::of(&name.parse().unwrap()), kind, "{glob}");
            seen += 1;
        }
    }
    assert!(seen > 30, "the table was not found");
}

/// Returns the names of all tests, from the sources.
fn tests() -> BTreeSet<String> {
    fn visit(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let mut attributed = false;
                for line in source.lines().map(str::trim) {
                    let function = line.trim_start_matches("async ").strip_prefix("fn ");
                    if let Some(rest) = function.filter(|_| attributed) {
                        found.insert(rest.split('(').next().unwrap().to_owned());
                    }
                    let is_attribute = line.starts_with("#[");
                    attributed = (attributed && is_attribute)
                        || line == "#[test]"
                        || line.starts_with("#[tokio::test");
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for directory in ["src", "tests"] {
        visit(&root().join(directory), &mut found);
    }
    found
}

#[test]
fn every_threat_names_tests_that_exist() {
    let tests = tests();
    let rows = cells(&read("docs/threats.md"));
    let rows: Vec<_> = rows.iter().filter(|row| row[0] != "id").collect();
    let of = |letter: char, count: usize| (1..=count).map(move |n| format!("{letter}{n:02}"));
    let log = ["L11", "L25"].map(str::to_owned);
    let expected = of('R', 40).chain(of('N', 10)).chain(of('C', 11));
    let expected: Vec<_> = expected.chain(log).collect();
    let ids: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, expected);
    for row in rows {
        let named = code_spans(&row[3]);
        assert!(!named.is_empty(), "{row:?}");
        for name in named {
            assert!(
                tests.contains(&name),
                "{}: there is no test `{name}`",
                row[0]
            );
        }
    }
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut seen = 0;
    for document in documents() {
        let text = read(document.to_str().unwrap());
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let link = rest.split([')', ' ']).next().unwrap();
            let path = link.split('#').next().unwrap();
            if link.contains("://") || path.is_empty() {
                continue;
            }
            let target = root().join(&document).with_file_name(path);
            assert!(target.exists(), "{} links to {link}", document.display());
            seen += 1;
        }
    }
    assert!(seen > 8, "the links were not found");
}

/// A path in backticks is one from the repository's root.
#[test]
fn every_path_that_a_document_names_exists() {
    let tops = [
        "src/",
        "tests/",
        "docs/",
        "scripts/",
        "fixtures/",
        "benches/",
        "examples/",
        ".ci/",
    ];
    let mut seen = 0;
    for document in documents() {
        for span in code_spans(&read(document.to_str().unwrap())) {
            let path = span.split([' ', '*']).next().unwrap();
            if tops.iter().any(|top| path.starts_with(top)) {
                let there = root().join(path).exists();
                assert!(there, "{} names `{span}`", document.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the paths were not found");
}
