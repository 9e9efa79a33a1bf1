use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name)
}

fn key(name: &str) -> PublicKey {
    let path = format!("keys/{name}.pub");
    PublicKey::from_pem(&fixture(&path), &path).expect(name)
}

fn verifies(key: &PublicKey, signature: &str) -> bool {
    let signature = fixture(&format!("keys/{signature}.sig"));
    let message = fixture("keys/message");
    assert!(!key.verifies(b"signed by openssL\n", &signature));
    assert!(!key.verifies(&message, &[]));
    key.verifies(&message, &signature)
}

#[test]
fn verifies_what_openssl_signs_with_every_supported_key() {
    let ours = [
        ("p256", Algorithm::EcdsaP256, "p256.sha256"),
        ("p384", Algorithm::EcdsaP384, "p384.sha384"),
        ("p384", Algorithm::EcdsaP384, "p384.sha256"),
        ("p521", Algorithm::EcdsaP521, "p521.sha512"),
        ("p521", Algorithm::EcdsaP521, "p521.sha256"),
        ("ed25519", Algorithm::Ed25519, "ed25519"),
        ("rsa", Algorithm::Rsa, "rsa.sha256"),
        ("rsa", Algorithm::Rsa, "rsa.sha384"),
        ("rsa", Algorithm::Rsa, "rsa.sha512"),
    ];
    for (name, algorithm, signature) in ours {
        let key = key(name);
        assert_eq!(key.algorithm(), algorithm);
        assert!(verifies(&key, signature), "{signature}");
    }
}

#[test]
fn the_key_and_not_the_signature_chooses_the_algorithm() {
    for (name, signature) in [
        ("p256", "p256.sha384"),
        ("p256", "p384.sha256"),
        ("p256", "ed25519"),
        ("p384", "p256.sha256"),
        ("p521", "p521.sha384"),
        ("ed25519", "p256.sha256"),
        ("rsa", "rsa.sha1"),
        ("rsa", "rsa.pss"),
    ] {
        assert!(!verifies(&key(name), signature), "{name} {signature}");
    }
}

#[test]
fn a_key_is_written_as_it_was_read() {
    for name in ["p256", "p384", "p521", "ed25519", "rsa"] {
        let read = key(name);
        assert_eq!(
            read.to_pem().as_bytes(),
            fixture(&format!("keys/{name}.pub"))
        );
        assert_eq!(PublicKey::from_spki(read.spki()).unwrap(), read);
        assert_eq!(
            PublicKey::from_bits(read.algorithm(), &read.bits).unwrap(),
            read
        );
    }
}

#[test]
fn text_around_the_key_does_not_matter() {
    let text = [
        b"my key\r\n",
        fixture("keys/p256.pub").as_slice(),
        b"\nend\n",
    ]
    .concat();
    let text = String::from_utf8(text).unwrap().replace('\n', "\r\n");
    assert_eq!(
        PublicKey::from_pem(text.as_bytes(), "k").unwrap(),
        key("p256")
    );
}

#[test]
fn refuses_keys_of_other_kinds_and_says_which() {
    for (name, said) in [
        ("secp256k1", "curve 1.3.132.0.10"),
        ("explicit", "curve without a name"),
        ("rsa1024", "too weak"),
        ("rsapss", "RSA-PSS"),
        ("x25519", "X25519"),
        ("dsa", "DSA"),
        ("compressed", "compressed"),
        ("pkcs1", "PKCS#1"),
        ("openssh", "OpenSSH"),
        ("certificate", "certificate"),
    ] {
        let error = PublicKey::from_pem(&fixture(&format!("keys/refused.{name}.pub")), "k.pub")
            .expect_err(name);
        assert_eq!(error.reason(), Reason::KeyInvalid, "{name}");
        assert!(error.message().starts_with("`k.pub`: "), "{error}");
        assert!(error.message().contains(said), "{error}");
        assert!(error.advice().is_some(), "{name}");
    }
}

