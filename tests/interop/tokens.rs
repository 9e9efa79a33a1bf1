//! Keys that were made inside a token, by SoftHSM, and never leave it.

use modelctl::key::PublicKey;

use crate::lab::Lab;
use crate::registry::Registry;
use crate::{certificate, peers};

/// Returns a lab with an empty token called `modelctl`, whose PIN is 1234, and its library's path.
fn lab() -> Option<(Lab, String)> {
    let mut lab = Lab::with(["cosign", "softhsm2-util", "pkcs11-tool"])?;
    let module = peers::find("libsofthsm2.so")?;
    let module = module.canonicalize().unwrap().to_str().unwrap().to_owned();
    let tokens = lab.path("tokens");
    std::fs::create_dir(&tokens).unwrap();
    lab.write(
        "softhsm2.conf",
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\n",
            tokens.display()
        ),
    );
    let settings = lab.path("softhsm2.conf");
    lab.set("SOFTHSM2_CONF", settings.to_str().unwrap());
    let initialise = "--init-token --free --label modelctl --pin 1234 --so-pin 4321";
    lab.run(format!("softhsm2-util --module {module} {initialise}"))
        .succeeds();
    Some((lab, module))
}

/// Makes a key pair inside the token.
fn generate(lab: &Lab, module: &str, kind: &str, label: &str, id: &str, flags: &str) -> bool {
    let login = "--token-label modelctl --login --pin 1234";
    let line = format!(
        "pkcs11-tool --module {module} {login} --keypairgen --key-type {kind} --label {label} \
         --id {id} --usage-sign {flags}"
    );
    let outcome = lab.run(line);
    !outcome.stderr.contains("error")
}

/// Returns the public key that the token's own tool exports.
fn exported(lab: &Lab, module: &str, label: &str) -> PublicKey {
    let read = format!("--read-object --type pubkey --label {label} --output-file {label}.der");
    lab.run(format!(
        "pkcs11-tool --module {module} --token-label modelctl {read}"
    ))
    .succeeds();
    let der = std::fs::read(lab.path(&format!("{label}.der"))).unwrap();
    // For Edwards curves it writes PEM.
    match der.starts_with(b"-----") {
        true => PublicKey::from_pem(&der, label).unwrap(),
        false => PublicKey::from_spki(&der).unwrap(),
    }
}

#[test]
fn a_key_that_never_leaves_its_token_signs_what_cosign_verifies() {
    let Some((mut lab, module)) = lab() else {
        return;
    };
    lab.set("MODELCTL_PKCS11_PIN", "1234");
    lab.set("MODELCTL_PKCS11_MODULE", &module);
    let Some(registry) = Registry::open() else {
        return;
    };
    for (kind, label, id) in [
        ("EC:prime256v1", "p256", "01"),
        ("rsa:2048", "rsa", "02"),
        ("EC:edwards25519", "ed25519", "03"),
        ("EC:secp384r1", "p384", "04"),
    ] {
        if !generate(&lab, &module, kind, label, id, "") {
            peers::skip(&format!("this SoftHSM makes no {kind} keys"));
            continue;
        }
        let key = format!("pkcs11:token=modelctl;object={label};id=%{id}");
        let reference = registry.reference(&format!("acme/{label}:v1"));
        let pinned = lab.push(&reference, &format!("--sign --key {key}"));
        lab.run(format!("modelctl verify {pinned} --key {key}"))
            .succeeds();
        if label == "p384" {
            // The token's tool cannot export it, and cosign could not verify it.
            continue;
        }
        lab.write(
            &format!("{label}.pub"),
            exported(&lab, &module, label).to_pem(),
        );
        lab.run(format!("modelctl verify {pinned} --key {label}.pub"))
            .succeeds();
        lab.run(format!(
            "cosign verify --key {label}.pub --insecure-ignore-tlog {pinned}"
        ))
        .succeeds();
    }
}

