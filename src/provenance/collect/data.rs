//! Data that a run read, hashed where it lies or taken from a list of digests.

use std::fs::File;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt};

use crate::blob::blocking;
use crate::digest::Digest;
use crate::directory::{Stamp, read_capped};
use crate::error::{Error, Reason, Result};
use crate::hashing::Hashers;
use crate::limits;
use crate::oms::{Contents, IgnoredPaths, Resource, Serialization};
use crate::pack::{Opened, hash, open};
use crate::provenance::collect::{Sources, lists};
use crate::provenance::dependency::{DIGEST_METHOD, DIRECTORY_METHOD, Dependency, LICENSE, Role};
use crate::provenance::run::{Data, DataSource};
use crate::walk::{Selection, SourceFile, walk};

/// Hashes data, or reads what it hashes to.
pub(super) async fn dependency(data: &Data, sources: Sources<'_>) -> Result<Dependency> {
    let mut found = Dependency::new(Role::from(data.role), &data.name);
    found = match &data.source {
        DataSource::Path { path, expected } => {
            let place = sources.directory.join(path);
            let (digest, is_directory) = hash_path(&place, sources).await?;
            check(&digest, expected.as_ref(), &place)?;
            match is_directory {
                true => found.annotated(DIGEST_METHOD, DIRECTORY_METHOD),
                false => found,
            }
            .hashed(&digest)
        }
        DataSource::Listed { uri, list } => {
            let listed = read_list(&sources.directory.join(list))?;
            found.uri.clone_from(uri);
            found.digest = listed.digest;
            found.annotated(DIGEST_METHOD, listed.method)
        }
        DataSource::Uri { uri, pin } => {
            found.uri = Some(uri.clone());
            found.digest = pin.digest_set();
            found
        }
    };
    Ok(match &data.license {
        Some(license) => found.annotated(LICENSE, license.clone()),
        None => found,
    })
}

/// Refuses data that is not what the run file says it is.
fn check(found: &Digest, expected: Option<&Digest>, place: &Path) -> Result<()> {
    match expected.filter(|expected| *expected != found) {
        None => Ok(()),
        Some(expected) => {
            let message = format!("`{}` is {found}, not {expected}", place.display());
            Err(Error::new(Reason::DigestMismatch, message)
                .hint("the data has changed since the run file was written"))
        }
    }
}

fn read_list(path: &Path) -> Result<lists::Listed> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let bytes = read_capped(file, path, limits::DIGEST_LIST)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let message = format!("`{}` is not text", path.display());
        Error::new(Reason::RunFileInvalid, message).because(error)
    })?;
    lists::read(&text, path)
}

/// Hashes a file or a directory, and says which it is.
async fn hash_path(place: &Path, sources: Sources<'_>) -> Result<(Digest, bool)> {
    match place.is_dir() {
        true => Ok((hash_directory(place, sources).await?, true)),
        false => Ok((hash_file(place, sources).await?, false)),
    }
}

/// Hashes one file.
pub(super) async fn hash_file(place: &Path, sources: Sources<'_>) -> Result<Digest> {
    let file = File::open(place).map_err(|error| Error::io("read", place, error))?;
    let stamp = Stamp::of(&file, place)?;
    let name = place.to_string_lossy();
    let meter = sources.progress.begin("hash", &name, stamp.size);
    Hashers::default()
        .hash(file, stamp, place.to_owned(), meter)
        .await
}

/// Hashes the files of a directory: the same ones that a push of it would pack.
async fn hash_directory(place: &Path, sources: Sources<'_>) -> Result<Digest> {
    let directory = place.to_owned();
    let files = blocking(move || walk(&directory, &Selection::default())).await?;
    let hashers = Hashers::default();
    let digests: Vec<_> = futures_util::stream::iter(&files)
        .map(|file| hash_remembered(file, &hashers, sources))
        .buffered(hashers.count())
        .try_collect()
        .await?;
    let names = files.iter().map(|file| file.path().to_string());
    root(names.zip(digests).collect())
}

/// Hashes one file of a directory, unless it was hashed before and has not changed.
async fn hash_remembered(
    file: &SourceFile,
    hashers: &Hashers,
    sources: Sources<'_>,
) -> Result<Digest> {
    let Opened { original, key } = open(file).await?;
    let remembered = sources.memory.and_then(|memory| memory.cache.lookup(&key));
    if let Some(digest) = remembered {
        return Ok(digest);
    }
    let digest = hash(file, original, hashers, sources.progress).await?;
    if let Some(memory) = sources.memory {
        memory.cache.record(key, digest, (memory.clock)());
    }
    Ok(digest)
}

/// Returns the one digest of several files: the root that a model signature on them has.
pub(super) fn root(entries: Vec<(String, Digest)>) -> Result<Digest> {
    let serialization = Serialization::of_files(IgnoredPaths::usual());
    let counts = |(path, _): &(String, Digest)| !serialization.ignored.covers(path);
    let entries = entries.into_iter().filter(counts);
    let resources = entries
        .map(|(path, digest)| Resource::file(&path, digest.as_bytes().to_vec()))
        .collect::<Result<Vec<_>>>()?;
    Ok(Contents::new("data", serialization, resources)?.root())
}
