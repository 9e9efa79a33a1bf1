//! Flags about registries, and the stores they open.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use modelctl::directory::read_capped;
use modelctl::error::{Error, Reason, Result};
use modelctl::limits;
use modelctl::reference::Location;
use modelctl::registry::auth::{Credential, CredentialSource, Fixed};
use modelctl::registry::credentials::DockerConfig;
use modelctl::registry::mirrors::{Mirrored, Mirrors, ResolveAt, Source};
use modelctl::registry::web::Web;
use modelctl::registry::{Client, ClientIdentity, Proxies, Settings, Transport};
use modelctl::secret::Secret;
use modelctl::store::SharedStore;
use modelctl::store::layout::{Access, Layout};
use serde::Serialize;
use zeroize::Zeroizing;

use super::environment;
use super::report::size;
use super::terminal::Terminal;

/// How registries are reached.
#[derive(Args, Clone)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryArgs {
    /// User name; without it, credentials come from the Docker configuration file and its helpers.
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password or token from stdin.
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Speak HTTP without TLS. Loopback registries are plain without asking.
    #[arg(long, conflicts_with_all = ["ca_file", "cert_file"])]
    plain_http: bool,
    /// Trust the certificate authorities in this PEM file, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Present this client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// The client certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Let registries on the internet lead to HOST although it is in a private network, such as
    /// a cloud's private endpoint for storage (repeatable).
    #[arg(long, value_name = "HOST")]
    private_host: Vec<String>,
}

/// Through which mirrors a registry is read.
#[derive(Args, Clone)]
#[command(next_help_heading = "Mirrors")]
pub(super) struct MirrorArgs {
    /// Read through the mirrors that DIR/REGISTRY/hosts.toml names, as for containerd
    /// (`--hosts-dir /etc/containerd/certs.d`); default: $MODELCTL_HOSTS_DIR, else
    /// ~/.config/modelctl/certs.d.
    #[arg(long, value_name = "DIR")]
    hosts_dir: Option<PathBuf>,
    /// Who says what a tag means and who signed: the registry itself, or mirrors with the
    /// capability `resolve` before it.
    #[arg(long, value_name = "WHO", value_enum, default_value_t = ResolveAtArg::Origin)]
    resolve_at: ResolveAtArg,
}

/// [`ResolveAt`] as a flag's value.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ResolveAtArg {
    Origin,
    Mirror,
}

impl MirrorArgs {
    /// Returns the mirrors that the flags or the environment name. Their credentials are those
    /// that are kept for their own hosts, never those given on the command line.
    fn mirrors(&self) -> Result<Option<Mirrors>> {
        let named = self.hosts_dir.clone();
        let Some(directory) = named.or_else(environment::hosts_directory) else {
            return Ok(None);
        };
        let resolve_at = match self.resolve_at {
            ResolveAtArg::Origin => ResolveAt::Origin,
            ResolveAtArg::Mirror => ResolveAt::Mirror,
        };
        let mirrors = Mirrors::new(directory, Arc::new(docker_config()?))?;
        Ok(Some(mirrors.resolving_at(resolve_at)))
    }
}

/// How many transfers run at once.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Registry")]
pub(super) struct ConcurrencyArgs {
    /// How many files are moved at once.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrency: u8,
}

impl ConcurrencyArgs {
    pub(super) fn count(self) -> usize {
        usize::from(self.concurrency)
    }
}

/// Opens stores; several locations of one command share its client and credentials.
pub(super) struct Stores {
    client: Client,
    mirrors: Option<Mirrors>,
    mirrored: Mutex<Vec<Arc<Mirrored>>>,
}

/// Where content came from, for JSON output: there only where mirrors are configured.
#[derive(Serialize)]
pub(super) struct Sources {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Source>,
}

impl Sources {
    /// Returns a line for people, if there is something to tell.
    pub(super) fn line(&self) -> Option<String> {
        let told = |source: &Source| match source.origin {
            true => format!("{} from the registry itself", size(source.bytes)),
            false => format!("{} from {}", size(source.bytes), source.host),
        };
        let lines: Vec<_> = self.sources.iter().map(told).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}

impl RegistryArgs {
    /// Returns what holds for a registry that the command line does not name: what was said about
    /// the one that it names, its password above all, is not for others.
    pub(super) fn elsewhere(&self) -> Self {
        Self {
            username: None,
            password_stdin: false,
            plain_http: false,
            ca_file: self.ca_file.clone(),
            cert_file: None,
            key_file: None,
            private_host: self.private_host.clone(),
        }
    }

    /// Reads what the flags name, the password from stdin included.
    pub(super) fn stores(&self, terminal: &Terminal) -> Result<Stores> {
        let credentials: Arc<dyn CredentialSource> = match self.credential()? {
            Some(credential) => Arc::new(Fixed(credential)),
            None => Arc::new(docker_config()?),
        };
        Ok(Stores {
            client: self.client(credentials, terminal)?,
            mirrors: None,
            mirrored: Mutex::default(),
        })
    }

