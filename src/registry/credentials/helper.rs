//! Credential helpers: programs that keep passwords better than a file does
//! ([docker-credential-helpers, "Development"](https://github.com/docker/docker-credential-helpers#development)).
//!
//! A helper is told what to do by one argument, gets the rest on its standard input and answers on
//! its standard output; no secret is ever an argument. What it says when it fails is not repeated:
//! it might hold what must not be shown.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::error::{Error, Reason, Result};
use crate::json;
use crate::limits;
use crate::registry::auth::Credential;
use crate::secret::Secret;

/// What a helper prints, and fails, where it has nothing for a server.
const NOT_FOUND: &[u8] = b"credentials not found in native keychain";

/// The user name that says that the secret is an identity token.
const IDENTITY: &str = "<token>";

/// The end of a helper's file name, which can lead nowhere else: letters, digits, `.`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HelperName(String);

impl HelperName {
    /// Reads a name from a configuration file; `None` means that no such program may be run.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        (starts && text.bytes().all(fine)).then(|| Self(text.to_owned()))
    }

    /// Returns the program's file name.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.0)
    }
}

/// A helper that can be asked.
pub(super) struct Helper<'a> {
    program: String,
    search_path: Option<&'a OsStr>,
    time: Duration,
}

/// What a helper is given to store, and gives back, field names as the protocol has them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    username: String,
    secret: String,
}

/// What a helper printed, and how it ended.
struct Output {
    bytes: Zeroizing<Vec<u8>>,
    status: ExitStatus,
}

impl<'a> Helper<'a> {
    /// Returns the helper `name` from one of the directories of `search_path`, or from where the
    /// operating system looks.
    pub(super) fn new(name: &HelperName, search_path: Option<&'a OsStr>) -> Self {
        Self {
            program: name.program(),
            search_path,
            time: limits::HELPER_TIME,
        }
    }

