//! How much memory model signatures of very many files take. It is the peak of a whole process that
//! is measured, so this is the only test of its program.
#![cfg(target_os = "linux")]
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use modelctl::model_signature::{
    self, Symlinks, TreeOptions, Unsigned, VerifyOptions, sign, verify,
};
use modelctl::oms::IgnoredPaths;
use modelctl::policy::{Policy, Requirement};
use modelctl::progress::silent;
use modelctl::sign::Signer;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::unpack::Existing;

/// As many files as the largest data sets in models have.
const FILES: usize = 20_000;

/// What signing and verifying may take, in KiB: measured to be 20 to 25 MiB, a third of what trees
/// of JSON values took.
const LIMIT: u64 = 32 << 10;

/// Forgets the process's peak, so that the next is measured from here
/// ([proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html)).
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Returns the most memory, in KiB, that the process had since its peak was forgotten.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

fn write_files(directory: &Path) {
    for number in 0..FILES {
        let part = directory.join(format!("part-{:03}", number % 200));
        if number < 200 {
            std::fs::create_dir(&part).unwrap();
        }
        std::fs::write(part.join(format!("sample-{number:08}.json")), "{}").unwrap();
    }
}

fn signer() -> KeySigner {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys/p256.key");
    let text = std::fs::read(fixture).unwrap();
    let key = PrivateKey::from_pem(&text, || panic!("it has no password"), "key").unwrap();
    KeySigner::new("key", key)
}

fn tree() -> TreeOptions {
    TreeOptions {
        ignored: IgnoredPaths::git(),
        symlinks: Symlinks::Refuse,
    }
}

async fn sign_files(model: PathBuf, signature: PathBuf) {
    let bundle = sign(&model, &tree(), &signer(), silent()).await.unwrap();
    model_signature::write(&signature, &bundle, Existing::Refuse).unwrap();
}

async fn verify_files(model: PathBuf, signature: PathBuf) {
    let bundles = model_signature::read(&signature).unwrap();
    let policy = Policy::new([Requirement::ModelSignature]).unwrap();
    let options = VerifyOptions {
        tree: tree(),
        unsigned: Unsigned::Refuse,
    };
    let trust = signer().trust().unwrap();
    let found = verify(&model, bundles, &trust, &policy, &options, silent()).await;
    let found = found.unwrap();
    assert_eq!(found.files(), FILES);
    found.admit().unwrap();
}

#[test]
fn twenty_thousand_files_are_signed_and_verified_in_little_memory() {
    let around = tempfile::tempdir().unwrap();
    let (model, signature) = (around.path().join("model"), around.path().join("model.sig"));
    std::fs::create_dir(&model).unwrap();
    write_files(&model);
    let run = || tokio::runtime::Runtime::new().unwrap();
    forget_peak();
    run().block_on(sign_files(model.clone(), signature.clone()));
    let signing = peak();
    forget_peak();
    run().block_on(verify_files(model, signature));
    let verifying = peak();
    assert!(
        signing <= LIMIT && verifying <= LIMIT,
        "signing took {signing} KiB, verifying {verifying} KiB"
    );
    println!("{signing} KiB to sign, {verifying} KiB to verify");
}
