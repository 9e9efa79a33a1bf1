//! Model signatures of directories: what other tools signed, and every way to tamper with it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use modelctl::error::{Reason, Result};
use modelctl::key::PublicKey;
use modelctl::model_signature::{
    self, Symlinks, TreeOptions, Unsigned, VerifyOptions, list, sign, verify,
};
use modelctl::oms::{Contents, IgnoredPaths, Resource, Serialization};
use modelctl::policy::{Policy, Requirement};
use modelctl::progress::{Meter, Progress, silent};
use modelctl::referrer::RawBundle;
use modelctl::sign::key::{KeySigner, PrivateKey};
use modelctl::sign::sign_statement;
use modelctl::statement::Statement;
use modelctl::trust::{Authority, TrustRoot};
use modelctl::unpack::Existing;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

pub(crate) fn signer(name: &str) -> KeySigner {
    let text = std::fs::read(fixtures().join(format!("keys/{name}.key"))).unwrap();
    let key = PrivateKey::from_pem(&text, || panic!("it has no password"), name).unwrap();
    KeySigner::new(name, key)
}

fn trust(name: &str) -> TrustRoot {
    let text = std::fs::read(fixtures().join(format!("keys/{name}.pub"))).unwrap();
    let key = PublicKey::from_pem(&text, name).unwrap();
    TrustRoot::new([Authority::key(name, key)]).unwrap()
}

fn policy() -> Policy {
    Policy::new([Requirement::ModelSignature]).unwrap()
}

pub(crate) fn tree() -> TreeOptions {
    TreeOptions {
        ignored: IgnoredPaths::git(),
        symlinks: Symlinks::Refuse,
    }
}

pub(crate) fn options() -> VerifyOptions {
    VerifyOptions {
        tree: tree(),
        unsigned: Unsigned::Refuse,
    }
}

/// Verifies `model` by `bundles` under the key `p256`, and returns what is not covered.
pub(crate) async fn verified(
    model: &Path,
    bundles: &[RawBundle],
    options: &VerifyOptions,
) -> Result<Vec<String>> {
    let found = verify(
        model,
        bundles.to_vec(),
        &trust("p256"),
        &policy(),
        options,
        silent(),
    )
    .await?;
    let evidence = found.verdict().evidence();
    let not_covered = evidence
        .iter()
        .flat_map(|e| e.not_covered.clone())
        .collect();
    found.admit()?;
    Ok(not_covered)
}

/// Copies the model that other tools signed.
pub(crate) fn model() -> (tempfile::TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                false => std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap(),
            }
        }
    }
    let around = tempfile::tempdir().unwrap();
    let model = around.path().join("model");
    copy(&fixtures().join("model-signing/model"), &model);
    (around, model)
}

fn raw(bundle: &modelctl::bundle::Bundle) -> Vec<RawBundle> {
    vec![RawBundle::new(bundle.to_bytes().unwrap().into())]
}

#[tokio::test]
async fn what_every_version_of_the_reference_implementation_signed_verifies() {
    let files = [
        ("v0.2.0.p256", "p256"),
        ("v0.2.0.p384", "p384"),
        ("v0.3.1", "p256"),
        ("v1.0.1", "p256"),
        ("v1.1.0", "p256"),
        ("v1.1.1", "p256"),
        ("v1.1.1.blake2b", "p256"),
        ("v1.1.1.blake3", "p256"),
        ("v1.1.1.shards", "p256"),
        ("v1.1.1.shards-blake2b", "p256"),
    ];
    for (name, key) in files {
        let file = fixtures().join(format!("model-signing/{name}.sig"));
        let bundles = model_signature::read(&file).unwrap();
        let (_around, model) = model();
        let check = async || {
            let found = verify(
                &model,
                bundles.clone(),
                &trust(key),
                &policy(),
                &options(),
                silent(),
            )
            .await;
            found
                .unwrap()
                .admit()
                .map(drop)
                .map_err(|error| error.reason())
        };
        assert_eq!(check().await, Ok(()), "{name}");
        let stranger = verify(
            &model,
            bundles.clone(),
            &trust("rsa"),
            &policy(),
            &options(),
            silent(),
        )
        .await;
        let refusal = stranger.unwrap().admit().unwrap_err();
        assert_eq!(refusal.reason(), Reason::UntrustedSigner, "{name}");
        std::fs::write(model.join("onnx-fp16/model.bin"), "HALF").unwrap();
        assert_eq!(check().await, Err(Reason::FilesMismatch), "{name}");
    }
}

