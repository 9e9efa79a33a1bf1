//! Walking a model directory: which files make up the model, and why others do not.
//!
//! What is left out is known or asked for: the built-in names (`.git`, caches, `.modelctl`), OCI image layouts
//! (`push oci:./store:v1 .` must not pack the store into itself), what `.modelignore` at the root
//! says (in gitignore's syntax; it is not packed itself), what the [`Selection`] does not mean. Everything else must be a regular file with a name that is safe everywhere, or the
//! walk fails: a model that silently lacks a file is worse than none.
//!
//! A symlink stands for the regular file that it finally leads to, if that lies in the model
//! directory; one that leads out of it could publish anything (`~/.ssh`), so it is refused, as are
//! links to directories, FIFOs, sockets and devices. So are names that look like secrets, unless
//! an `--include` spells out the path: packing them is a leak, and dropping them silently a
//! surprise.

mod names;
mod source;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::Gitignore;

use crate::directory::{Directory, Kind};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::path::{PathSet, SafePath};
use crate::selection::Filter;

pub use crate::selection::Selection;
pub use crate::walk::names::IGNORE_FILE;
use crate::walk::names::{is_built_in, looks_secret, read_ignores};
pub use crate::walk::source::SourceFile;

/// What the name of a directory starts with that a pull works in.
pub const STAGING_PREFIX: &str = ".modelctl-staging-";

/// Finds the files of the model in `directory` that `selection` means, sorted by path.
pub fn walk(directory: &Path, selection: &Selection) -> Result<Vec<SourceFile>> {
    let canonical = root_of(directory)?;
    let root = Arc::new(Directory::open(directory)?);
    let mut walk = Walk {
        ignores: read_ignores(&root)?,
        root: Arc::clone(&root),
        canonical,
        filter: selection.filter()?,
        paths: PathSet::default(),
        found: Vec::new(),
    };
    walk.visit(&root, Path::new(""))?;
    let mut found = walk.found;
    if found.is_empty() {
        let message = format!("there is no file to pack in `{}`", directory.display());
        return Err(Error::new(Reason::ModelUnsuitable, message)
            .hint("check the directory, `--include`, `--exclude` and `.modelignore`"));
    }
    found.sort_unstable_by(|a, b| a.path().cmp(b.path()));
    Ok(found)
}

/// Returns the real path of `directory`, which must be one, and not the whole file system.
fn root_of(directory: &Path) -> Result<PathBuf> {
    let canonical =
        std::fs::canonicalize(directory).map_err(|error| Error::io("open", directory, error))?;
    let unsuitable = |why: &str| {
        let message = format!("`{}` is {why}", directory.display());
        Err(Error::new(Reason::ModelUnsuitable, message).hint("name the model's directory"))
    };
    if !canonical.is_dir() {
        return unsuitable("a file, not a directory");
    }
    if canonical.parent().is_none() {
        return unsuitable("the whole file system, not a model");
    }
    Ok(canonical)
}

struct Walk {
    root: Arc<Directory>,
    /// The root's real path, to tell where symlinks lead.
    canonical: PathBuf,
    filter: Filter,
    ignores: Gitignore,
    paths: PathSet,
    found: Vec<SourceFile>,
}

impl Walk {
    fn visit(&mut self, directory: &Directory, path: &Path) -> Result<()> {
        if path.components().count() > limits::PATH_DEPTH {
            return Err(refused(Reason::PathUnsafe, path, "is nested too deeply"));
        }
        let entries = directory.entries()?;
        if entries.iter().any(is_layout_mark) {
            return self.leave_layout_out(path);
        }
        for (name, kind) in entries {
            let path = path.join(&name);
            if self.leaves_out(&path, kind) {
                continue;
            }
            match kind {
                Kind::Directory => self.visit(&directory.child(&name)?, &path)?,
                Kind::Symlink => self.follow(&path)?,
                _ if !self.filter.includes(&path) => {}
                Kind::File => self.add(&path, path.clone())?,
                Kind::Special => {
                    let why = format!("is a {kind}");
                    return Err(refused(Reason::FileKindUnsafe, &path, &why));
                }
            }
        }
        Ok(())
    }

