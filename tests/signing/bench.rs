//! What the tests share: a server, and somebody who signs there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use modelctl::bundle::Bundle;
use modelctl::digest::Digest;
use modelctl::error::{Reason, Result};
use modelctl::registry::web::Web;
use modelctl::registry::{Patience, Settings};
use modelctl::secret::Secret;
use modelctl::sign::keyless::{IdentityToken, KeylessSigner};
use modelctl::sign::services::{Services, SigningConfig};
use modelctl::sign::{Signer, Witnessed, sign_statement};
use modelctl::statement::Statement;
use modelctl::trust::sigstore::{Identity, Keyless, Match, SigstoreRoot};
use modelctl::trust::{Authority, TrustRoot};

use crate::support::sigstore::{Claims, Server, Sigstore, Version};

pub(crate) const CI: &str = "ci@example.com";

/// Returns a client that does not wait between tries.
pub(crate) fn web() -> Arc<Web> {
    let settings = Settings {
        patience: Patience {
            retry: Duration::ZERO,
            stall: Duration::from_secs(5),
            ..Patience::default()
        },
        ..Settings::default()
    };
    Arc::new(Web::new(&settings).unwrap())
}

pub(crate) fn root(sigstore: &Sigstore) -> Arc<SigstoreRoot> {
    let root = sigstore.trusted_root().to_string();
    Arc::new(SigstoreRoot::from_json(root.as_bytes(), "root").unwrap())
}

pub(crate) fn services(server: &Server, logs: &[Version]) -> Services {
    let config = server.signing_config(logs).to_string();
    let config = SigningConfig::parse(config.as_bytes(), "config").unwrap();
    Services::new(web(), config, Timestamp::now())
}

pub(crate) fn token(server: &Server, claims: &Claims) -> IdentityToken {
    IdentityToken::parse(Secret::new(server.provider.mint(claims))).unwrap()
}

/// Returns somebody who signs as [`CI`], with witnesses.
pub(crate) async fn signer(server: &Server, logs: &[Version]) -> Result<Witnessed> {
    let services = services(server, logs);
    let token = token(server, &Claims::email(CI));
    let root = Some(root(server));
    let signer = KeylessSigner::request(&services, &token, root.clone(), Timestamp::now()).await?;
    Ok(Witnessed::new(
        Box::new(signer),
        services.witnesses()?,
        root,
    ))
}

pub(crate) fn statement() -> Statement {
    Statement::signature(&Digest::of(b"an artifact"), serde_json::Map::new())
}

/// Signs with `signer`, and returns why not.
pub(crate) async fn sign(signer: Result<Witnessed>) -> Result<Bundle, Reason> {
    match signer {
        Ok(signer) => sign_statement(&statement(), &signer).await,
        Err(error) => Err(error),
    }
    .map_err(|error| error.reason())
}

/// Returns the trust in `identity`, known to the server's provider.
pub(crate) fn trust(server: &Server, identity: &str) -> TrustRoot {
    let identity = Identity::new(
        Match::exact(identity).unwrap(),
        Match::exact(server.provider.url.clone()).unwrap(),
    );
    let root = root(server);
    TrustRoot::new([Authority::keyless("ci", Keyless { root, identity })]).unwrap()
}

/// Returns what the signer of `bundle` was found to be, as text.
pub(crate) fn found(trust: &TrustRoot, bundle: &Bundle) -> Result<String, Reason> {
    let found = trust.authenticate(bundle);
    found
        .map(|found| found.signer().to_string())
        .map_err(|error| error.reason())
}

/// Returns the authority of a signer, for what cannot be asked otherwise.
pub(crate) fn authority(signer: &dyn Signer) -> Authority {
    signer.authority()
}
