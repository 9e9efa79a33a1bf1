//! Proxies: used where the environment says so, and told no secret that is not theirs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use crate::support::command::Workspace;

const CANARY: &str = "canary-pr0xy";

/// Starts a proxy that refuses the first request to it, and returns it.
fn proxy() -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend_from_slice(&byte);
        }
        stream
            .write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, seen)
}

#[test]
fn a_proxys_password_goes_to_the_proxy_and_into_no_message() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let at = Workspace::new();
        let (port, seen) = proxy();
        let url = format!("http://alice:{CANARY}@127.0.0.1:{port}");
        let list = [
            "list",
            "registry.example.com/acme/bert",
            "-vv",
            "--username",
            "bob",
        ];
        let list = [&list[..], &["--password-stdin"]].concat();
        let refused = at.run_with(&list, &[(variable, &url)], "canary-registry");
        refused.refused(7, "connection");
        let seen = seen.join().unwrap();
        assert!(
            seen.starts_with("CONNECT registry.example.com:443 "),
            "{seen}"
        );
        assert!(
            seen.to_lowercase().contains("proxy-authorization: basic "),
            "{seen}"
        );
        let told = format!("{}{}", refused.stderr, refused.stdout);
        for secret in [CANARY, "canary-registry", "YWxpY2U6"] {
            assert!(!told.contains(secret), "{told}");
        }
        // What is for the registry is not for the proxy.
        assert!(!seen.contains("Ym9iO"), "{seen}");
    }
}

#[test]
fn no_proxy_stands_between_this_machine_and_itself() {
    let scene = crate::Scene::new();
    let (port, seen) = proxy();
    let url = format!("http://127.0.0.1:{port}");
    let list = ["list", scene.reference.trim_end_matches(":v1")];
    let variables = [("HTTP_PROXY", url.as_str()), ("ALL_PROXY", url.as_str())];
    assert_eq!(scene.at.run_with(&list, &variables, "").ok(), "v1");
    assert!(!seen.is_finished());
}
