//! What the Python that runs here says about itself and its packages.

use std::ffi::OsStr;

use crate::digest::Digest;
use crate::provenance::collect::program;
use crate::provenance::dependency::{Dependency, PYTHON_PACKAGES, Role};
use crate::provenance::facts::PythonFacts;

/// The largest list that is put into the statement itself, and not its digest alone.
const INLINE: usize = 64 << 10;

/// Prints the version and then `name==version` of each package. It asks for metadata and imports no
/// package, because importing runs it.
const PROBE: &str = "\
import importlib.metadata as m, platform
print(platform.python_version())
for d in m.distributions():
    n = d.metadata['Name']
    if n and d.version: print(n + '==' + d.version)
";

/// Asks `python3`, which an activated environment puts in front of the search path. `-I` keeps it
/// from running what lies in this directory.
pub(super) async fn facts(search_path: Option<&OsStr>) -> PythonFacts {
    let printed = program::text("python3", &["-I", "-c", PROBE], search_path).await;
    printed.map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &str) -> PythonFacts {
    let mut lines = text.lines();
    let version = lines
        .next()
        .filter(|line| is_plain(line))
        .map(str::to_owned);
    let packages = lines.filter_map(|line| {
        let (name, version) = line.split_once("==")?;
        (is_plain(name) && is_plain(version)).then(|| (normal(name), version.to_owned()))
    });
    PythonFacts {
        version,
        packages: packages.collect(),
    }
}

/// Returns a name as it is compared
/// ([PEP 503](https://peps.python.org/pep-0503/#normalized-names)).
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn is_plain(word: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.+!".contains(&b);
    !word.is_empty() && word.len() <= 200 && word.bytes().all(fine)
}

/// Returns the list of packages as a dependency.
pub(super) fn dependency(lock: String) -> Dependency {
    let digest = Digest::of(lock.as_bytes());
    let mut found = Dependency::new(Role::TrainingEnvironment, PYTHON_PACKAGES).hashed(&digest);
    found.media_type = Some("text/plain".to_owned());
    found.content = (lock.len() <= INLINE).then(|| lock.into_bytes());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed_once_in_the_order_of_normal_names() {
        let facts =
            parse("3.12.3\nTyping_Extensions==4.12\ntorch==2.5.1+cu124\nx y==1\nbad\na.b==1\n");
        assert_eq!(facts.version.as_deref(), Some("3.12.3"));
        let lock = facts.lock().unwrap();
        assert_eq!(
            lock,
            "a-b==1\ntorch==2.5.1+cu124\ntyping-extensions==4.12\n"
        );
        let found = dependency(lock.clone());
        assert_eq!(found.digest["sha256"], Digest::of(lock.as_bytes()).hex());
        assert_eq!(found.content, Some(lock.into_bytes()));
        assert_eq!(parse(""), PythonFacts::default());
    }
}
