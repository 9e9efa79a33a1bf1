//! ARCHITECTURE.md says where everything is, imports point downward only, and files are named after
//! nouns.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A row of ARCHITECTURE.md's table: the layer, and a module's file or `DIRECTORY/*`.
struct Row {
    layer: usize,
    file: String,
}

/// Returns the rows of the table, which says which modules are in which layer; a module may use
/// its own layer and those below.
fn rows() -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines() {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (Some(layer), Some(files)) = (cells.next(), cells.next()) else {
            continue;
        };
        let Ok(layer) = layer.parse() else { continue };
        // What stands between backticks, and not what stands between those.
        for file in files.split('`').skip(1).step_by(2) {
            let file = file.to_owned();
            rows.push(Row { layer, file });
        }
    }
    rows
}

/// Returns the layer of a module, or of the nearest one above it that has one.
fn layer(rows: &[Row], module: &str) -> Option<usize> {
    let mut name = module;
    loop {
        let file = format!("{}.rs", name.replace("::", "/"));
        if let Some(row) = rows.iter().find(|row| row.file == file) {
            return Some(row.layer);
        }
        name = name.rsplit_once("::")?.0;
    }
}

#[test]
fn the_table_names_every_file_and_none_that_is_not_there() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rows = rows();
    for Row { file, .. } in &rows {
        let path = source.join(file.trim_end_matches("/*"));
        assert!(path.exists(), "ARCHITECTURE.md names {file}");
        assert_eq!(path.is_dir(), file.ends_with("/*"), "{file}");
        let named = rows.iter().filter(|row| row.file == *file).count();
        assert_eq!(named, 1, "ARCHITECTURE.md names {file} more than once");
    }
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    for path in files {
        let path = path.strip_prefix(&source).unwrap().to_str().unwrap();
        let covers = |row: &Row| match row.file.strip_suffix('*') {
            Some(directory) => path.starts_with(directory),
            None => path == row.file,
        };
        // The list of modules, of which the text speaks.
        let is_covered = path == "lib.rs" || rows.iter().any(covers);
        assert!(
            is_covered,
            "ARCHITECTURE.md does not say what {path} is for"
        );
    }
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every library file with its module path.
fn modules() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let module = |file: &PathBuf| {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let name = relative.to_str().unwrap().replace('/', "::");
        (name, std::fs::read_to_string(file).unwrap())
    };
    let mut modules: Vec<_> = files.iter().map(module).collect();
    modules.retain(|(name, _)| !["lib", "main"].contains(&name.as_str()));
    modules
}

/// Returns what a file names by `crate::`, outside its tests and comments.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or_default();
            found.extend(group.split(',').map(|item| item.trim().to_owned()));
            continue;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        found.insert(
            rest[..end.unwrap_or(rest.len())]
                .trim_end_matches(':')
                .to_owned(),
        );
    }
    found.retain(|path| !path.is_empty());
    found
}

#[test]
fn imports_point_downward_only() {
    let mut seen = 0;
    let rows = rows();
    for (module, text) in modules() {
        if module == "cli" || module.starts_with("cli::") {
            assert!(
                imports(&text).is_empty(),
                "{module} must use only the public library"
            );
            continue;
        }
        let own = layer(&rows, &module).unwrap_or_else(|| panic!("{module} has no layer"));
        for import in imports(&text) {
            let other =
                layer(&rows, &import).unwrap_or_else(|| panic!("{module}: {import} has no layer"));
            assert!(
                other <= own,
                "{module} (layer {own}) uses {import} (layer {other})"
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "the imports were not found");
}

#[test]
fn the_library_never_prints_or_reads_its_surroundings() {
    for (module, text) in modules() {
        if module.starts_with("cli") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for forbidden in [
            "println!(",
            "print!(",
            "env::var",
            "env::home_dir",
            "env::current_dir",
            "env::args",
            "process::exit",
        ] {
            assert!(!code.contains(forbidden), "{module} uses {forbidden}");
        }
    }
}

#[test]
fn only_one_place_each_names_the_crates_of_sigstore() {
    let mut seen = 0;
    for (module, text) in modules() {
        let may = ["trust::sigstore"];
        if may.iter().any(|place| module.starts_with(place)) {
            seen += usize::from(text.contains("sigstore_"));
            continue;
        }
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let names = |kind: &&str| line.contains(&format!("sigstore_{kind}::"));
            let named = [
                "bundle",
                "crypto",
                "rekor",
                "sign",
                "trust_root",
                "tsa",
                "types",
                "verify",
            ];
            assert!(!named.iter().any(names), "{module}: {line}");
        }
    }
    assert!(seen > 2, "the imports were not found");
}

#[test]
fn files_are_named_after_nouns_of_the_field() {
    for (module, _) in modules() {
        let name = module.rsplit("::").next().unwrap_or_default();
        assert!(
            !["util", "utils", "helpers", "common", "misc"].contains(&name),
            "{module}"
        );
    }
}