#[test]
fn a_token_is_asked_once_and_says_why_not() {
    let Some((mut lab, module)) = lab() else {
        return;
    };
    assert!(generate(&lab, &module, "EC:prime256v1", "k", "01", ""));
    let pinned = lab.push("oci:store:v1", "");
    let sign = |lab: &Lab, uri: &str| lab.run(format!("modelctl sign {pinned} --key {uri}"));
    let uri = |rest: &str| format!("pkcs11:{rest}module-path={module}");
    let good = uri("token=modelctl;object=k?");
    // No terminal, no PIN.
    sign(&lab, &good).refuses(2, "key-password");
    for wrong in ["1235", "", "123412341234"] {
        lab.set("MODELCTL_PKCS11_PIN", wrong);
        sign(&lab, &good).refuses(6, "token-refused");
    }
    lab.set("MODELCTL_PKCS11_PIN", "1234");
    for nothing in [
        uri("token=other;object=k?"),
        uri("token=modelctl;object=other?"),
        uri("token=modelctl;object=k;id=%02?"),
        uri("token=modelctl;object=k;slot-id=123456?"),
    ] {
        sign(&lab, &nothing).refuses(2, "key-invalid");
    }
    sign(&lab, &good).succeeds();
    // What the URI says counts before what the surroundings say.
    lab.set("MODELCTL_PKCS11_PIN", "wrong");
    sign(&lab, &format!("{good}&pin-value=1234")).succeeds();
    lab.write("pin", "1234\n");
    let file = lab.path("pin");
    sign(&lab, &format!("{good}&pin-source=file:{}", file.display())).succeeds();
    // Two keys of one name.
    assert!(generate(&lab, &module, "EC:prime256v1", "k", "02", ""));
    lab.set("MODELCTL_PKCS11_PIN", "1234");
    sign(&lab, &good).refuses(2, "key-invalid");
    sign(&lab, &uri("token=modelctl;object=k;id=%02?")).succeeds();
}

#[test]
fn a_key_that_wants_the_pin_every_time_gets_it() {
    let Some((mut lab, module)) = lab() else {
        return;
    };
    lab.set("MODELCTL_PKCS11_PIN", "1234");
    assert!(generate(
        &lab,
        &module,
        "rsa:2048",
        "k",
        "01",
        "--always-auth"
    ));
    let key = format!("pkcs11:object=k?module-path={module}");
    let pinned = lab.push("oci:store:v1", &format!("--sign --key {key}"));
    lab.run(format!("modelctl verify {pinned} --key {key}"))
        .succeeds();
}

/// A P-256 key for which a certificate is issued.
struct Point(PublicKey);

impl rcgen::PublicKeyData for Point {
    /// Returns the point, with which a SubjectPublicKeyInfo ends.
    fn der_bytes(&self) -> &[u8] {
        self.0.spki().last_chunk::<65>().unwrap()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[test]
fn a_tokens_certificate_goes_along() {
    let Some((mut lab, module)) = lab() else {
        return;
    };
    lab.set("MODELCTL_PKCS11_PIN", "1234");
    assert!(generate(&lab, &module, "EC:prime256v1", "k", "01", ""));
    let authority = certificate::Authority::new();
    let key = exported(&lab, &module, "k");
    let (der, pem) = authority.issue_for_signer("release@acme.example", &Point(key));
    lab.write("k.crt", der);
    lab.write("root.pem", authority.certificate());
    let write = "--write-object k.crt --type cert --label k --id 01";
    let login = "--token-label modelctl --login --pin 1234";
    lab.run(format!("pkcs11-tool --module {module} {login} {write}"))
        .succeeds();
    let uri = format!("pkcs11:token=modelctl;object=k?module-path={module}");
    let sign = format!("--sign --key {uri} --certificate {uri}");
    let pinned = lab.push("oci:store:v1", &sign);
    let who = "--certificate-identity release@acme.example";
    lab.run(format!(
        "modelctl verify {pinned} --ca-roots root.pem {who}"
    ))
    .succeeds();
    lab.run(format!("modelctl verify {pinned} --key {uri}"))
        .refuses(3, "untrusted-signer");
    lab.write("k.pem", pem);
    lab.run(format!("modelctl verify {pinned} --certificate k.pem"))
        .succeeds();
}