    /// Passes over an OCI image layout, unless it is what was named.
    fn leave_layout_out(&self, path: &Path) -> Result<()> {
        if !path.as_os_str().is_empty() {
            return Ok(());
        }
        let message = format!("`{}` is an OCI image layout", self.root.path().display());
        Err(Error::new(Reason::ModelUnsuitable, message)
            .hint("name the model's directory; `modelctl copy` moves what is in a layout"))
    }

    fn leaves_out(&self, path: &Path, kind: Kind) -> bool {
        let is_directory = kind == Kind::Directory;
        is_built_in(path)
            || self.ignores.matched(path, is_directory).is_ignore()
            || self.filter.excludes(path)
    }

    /// Adds the file that a symlink finally leads to, if that is one of the model's own.
    fn follow(&mut self, path: &Path) -> Result<()> {
        let place = self.canonical.join(path);
        // Whether a link to a directory is included depends on what is in it; so it is not left
        // out for its own name.
        if !self.filter.includes(path) && !place.is_dir() {
            return Ok(());
        }
        let refused = |why: &str| refused(Reason::FileKindUnsafe, path, why);
        let target = std::fs::canonicalize(&place)
            .map_err(|error| refused("is a symlink that leads nowhere").because(error))?;
        if target.is_dir() {
            return Err(refused("is a symlink to a directory")
                .hint("put a real directory in its place, or leave it out with `--exclude`"));
        }
        match target.strip_prefix(&self.canonical) {
            Ok(target) => self.add(path, target.to_owned()),
            Err(_) => Err(
                refused("is a symlink that leads out of the model directory").hint(
                    "copy the model with `cp -rL`, which puts files in place of links, and push \
                     the copy",
                ),
            ),
        }
    }

    /// Adds the file at `path`, whose bytes are at `target` below the root.
    fn add(&mut self, path: &Path, target: PathBuf) -> Result<()> {
        let safe: SafePath = match path.to_str() {
            Some(text) => text.parse()?,
            None => {
                return Err(refused(
                    Reason::PathUnsafe,
                    path,
                    "has a name that is not UTF-8",
                ));
            }
        };
        let secret = looks_secret(path) || looks_secret(&target);
        if secret && !self.filter.spells(&safe) {
            return Err(refused(
                Reason::FileKindUnsafe,
                path,
                "looks like a secret by its name",
            )
            .hint(format!(
                "leave it out with `--exclude` or `.modelignore`; if it belongs to the model, \
                 name it: `--include '**' --include {safe}`"
            )));
        }
        self.paths.insert(&safe)?;
        if self.found.len() == limits::FILES {
            let message = format!("the model has more than {} files", limits::FILES);
            return Err(Error::new(Reason::ModelUnsuitable, message)
                .hint("leave files out, or pack small ones into an archive"));
        }
        let file = SourceFile::find(&self.root, safe, target)?;
        self.found.push(file);
        Ok(())
    }
}

fn refused(reason: Reason, path: &Path, why: &str) -> Error {
    Error::new(reason, format!("`{}` {why}", path.display()))
        .hint("leave it out with `--exclude` or `.modelignore`, or put a regular file in its place")
}