#[tokio::test]
async fn signatures_may_come_one_in_each_line() {
    let (around, model) = model();
    let ours = sign(&model, &tree(), &signer("p256"), silent())
        .await
        .unwrap();
    let theirs = sign(&model, &tree(), &signer("p384"), silent())
        .await
        .unwrap();
    let lines = [theirs.to_bytes().unwrap(), ours.to_bytes().unwrap()].join(&b"\n"[..]);
    let path = around.path().join("claims.jsonl");
    std::fs::write(&path, [&lines[..], b"\n\n"].concat()).unwrap();
    let bundles = model_signature::read(&path).unwrap();
    assert_eq!(bundles.len(), 2);
    verified(&model, &bundles, &options()).await.unwrap();
    let refusal = verified(&model, &bundles[..1], &options())
        .await
        .unwrap_err();
    assert_eq!(refusal.reason(), Reason::UntrustedSigner);
}

/// Changes a signed model.
type Tampering = fn(&Path);

const TAMPERINGS: [(&str, Tampering, Reason); 14] = [
    (
        "changed",
        |m| std::fs::write(m.join("config.json"), "{}").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "emptied",
        |m| std::fs::write(m.join("config.json"), "").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "filled",
        |m| std::fs::write(m.join("empty"), "x").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "added",
        |m| std::fs::write(m.join("evil.py"), "").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "added below",
        |m| std::fs::write(m.join("onnx/evil"), "").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "removed",
        |m| std::fs::remove_file(m.join("empty")).unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "renamed",
        |m| std::fs::rename(m.join("empty"), m.join("evil.py")).unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "swapped",
        |m| {
            std::fs::rename(m.join("onnx/model.bin"), m.join("x")).unwrap();
            std::fs::rename(m.join("onnx-fp16/model.bin"), m.join("onnx/model.bin")).unwrap();
            std::fs::rename(m.join("x"), m.join("onnx-fp16/model.bin")).unwrap();
        },
        Reason::FilesMismatch,
    ),
    (
        "a link in a file's place",
        |m| {
            std::fs::rename(m.join("config.json"), m.join("../config.json")).unwrap();
            symlink("../config.json", m.join("config.json")).unwrap();
        },
        Reason::FileKindUnsafe,
    ),
    (
        "an added link",
        |m| symlink("empty", m.join("x")).unwrap(),
        Reason::FileKindUnsafe,
    ),
    (
        "a link in a circle",
        |m| symlink(".", m.join("x")).unwrap(),
        Reason::FileKindUnsafe,
    ),
    (
        "a directory in a file's place",
        |m| {
            std::fs::remove_file(m.join("empty")).unwrap();
            std::fs::create_dir(m.join("empty")).unwrap();
        },
        Reason::FilesMismatch,
    ),
    (
        "git's files below the root",
        |m| std::fs::write(m.join("onnx/.gitignore"), "").unwrap(),
        Reason::FilesMismatch,
    ),
    (
        "a name like an ignored one",
        |m| std::fs::write(m.join(".gitmodules"), "").unwrap(),
        Reason::FilesMismatch,
    ),
];

#[tokio::test]
async fn every_tampering_is_refused_with_its_reason() {
    let (_around, untouched) = model();
    let bundle = raw(&sign(&untouched, &tree(), &signer("p256"), silent())
        .await
        .unwrap());
    verified(&untouched, &bundle, &options()).await.unwrap();
    for (what, tampering, reason) in TAMPERINGS {
        let (_around, model) = model();
        tampering(&model);
        let refusal = verified(&model, &bundle, &options()).await.expect_err(what);
        assert_eq!(refusal.reason(), reason, "{what}: {refusal}");
    }
}

