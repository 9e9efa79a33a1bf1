//! With `--trusted-root`, verification asks nobody.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{REFERENCE, TRUST, with, workspace};

#[test]
fn verification_works_where_there_is_no_network_at_all() {
    let allowed = Command::new("unshare").args(["-rn", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this machine does not let a test make a network namespace");
        return;
    }
    let at = workspace();
    let isolated = |arguments: &[&str]| {
        let output = Command::new("unshare")
            .args(["-rn", env!("CARGO_BIN_EXE_modelctl")])
            .args(arguments)
            .current_dir(at.path(""))
            .env("HOME", at.path("home"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), told)
    };
    for command in [
        &["verify", REFERENCE][..],
        &["pull", REFERENCE, "./out", "--verify"],
        &["verify", "./out", "--deep"],
        &["tree", REFERENCE],
    ] {
        let (code, told) = isolated(&with(command, &TRUST));
        assert_eq!(code, Some(0), "{command:?}: {told}");
    }
    // A refusal is one there too, and not a failure of the network.
    let (code, told) = isolated(&[
        "verify",
        REFERENCE,
        "--certificate-identity",
        "x@example.com",
        "--certificate-oidc-issuer",
        "y",
        "--trusted-root",
        "root.json",
    ]);
    assert!(
        code == Some(3) && told.contains("identity-mismatch"),
        "{told}"
    );
}

#[test]
fn nobody_is_asked_unless_the_instances_keys_are_to_be_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            // Whoever asks is heard and not answered.
            let _ = stream.unwrap().read(&mut [0; 1024]);
        }
    });
    let at = workspace();
    let through_proxy = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("ALL_PROXY", proxy.as_str()),
    ];
    at.run_with(&with(&["verify", REFERENCE], &TRUST), &through_proxy, "")
        .ok();
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    // The public instance's keys are asked for; those at hand serve, and a private instance's
    // signature is not accepted under them.
    let told = at.run_with(
        &with(&["verify", REFERENCE], &TRUST[..4]),
        &through_proxy,
        "",
    );
    assert!(asked.load(Ordering::SeqCst) > 0);
    assert_eq!(told.code, 3, "{told:?}");
    assert!(
        told.stderr
            .contains("note: no root of trust could be fetched"),
        "{told:?}"
    );
}
