//! Imports point downward only, and files are named after nouns.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers of ARCHITECTURE.md, lowest first; a module may use its own layer and those below.
const LAYERS: [&[&str]; 5] = [
    &[
        "digest",
        "path",
        "json",
        "limits",
        "secret",
        "error",
        "progress",
        "directory",
        "backoff",
    ],
    &[
        "manifest",
        "reference",
        "model",
        "statement",
        "bundle",
        "predicate",
        "key",
        "selection",
    ],
    &["store", "blob", "sign", "trust", "policy", "hashing"],
    &["store::layout", "registry", "sign::key", "walk"],
    &[
        "download",
        "push",
        "pack",
        "attest",
        "referrer",
        "verify",
        "unpack",
        "receipt",
        "installed",
        "copy",
    ],
];

fn layer(module: &str) -> Option<usize> {
    let exact = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut name = module;
    loop {
        if let Some(found) = exact(name) {
            return Some(found);
        }
        name = name.rsplit_once("::")?.0;
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
    for (module, text) in modules() {
        if module == "cli" || module.starts_with("cli::") {
            assert!(
                imports(&text).is_empty(),
                "{module} must use only the public library"
            );
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} has no layer"));
        for import in imports(&text) {
            let other = layer(&import).unwrap_or_else(|| panic!("{module}: {import} has no layer"));
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
fn files_are_named_after_nouns_of_the_field() {
    for (module, _) in modules() {
        let name = module.rsplit("::").next().unwrap_or_default();
        assert!(
            !["util", "utils", "helpers", "common", "misc"].contains(&name),
            "{module}"
        );
    }
}
