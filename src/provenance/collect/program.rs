//! Programs that are asked what they know: `git`, `python3`, `nvidia-smi`.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::limits;

/// Returns what `program` prints, if it is there, succeeds, and does not talk or take too long.
///
/// It gets no variable but the search path: what it prints may be signed, and must not depend on,
/// or tell, what else stands in the environment.
pub(super) async fn output(
    program: &str,
    arguments: &[&OsStr],
    search_path: Option<&OsStr>,
) -> Option<Vec<u8>> {
    let run = async {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", search_path?)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut bytes = Vec::new();
        let stdout = child.stdout.take()?;
        let mut capped = stdout.take(limits::PROBE_OUTPUT + 1);
        capped.read_to_end(&mut bytes).await.ok()?;
        let is_whole = bytes.len() as u64 <= limits::PROBE_OUTPUT;
        (is_whole && child.wait().await.ok()?.success()).then_some(bytes)
    };
    tokio::time::timeout(limits::PROBE_TIME, run).await.ok()?
}

/// The same, as text.
pub(super) async fn text(
    program: &str,
    arguments: &[&str],
    search_path: Option<&OsStr>,
) -> Option<String> {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    String::from_utf8(output(program, &arguments, search_path).await?).ok()
}
