//! Words everyone uses, and patterns of them.

use std::path::{Component, Path};

use modelctl::digest::Digest;
use modelctl::fuzzing;
use modelctl::identity::Match;
use modelctl::path::SafePath;
use modelctl::policy::constraint::Glob;
use modelctl::predicate::PredicateType;
use modelctl::reference::Reference;
use modelctl::selection::Selection;
use modelctl::sign::pkcs11::Uri;
use serde_json::Value;

use super::{Target, text};

pub(super) const JSON: Target = Target::new("json", |bytes| {
    if let Ok(value) = fuzzing::strict_json(bytes) {
        let lenient: Value = serde_json::from_slice(bytes).expect("strict is not more than that");
        assert_eq!(value, lenient);
        let written = serde_json::to_vec(&value).expect("it was read");
        let again = fuzzing::strict_json(&written).expect("it was written");
        assert_eq!(again, value);
    }
})
.seeds(&[
    br#"{"a":[1,-2.5e3,"x\u00e9\n",null,true,18446744073709551615],"b":{"a":{}}}"#,
    br#"[[[[[[]]]]]]"#,
]);

pub(super) const DIGEST: Target = Target::new("digest", |bytes| {
    if let Some(text) = text(bytes)
        && let Ok(digest) = text.parse::<Digest>()
    {
        assert_eq!(digest.to_string(), text);
    }
})
.seeds(&[b"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]);

pub(super) const PATH: Target = Target::new("path", |bytes| {
    if let Some(text) = text(bytes)
        && let Ok(path) = text.parse::<SafePath>()
    {
        assert_eq!(path.as_str(), text);
        check_path(&path);
    }
})
.seeds(&[
    b"model-00001-of-00002.safetensors",
    "a/b c/\u{e9}\u{4e2d}.txt".as_bytes(),
    b"CON.txt",
    b".modelctl/receipt.json",
    b"PROGRA~1/a",
]);

/// A path that was accepted stays below the directory that it is put into.
pub(super) fn check_path(path: &SafePath) {
    let is_normal = |component| matches!(component, Component::Normal(_));
    assert!(
        Path::new(path.as_str()).components().all(is_normal),
        "{path:?}"
    );
    assert!(!path.as_str().contains(['\\', '\0', ':']), "{path:?}");
    assert!(
        path.components()
            .all(|name| !name.is_empty() && name != "." && name != "..")
    );
    assert!(
        path.below(Path::new("/models")).starts_with("/models"),
        "{path:?}"
    );
    assert!(!path.collision_key().is_empty(), "{path:?}");
}

pub(super) const REFERENCE: Target = Target::new("reference", |bytes| {
    if let Some(text) = text(bytes)
        && let Ok(reference) = text.parse::<Reference>()
    {
        let shown = reference.to_string();
        let again: Reference = shown.parse().unwrap_or_else(|_| panic!("{shown:?}"));
        assert_eq!(again, reference, "{shown:?}");
        assert_eq!(again.to_string(), shown);
    }
})
.seeds(&[
    b"registry.example.com:5000/acme/bert:v1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"[::1]:5000/a__b/c-d:latest",
    b"oci:./models/a:v1",
    b"localhost/m",
]);

/// Returns the first line, and the rest.
fn halves(bytes: &[u8]) -> Option<(&str, &str)> {
    text(bytes)?.split_once('\n')
}

pub(super) const GLOB: Target = Target::new("glob", |bytes| {
    let Some((pattern, text)) = halves(bytes) else {
        return;
    };
    let Ok(glob) = Glob::new(pattern) else { return };
    // It must mean what the regular expression means that users are shown for it.
    if let Ok(regexp) = Match::pattern(&glob.to_regexp()) {
        assert_eq!(glob.matches(text), regexp.admits(text), "{glob} {text:?}");
    }
})
.peak(64 << 20)
.seeds(&[b"https://github.com/acme/*\nhttps://github.com/acme/models"]);

pub(super) const PATTERN: Target = Target::new("pattern", |bytes| {
    let Some((pattern, text)) = halves(bytes) else {
        return;
    };
    if let Ok(pattern) = Match::pattern(pattern) {
        pattern.admits(text);
    }
})
.peak(64 << 20)
.seeds(&[b"https://github\\.com/acme/.*@refs/(heads|tags)/v[0-9]+\nhttps://github.com/acme/x@refs/tags/v1"]);

pub(super) const SELECTION: Target = Target::new("selection", |bytes| {
    let Some((patterns, path)) = halves(bytes) else {
        return;
    };
    let Ok(path) = path.parse::<SafePath>() else {
        return;
    };
    let patterns: Vec<_> = patterns.split(' ').map(str::to_owned).collect();
    let (include, exclude) = patterns.split_at(patterns.len() / 2);
    let selection = Selection {
        include: include.to_vec(),
        exclude: exclude.to_vec(),
    };
    if let Ok(filter) = selection.filter() {
        let selects = filter.selects(&path);
        let as_path = Path::new(path.as_str());
        assert_eq!(
            selects,
            filter.includes(as_path) && !filter.excludes(as_path)
        );
    }
})
.peak(64 << 20)
.seeds(&[b"*.safetensors docs/** {a,b}/[c-d]? onnx\nmodel.safetensors"]);

pub(super) const PKCS11_URI: Target = Target::new("pkcs11-uri", |bytes| {
    if let Some(Ok(uri)) = text(bytes).map(str::parse::<Uri>) {
        let _ = uri.to_string();
    }
})
.seeds(&[b"pkcs11:token=a%20b;object=release;id=%01%02;type=private;slot-id=3?module-path=/usr/lib/a.so&pin-source=file:/run/pin"]);

pub(super) const PREDICATE_TYPE: Target = Target::new("predicate-type", |bytes| {
    if let Some(Ok(kind)) = text(bytes).map(str::parse::<PredicateType>) {
        let again: PredicateType = kind.as_str().parse().expect("it is one");
        assert_eq!(again.as_str(), kind.as_str());
    }
})
.seeds(&[
    b"slsaprovenance1",
    b"https://slsa.dev/provenance/v1",
    b"urn:a:b",
]);