    /// Returns what the helper has for `server`.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Credential>> {
        let output = self.run("get", server.as_bytes()).await?;
        if !self.succeeded("get", &output)? {
            return Ok(None);
        }
        // The parser's error could quote a secret.
        let reply: Reply = json::parse(&output.bytes, "the reply")
            .map_err(|_| self.failed("printed something else than a credential"))?;
        let secret = Secret::new(reply.secret);
        Ok(match reply.username.as_str() {
            _ if secret.expose().is_empty() => None,
            IDENTITY => Some(Credential::IdentityToken(secret)),
            _ => Some(Credential::Basic {
                username: reply.username,
                password: secret,
            }),
        })
    }

    /// Gives the helper a credential to keep.
    pub(super) async fn store(&self, server: &str, username: &str, secret: &Secret) -> Result<()> {
        let secret = secret.expose();
        let request = Request {
            server,
            username,
            secret,
        };
        let request = serde_json::to_vec(&request).map(Zeroizing::new);
        let request = request.map_err(|_| self.failed("cannot be given this credential"))?;
        let output = self.run("store", &request).await?;
        match self.succeeded("store", &output)? {
            true => Ok(()),
            false => Err(self.failed("did not store the credential")),
        }
    }

    /// Makes the helper forget what it has for `server`; `false` means that it had nothing.
    pub(super) async fn erase(&self, server: &str) -> Result<bool> {
        let output = self.run("erase", server.as_bytes()).await?;
        self.succeeded("erase", &output)
    }

    /// Whether the helper did what it was told; `false` means that it has nothing for the server,
    /// and every other failure is an error.
    fn succeeded(&self, action: &str, output: &Output) -> Result<bool> {
        match output.status.success() {
            true => Ok(true),
            false if output.bytes.trim_ascii() == NOT_FOUND => Ok(false),
            false => Err(self.failed(&format!("failed to `{action}` ({})", output.status))),
        }
    }

    async fn run(&self, action: &str, input: &[u8]) -> Result<Output> {
        let mut child = Command::new(self.find()?)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.failed("cannot be run").because(error))?;
        let outcome = tokio::time::timeout(self.time, self.converse(&mut child, input));
        let outcome = outcome.await.unwrap_or_else(|_| {
            let why = format!("did not answer within {:?}", self.time);
            Err(self.failed(&why))
        });
        if outcome.is_err() {
            // One that has ended already cannot be killed, and need not be.
            child.kill().await.ok();
        }
        outcome
    }

    async fn converse(&self, child: &mut Child, input: &[u8]) -> Result<Output> {
        let broken = |error: std::io::Error| self.failed("broke off").because(error);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let tell = async {
            if let Some(mut stdin) = stdin {
                // A helper may answer without having read everything: its answer counts.
                stdin.write_all(input).await.ok();
            }
        };
        let listen = async {
            // With all the room that it may take at once, growing leaves no copies behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(limits::HELPER_OUTPUT as usize + 1));
            if let Some(stdout) = stdout {
                let mut stdout = stdout.take(limits::HELPER_OUTPUT + 1);
                stdout.read_to_end(&mut bytes).await.map_err(broken)?;
            }
            Ok(bytes)
        };
        let ((), bytes) = tokio::join!(tell, listen);
        let bytes = bytes?;
        if bytes.len() as u64 > limits::HELPER_OUTPUT {
            let why = format!("printed more than {} bytes", limits::HELPER_OUTPUT);
            return Err(self.failed(&why));
        }
        let status = child.wait().await.map_err(broken)?;
        Ok(Output { bytes, status })
    }

    /// Returns what to run. A relative directory in a search path would let whoever owns the
    /// working directory choose the program, so only absolute ones count.
    fn find(&self) -> Result<PathBuf> {
        let Some(search_path) = self.search_path else {
            return Ok(PathBuf::from(&self.program));
        };
        std::env::split_paths(search_path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(&self.program))
            .find(|path| is_executable(path))
            .ok_or_else(|| self.failed("is not installed"))
    }

    fn failed(&self, why: &str) -> Error {
        let program = &self.program;
        let message = format!("the credential helper `{program}` {why}");
        Error::new(Reason::CredentialsInvalid, message).hint(format!(
            "try `{program} list`, or take it out of `credHelpers` and `credsStore` in Docker's \
             `config.json`"
        ))
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::tests::install;
    use super::*;
    use std::path::Path;

    const GOOD: &str = r#"{"ServerURL":"h","Username":"alice","Secret":"s3cret"}"#;

    fn helper(directory: &Path, time: Duration) -> Helper<'_> {
        let name = HelperName::parse("fake").unwrap();
        let mut helper = Helper::new(&name, Some(directory.as_os_str()));
        helper.time = time;
        helper
    }

    /// Asks a helper that is this shell script, and returns the directory it was in too.
    async fn ask(script: &str) -> (Result<Option<Credential>>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "fake", script);
        let time = limits::HELPER_TIME;
        let answer = helper(directory.path(), time).get("host.example").await;
        (answer, directory)
    }

    #[test]
    fn a_name_leads_to_no_other_program() {
        for good in [
            "pass",
            "ecr-login",
            "osxkeychain",
            "a.b_c-1",
            "1password",
            "X",
        ] {
            assert_eq!(HelperName::parse(good).unwrap().0, good);
        }
        for bad in [
            "", ".", "..", "../x", "-x", "_x", "a/b", "a\\b", "a b", "a;b", "a$b", "a\0", "é",
            "a\n",
        ] {
            assert_eq!(HelperName::parse(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn reads_each_answer_that_the_protocol_has() {
        let found = "Some(Basic(alice, s3cret))";
        let token = GOOD.replace("alice", "<token>");
        let empty = GOOD.replace("s3cret", "").replace("alice", "");
        for (script, expected) in [
            (format!("echo '{GOOD}'"), found),
            (format!("cat >/dev/null; echo '{GOOD}'"), found),
            (format!("echo '{token}'"), "Some(IdentityToken(s3cret))"),
            (format!("echo '{empty}'"), "None"),
            (
                "echo 'credentials not found in native keychain'; exit 1".to_owned(),
                "None",
            ),
        ] {
            let (answer, _) = ask(&script).await;
            assert_eq!(shown(answer.unwrap()), expected, "{script}");
        }
    }

    fn shown(credential: Option<Credential>) -> String {
        match credential {
            None => "None".to_owned(),
            Some(Credential::IdentityToken(token)) => {
                format!("Some(IdentityToken({}))", token.expose())
            }
            Some(Credential::Basic { username, password }) => {
                format!("Some(Basic({username}, {}))", password.expose())
            }
        }
    }

    #[tokio::test]
    async fn every_other_answer_is_an_error_that_names_the_helper_and_repeats_nothing() {
        let number = GOOD.replace("\"s3cret\"", "53237");
        let twice = GOOD.replace("\"Secret\"", "\"Username\":\"s3cret\",\"Secret\"");
        for (script, why) in [
            ("echo s3cret; exit 1".to_owned(), "failed to `get`"),
            ("echo s3cret >&2; kill -9 $$".to_owned(), "failed to `get`"),
            (format!("echo '{GOOD}'; exit 3"), "failed to `get`"),
            ("echo s3cret".to_owned(), "something else"),
            (format!("echo '{number}'"), "something else"),
            (format!("echo '{twice}'"), "something else"),
            (format!("echo '{GOOD}s3cret'"), "something else"),
            (
                format!("head -c 65537 /dev/zero; echo '{GOOD}'"),
                "more than 65536 bytes",
            ),
        ] {
            let (answer, _) = ask(&script).await;
            let error = answer.expect_err(&script);
            assert_eq!(error.reason(), Reason::CredentialsInvalid, "{script}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("`docker-credential-fake`"), "{text}");
            assert!(text.contains(why), "{text}");
            assert!(
                !text.contains("s3cret") && !text.contains("53237"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn does_not_wait_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "fake", "exec sleep 600");
        let helper = helper(directory.path(), Duration::from_millis(20));
        let error = helper.get("host.example").await.unwrap_err();
        assert_eq!(error.reason(), Reason::CredentialsInvalid);
        assert!(error.to_string().contains("within 20ms"), "{error}");
    }

    #[tokio::test]
    async fn leaves_no_helper_running_that_it_gave_up() {
        let script = "echo $$ >\"${0%/*}/pid\"; head -c 70000 /dev/zero; exec sleep 600";
        let (answer, directory) = ask(script).await;
        answer.unwrap_err();
        let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        let alive = rustix::process::test_kill_process(pid);
        assert_eq!(alive, Err(rustix::io::Errno::SRCH));
    }

    #[tokio::test]
    async fn finds_only_programs_in_absolute_directories() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "fake", &format!("echo '{GOOD}'"));
        std::fs::create_dir(directory.path().join("other")).unwrap();
        std::fs::write(directory.path().join("other/docker-credential-fake"), "").unwrap();
        let (here, other) = (directory.path(), directory.path().join("other"));
        let up = std::env::current_dir().unwrap().ancestors().count() - 1;
        let relative = PathBuf::from("../".repeat(up)).join(here.strip_prefix("/").unwrap());
        assert!(is_executable(&relative.join("docker-credential-fake")));
        for (path, found) in [
            (vec![here], true),
            (vec![&relative, &other, here], true),
            (vec![&other], false),
            (vec![&relative], false),
            (vec![], false),
        ] {
            let path = std::env::join_paths(path).unwrap();
            let name = HelperName::parse("fake").unwrap();
            let answer = Helper::new(&name, Some(&path)).get("host.example").await;
            match found {
                true => assert!(answer.unwrap().is_some()),
                false => assert!(answer.unwrap_err().message().contains("is not installed")),
            }
        }
    }
}
