use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Writes `script` as a credential helper into `directory`.
///
/// Another process writes it: were it this one, a program started by another test's thread at that
/// moment would hold the file open for writing, and running it would fail (`ETXTBSY`).
#[cfg(unix)]
pub(super) fn install(directory: &Path, name: &str, script: &str) {
    let status = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            "printf '%s\\n' '#!/bin/sh' \"$2\" >\"$1\" && chmod 755 \"$1\"",
            "sh",
        ])
        .arg(directory.join(format!("docker-credential-{name}")))
        .arg(script)
        .status()
        .unwrap();
    assert!(status.success());
}

/// A helper that keeps each credential in a file beside it, and a list of how it was called.
const KEEPER: &str = r#"
here=${0%/*}
input=$(cat)
echo "$*" >>"$here/calls"
case $1 in
store) server=$(printf '%s' "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/') ;;
*) server=$input ;;
esac
file=$here/$(printf '%s' "$server" | tr '/:' '__')
case $1 in
store) printf '%s' "$input" >"$file" ;;
*) [ -f "$file" ] || { echo 'credentials not found in native keychain'; exit 1; } ;;
esac
case $1 in
get) cat "$file" ;;
erase) rm "$file" ;;
esac
"#;

/// A home with a configuration file, and with helpers in its `bin`.
struct Home(TempDir);

impl Home {
    fn new(config: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.config(), config).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    #[cfg(unix)]
    fn with_keeper(self) -> Self {
        let bin = self.0.path().join("bin");
        fs::create_dir(&bin).unwrap();
        install(&bin, "keeper", KEEPER);
        self
    }

    fn load(&self) -> DockerConfig {
        let fallback = self.0.path().join("auth.json");
        let config = DockerConfig::load(Some(self.config()), vec![fallback]).unwrap();
        config.with_search_path(self.0.path().join("bin").into_os_string())
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }
}

fn password() -> Secret {
    Secret::new("s3cret".to_owned())
}

/// Returns `USER:PASSWORD`, `TOKEN` or nothing.
async fn ask(config: &DockerConfig, host: &str, repository: Option<&str>) -> Result<String> {
    Ok(match config.lookup(host, repository).await? {
        None => String::new(),
        Some(Credential::IdentityToken(token)) => token.expose().to_owned(),
        Some(Credential::Basic { username, password }) => {
            format!("{username}:{}", password.expose())
        }
    })
}

// base64 of `u:p`, `u:p` without padding would be the same length; of `u:pw`, unpadded; of
// `alice:a:b`; of `u:p` with two NULs behind.
const PLAIN: &str = "dTpw";
const UNPADDED: &str = "dTpwdw";
const COLONS: &str = "YWxpY2U6YTpi";
const NULS: &str = "dTpwAAA=";

#[tokio::test]
async fn reads_every_shape_of_an_entry() {
    for (entry, expected) in [
        (format!(r#"{{"auth":"{PLAIN}"}}"#), "u:p"),
        (format!(r#"{{"auth":"{UNPADDED}"}}"#), "u:pw"),
        (format!(r#"{{"auth":"{COLONS}"}}"#), "alice:a:b"),
        (format!(r#"{{"auth":"{NULS}"}}"#), "u:p"),
        (r#"{"username":"u","password":"p"}"#.to_owned(), "u:p"),
        (
            format!(r#"{{"auth":"{PLAIN}","username":"x","password":"y"}}"#),
            "u:p",
        ),
        (format!(r#"{{"auth":"{PLAIN}","identitytoken":"t"}}"#), "t"),
        (r#"{"auth":"","identitytoken":null}"#.to_owned(), ""),
        (r#"{"email":"a@b"}"#.to_owned(), ""),
        ("{}".to_owned(), ""),
    ] {
        let home = Home::new(&format!(r#"{{"auths":{{"host.example":{entry}}}}}"#));
        let config = home.load();
        let found = ask(&config, "host.example", None).await.unwrap();
        assert_eq!(found, expected, "{entry}");
        assert_eq!(ask(&config, "other.example", None).await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_bad_entry_hurts_only_those_who_need_it_and_is_not_repeated() {
    for (entry, why) in [
        (r#""s3cret""#, "not an object"),
        (r#"{"auth":53237}"#, "should be text"),
        (r#"{"auth":"s3cret!"}"#, "not base64"),
        (r#"{"auth":"_w=="}"#, "not base64"),
        (r#"{"auth":"//8="}"#, "not UTF-8"),
        (r#"{"auth":"czNjcmV0"}"#, "without a colon"),
        (r#"{"password":"s3cret"}"#, "only one of"),
        (r#"{"registrytoken":"s3cret"}"#, "`registrytoken`"),
    ] {
        let good = format!(r#""good.example":{{"auth":"{PLAIN}"}}"#);
        let home = Home::new(&format!(r#"{{"auths":{{"bad.example":{entry},{good}}}}}"#));
        let config = home.load();
        let found = ask(&config, "good.example", None).await.unwrap();
        assert_eq!(found, "u:p");
        let error = ask(&config, "bad.example", None).await.unwrap_err();
        assert_eq!(error.reason(), Reason::CredentialsInvalid, "{entry}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(why), "{text}");
        assert!(text.contains("config.json") && text.contains("bad.example"));
        for secret in ["s3cret", "53237", "czNjcmV0"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_file_is_read_whole_or_refused_by_name() {
    for fine in [
        "",
        " \n",
        "{}",
        r#"{"auths":null,"credHelpers":null,"credsStore":null}"#,
        r#"{"auths":{},"credHelpers":{"h.example":""},"credsStore":"","other":[1]}"#,
        r#"{"credsStore":"ecr-login"}"#,
    ] {
        Home::new(fine).load();
    }
    let large = format!("{{}}{}", " ".repeat(1 << 20));
    for bad in [
        "s3cret",
        "[]",
        r#"{"auths":[]}"#,
        r#"{"auths":{"h.example":{"auth":"s3cret"}}"#,
        r#"{"auths":{},"auths":{}}"#,
        r#"{"credHelpers":["s3cret"]}"#,
        r#"{"credHelpers":{"h.example":1}}"#,
        r#"{"credHelpers":{"h.example":"../s3cret"}}"#,
        r#"{"credsStore":"/bin/s3cret"}"#,
        r#"{"credsStore":"a b"}"#,
        r#"{"credsStore":{}}"#,
        &large,
    ] {
        let home = Home::new(bad);
        let error = DockerConfig::load(Some(home.config()), Vec::new()).expect_err(bad);
        assert_eq!(error.reason(), Reason::CredentialsInvalid, "{bad}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("config.json"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn the_most_specific_entry_wins_and_none_reaches_beyond_its_namespace() {
    let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
    let home = Home::new(&format!(
        r#"{{"auths":{{
            "https://host.example/v1/":{}, "host.example":{}, "host.example/acme":{},
            "host.example/acme/bert":{}, "scoped.example/acme":{},
            "https://index.docker.io/v1/":{} }}}}"#,
        entry("url"),
        entry("host"),
        entry("acme"),
        entry("bert"),
        entry("scoped"),
        entry("hub"),
    ));
    let config = home.load();
    for (host, repository, expected) in [
        ("host.example", None, "host:p"),
        ("host.example", Some("other/bert"), "host:p"),
        ("host.example", Some("acme/gpt"), "acme:p"),
        ("host.example", Some("acmes/bert"), "host:p"),
        ("host.example", Some("acme/bert"), "bert:p"),
        ("host.example", Some("acme/bert/large"), "bert:p"),
        ("scoped.example", Some("acme/bert"), "scoped:p"),
        ("scoped.example", Some("other"), ""),
        ("scoped.example", None, ""),
        ("docker.io", None, "hub:p"),
        ("registry-1.docker.io", Some("library/x"), "hub:p"),
        ("host.example:443", None, ""),
    ] {
        let found = ask(&config, host, repository).await.unwrap();
        assert_eq!(found, expected, "{host} {repository:?}");
    }
    let source: &dyn CredentialSource = &config;
    let found = source.credential("host.example", Some("acme/bert"));
    let found = found.await.unwrap();
    assert!(matches!(found, Some(Credential::Basic { username, .. }) if username == "bert"));
}

#[tokio::test]
async fn other_files_are_asked_only_where_dockers_has_nothing() {
    let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
    let home = Home::new(&format!(
        r#"{{"auths":{{"a.example":{}}}}}"#,
        entry("docker")
    ));
    let podman = format!(
        r#"{{"auths":{{"a.example":{0},"b.example":{0}}}}}"#,
        entry("podman")
    );
    fs::write(home.0.path().join("auth.json"), podman).unwrap();
    let mut config = home.load();
    assert_eq!(ask(&config, "a.example", None).await.unwrap(), "docker:p");
    assert_eq!(ask(&config, "b.example", None).await.unwrap(), "podman:p");
    let erased = config.erase("a.example").await.unwrap();
    assert!(erased.removed);
    assert_eq!(erased.remains_in, Some(home.0.path().join("auth.json")));
    let erased = config.erase("c.example").await.unwrap();
    assert!(!erased.removed && erased.remains_in.is_none());
}

#[tokio::test]
async fn storing_and_erasing_change_one_entry_and_nothing_else() {
    let before = r#"{
	"z": [
		1
	],
	"auths": {
		"b.example": {},
		"https://a.example/v1/": {
			"auth": "old",
			"email": "x",
			"other": {},
			"password": "old"
		},
		"a.example/ns": {},
		"c.example": {}
	},
	"a": null
}"#;
    let home = Home::new(before);
    let mut config = home.load();
    let new = Secret::new("p".to_owned());
    let stored = config.store("a.example", "u", &new).await.unwrap();
    assert_eq!(stored, Stored::Unencrypted(home.config()));
    assert!(stored.warning().unwrap().contains("unencrypted"));
    let after = before
        .replace("\t\t\t\"auth\": \"old\",\n", "")
        .replace("\"password\": \"old\"", &format!("\"auth\": \"{PLAIN}\""));
    assert_eq!(home.text(), after);
    assert_eq!(ask(&config, "a.example", None).await.unwrap(), "u:p");
    assert!(config.erase("a.example").await.unwrap().removed);
    let (start, rest) = before.split_once("\t\t\"https").unwrap();
    let (_, end) = rest.split_once("},\n\t\t\"a.example/ns").unwrap();
    assert_eq!(home.text(), format!("{start}\t\t\"a.example/ns{end}"));
    assert_eq!(ask(&config, "a.example", None).await.unwrap(), "");

    config.store("docker.io", "u", &password()).await.unwrap();
    assert!(home.text().contains("\"https://index.docker.io/v1/\""));
    let left = home.text();
    assert!(!config.erase("a.example").await.unwrap().removed);
    assert_eq!(home.text(), left);
}

#[tokio::test]
async fn refuses_to_write_what_it_cannot_read_back() {
    let home = Home::new("{}");
    let mut config = home.load();
    for name in ["", "a:b", "a\nb"] {
        let error = config
            .store("a.example", name, &password())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::Usage, "{name:?}");
    }
    assert_eq!(home.text(), "{}");
    fs::write(home.config(), "{").unwrap();
    let error = config
        .store("a.example", "u", &password())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::CredentialsInvalid);
    assert_eq!(home.text(), "{");
    let mut nowhere = DockerConfig::load(None, Vec::new()).unwrap();
    let error = nowhere
        .store("a.example", "u", &password())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::CredentialsInvalid);
    assert_eq!(ask(&nowhere, "a.example", None).await.unwrap(), "");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_and_a_symlink_to_it_stays_one() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let home = Home::new("{}");
    let (real, link) = (home.config(), home.0.path().join("link.json"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    symlink("hop.json", &link).unwrap();
    symlink("config.json", home.0.path().join("hop.json")).unwrap();
    let dangling = home.0.path().join("dangling.json");
    symlink("new/dir/config.json", &dangling).unwrap();
    for (path, target) in [
        (link, real),
        (dangling, home.0.path().join("new/dir/config.json")),
    ] {
        let mut config = DockerConfig::load(Some(path.clone()), Vec::new()).unwrap();
        config.store("a.example", "u", &password()).await.unwrap();
        assert!(path.is_symlink());
        let file = fs::symlink_metadata(&target).unwrap();
        assert!(file.is_file());
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(ask(&config, "a.example", None).await.unwrap(), "u:s3cret");
    }
    let made = fs::metadata(home.0.path().join("new/dir")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
    let names = fs::read_dir(home.0.path()).unwrap().count();
    assert_eq!(names, 5, "a temporary file was left");

    let circle = home.0.path().join("circle.json");
    let mut config = DockerConfig::load(Some(circle.clone()), Vec::new()).unwrap();
    symlink("circle.json", &circle).unwrap();
    config
        .store("a.example", "u", &password())
        .await
        .unwrap_err();
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_keeps_what_the_file_then_does_not() {
    for configured in [
        r#""credsStore":"keeper""#,
        r#""credHelpers":{"host.example":"keeper"},"credsStore":"missing""#,
        r#""credHelpers":{"https://host.example/v1/":"keeper"}"#,
    ] {
        let home = Home::new(&format!(
            r#"{{"auths":{{"host.example":{{"auth":"{PLAIN}","email":"x"}}}},{configured}}}"#
        ));
        let home = home.with_keeper();
        let mut config = home.load();
        let found = ask(&config, "host.example", None).await.unwrap();
        assert_eq!(found, "u:p", "the helper has nothing yet");
        let stored = config
            .store("host.example", "alice", &password())
            .await
            .unwrap();
        assert_eq!(
            stored,
            Stored::Helper("docker-credential-keeper".to_owned())
        );
        assert_eq!(stored.warning(), None);
        assert!(!home.text().contains(PLAIN) && home.text().contains("email"));
        let found = ask(&config, "host.example", None).await.unwrap();
        assert_eq!(found, "alice:s3cret");

        let calls = fs::read_to_string(home.0.path().join("bin/calls")).unwrap();
        assert_eq!(calls, "get\nstore\nget\n", "no secret is an argument");
        assert!(config.erase("host.example").await.unwrap().removed);
        assert_eq!(ask(&config, "host.example", None).await.unwrap(), "");
        assert!(!config.erase("host.example").await.unwrap().removed);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_host_can_be_taken_out_of_the_store_and_a_missing_helper_is_an_error() {
    let home = Home::new(&format!(
        r#"{{"auths":{{"host.example":{{"auth":"{PLAIN}"}}}},
            "credHelpers":{{"host.example":""}},"credsStore":"missing"}}"#
    ));
    let home = home.with_keeper();
    let mut config = home.load();
    let found = ask(&config, "host.example", None).await.unwrap();
    assert_eq!(found, "u:p");
    let error = ask(&config, "other.example", None).await.unwrap_err();
    assert_eq!(error.reason(), Reason::CredentialsInvalid);
    assert!(error.message().contains("`docker-credential-missing`"));
    let error = config
        .store("other.example", "u", &password())
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    assert!(!home.text().contains("other.example"));
}

#[cfg(unix)]
#[tokio::test]
async fn helpers_know_docker_hub_by_its_own_name() {
    let home = Home::new(r#"{"credsStore":"keeper"}"#).with_keeper();
    let mut config = home.load();
    config.store("docker.io", "u", &password()).await.unwrap();
    let kept = home.0.path().join("bin/https___index.docker.io_v1_");
    assert!(fs::read_to_string(kept).unwrap().contains("s3cret"));
    for host in ["docker.io", "registry-1.docker.io"] {
        assert_eq!(ask(&config, host, None).await.unwrap(), "u:s3cret");
    }
}

#[test]
fn debug_output_hides_every_secret() {
    let home = Home::new(
        r#"{"auths":{"a.example":{"username":"u","password":"s3cret"},
            "b.example":{"identitytoken":"s3cret"},"c.example":{"auth":"dTpzM2NyZXQ="}}}"#,
    );
    let text = format!("{:#?}", home.load());
    assert!(text.contains("a.example") && text.contains("***"), "{text}");
    assert!(
        !text.contains("s3cret") && !text.contains("dTpzM2NyZXQ="),
        "{text}"
    );
}
