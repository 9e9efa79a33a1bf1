//! The content gate: what a pull brought is looked at before anyone else can see it.

use std::sync::Arc;

use crate::blob::blocking;
use crate::content::{Finding, Gate, Objection, examine};
use crate::directory::Directory;
use crate::error::{Error, Reason, Result};
use crate::model::ModelFile;
use crate::path::SafePath;

/// Judges `files`, all of which are in `root` and proved, wherever they came from: refuses them, or
/// returns what is to be told.
pub(super) async fn pass(
    gate: &Gate,
    root: &Arc<Directory>,
    files: &[ModelFile],
) -> Result<Vec<Objection>> {
    if *gate == Gate::Open {
        return Ok(Vec::new());
    }
    let (gate, root) = (gate.clone(), Arc::clone(root));
    let files: Vec<_> = files
        .iter()
        .map(|file| (file.path.clone(), file.descriptor.size))
        .collect();
    blocking(move || {
        let found = files
            .into_iter()
            .map(|(path, size)| look(&root, path, size));
        let found: Vec<_> = found.collect::<Result<_>>()?;
        gate.pass(&found)
    })
    .await
}

fn look(root: &Directory, path: SafePath, size: u64) -> Result<(SafePath, Finding)> {
    let place = path.below(root.path());
    let mut file = root.open_file(path.as_str())?;
    let metadata = file.metadata();
    let length = metadata
        .map_err(|error| Error::io("look at", &place, error))?
        .len();
    if length != size {
        let message = format!("`{path}` is not what was just put there");
        return Err(Error::new(Reason::FileChanged, message));
    }
    let finding = examine(&mut file, size, &path);
    let finding = finding.map_err(|error| error.at(format_args!("`{path}`")))?;
    Ok((path, finding))
}
