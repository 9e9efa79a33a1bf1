//! Real registries: docker-registry, which has no referrers API, and one that has it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Authority;
use crate::peers;
use crate::server::{self, Server};
use crate::token::{ISSUER, SERVICE, TokenServer};

/// Who may do what at the registries with accounts.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "s3cret";
/// `htpasswd -Bbn alice s3cret`.
const HTPASSWD: &str = "alice:$2y$05$/Ee15cK7hpHRBVliU3OdZeioID44qEmf0jsHKCGugJbzI3gWmY38y\n";

/// A running registry with a directory of its own.
pub(crate) struct Registry {
    host: String,
    directory: TempDir,
    _token_server: Option<TokenServer>,
    _server: Server,
}

impl Registry {
    /// Starts docker-registry, open to all, over plain HTTP. Referrers go to the tag schema.
    pub(crate) fn open() -> Option<Self> {
        Self::docker(tempfile::tempdir().unwrap(), "", "", None)
    }

    /// Starts docker-registry as a pull-through cache of the registry at `host`.
    pub(crate) fn caching(host: &str) -> Option<Self> {
        let proxy = format!("proxy: {{remoteurl: \"http://{host}\"}}\n");
        Self::docker(tempfile::tempdir().unwrap(), "", &proxy, None)
    }

    /// Starts docker-registry with TLS by `authority` and one account.
    pub(crate) fn with_basic_auth(authority: &Authority) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let identity = authority.issue_for_loopback();
        let certificate = place(&directory, "server.crt", &identity.certificate);
        let key = place(&directory, "server.key", &identity.key);
        let accounts = place(&directory, "htpasswd", HTPASSWD);
        let tls = format!(", tls: {{certificate: {certificate}, key: {key}}}");
        let auth = format!("auth: {{htpasswd: {{realm: interop, path: {accounts}}}}}\n");
        Self::docker(directory, &tls, &auth, None)
    }

    /// Starts docker-registry with a token server: everyone may pull, the user may push.
    pub(crate) fn with_bearer_auth() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let tokens = TokenServer::start();
        let roots = place(&directory, "token.crt", tokens.certificate());
        let realm = tokens.realm();
        let auth = format!(
            "auth: {{token: {{realm: \"{realm}\", service: {SERVICE}, issuer: {ISSUER}, \
             rootcertbundle: {roots}}}}}\n"
        );
        Self::docker(directory, "", &auth, Some(tokens))
    }

    /// Starts docker-registry on port 0 and reads in its log which one it got.
    fn docker(
        directory: TempDir,
        tls: &str,
        auth: &str,
        tokens: Option<TokenServer>,
    ) -> Option<Self> {
        let binary = peers::find("docker-registry")?;
        let storage = directory.path().join("storage");
        let config = format!(
            "version: 0.1\n\
             log: {{level: info}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:0\"{tls}}}\n{auth}",
            storage.display()
        );
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .arg(place(&directory, "config.yml", &config));
        let mut server = Server::start(command, &directory.path().join("log"));
        let host = server.wait_for(listening_address);
        Some(Self {
            host,
            directory,
            _token_server: tokens,
            _server: server,
        })
    }

    /// Starts ferro-oci-server, which has the referrers API. It cannot say which free port it got,
    /// so it is told one, and another when that was taken meanwhile.
    pub(crate) fn with_referrers_api() -> Option<Self> {
        let binary = peers::find("ferro-oci-server")?;
        for _attempt in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let address = server::free_address();
            let mut command = Command::new(&binary);
            command.env("FERRO_OCI_LISTEN", address.to_string());
            command.env("FERRO_OCI_STORAGE_DIR", directory.path());
            let mut server = Server::start(command, &directory.path().join("log"));
            if server.answers_at(address) {
                let host = address.to_string();
                return Some(Self {
                    host,
                    directory,
                    _token_server: None,
                    _server: server,
                });
            }
        }
        panic!("ferro-oci-server does not start");
    }

    /// Returns the reference of `name`, a repository with an optional tag, in this registry.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// Returns the host and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Waits until docker-registry has the blob with this digest in `repository`: a cache passes it
    /// on before it has kept it.
    pub(crate) fn wait_for_blob(&self, repository: &str, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let registry = self.directory.path().join("storage/docker/registry/v2");
        let link = format!("repositories/{repository}/_layers/sha256/{hex}/link");
        server::wait_until(|| registry.join(&link).is_file());
    }

    /// Returns the file in which docker-registry keeps the blob with this digest.
    pub(crate) fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self
            .directory
            .path()
            .join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

/// Writes a file and returns its path.
fn place(directory: &TempDir, name: &str, content: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// Finds `listening on HOST:PORT` in docker-registry's log.
fn listening_address(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on ")?;
    let (address, _) = rest.split_once(['"', ','])?;
    Some(address.to_owned())
}
