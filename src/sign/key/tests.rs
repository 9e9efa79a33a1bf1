use super::*;
use crate::digest::Digest;
use crate::sign::sign_statement;
use crate::statement::Statement;

const WHAT: &str = "release.key";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

fn password(password: &str) -> impl FnOnce() -> Result<Password> {
    let password = password.as_bytes().to_vec();
    || Ok(Zeroizing::new(password))
}

fn never_asked() -> Result<Password> {
    panic!("a file without password asked for one")
}

fn plain(name: &str) -> Result<PrivateKey> {
    PrivateKey::from_pem(&fixture(&format!("keys/{name}.key")), never_asked, WHAT)
}

/// Returns cosign's file `name` with `from` replaced by `to` in its JSON.
fn altered(name: &str, from: &str, to: &str) -> Vec<u8> {
    let section = pem::parse(fixture(name)).unwrap();
    let json = String::from_utf8(section.contents().to_vec()).unwrap();
    let new = json.replace(from, to);
    assert_ne!(json, new, "{from}");
    pem::encode(&pem::Pem::new(ENCRYPTED, new)).into_bytes()
}

#[test]
fn reads_every_file_of_openssl_without_a_password_and_signs() {
    for (files, public) in [
        (
            &["p256", "p256.sec1", "p256.ecparam", "p256.nopublic"][..],
            "p256",
        ),
        (
            &["p384", "p384.sec1", "p384.ecparam", "p384.nopublic"][..],
            "p384",
        ),
        (
            &["p521", "p521.sec1", "p521.ecparam", "p521.nopublic"][..],
            "p521",
        ),
        (&["ed25519"], "ed25519"),
        (&["rsa", "rsa.pkcs1"], "rsa"),
    ] {
        let public = fixture(&format!("keys/{public}.pub"));
        let public = PublicKey::from_pem(&public, "pub").unwrap();
        for file in files {
            let key = plain(file).expect(file);
            assert_eq!(key.public_key(), &public, "{file}");
            let signature = key.sign(b"message").unwrap();
            assert!(public.verifies(b"message", &signature), "{file}");
            assert!(!public.verifies(b"massage", &signature), "{file}");
        }
    }
}

#[test]
fn reads_every_file_of_cosign_with_its_password() {
    for (name, secret) in [
        ("cosign", ""),
        ("password", "s3cret"),
        ("imported", "s3cret"),
    ] {
        let public = fixture(&format!("cosign/{name}.pub"));
        let file = String::from_utf8(fixture(&format!("cosign/{name}.key"))).unwrap();
        for file in [file.clone(), file.replace("SIGSTORE", "COSIGN")] {
            let key = PrivateKey::from_pem(file.as_bytes(), password(secret), WHAT).expect(name);
            assert_eq!(key.public_key().to_pem().as_bytes(), public, "{name}");
        }
    }
}

#[test]
fn a_wrong_password_is_told_from_a_malformed_file() {
    let file = fixture("cosign/password.key");
    for wrong in ["", "s3cre", "s3cret\n", "S3CRET"] {
        let error = PrivateKey::from_pem(&file, password(wrong), WHAT).unwrap_err();
        assert_eq!(error.reason(), Reason::KeyPassword, "{wrong:?}");
        assert!(error.message().starts_with("`release.key`: "), "{error}");
    }
    let altered = altered(
        "cosign/password.key",
        "\"ciphertext\":\"Y",
        "\"ciphertext\":\"Z",
    );
    let error = PrivateKey::from_pem(&altered, password("s3cret"), WHAT).unwrap_err();
    assert_eq!(error.reason(), Reason::KeyPassword);
    PrivateKey::from_pem(&file, password("s3cret"), WHAT).unwrap();
}

#[test]
fn the_error_of_whoever_is_asked_for_the_password_is_kept() {
    let no_terminal = || Err(Error::new(Reason::KeyPassword, "there is no terminal"));
    let error = PrivateKey::from_pem(&fixture("cosign/cosign.key"), no_terminal, WHAT).unwrap_err();
    assert_eq!(error.message(), "there is no terminal");
}

