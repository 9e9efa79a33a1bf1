//! A TUF repository on a loopback port
//! ([specification](https://theupdateframework.github.io/specification/v1.0.34/)).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use modelctl::digest::Digest;
use modelctl::key::Algorithm;
use modelctl::sign::key::PrivateKey;
use serde_json::{Value, json};

/// A repository, which answers as long as the test runs.
pub(crate) struct Repository {
    key: PrivateKey,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    url: String,
}

impl Repository {
    /// Starts a repository that publishes nothing.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let repository = Self {
            key: PrivateKey::generate(Algorithm::Ed25519).unwrap(),
            files: Arc::default(),
            asked: Arc::default(),
            broken: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let (files, asked) = (Arc::clone(&repository.files), Arc::clone(&repository.asked));
        let broken = Arc::clone(&repository.broken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                if !broken.load(Ordering::SeqCst) {
                    answer(stream, &files.lock().unwrap());
                }
            }
        });
        repository
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns how often it was asked for something.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Lets it hang up on everyone from now on, or no longer.
    pub(crate) fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Returns the `root.json` in which trust begins.
    pub(crate) fn root(&self) -> Vec<u8> {
        let roles = ["root", "timestamp", "snapshot", "targets"];
        let id = self.key_id();
        let role = json!({"keyids": [id], "threshold": 1});
        let roles: BTreeMap<_, _> = roles.map(|name| (name, role.clone())).into();
        self.signed(json!({
            "_type": "root", "spec_version": "1.0.31", "version": 1,
            "expires": "2099-01-01T00:00:00Z", "consistent_snapshot": true,
            "keys": {id: self.public_key()}, "roles": roles,
        }))
    }

    /// Publishes `trusted_root` as version `version`, to be believed for a week from `now`.
    pub(crate) fn publish(&self, version: u64, trusted_root: &[u8], now: Timestamp) {
        let expires = (now + SignedDuration::from_hours(7 * 24)).strftime("%Y-%m-%dT%H:%M:%SZ");
        let head = |kind: &str| {
            json!({"_type": kind, "spec_version": "1.0.31", "version": version,
                "expires": expires.to_string()})
        };
        let with = |kind: &str, field: &str, value: Value| {
            let mut document = head(kind);
            document[field] = value;
            self.signed(document)
        };
        let hash = Digest::of(trusted_root).hex();
        let target = json!({"length": trusted_root.len(), "hashes": {"sha256": hash}});
        let targets = with("targets", "targets", json!({"trusted_root.json": target}));
        let meta = json!({"targets.json": {"version": version}});
        let snapshot = with("snapshot", "meta", meta);
        let meta = json!({"snapshot.json": {"version": version}});
        let timestamp = with("timestamp", "meta", meta);
        let mut files = self.files.lock().unwrap();
        files.clear();
        files.insert("/1.root.json".to_owned(), self.root());
        files.insert("/timestamp.json".to_owned(), timestamp);
        files.insert(format!("/{version}.snapshot.json"), snapshot);
        files.insert(format!("/{version}.targets.json"), targets);
        let place = format!("/targets/{hash}.trusted_root.json");
        files.insert(place, trusted_root.to_vec());
    }

    fn public_key(&self) -> Value {
        let spki = self.key.public_key().spki();
        let raw = hex::encode(&spki[spki.len() - 32..]);
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw}})
    }

    fn key_id(&self) -> String {
        Digest::of(canonical(&self.public_key()).as_bytes()).hex()
    }

    fn signed(&self, document: Value) -> Vec<u8> {
        let signature = self.key.sign(canonical(&document).as_bytes()).unwrap();
        let signature = json!({"keyid": self.key_id(), "sig": hex::encode(signature)});
        let document = json!({"signed": document, "signatures": [signature]});
        serde_json::to_vec(&document).unwrap()
    }
}

/// Returns canonical JSON: sorted names, no white space. All texts here are plain.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let members = sorted
                .iter()
                .map(|(k, v)| format!("\"{k}\":{}", canonical(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

fn answer(stream: std::net::TcpStream, files: &BTreeMap<String, Vec<u8>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        request.push_str(&line);
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match files.get(path) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", &b""[..]),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}