    /// Returns a client that uses `credentials`.
    pub(super) fn client(
        &self,
        credentials: Arc<dyn CredentialSource>,
        terminal: &Terminal,
    ) -> Result<Client> {
        let transport = if self.plain_http {
            Transport::Plain
        } else {
            Transport::Auto
        };
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate_pem: read(certificate, limits::LOCAL_FILE)?,
                key_pem: Zeroizing::new(read(key, limits::LOCAL_FILE)?),
            }),
            _ => None,
        };
        Client::new(Settings {
            transport,
            ca_pem: self.ca_pem()?,
            client_identity: identity,
            proxies: Proxies::Environment,
            private_hosts: self.private_host.clone(),
            credentials,
            progress: terminal.progress(),
            ..Settings::default()
        })
    }

    /// Returns a client of the services that signing needs: with the same CA and proxies, and none
    /// of the registry's credentials.
    pub(super) fn web(&self, terminal: &Terminal) -> Result<Web> {
        Web::new(&Settings {
            ca_pem: self.ca_pem()?,
            proxies: Proxies::Environment,
            progress: terminal.progress(),
            ..Settings::default()
        })
    }

    fn ca_pem(&self) -> Result<Option<Vec<u8>>> {
        let file = self.ca_file.as_ref();
        file.map(|file| read(file, limits::LOCAL_FILE)).transpose()
    }

    /// Returns the credential that the flags give, if they do.
    pub(super) fn credential(&self) -> Result<Option<Credential>> {
        let Some(username) = &self.username else {
            return Ok(None);
        };
        let password = password_from_stdin()?;
        Ok(Some(Credential::Basic {
            username: username.clone(),
            password,
        }))
    }
}

/// Reads the Docker configuration file, and podman's.
pub(super) fn docker_config() -> Result<DockerConfig> {
    let podman = environment::podman_config().into_iter().collect();
    let config = DockerConfig::load(environment::docker_config(), podman)?;
    Ok(match environment::search_path() {
        Some(path) => config.with_search_path(path),
        None => config,
    })
}

fn password_from_stdin() -> Result<Secret> {
    use std::io::Read;
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .take(limits::LOCAL_FILE)
        .read_to_string(&mut password)
        .map_err(|error| Error::io("read a password from", "standard input", error))?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(
            Error::new(Reason::Usage, "standard input holds no password")
                .hint("pipe it in: `modelctl … --password-stdin < password.txt`"),
        );
    }
    Ok(Secret::new(password.to_owned()))
}

/// Reads a local file, which must not have more than `cap` bytes.
pub(super) fn read(path: impl AsRef<Path>, cap: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    read_capped(file, path, cap)
}

/// Stores wherever they are: on the registry that the command line is about with what it says of
/// registries, such as credentials, and on others without.
pub(super) struct Everywhere<'a> {
    pub(super) named: &'a Stores,
    /// What the command line is about.
    pub(super) location: Location,
    pub(super) others: Stores,
}

impl Everywhere<'_> {
    /// Opens the store at `location` for reading.
    pub(super) fn read(&self, location: &Location) -> Result<SharedStore> {
        let is_same_host = match (location, &self.location) {
            (Location::Registry { host, .. }, Location::Registry { host: named, .. }) => {
                host == named
            }
            _ => false,
        };
        match is_same_host {
            true => self.named.read(location),
            false => self.others.read(location),
        }
    }
}

impl Stores {
    /// Reads registries through the mirrors that `args` name.
    pub(super) fn through(mut self, args: &MirrorArgs) -> Result<Self> {
        self.mirrors = args.mirrors()?;
        Ok(self)
    }

    /// Opens the store at `location` for reading.
    pub(super) fn read(&self, location: &Location) -> Result<SharedStore> {
        match (&self.mirrors, location) {
            (Some(mirrors), Location::Registry { .. }) => {
                let store = Arc::new(self.client.mirrored(location, mirrors)?);
                self.mirrored().push(Arc::clone(&store));
                Ok(store)
            }
            _ => self.open(location, Access::Read),
        }
    }

    /// Returns where content came from so far.
    pub(super) fn sources(&self) -> Sources {
        let mirrored = self.mirrored();
        let mirrored = mirrored.iter().filter(|store| store.has_mirrors());
        Sources {
            sources: mirrored.flat_map(|store| store.sources()).collect(),
        }
    }

    fn mirrored(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Mirrored>>> {
        self.mirrored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the store at `location` for writing, which never goes through a mirror; a layout is
    /// created where there is none.
    pub(super) fn write(&self, location: &Location) -> Result<SharedStore> {
        self.open(location, Access::ReadOrCreate)
    }

    fn open(&self, location: &Location, access: Access) -> Result<SharedStore> {
        match location {
            Location::Layout(path) => Ok(Arc::new(Layout::open(path, access)?)),
            Location::Registry { .. } => Ok(Arc::new(self.client.repository(location)?)),
        }
    }
}