#[test]
fn refuses_what_is_not_one_public_key() {
    let good = fixture("keys/p256.pub");
    let text = String::from_utf8(good.clone()).unwrap();
    let truncated = text.replace("MFkw", "MFgw");
    for bad in [
        Vec::new(),
        b"garbage".to_vec(),
        vec![0xff; 100],
        fixture("keys/p256.key"),
        fixture("cosign/cosign.key"),
        [good.as_slice(), good.as_slice()].concat(),
        truncated.into_bytes(),
        text.replace("PUBLIC", "NO").into_bytes(),
        text.replace("END", "FIN").into_bytes(),
        text.replace("MFkw", "!!!!").into_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bad).into_owned();
        let error = PublicKey::from_pem(&bad, "k").expect_err(&shown);
        assert_eq!(error.reason(), Reason::KeyInvalid, "{shown}");
    }
    PublicKey::from_pem(&good, "k").unwrap();
}

#[test]
fn one_key_has_one_encoding() {
    // The bit string's count of unused bits, RSA's NULL, and anything after the key.
    let p256 = key("p256");
    let at = p256.spki.len() - p256.bits.len() - 1;
    let mut unused = p256.spki.clone();
    unused[at] = 1;
    let trailing = [p256.spki.as_slice(), &[0]].concat();
    let rsa = key("rsa");
    let null = rsa.spki.windows(2).position(|w| w == [5, 0]).unwrap();
    let mut not_null = rsa.spki.clone();
    not_null[null] = 0x30;
    for bad in [unused, trailing, not_null] {
        let error = PublicKey::from_spki(&bad).unwrap_err();
        assert_eq!(error.reason(), Reason::KeyInvalid);
    }
}

#[test]
fn refuses_bits_that_are_no_key() {
    let mut beside_the_curve = key("p256").bits;
    beside_the_curve[64] ^= 1;
    // An exponent of 1, with which everyone could sign.
    let mut one = key("rsa").bits;
    assert!(one.ends_with(&[2, 3, 1, 0, 1]));
    one.truncate(one.len() - 5);
    one.extend([2, 1, 1]);
    one[3] -= 2;
    let mut three = one.clone();
    *three.last_mut().unwrap() = 3;
    PublicKey::from_bits(Algorithm::Rsa, &three).unwrap();
    for (algorithm, bits) in [
        (Algorithm::EcdsaP256, beside_the_curve.as_slice()),
        (Algorithm::EcdsaP256, &[0]),
        (Algorithm::EcdsaP256, &[]),
        (Algorithm::EcdsaP256, &key("p384").bits),
        (Algorithm::EcdsaP384, &key("p256").bits),
        (Algorithm::Ed25519, &[7; 31]),
        (Algorithm::Ed25519, &key("ed25519").spki),
        (Algorithm::Rsa, &[7; 32]),
        (Algorithm::Rsa, &one),
        (Algorithm::Rsa, &key("rsa").spki),
    ] {
        let error = PublicKey::from_bits(algorithm, bits).expect_err(&format!("{algorithm}"));
        assert_eq!(error.reason(), Reason::KeyInvalid, "{algorithm}");
    }
}

#[test]
fn knows_the_hints_of_cosign_and_of_model_signing() {
    let hint_in = |name: &str| {
        let bundle = crate::bundle::Bundle::parse(&fixture(name)).unwrap();
        bundle.material().public_key.clone().unwrap().hint
    };
    let read = |name: &str| PublicKey::from_pem(&fixture(name), name).unwrap();
    let cosign = read("cosign/cosign.pub");
    let imported = read("cosign/imported.pub");
    let by_cosign = hint_in("cosign/referrers-api/sign.bundle.json");
    let by_model_signing = hint_in("model-signing/key.sig");
    assert_eq!(cosign.hint(), by_cosign);
    assert!(cosign.has_hint(&by_cosign) && imported.has_hint(&by_model_signing));
    assert!(!imported.has_hint(&by_cosign) && !cosign.has_hint(&by_model_signing));
    assert!(!cosign.has_hint(""));
}
