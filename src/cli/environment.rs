//! The environment: every variable that is read, in one place.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use jiff::Timestamp;
use modelctl::error::{Error, Reason, Result};
use modelctl::provenance::collect::VARIABLES;
use modelctl::secret::Secret;

/// Returns the variable `name`, for `--key env://NAME`.
pub(super) fn variable(name: &str) -> Option<Secret> {
    std::env::var(name).ok().map(Secret::new)
}

/// Returns the audit log in which decisions are recorded.
pub(super) fn audit_log() -> Option<PathBuf> {
    let named = std::env::var_os("MODELCTL_AUDIT_LOG");
    named.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the passphrase of keys: `MODELCTL_PASSWORD`, else `COSIGN_PASSWORD`. An empty one is one.
pub(super) fn key_password() -> Option<Secret> {
    ["MODELCTL_PASSWORD", "COSIGN_PASSWORD"]
        .into_iter()
        .find_map(variable)
}

/// Returns the library that speaks to tokens whose URI names none.
pub(super) fn pkcs11_module() -> Option<PathBuf> {
    let named = std::env::var_os("MODELCTL_PKCS11_MODULE");
    named.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the PIN of tokens whose URI has none.
pub(super) fn pkcs11_pin() -> Option<Secret> {
    variable("MODELCTL_PKCS11_PIN")
}

/// Returns the identity token that a CI system puts into the environment (GitLab: `id_tokens`).
pub(super) fn identity_token() -> Option<Secret> {
    variable("SIGSTORE_ID_TOKEN").filter(|token| !token.expose().is_empty())
}

/// Returns where a job of GitHub Actions may ask for an identity token, and its secret for that.
pub(super) fn github_actions() -> Option<(String, Secret)> {
    let url = variable("ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let secret = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
    Some((url.expose().to_owned(), secret))
}

/// Returns the file in which Docker keeps credentials, which `login` writes (`DOCKER_CONFIG`).
pub(super) fn docker_config() -> Option<PathBuf> {
    let directory = match std::env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => std::env::home_dir()?.join(".docker"),
    };
    Some(directory.join("config.json"))
}

/// Returns the file in which podman and skopeo keep credentials.
pub(super) fn podman_config() -> Option<PathBuf> {
    let named = std::env::var_os("REGISTRY_AUTH_FILE").filter(|path| !path.is_empty());
    named.map(PathBuf::from).or_else(|| {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty())?;
        Some(PathBuf::from(runtime).join("containers/auth.json"))
    })
}

/// Returns the directory that `variable` names, else `usual` in the home directory. A relative path
/// is to be ignored ([XDG](https://specifications.freedesktop.org/basedir-spec/latest/)).
fn base_directory(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute());
    named.or_else(|| Some(std::env::home_dir()?.join(usual)))
}

/// Returns the directory for what can be made again at any time: `MODELCTL_CACHE`, or `modelctl` in
/// the user's caches.
pub(super) fn cache_directory() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MODELCTL_CACHE").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(named));
    }
    Some(base_directory("XDG_CACHE_HOME", ".cache")?.join("modelctl"))
}

/// Returns the directory in which `hosts.toml` files say where mirrors are: `MODELCTL_HOSTS_DIR`,
/// which switches mirrors off when it is empty, else the user's own where there is one.
pub(super) fn hosts_directory() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MODELCTL_HOSTS_DIR") {
        return Some(PathBuf::from(named)).filter(|path| !path.as_os_str().is_empty());
    }
    let configs = base_directory("XDG_CONFIG_HOME", ".config")?;
    Some(configs.join("modelctl/certs.d")).filter(|path| path.is_dir())
}

/// Returns the user's own policy file, whether or not it is there.
pub(super) fn policy_file() -> Option<PathBuf> {
    Some(base_directory("XDG_CONFIG_HOME", ".config")?.join("modelctl/policy.toml"))
}

/// Returns the directory for what should outlive a restart, and is not to be copied elsewhere.
pub(super) fn state_directory() -> Option<PathBuf> {
    Some(base_directory("XDG_STATE_HOME", ".local/state")?.join("modelctl"))
}

/// Returns what the system that started this job says of itself: by the closed list of variables
/// that may enter a statement, and no other.
pub(super) fn training() -> BTreeMap<String, String> {
    let set = VARIABLES.iter().filter_map(|name| {
        let value = std::env::var(name).ok()?;
        Some(((*name).to_owned(), value))
    });
    set.collect()
}

/// Returns where credential helpers, and programs that know about a training run, are looked for.
pub(super) fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// Returns the creation time that `SOURCE_DATE_EPOCH` gives an artifact
/// ([specification](https://reproducible-builds.org/specs/source-date-epoch/)); without it an
/// artifact carries none, so that the same files always give the same digest.
pub(super) fn source_date() -> Result<Option<Timestamp>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse::<i64>().ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(Some).ok_or_else(|| {
        Error::new(
            Reason::Usage,
            "SOURCE_DATE_EPOCH is not a number of seconds since 1970",
        )
        .hint("unset it, or set it as in `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
    })
}