#[tokio::test]
async fn what_is_ignored_is_named_and_nothing_else_is_ignored() {
    let (_around, model) = model();
    std::fs::create_dir(model.join(".git")).unwrap();
    std::fs::write(model.join(".git/HEAD"), "x").unwrap();
    std::fs::create_dir(model.join(".modelctl")).unwrap();
    std::fs::write(model.join(".modelctl/receipt.json"), "x").unwrap();
    std::fs::write(model.join("log"), "x").unwrap();
    let mut left_out = tree();
    left_out.ignored.add("log").unwrap();
    let bundle = raw(&sign(&model, &left_out, &signer("p256"), silent())
        .await
        .unwrap());
    let not_covered = verified(&model, &bundle, &options()).await.unwrap();
    assert_eq!(not_covered, ["`.git`", "`log`"]);

    std::fs::write(model.join("more"), "x").unwrap();
    let refusal = verified(&model, &bundle, &options()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FilesMismatch);
    let mut more = options();
    more.tree.ignored.add("more").unwrap();
    verified(&model, &bundle, &more).await.unwrap();
    let listed = VerifyOptions {
        unsigned: Unsigned::Ignore,
        ..options()
    };
    verified(&model, &bundle, &listed).await.unwrap();

    more.tree.ignored.add("empty").unwrap();
    let refusal = verified(&model, &bundle, &more).await.unwrap_err();
    assert_eq!(
        refusal.reason(),
        Reason::FilesMismatch,
        "what is listed must be there"
    );
    std::fs::remove_file(model.join("empty")).unwrap();
    let refusal = verified(&model, &bundle, &listed).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FilesMismatch);
}

#[tokio::test]
async fn a_link_is_followed_only_if_signer_and_verifier_allow_it() {
    let (around, model) = model();
    std::fs::rename(model.join("config.json"), around.path().join("blob")).unwrap();
    symlink("../blob", model.join("config.json")).unwrap();
    let refusal = sign(&model, &tree(), &signer("p256"), silent())
        .await
        .unwrap_err();
    assert_eq!(refusal.reason(), Reason::FileKindUnsafe);

    let follow = TreeOptions {
        symlinks: Symlinks::Follow,
        ..tree()
    };
    let bundle = raw(&sign(&model, &follow, &signer("p256"), silent())
        .await
        .unwrap());
    let following = VerifyOptions {
        tree: follow.clone(),
        ..options()
    };
    verified(&model, &bundle, &following).await.unwrap();
    let refusal = verified(&model, &bundle, &options()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FileKindUnsafe);

    std::fs::write(around.path().join("blob"), "{}").unwrap();
    let refusal = verified(&model, &bundle, &following).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FilesMismatch);

    let file = fixtures().join("model-signing/v1.1.1.sig");
    let not_allowed = model_signature::read(&file).unwrap();
    let refusal = verified(&model, &not_allowed, &following)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.reason(),
        Reason::FileKindUnsafe,
        "the signer did not allow links"
    );

    symlink("..", model.join("up")).unwrap();
    let refusal = sign(&model, &follow, &signer("p256"), silent())
        .await
        .unwrap_err();
    assert_eq!(
        refusal.reason(),
        Reason::FileKindUnsafe,
        "a link to a directory"
    );
}

#[tokio::test]
async fn the_parents_of_a_listed_file_must_be_directories() {
    let (around, model) = model();
    let bundle = raw(&sign(&model, &tree(), &signer("p256"), silent())
        .await
        .unwrap());
    std::fs::rename(model.join("onnx"), around.path().join("onnx")).unwrap();
    symlink("../onnx", model.join("onnx")).unwrap();
    let listed = VerifyOptions {
        unsigned: Unsigned::Ignore,
        ..options()
    };
    let refusal = verified(&model, &bundle, &listed).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::FileKindUnsafe);
}

#[tokio::test]
async fn one_file_is_known_by_its_name_or_by_none() {
    let (_around, model) = model();
    let file = model.join("config.json");
    let digest = modelctl::digest::Digest::of(&std::fs::read(&file).unwrap());
    for name in [".", "config.json"] {
        let serialization = Serialization::of_files(IgnoredPaths::default());
        let contents = Contents::new(
            "config.json",
            serialization,
            vec![Resource::file("config.json", digest.as_bytes().to_vec()).unwrap()],
        )
        .unwrap();
        let mut statement = Statement::parse(&contents.to_bytes().unwrap()).unwrap();
        statement.predicate["resources"][0]["name"] = name.into();
        let bundle = raw(&sign_statement(&statement, &signer("p256")).await.unwrap());
        verified(&file, &bundle, &options()).await.expect(name);
        let refusal = verified(&model.join("empty"), &bundle, &options())
            .await
            .unwrap_err();
        assert_eq!(refusal.reason(), Reason::FilesMismatch);
        let refusal = verified(&model, &bundle, &options()).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::FilesMismatch);
    }
    let refusal = sign(&file, &tree(), &signer("p256"), silent())
        .await
        .unwrap_err();
    assert_eq!(refusal.reason(), Reason::ModelUnsuitable);
}

