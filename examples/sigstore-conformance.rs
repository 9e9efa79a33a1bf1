//! The client that [sigstore-conformance](https://github.com/sigstore/sigstore-conformance) drives
//! (`docs/cli_protocol.md` there): this library's verification, with nothing but an exit code.
//!
//!     cargo build --release --example sigstore-conformance
//!     pytest --entrypoint target/release/examples/sigstore-conformance
#![allow(clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;

use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Error, Reason, Result};
use modelctl::key::PublicKey;
use modelctl::trust::sigstore::{Identity, Instance, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, Blob, TrustRoot};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} ({})", error, error.reason().code());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((command, rest)) if command == "verify-bundle" => VerifyBundle::parse(rest)?.run(),
        _ => Err(usage("the command is `verify-bundle`")),
    }
}

/// The arguments of `verify-bundle`.
#[derive(Default)]
struct VerifyBundle {
    staging: bool,
    bundle: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    key: Option<String>,
    trusted_root: Option<String>,
    artifact: Option<String>,
}

impl VerifyBundle {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let place = match argument.as_str() {
                "--staging" => {
                    parsed.staging = true;
                    continue;
                }
                "--bundle" => &mut parsed.bundle,
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

    fn run(&self) -> Result<()> {
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

    fn root(&self) -> Result<SigstoreRoot> {
        match &self.trusted_root {
            Some(file) => SigstoreRoot::from_json(&read(file)?, file),
            None if self.staging => SigstoreRoot::embedded(Instance::Staging),
            None => SigstoreRoot::embedded(Instance::PublicGood),
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
