//! The real tools: where they are, and what happens when one is not there.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Returns where the peer `name` is installed: where `scripts/peers` puts it, else on `PATH`.
///
/// Without it the caller's test is to be skipped; that is said past the test harness's capture. A
/// peer that `MODELCTL_REQUIRE_PEERS` names (or `all`) must be there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let found = installed(name).or_else(|| on_path(name));
    if found.is_none() {
        assert!(
            !is_required(name),
            "{name} is required but not installed; run scripts/peers"
        );
        say_skipped(name);
    }
    found
}

/// Returns the directory of the real model, as `scripts/peers` downloads it.
pub(crate) fn model() -> Option<PathBuf> {
    let found = Some(folder().join("model/files")).filter(|model| model.is_dir());
    if found.is_none() {
        assert!(
            !is_required("model"),
            "the model is required but absent; run scripts/peers"
        );
        say_skipped("model");
    }
    found
}

fn folder() -> PathBuf {
    match std::env::var_os("MODELCTL_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers"),
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    Some(folder().join("bin").join(name)).filter(|tool| tool.is_file())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|tool| tool.is_file())
}

fn is_required(name: &str) -> bool {
    let required = std::env::var("MODELCTL_REQUIRE_PEERS").unwrap_or_default();
    required
        .split_whitespace()
        .any(|peer| peer == name || peer == "all" || peer == "1")
}

/// Says once that `what` is absent.
fn say_skipped(what: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(what.to_owned()) {
        skip(&format!("{what} is not installed; run scripts/peers"));
    }
}

/// Says loudly that something is not tested.
pub(crate) fn skip(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Says a line. The harness captures what the print macros write, so this writes to the stream.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
