//! The adapter by which the conformance suite of OpenSSF model signing drives this library
//! ([protocol](https://github.com/sampras343/model-signing-conformance/blob/main/docs/conformance_adapter_cli_protocol.md)).
//!
//! ```sh
//! cargo build --example oms-conformance
//! pytest test/ --entrypoint=target/debug/examples/oms-conformance
//! ```
//!
//! Only the exit code counts: 0 is done, anything else refused. Signing without a key
//! (`SIGSTORE_ID_TOKEN`) needs the network; verifying needs none, because the public instance's keys
//! come with the library.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, ValueEnum};
use jiff::Timestamp;
use modelctl::certificate::Certificate;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::PublicKey;
use modelctl::model_signature::{self, Symlinks, TreeOptions, Unsigned, VerifyOptions};
use modelctl::oms::IgnoredPaths;
use modelctl::policy::{Policy, Requirement};
use modelctl::progress::silent;
use modelctl::referrer::RawBundle;
use modelctl::registry::web::Web;
use modelctl::registry::{Proxies, Settings};
use modelctl::secret::Secret;
use modelctl::sign::certificate::CertificateSigner;
use modelctl::sign::key::{KeySigner, Password, PrivateKey};
use modelctl::sign::keyless::{IdentityToken, KeylessSigner};
use modelctl::sign::services::{Services, SigningConfig};
use modelctl::sign::{Signer, Witnessed};
use modelctl::trust::pki::{Pki, Signers, Signing};
use modelctl::trust::sigstore::{Identity, Instance, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, TrustRoot};
use modelctl::unpack::Existing;

#[derive(Parser)]
enum Verb {
    /// Signs a model.
    SignModel(SignArgs),
    /// Verifies a model.
    VerifyModel(VerifyArgs),
}

/// How a model is signed.
#[derive(Clone, Copy, ValueEnum)]
enum Method {
    Key,
    Certificate,
    Sigstore,
}

#[derive(Args)]
struct ModelArgs {
    #[arg(long)]
    method: Method,
    #[arg(long)]
    model_path: PathBuf,
    #[arg(long)]
    ignore_paths: Vec<PathBuf>,
    #[arg(long)]
    cert_chain: Vec<PathBuf>,
    #[arg(long)]
    use_staging: bool,
}

#[derive(Args)]
struct SignArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[arg(long)]
    output_bundle: PathBuf,
    #[arg(long)]
    private_key: Option<PathBuf>,
    #[arg(long)]
    signing_cert: Option<PathBuf>,
    #[arg(long)]
    identity_token: Option<String>,
}

#[derive(Args)]
struct VerifyArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    public_key: Option<PathBuf>,
    #[arg(long)]
    ignore_unsigned_files: bool,
    #[arg(long)]
    identity: Option<String>,
    #[arg(long)]
    identity_provider: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::SignModel(args) => sign(&args).await,
        Verb::VerifyModel(args) => verify(&args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", error.reason().code());
            ExitCode::FAILURE
        }
    }
}

async fn sign(args: &SignArgs) -> Result<()> {
    let tree = tree(&args.model, &args.output_bundle)?;
    let signer = match args.model.method {
        Method::Sigstore => keyless(args).await?,
        Method::Key | Method::Certificate => signer(args)?,
    };
    let bundle = model_signature::sign(&args.model.model_path, &tree, &*signer, silent()).await?;
    model_signature::write(&args.output_bundle, &bundle, Existing::Replace)
}

/// Returns the holder of the private key, as that of a certificate if there is one.
fn signer(args: &SignArgs) -> Result<Box<dyn Signer>> {
    let path = required(&args.private_key, "--private-key")?;
    let key = private_key(path)?;
    let public = key.public_key().clone();
    let signer = Box::new(KeySigner::new(path.display().to_string(), key));
    if let Method::Key = args.model.method {
        return Ok(signer);
    }
    let path = required(&args.signing_cert, "--signing-cert")?;
    let certificate = Certificate::from_pem(&read(path)?, &path.display().to_string())?;
    let now = Timestamp::now();
    let signer = CertificateSigner::signing(Signing::Models, signer, &public, certificate, now)?;
    Ok(Box::new(signer.with_intermediates(chain(&args.model)?)))
}

/// Returns whoever the identity token names.
async fn keyless(args: &SignArgs) -> Result<Box<dyn Signer>> {
    let token = required(&args.identity_token, "--identity-token")?;
    let token = IdentityToken::parse(Secret::new(token.to_owned()))?;
    let instance = instance(&args.model);
    let web = Arc::new(Web::new(&Settings {
        proxies: Proxies::Environment,
        ..Settings::default()
    })?);
    let now = Timestamp::now();
    let services = Services::new(web, SigningConfig::embedded(instance)?, now);
    let root = Some(Arc::new(SigstoreRoot::embedded(instance)?));
    let signer = KeylessSigner::request(&services, &token, root.clone(), now).await?;
    let signer = Witnessed::new(Box::new(signer), services.witnesses()?, root);
    Ok(Box::new(signer))
}

