//! Files that say what other files hash to: DVC's `.dvc` files, and what `sha256sum` prints.

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::provenance::collect::data;
use crate::provenance::dependency::DIRECTORY_METHOD;

/// What a list says.
#[derive(Debug, PartialEq)]
pub(super) struct Listed {
    /// The digest, by algorithm.
    pub(super) digest: BTreeMap<String, String>,
    /// How it was made.
    pub(super) method: &'static str,
}

/// Reads the list `text`, which stands in the file at `path`.
pub(super) fn read(text: &str, path: &Path) -> Result<Listed> {
    let found = match path.extension().is_some_and(|extension| extension == "dvc") {
        true => dvc(text),
        false => sha256sum(text),
    };
    found.map_err(|why| {
        let message = format!("`{}` {why}", path.display());
        Error::new(Reason::RunFileInvalid, message)
            .hint("`digest_file` takes a .dvc file, or what `sha256sum` prints")
    })
}

/// Reads the one output that a `.dvc` file tracks
/// ([format](https://dvc.org/doc/user-guide/project-structure/dvc-files)). DVC knows MD5 only; the
/// statement says so, and who needs more names a list by sha256sum.
fn dvc(text: &str) -> Result<Listed, &'static str> {
    let outputs = text.lines().skip_while(|line| line.trim_end() != "outs:");
    let is_inside = |line: &&str| line.starts_with([' ', '-']) || line.trim().is_empty();
    let lines = outputs.skip(1).take_while(is_inside);
    let digests: Vec<_> = lines
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("md5:"))
        .collect();
    let [digest] = digests.as_slice() else {
        return Err("does not track exactly one output by its MD5");
    };
    let digest = digest.trim().trim_matches(['\'', '"']);
    let hex = digest.strip_suffix(".dir").unwrap_or(digest);
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hex.len() != 32 || !hex.bytes().all(is_hex) {
        return Err("has an MD5 that is not one");
    }
    Ok(Listed {
        digest: BTreeMap::from([("md5".to_owned(), hex.to_owned())]),
        method: "https://dvc.org",
    })
}

/// Reads lines of a SHA-256, two characters and a name; together they are a directory.
fn sha256sum(text: &str) -> Result<Listed, &'static str> {
    let malformed = "has a line that is no SHA-256 and name of a file";
    let mut entries = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (hex, name) = line.split_once(' ').ok_or(malformed)?;
        let name = name.strip_prefix([' ', '*']).ok_or(malformed)?;
        let name = name.strip_prefix("./").unwrap_or(name);
        let digest = Digest::from_hex(hex).map_err(|_| malformed)?;
        entries.push((name.to_owned(), digest));
    }
    if entries.is_empty() {
        return Err("lists no file");
    }
    let count = entries.len();
    entries.sort_unstable();
    entries.dedup_by(|one, other| one.0 == other.0);
    if entries.len() < count {
        return Err("lists a file twice");
    }
    let root = (
        Digest::ALGORITHM.to_owned(),
        data::root(entries).map_err(|_| malformed)?.hex(),
    );
    Ok(Listed {
        digest: BTreeMap::from([root]),
        method: DIRECTORY_METHOD,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn a_dvc_file_tracks_one_output() {
        let of = |text: &str| read(text, Path::new("x.dvc"));
        let text = format!(
            "md5: {}\nouts:\n- md5: {MD5}.dir\n  size: 1\n  path: x\ndeps:\n- md5: {MD5}\n",
            "0".repeat(32)
        );
        assert_eq!(of(&text).unwrap().digest["md5"], MD5);
        for bad in [
            "",
            "outs:\n- path: x\n",
            &format!("deps:\n- md5: {MD5}\n"),
            &format!("outs:\n- md5: {MD5}\n- md5: {MD5}\n"),
            "outs:\n- md5: short\n",
        ] {
            assert_eq!(
                of(bad).unwrap_err().reason(),
                Reason::RunFileInvalid,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_list_by_sha256sum_is_the_directory_that_it_lists() {
        let of = |text: &str| read(text, Path::new("SHA256SUMS"));
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let text = format!("{}  ./b\n{} *a\n", b.hex(), a.hex());
        let root = data::root(vec![("a".to_owned(), a), ("b".to_owned(), b)]).unwrap();
        assert_eq!(of(&text).unwrap().digest["sha256"], root.hex());
        for bad in [
            String::new(),
            "x  a\n".to_owned(),
            format!("{}\n", a.hex()),
            format!("{}  a\n{}  ./a\n", a.hex(), b.hex()),
        ] {
            assert_eq!(
                of(&bad).unwrap_err().reason(),
                Reason::RunFileInvalid,
                "{bad}"
            );
        }
    }
}
