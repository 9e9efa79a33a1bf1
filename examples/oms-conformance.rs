//! The adapter by which the conformance suite of OpenSSF model signing drives this library
//! ([protocol](https://github.com/sampras343/model-signing-conformance/blob/main/docs/conformance_adapter_cli_protocol.md)).
//!
//! ```sh
//! cargo build --example oms-conformance
//! pytest test/ --entrypoint=target/debug/examples/oms-conformance --skip-sigstore
//! ```
//!
//! Only the exit code counts: 0 is done, anything else refused.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use modelctl::error::{Error, Reason, Result};
use modelctl::key::PublicKey;
use modelctl::model_signature::{self, Symlinks, TreeOptions, Unsigned, VerifyOptions};
use modelctl::oms::IgnoredPaths;
use modelctl::policy::{Policy, Requirement};
use modelctl::progress::silent;
use modelctl::sign::key::{KeySigner, Password, PrivateKey};
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
    let signer = match (args.model.method, &args.private_key) {
        (Method::Key, Some(path)) => KeySigner::new(path.display().to_string(), private_key(path)?),
        (Method::Key, None) => return Err(usage("`--private-key` is missing")),
        (Method::Certificate | Method::Sigstore, _) => return Err(unsupported()),
    };
    let tree = tree(&args.model, &args.output_bundle)?;
    let bundle = model_signature::sign(&args.model.model_path, &tree, &signer, silent()).await?;
    model_signature::write(&args.output_bundle, &bundle, Existing::Replace)
}

async fn verify(args: &VerifyArgs) -> Result<()> {
    let authority = match (args.model.method, &args.public_key) {
        (Method::Key, Some(path)) => {
            let key = PublicKey::from_pem(&read(path)?, &path.display().to_string())?;
            Authority::key("the key", key)
        }
        (Method::Key, None) => return Err(usage("`--public-key` is missing")),
        (Method::Certificate | Method::Sigstore, _) => return Err(unsupported()),
    };
    let trust = TrustRoot::new([authority])?;
    let options = VerifyOptions {
        tree: tree(&args.model, &args.bundle)?,
        unsigned: match args.ignore_unsigned_files {
            true => Unsigned::Ignore,
            false => Unsigned::Refuse,
        },
    };
    let bundles = model_signature::read(&args.bundle)?;
    let model = &args.model.model_path;
    let policy = Policy::new([Requirement::ModelSignature])?;
    let found =
        model_signature::verify(model, bundles, &trust, &policy, &options, silent()).await?;
    found.admit().map(drop)
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

fn unsupported() -> Error {
    let message = "certificates and keyless signatures are not supported by this version";
    Error::new(Reason::BundleUnsupported, message)
}