/// Whether this is the file that makes its directory an OCI image layout
/// ([image-spec, image layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file)).
fn is_layout_mark((name, kind): &(OsString, Kind)) -> bool {
    name == "oci-layout" && *kind == Kind::File
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    /// A directory `model` with these files, in a directory of its own.
    fn model(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let around = tempfile::tempdir().unwrap();
        let model = around.path().join("model");
        std::fs::create_dir(&model).unwrap();
        for file in files {
            let path = model.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        (around, model)
    }

    fn paths(model: &Path, selection: &Selection) -> Vec<String> {
        let files = walk(model, selection).unwrap();
        files.iter().map(|file| file.path().to_string()).collect()
    }

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let owned = |patterns: &[&str]| patterns.iter().map(|p| (*p).to_owned()).collect();
        Selection {
            include: owned(include),
            exclude: owned(exclude),
        }
    }

    fn refusal(model: &Path, selection: &Selection) -> Reason {
        walk(model, selection).unwrap_err().reason()
    }

    #[test]
    fn finds_every_file_sorted_and_leaves_out_what_is_known() {
        let (_around, model) = model(&[
            "b/z",
            "b/a",
            "a",
            "config.json",
            ".gitattributes",
            ".env.example",
            "sub/.modelctl/x",
            "sub/.cache/huggingface/x",
            ".git/HEAD",
            "sub/.git",
            ".modelctl/receipt.json",
            ".cache/huggingface/x",
            "x/__pycache__/a.pyc",
            ".DS_Store",
            "sub/.DS_Store",
            ".modelctl-staging-0123/x",
            "store/oci-layout",
            "store/blobs/sha256/0123",
        ]);
        std::fs::create_dir_all(model.join("empty/empty")).unwrap();
        let expected = [
            ".env.example",
            ".gitattributes",
            "a",
            "b/a",
            "b/z",
            "config.json",
            "sub/.cache/huggingface/x",
            "sub/.modelctl/x",
        ];
        assert_eq!(paths(&model, &Selection::default()), expected);
        let file = &walk(&model, &Selection::default()).unwrap()[3];
        assert_eq!(file.size(), 3);
        assert_eq!(
            std::io::read_to_string(file.open().unwrap()).unwrap(),
            "b/a"
        );
    }

    #[test]
    fn honours_modelignore_and_the_selection() {
        let (_around, model) =
            model(&["a.bin", "b.bin", "deep/a.bin", "logs/x", "sub/logs/y", "k"]);
        std::fs::write(model.join(IGNORE_FILE), "# why\n*.bin\n!b.bin\n/logs/\n").unwrap();
        assert_eq!(
            paths(&model, &Selection::default()),
            ["b.bin", "k", "sub/logs/y"]
        );
        assert_eq!(
            paths(&model, &selection(&["*.bin", "sub"], &[])),
            ["b.bin", "sub/logs/y"]
        );
        assert_eq!(paths(&model, &selection(&[], &["sub", "b.*"])), ["k"]);
        assert_eq!(
            refusal(&model, &selection(&["a.bin"], &[])),
            Reason::ModelUnsuitable
        );

        std::fs::write(model.join(IGNORE_FILE), "fine\n{a\n").unwrap();
        assert_eq!(
            refusal(&model, &Selection::default()),
            Reason::PatternInvalid
        );
        std::fs::remove_file(model.join(IGNORE_FILE)).unwrap();
        symlink("../model/k", model.join(IGNORE_FILE)).unwrap();
        assert_eq!(
            refusal(&model, &Selection::default()),
            Reason::FileKindUnsafe
        );
    }

    #[test]
    fn a_symlink_stands_for_a_file_of_the_model_and_nothing_else() {
        let (around, model) = model(&["blobs/one", "a"]);
        symlink("blobs/one", model.join("link")).unwrap();
        symlink("../link", model.join("blobs/again")).unwrap();
        symlink(model.join("a"), model.join("absolute")).unwrap();
        let found = walk(&model, &Selection::default()).unwrap();
        let contents: Vec<_> = found
            .iter()
            .map(|file| std::io::read_to_string(file.open().unwrap()).unwrap())
            .collect();
        assert_eq!(contents, ["a", "a", "blobs/one", "blobs/one", "blobs/one"]);

        std::fs::write(around.path().join("outside"), "s").unwrap();
        symlink("..", around.path().join("up")).unwrap();
        for target in [
            "../outside",
            "../up/model/../outside",
            "nowhere",
            "blobs",
            "..",
            "bad",
            "/",
        ] {
            symlink(target, model.join("bad")).unwrap();
            assert_eq!(
                refusal(&model, &Selection::default()),
                Reason::FileKindUnsafe,
                "{target}"
            );
            assert_eq!(
                paths(&model, &selection(&["a"], &["bad"])),
                ["a"],
                "{target}"
            );
            std::fs::remove_file(model.join("bad")).unwrap();
        }
        walk(&model, &Selection::default()).unwrap();
    }

    #[test]
    fn a_file_that_becomes_a_symlink_is_not_opened() {
        let (around, model) = model(&["a", "d/b"]);
        let found = walk(&model, &Selection::default()).unwrap();
        std::fs::write(around.path().join("secret"), "s").unwrap();
        std::fs::remove_file(model.join("a")).unwrap();
        symlink("../secret", model.join("a")).unwrap();
        std::fs::rename(model.join("d"), around.path().join("d")).unwrap();
        symlink("../d", model.join("d")).unwrap();
        for file in found {
            assert_eq!(file.open().unwrap_err().reason(), Reason::FileKindUnsafe);
        }
    }

    #[test]
    fn a_file_that_changes_is_not_opened() {
        let (_around, model) = model(&["a", "b"]);
        let found = walk(&model, &Selection::default()).unwrap();
        std::fs::write(model.join("b"), "x").unwrap();
        found[0].open().unwrap();
        assert_eq!(found[1].open().unwrap_err().reason(), Reason::FileChanged);
    }

    #[test]
    fn refuses_special_files_unless_they_are_left_out() {
        let (_around, model) = model(&["a"]);
        let _socket = std::os::unix::net::UnixListener::bind(model.join("s")).unwrap();
        assert_eq!(
            refusal(&model, &Selection::default()),
            Reason::FileKindUnsafe
        );
        assert_eq!(paths(&model, &selection(&[], &["s"])), ["a"]);
        assert_eq!(paths(&model, &selection(&["a"], &[])), ["a"]);
    }

    #[test]
    fn refuses_secrets_unless_each_is_spelled_out() {
        for secret in ["deploy/.ENV", "cosign.key"] {
            let (_around, model) = model(&["a", secret]);
            assert_eq!(
                refusal(&model, &Selection::default()),
                Reason::FileKindUnsafe,
                "{secret}"
            );
            let swept = selection(&["**"], &[]);
            assert_eq!(refusal(&model, &swept), Reason::FileKindUnsafe, "{secret}");
            assert_eq!(paths(&model, &selection(&[], &[secret])), ["a"]);
            assert_eq!(
                paths(&model, &selection(&["**", secret], &[])).len(),
                2,
                "{secret}"
            );
        }
        let (_around, model) = model(&["sub/.env"]);
        symlink("sub/.env", model.join("config.json")).unwrap();
        let behind_a_link = selection(&[], &["sub"]);
        assert_eq!(refusal(&model, &behind_a_link), Reason::FileKindUnsafe);
        let spelled = selection(&["config.json"], &[]);
        assert_eq!(paths(&model, &spelled), ["config.json"]);
    }

    #[test]
    fn refuses_names_that_are_unsafe_or_collide_somewhere() {
        for (files, exclude, reason) in [
            (["a", "NUL.txt"], "NUL.txt", Reason::PathUnsafe),
            (["a", "b:c"], "b:c", Reason::PathUnsafe),
            (["a", "x/y\\z"], "x", Reason::PathUnsafe),
            (
                ["Config.json", "config.json"],
                "config.json",
                Reason::PathCollision,
            ),
            (["a", "A/x"], "A", Reason::PathCollision),
        ] {
            let (_around, model) = model(&files);
            assert_eq!(refusal(&model, &Selection::default()), reason, "{files:?}");
            assert_eq!(
                paths(&model, &selection(&[], &[exclude])),
                files[..1],
                "{files:?}"
            );
        }
        let (_around, model) = model(&["a"]);
        let name = std::ffi::OsStr::from_bytes(b"\xff.txt");
        std::fs::write(model.join(name), "").unwrap();
        assert_eq!(refusal(&model, &Selection::default()), Reason::PathUnsafe);
        let (_around, model) = self::model(&[&format!("{}x", "d/".repeat(32))]);
        assert_eq!(refusal(&model, &Selection::default()), Reason::PathUnsafe);
    }

    #[test]
    fn refuses_what_is_no_model_directory() {
        let (around, model) = model(&[]);
        let all = Selection::default();
        assert_eq!(refusal(&model, &all), Reason::ModelUnsuitable);
        assert_eq!(refusal(Path::new("/"), &all), Reason::ModelUnsuitable);
        assert_eq!(refusal(Path::new("/usr/.."), &all), Reason::ModelUnsuitable);
        assert_eq!(refusal(&model.join("missing"), &all), Reason::FileNotFound);
        std::fs::write(model.join("a"), "").unwrap();
        assert_eq!(refusal(&model.join("a"), &all), Reason::ModelUnsuitable);
        std::fs::write(model.join("oci-layout"), "").unwrap();
        assert_eq!(refusal(&model, &all), Reason::ModelUnsuitable);
        std::fs::remove_file(model.join("oci-layout")).unwrap();
        let link = around.path().join("link");
        symlink("model", &link).unwrap();
        assert_eq!(paths(&link, &all), ["a"]);
    }
}
