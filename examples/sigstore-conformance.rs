//! The client that [sigstore-conformance](https://github.com/sigstore/sigstore-conformance) drives
//! (`docs/cli_protocol.md` there): this library's signing and verification, with nothing but an exit
//! code.
//!
//!     cargo build --release --example sigstore-conformance
//!     pytest --entrypoint target/release/examples/sigstore-conformance
#![allow(clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::PublicKey;
use modelctl::registry::web::Web;
use modelctl::registry::{Proxies, Settings};
use modelctl::secret::Secret;
use modelctl::sign::keyless::{IdentityToken, KeylessSigner};
use modelctl::sign::services::{Services, SigningConfig};
use modelctl::sign::{Witnessed, sign_blob, sign_written};
use modelctl::trust::sigstore::{Identity, Instance, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, Blob, TrustRoot};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} ({})", error, error.reason().code());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((command, rest)) if command == "verify-bundle" => Arguments::parse(rest)?.verify(),
        Some((command, rest)) if command == "sign-bundle" => Arguments::parse(rest)?.sign().await,
        _ => Err(usage("the command is `sign-bundle` or `verify-bundle`")),
    }
}

/// The arguments of both commands.
#[derive(Default)]
struct Arguments {
    staging: bool,
    in_toto: bool,
    bundle: Option<String>,
    identity_token: Option<String>,
    signing_config: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    key: Option<String>,
    trusted_root: Option<String>,
    artifact: Option<String>,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let place = match argument.as_str() {
                "--staging" => {
                    parsed.staging = true;
                    continue;
                }
                "--in-toto" => {
                    parsed.in_toto = true;
                    continue;
                }
                "--bundle" => &mut parsed.bundle,
                "--identity-token" => &mut parsed.identity_token,
                "--signing-config" => &mut parsed.signing_config,
                "--certificate-identity" => &mut parsed.identity,
                "--certificate-oidc-issuer" => &mut parsed.issuer,
                "--key" => &mut parsed.key,
                "--trusted-root" => &mut parsed.trusted_root,
                flag if flag.starts_with("--") => return Err(usage(&format!("unknown: {flag}"))),
                artifact => {
                    parsed.artifact = Some(artifact.to_owned());
                    continue;
                }
            };
            *place = rest.next().cloned();
        }
        Ok(parsed)
    }

    fn verify(&self) -> Result<()> {
        let root = Arc::new(self.root()?);
        let authority = match (&self.key, &self.identity, &self.issuer) {
            (Some(key), None, None) => Authority::key(key, PublicKey::from_pem(&read(key)?, key)?),
            (None, Some(identity), Some(issuer)) => {
                let identity = Identity::new(Match::exact(identity)?, Match::exact(issuer)?);
                let root = Arc::clone(&root);
                Authority::keyless("the signer", Keyless { root, identity })
            }
            _ => return Err(usage("who signed is a key, or an identity and its issuer")),
        };
        let bundle = Bundle::parse(&read(required(&self.bundle, "--bundle")?)?)?;
        let trust = TrustRoot::new([authority])?.with_witnesses(root);
        let artifact = required(&self.artifact, "FILE or sha256:HEX")?;
        match artifact.parse::<Digest>() {
            Ok(digest) => trust.authenticate_blob(&bundle, Blob::Digest(digest))?,
            Err(_) => trust.authenticate_blob(&bundle, Blob::Bytes(&read(artifact)?))?,
        };
        Ok(())
    }

    /// Signs the file: its bytes, or for `--in-toto` the statement in it.
    async fn sign(&self) -> Result<()> {
        let token = required(&self.identity_token, "--identity-token")?;
        let token = IdentityToken::parse(Secret::new(token.to_owned()))?;
        let services = self.services()?;
        let root = Some(Arc::new(self.root()?));
        let signer = KeylessSigner::request(&services, &token, root.clone(), Timestamp::now());
        let signer = Box::new(signer.await?);
        let signer = Witnessed::new(signer, services.witnesses()?, root);
        let artifact = read(required(&self.artifact, "FILE")?)?;
        let bundle = match self.in_toto {
            true => sign_written(&artifact, &signer).await?,
            false => sign_blob(&artifact, &signer).await?,
        };
        let file = required(&self.bundle, "--bundle")?;
        std::fs::write(file, bundle.to_bytes()?).map_err(|error| Error::io("write", file, error))
    }

    fn services(&self) -> Result<Services> {
        let config = match &self.signing_config {
            Some(file) => SigningConfig::parse(&read(file)?, file)?,
            None => SigningConfig::embedded(self.instance())?,
        };
        let web = Web::new(&Settings {
            proxies: Proxies::Environment,
            ..Settings::default()
        })?;
        Ok(Services::new(Arc::new(web), config, Timestamp::now()))
    }

    fn root(&self) -> Result<SigstoreRoot> {
        match &self.trusted_root {
            Some(file) => SigstoreRoot::from_json(&read(file)?, file),
            None => SigstoreRoot::embedded(self.instance()),
        }
    }

    fn instance(&self) -> Instance {
        match self.staging {
            true => Instance::Staging,
            false => Instance::PublicGood,
        }
    }
}

fn required<'a>(argument: &'a Option<String>, name: &str) -> Result<&'a str> {
    let missing = || usage(&format!("{name} is missing"));
    argument.as_deref().ok_or_else(missing)
}

fn read(file: &str) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::io("read", file, error))
}

fn usage(message: &str) -> Error {
    Error::new(Reason::Usage, message)
}