fn instance(args: &ModelArgs) -> Instance {
    match args.use_staging {
        true => Instance::Staging,
        false => Instance::PublicGood,
    }
}

async fn verify(args: &VerifyArgs) -> Result<()> {
    let bundles = model_signature::read(&args.bundle)?;
    let authorities = match args.model.method {
        Method::Key => vec![key(args)?],
        Method::Certificate => authorities(&bundles, chain(&args.model)?)?,
        Method::Sigstore => vec![identity(args)?],
    };
    let trust = TrustRoot::new(authorities)?;
    let options = VerifyOptions {
        tree: tree(&args.model, &args.bundle)?,
        unsigned: match args.ignore_unsigned_files {
            true => Unsigned::Ignore,
            false => Unsigned::Refuse,
        },
    };
    let model = &args.model.model_path;
    let policy = Policy::new([Requirement::ModelSignature])?;
    let found =
        model_signature::verify(model, bundles, &trust, &policy, &options, silent()).await?;
    found.admit().map(drop)
}

/// Returns the holder of the key.
fn key(args: &VerifyArgs) -> Result<Authority> {
    let path = required(&args.public_key, "--public-key")?;
    let key = PublicKey::from_pem(&read(path)?, &path.display().to_string())?;
    Ok(Authority::key("the key", key))
}

/// Returns whoever the instance certified to be the identity.
fn identity(args: &VerifyArgs) -> Result<Authority> {
    let exactly = |value: &Option<String>, name| Match::exact(required(value, name)?.as_str());
    let identity = Identity::new(
        exactly(&args.identity, "--identity")?,
        exactly(&args.identity_provider, "--identity-provider")?,
    );
    let root = Arc::new(SigstoreRoot::embedded(instance(&args.model))?);
    let keyless = Keyless { root, identity };
    Ok(Authority::keyless("the identity", keyless))
}

/// Returns trust in whomever `roots` certify. The protocol names no signer, and this library trusts
/// no authority for everyone that it certifies; so the bundle's own signer is who is meant.
fn authorities(bundles: &[RawBundle], roots: Vec<Certificate>) -> Result<Vec<Authority>> {
    let now = Timestamp::now();
    let mut authorities = Vec::new();
    for raw in bundles {
        let Some(leaf) = raw.bundle()?.material().signing_certificate().cloned() else {
            return Err(usage("the bundle is not by the holder of a certificate"));
        };
        let leaf = Certificate::from_der(&leaf.raw_bytes)?;
        if roots.contains(&leaf) {
            authorities.push(Authority::pki("the certificate", Pki::pinned(leaf, now)));
            continue;
        }
        let signers = Signers {
            certificates: vec![leaf.fingerprint()],
            ..Signers::default()
        };
        let pki = Pki::with_roots(roots.clone(), signers, now)?;
        authorities.push(Authority::pki("the authority", pki));
    }
    Ok(authorities)
}

fn chain(args: &ModelArgs) -> Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for path in &args.cert_chain {
        let what = path.display().to_string();
        certificates.extend(Certificate::all_from_pem(&read(path)?, &what)?);
    }
    Ok(certificates)
}

/// Returns which files are the model's; the suite names what is left out by absolute paths.
fn tree(args: &ModelArgs, signature: &Path) -> Result<TreeOptions> {
    let mut ignored = IgnoredPaths::git();
    let named = args.ignore_paths.iter().map(PathBuf::as_path);
    for path in named.chain([signature]) {
        match path.strip_prefix(&args.model_path).map(Path::to_str) {
            Ok(Some("")) | Err(_) => {}
            Ok(Some(path)) => ignored.add(path)?,
            Ok(None) => return Err(usage("a path is not UTF-8")),
        }
    }
    Ok(TreeOptions {
        ignored,
        symlinks: Symlinks::Refuse,
    })
}

fn private_key(path: &Path) -> Result<PrivateKey> {
    let no_password = || Ok(Password::default());
    PrivateKey::from_pem(&read(path)?, no_password, &path.display().to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("read", path, error))
}

fn usage(message: &str) -> Error {
    Error::new(Reason::Usage, message)
}

fn required<'a, T>(argument: &'a Option<T>, name: &str) -> Result<&'a T> {
    let missing = || usage(&format!("`{name}` is missing"));
    argument.as_ref().ok_or_else(missing)
}
