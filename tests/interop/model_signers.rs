//! Model signatures by certificate and by identity: modelctl and the OpenSSF's `model_signing` accept
//! each other's, on every kind of tree.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SanType,
};

use crate::keyless::{CI, SERVICES, describe, trust};
use crate::lab::Lab;
use crate::model_signing::write_trees;
use crate::support::sigstore::{Claims, Server, Version};

const RELEASE: &str = "release@acme.example";

/// How a signer's certificate is marked.
#[derive(Clone, Copy)]
enum Marked {
    /// As a signer's.
    Signer,
    /// As an authority's, by mistake, and as the certificates of the reference implementation's own
    /// tests are.
    Authority,
}

/// Writes `NAME.key`, its certificate `NAME.pem`, `NAME.between.pem` above it, `NAME.root.pem` above
/// that, and both as `NAME.chain.pem`.
fn write_signer(lab: &Lab, name: &str, marked: Marked) {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let authority = |name: &str| {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let mut leaf = named("signer");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    leaf.subject_alt_names = vec![SanType::Rfc822Name(RELEASE.try_into().unwrap())];
    if let Marked::Authority = marked {
        leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let (root_key, between_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let root_params = authority(&format!("{name} root"));
    let root = root_params.self_signed(&root_key).unwrap().pem();
    let root_issuer = Issuer::new(root_params, root_key);
    let between_params = authority(&format!("{name} between"));
    let between = between_params
        .signed_by(&between_key, &root_issuer)
        .unwrap()
        .pem();
    let issuer = Issuer::new(between_params, between_key);
    lab.write(&format!("{name}.key"), key.serialize_pem());
    lab.write(
        &format!("{name}.pem"),
        leaf.signed_by(&key, &issuer).unwrap().pem(),
    );
    lab.write(&format!("{name}.chain.pem"), format!("{between}{root}"));
    lab.write(&format!("{name}.between.pem"), between);
    lab.write(&format!("{name}.root.pem"), root);
}

#[test]
fn each_verifies_by_certificate_what_the_other_signed() {
    let Some(lab) = Lab::with(["model_signing"]) else {
        return;
    };
    write_signer(&lab, "proper", Marked::Signer);
    write_signer(&lab, "marked", Marked::Authority);
    let trees = write_trees(&lab);
    for (tree, signer) in trees.iter().zip(["proper", "marked"].into_iter().cycle()) {
        lab.run(format!(
            "modelctl sign ./{tree} --key {signer}.key --certificate {signer}.pem \
             --certificate-chain {signer}.chain.pem"
        ))
        .succeeds();
        lab.run(format!(
            "model_signing sign certificate --private_key {signer}.key --signing_certificate \
             {signer}.pem --certificate_chain {signer}.between.pem --signature {tree}.sig \
             --ignore-paths {tree}/model.sig {tree}"
        ))
        .succeeds();
        let theirs = |root: &str| {
            lab.run(format!(
                "model_signing verify certificate --certificate_chain {root}.root.pem --signature \
                 {tree}/model.sig {tree}"
            ))
        };
        let ours = |root: &str, who: &str| {
            lab.run(format!(
                "modelctl verify ./{tree} --signature {tree}.sig --ca-roots {root}.root.pem \
                 --certificate-identity {who}"
            ))
        };
        let other = if *signer == *"proper" {
            "marked"
        } else {
            "proper"
        };
        theirs(signer).succeeds();
        theirs(other).fails();
        ours(signer, RELEASE).succeeds();
        ours(signer, "evil@acme.example").refuses(3, "identity-mismatch");
        ours(other, RELEASE).refuses(3, "untrusted-signer");
        lab.write(&format!("{tree}/config.json"), "{}");
        theirs(signer).fails();
        ours(signer, RELEASE).refuses(3, "files-mismatch");
    }
    // What is marked by mistake signs models only.
    let marked = "--sign --key marked.key --certificate marked.pem";
    lab.run(format!("modelctl push oci:./store:v1 ./model {marked}"))
        .refuses(2, "certificate-file-invalid");
}

#[test]
fn each_verifies_by_identity_what_the_other_signed() {
    let Some(lab) = Lab::with(["model_signing"]) else {
        return;
    };
    let server = Server::start();
    let logs = [Version::V1, Version::V2].into_iter().cycle();
    for (tree, log) in write_trees(&lab).into_iter().zip(logs) {
        describe(&lab, &server, &[log]);
        lab.run(format!(
            "modelctl sign ./{tree} {SERVICES} --identity-token token --yes"
        ))
        .succeeds();
        let token = server.provider.mint(&Claims::email(CI));
        lab.run(format!(
            "model_signing sign sigstore --trust_config trust.json --identity_token {token} \
             --signature {tree}.sig --ignore-paths {tree}/model.sig {tree}"
        ))
        .succeeds();
        let theirs = |identity: &str| {
            lab.run(format!(
                "model_signing verify sigstore --trust_config trust.json --identity {identity} \
                 --identity_provider {} --signature {tree}/model.sig {tree}",
                server.provider.url
            ))
        };
        let ours = |identity: &str| {
            lab.run(format!(
                "modelctl verify ./{tree} --signature {tree}.sig {}",
                trust(&server, identity)
            ))
        };
        theirs(CI).succeeds();
        theirs("eve@example.com").fails();
        ours(CI).succeeds();
        ours("eve@example.com").refuses(3, "identity-mismatch");
        lab.write(&format!("{tree}/evil.py"), "");
        theirs(CI).fails();
        ours(CI).refuses(3, "files-mismatch");
    }
}