#[tokio::test]
async fn an_empty_model_is_not_signed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".gitignore"), "x").unwrap();
    let refusal = sign(directory.path(), &tree(), &signer("p256"), silent()).await;
    assert_eq!(refusal.unwrap_err().reason(), Reason::ModelUnsuitable);
    std::fs::write(directory.path().join("a"), "").unwrap();
    sign(directory.path(), &tree(), &signer("p256"), silent())
        .await
        .unwrap();
}

#[tokio::test]
async fn only_keys_that_verifiers_know_make_model_signatures() {
    let (_around, model) = model();
    for name in ["p256", "p384", "p521"] {
        let bundle = sign(&model, &tree(), &signer(name), silent())
            .await
            .expect(name);
        let hint = bundle.material().public_key.clone().unwrap().hint;
        assert_eq!(hint, signer(name).public_key().model_signing_hint());
    }
    for name in ["ed25519", "rsa"] {
        let refusal = sign(&model, &tree(), &signer(name), silent())
            .await
            .expect_err(name);
        assert_eq!(refusal.reason(), Reason::KeyInvalid);
    }
}

#[tokio::test]
async fn another_statement_by_the_same_key_is_no_model_signature() {
    let (_around, model) = model();
    let contents = list(&model, &tree(), silent()).await.unwrap();
    let mut statement = Statement::parse(&contents.to_bytes().unwrap()).unwrap();
    let bundle = raw(&sign_statement(&statement, &signer("p256")).await.unwrap());
    verified(&model, &bundle, &options()).await.unwrap();
    statement.predicate_type = "https://example.com/list/v1".to_owned();
    let bundle = raw(&sign_statement(&statement, &signer("p256")).await.unwrap());
    let refusal = verified(&model, &bundle, &options()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::SignatureMissing);
}

#[tokio::test]
async fn a_signature_is_written_whole_and_replaced_only_when_asked() {
    let (around, model) = model();
    let bundle = sign(&model, &tree(), &signer("p256"), silent())
        .await
        .unwrap();
    let path = around.path().join("model.sig");
    model_signature::write(&path, &bundle, Existing::Refuse).unwrap();
    let refusal = model_signature::write(&path, &bundle, Existing::Refuse).unwrap_err();
    assert_eq!(refusal.reason(), Reason::TargetExists);
    std::fs::write(&path, "old").unwrap();
    model_signature::write(&path, &bundle, Existing::Replace).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bundle.to_bytes().unwrap());
    let beside = std::fs::read_dir(around.path()).unwrap().count();
    assert_eq!(beside, 2, "nothing but the model and its signature");
}

/// Counts the bytes that are hashed.
#[derive(Clone, Default)]
struct Hashed(Arc<AtomicU64>);

impl Progress for Hashed {
    fn begin(&self, action: &'static str, _name: &str, _total: u64) -> Box<dyn Meter> {
        match action {
            "hash" => Box::new(self.clone()),
            _ => Box::new(modelctl::progress::Silent),
        }
    }

    fn note(&self, _text: &str) {}
}

impl Meter for Hashed {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn every_byte_is_hashed_once_and_a_difference_in_names_costs_nothing() {
    let (_around, model) = model();
    std::fs::write(model.join("large"), vec![7; 3 << 20]).unwrap();
    let names = [
        "config.json",
        "large",
        "onnx/model.bin",
        "onnx-fp16/model.bin",
    ];
    let size = |name: &str| std::fs::metadata(model.join(name)).unwrap().len();
    let text = std::fs::metadata(model.join("naïve name.txt"))
        .unwrap()
        .len();
    let total: u64 = names.into_iter().map(size).sum::<u64>() + text;
    let hashed = Hashed::default();
    let progress: Arc<dyn Progress> = Arc::new(hashed.clone());
    let bundle = sign(&model, &tree(), &signer("p256"), Arc::clone(&progress))
        .await
        .unwrap();
    assert_eq!(hashed.0.swap(0, Ordering::Relaxed), total);

    std::fs::write(model.join("evil.py"), "x").unwrap();
    let refused = verify(
        &model,
        raw(&bundle),
        &trust("p256"),
        &policy(),
        &options(),
        progress,
    )
    .await;
    refused.unwrap().admit().unwrap_err();
    assert_eq!(hashed.0.load(Ordering::Relaxed), 0);
}