#[test]
fn refuses_encryption_that_is_unknown_malformed_or_ruinous() {
    let costs = r#""N":65536,"r":8,"p":1"#;
    for (from, to) in [
        ("scrypt", "argon2id"),
        ("nacl/secretbox", "aes-256-gcm"),
        ("\"kdf\"", "\"kd\""),
        ("\"ciphertext\"", "\"kdf\":{},\"ciphertext\""),
        ("\"nonce\":\"oo", "\"nonce\":\"ooAA"),
        ("\"salt\":\"", "\"salt\":\"!"),
        // Not a power of two, none at all, less than none.
        (costs, r#""N":65535,"r":8,"p":1"#),
        (costs, r#""N":0,"r":8,"p":1"#),
        (costs, r#""N":1,"r":8,"p":1"#),
        (costs, r#""N":65536,"r":0,"p":1"#),
        (costs, r#""N":65536,"r":8,"p":0"#),
        (costs, r#""N":-65536,"r":8,"p":1"#),
        // Twice what is allowed, in memory or in time.
        (costs, r#""N":524288,"r":8,"p":1"#),
        (costs, r#""N":65536,"r":64,"p":1"#),
        (costs, r#""N":65536,"r":8,"p":8"#),
        // Products that do not fit 32 or 64 bits.
        (costs, r#""N":2,"r":65536,"p":65536"#),
        (
            costs,
            r#""N":9223372036854775808,"r":4294967295,"p":4294967295"#,
        ),
    ] {
        let file = altered("cosign/password.key", from, to);
        let error = PrivateKey::from_pem(&file, password("s3cret"), WHAT).expect_err(to);
        assert_eq!(error.reason(), Reason::KeyInvalid, "{to}");
    }
}

#[test]
fn refuses_keys_of_other_kinds_and_says_what_to_do() {
    for (name, said) in [
        ("secp256k1", "1.3.132.0.10"),
        ("secp256k1.sec1", "P-256, P-384 or P-521"),
        ("rsa1024", "too weak"),
        ("rsa1024.pkcs1", "too weak"),
        ("rsapss", "RSA-PSS"),
        ("x25519", "X25519"),
        ("dsa", "DSA"),
        ("encrypted", "OpenSSL encrypted"),
        ("encrypted.sec1", "OpenSSL encrypted"),
        ("openssh", "OpenSSH"),
    ] {
        let error = plain(&format!("refused.{name}")).expect_err(name);
        assert_eq!(error.reason(), Reason::KeyInvalid, "{name}");
        assert!(error.message().starts_with("`release.key`: "), "{error}");
        assert!(error.message().contains(said), "{error}");
        assert!(error.advice().is_some(), "{name}");
    }
}

#[test]
fn refuses_what_is_not_one_private_key() {
    let good = fixture("keys/p256.key");
    let text = String::from_utf8(good.clone()).unwrap();
    for bad in [
        Vec::new(),
        b"garbage".to_vec(),
        fixture("keys/p256.pub"),
        fixture("keys/refused.certificate.pub"),
        [good.as_slice(), good.as_slice()].concat(),
        [good.as_slice(), &fixture("keys/p256.pub")].concat(),
        text.replace("PRIVATE", "RSA PRIVATE").into_bytes(),
        text.replace("PRIVATE", "EC PARAMETERS").into_bytes(),
        text.replace("MIGH", "MIGG").into_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bad).into_owned();
        let error = PrivateKey::from_pem(&bad, never_asked, WHAT).expect_err(&shown);
        assert_eq!(error.reason(), Reason::KeyInvalid, "{shown}");
    }
    PrivateKey::from_pem(&good, never_asked, WHAT).unwrap();
}

#[test]
fn a_key_whose_halves_do_not_belong_together_is_refused() {
    let der = |name: &str| pem::parse(fixture(name)).unwrap().into_contents();
    let mut p256 = der("keys/p256.key");
    let other = der("keys/refused.certificate.pub");
    assert!(PrivateKey::from_pkcs8(&p256).is_ok() && PrivateKey::from_pkcs8(&other).is_err());
    let public = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let spki = public.public_key().spki();
    let at = p256.len() - 65;
    p256[at..].copy_from_slice(&spki[spki.len() - 65..]);
    let error = PrivateKey::from_pkcs8(&p256).unwrap_err();
    assert_eq!(error.reason(), Reason::KeyInvalid);
}

#[test]
fn a_generated_key_file_is_laid_out_as_cosigns() {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let file = key.to_encrypted_pem(b"pw").unwrap();
    let cosigns = String::from_utf8(fixture("cosign/cosign.key")).unwrap();
    // The same number of lines of the same length, and the same JSON but for what is random.
    let lengths = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
    assert_eq!(lengths(&file), lengths(&cosigns));
    assert!(file.ends_with("-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    let shape = |text: &str| {
        let json = pem::parse(text).unwrap().into_contents();
        let json = String::from_utf8(json).unwrap();
        let masked = json.split('"').map(|part| match part.len() {
            32.. => part.len().to_string(),
            _ => part.to_owned(),
        });
        masked.collect::<Vec<_>>().join("\"")
    };
    assert_eq!(shape(&file), shape(&cosigns));

    let read = PrivateKey::from_pem(file.as_bytes(), password("pw"), WHAT).unwrap();
    assert_eq!(read.public_key(), key.public_key());
    let wrong = PrivateKey::from_pem(file.as_bytes(), password(""), WHAT).unwrap_err();
    assert_eq!(wrong.reason(), Reason::KeyPassword);
    assert_ne!(key.to_encrypted_pem(b"pw").unwrap(), file);
}

#[test]
fn the_key_inside_is_encoded_as_cosign_encodes_it() {
    let section = pem::parse(fixture("cosign/cosign.key")).unwrap();
    let theirs = encrypted::open(section.contents(), b"").unwrap();
    let ours = PrivateKey::from_pkcs8(&theirs).unwrap().to_pkcs8().unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn keys_of_every_kind_can_be_generated_and_kept() {
    for algorithm in [
        Algorithm::EcdsaP384,
        Algorithm::EcdsaP521,
        Algorithm::Ed25519,
        Algorithm::Rsa,
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        assert_eq!(key.public_key().algorithm(), algorithm);
        let kept = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(kept.public_key(), key.public_key());
        let other = PrivateKey::generate(algorithm).unwrap();
        assert_ne!(other.public_key(), key.public_key());
    }
}

#[test]
fn no_secret_is_shown() {
    let key = plain("p256").unwrap();
    let shown = format!("{:?}", KeySigner::new("k", key));
    assert!(
        shown.contains("private half of ECDSA P-256 sha256:"),
        "{shown}"
    );
    let pkcs8 = plain("p256").unwrap().to_pkcs8().unwrap();
    assert!(!shown.contains(&hex::encode(&pkcs8[36..68])), "{shown}");
}

#[tokio::test]
async fn a_key_of_every_kind_signs_a_statement() {
    let statement = Statement::signature(&Digest::of(b"x"), Default::default());
    for name in ["p256", "p384", "p521", "ed25519", "rsa"] {
        let signer = KeySigner::new("it", plain(name).unwrap());
        let bundle = sign_statement(&statement, &signer).await.expect(name);
        let hint = bundle.material().public_key.clone().unwrap().hint;
        assert_eq!(hint, signer.key.public_key().hint());
    }
}
