//! A token server, as the [distribution token specification] wants it: everyone gets the right to
//! pull, the user who gives the password also to push.
//!
//! [distribution token specification]: https://distribution.github.io/distribution/spec/auth/token/

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::registry::{PASSWORD, USER};

/// The registry's name in tokens.
pub(crate) const SERVICE: &str = "interop-registry";
/// The token server's name in tokens.
pub(crate) const ISSUER: &str = "interop-issuer";

/// A token server on a thread of its own, which ends with this value.
pub(crate) struct TokenServer {
    address: SocketAddr,
    certificate: String,
    stopped: Arc<AtomicBool>,
}

impl TokenServer {
    /// Starts the server with a new key.
    pub(crate) fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(Vec::new())
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let mint = Mint {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der())
                .unwrap(),
            certificate: STANDARD.encode(certificate.der()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // A client that hangs up is its own business.
                let _ = mint.answer(stream);
            }
        });
        Self {
            address,
            certificate: certificate.pem(),
            stopped,
        }
    }

    /// Returns the URL that the registry names in its challenge.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Returns the certificate of the key that signs tokens, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

/// Makes tokens.
struct Mint {
    key: EcdsaKeyPair,
    certificate: String,
}

impl Mint {
    /// Answers one request and closes the connection.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut account = Account::Anonymous;
        while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                account = Account::of(value);
            }
        }
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match account {
            Account::Wrong => (
                "401 Unauthorized",
                json!({"errors": [{"code": "UNAUTHORIZED"}]}),
            ),
            _ => (
                "200 OK",
                json!({"token": self.token(&account, target), "expires_in": 300}),
            ),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Returns a token for what `target`, the request's path and query, asks for.
    fn token(&self, account: &Account, target: &str) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": account.name(), "aud": SERVICE,
            "nbf": now - 10, "iat": now, "exp": now + 300, "jti": now.to_string(),
            "access": access(account, target),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Who asks.
enum Account {
    Anonymous,
    User,
    Wrong,
}

impl Account {
    /// Reads an `Authorization` header.
    fn of(authorization: &str) -> Self {
        let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        if authorization.trim() == expected {
            Self::User
        } else {
            Self::Wrong
        }
    }

    fn name(&self) -> &'static str {
        if let Self::User = self { USER } else { "" }
    }

    fn may(&self, action: &str) -> bool {
        action == "pull" || matches!(self, Self::User)
    }
}

/// Returns the access that `account` gets of each `scope=repository:NAME:ACTION,ACTION`.
fn access(account: &Account, target: &str) -> Vec<Value> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query = query
        .replace("%3A", ":")
        .replace("%2F", "/")
        .replace("%2C", ",");
    query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("scope="))
        .flat_map(|scopes| {
            scopes
                .split(['+', ' '])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let granted: Vec<_> = actions.split(',').filter(|a| account.may(a)).collect();
            Some(json!({"type": kind, "name": name, "actions": granted}))
        })
        .collect()
}
