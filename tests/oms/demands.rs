//! What a push can demand of who signed the directory, besides a key.

use super::{REF, with};
use crate::support::command::Workspace;
use crate::support::sigstore::{Claims, Server, Version};

/// Who the certificates in these tests name.
const RELEASE: &str = "release@acme.example";

/// Writes `NAME.key`, its certificate `NAME.pem`, and `NAME.root.pem`, whose certificate issued it;
/// `is_marked` as an authority's, by mistake.
fn write_certified(at: &Workspace, name: &str, is_marked: bool) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa};
    let named = |name: String| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut root = named(format!("{name} root"));
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let mut leaf = named(name.to_owned());
    leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    leaf.subject_alt_names = vec![rcgen::SanType::Rfc822Name(RELEASE.try_into().unwrap())];
    if is_marked {
        leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let (root_key, key) = (
        rcgen::KeyPair::generate().unwrap(),
        rcgen::KeyPair::generate().unwrap(),
    );
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(root, root_key);
    at.write(
        &format!("{name}.pem"),
        leaf.signed_by(&key, &issuer).unwrap().pem(),
    );
    at.write(&format!("{name}.root.pem"), root_pem);
    at.write(&format!("{name}.key"), key.serialize_pem());
}

const DEMANDING: [&str; 4] = ["push", REF, "model", "--require-signature"];

#[test]
fn a_push_can_demand_whom_an_authority_certified() {
    for (name, is_marked) in [("proper", false), ("marked", true)] {
        let at = Workspace::with_model_and_key();
        write_certified(&at, name, is_marked);
        write_certified(&at, "other", false);
        let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
        let root = format!("{name}.root.pem");
        let demand = |root: &str, identity: &str| {
            let who = ["--ca-roots", root, "--certificate-identity", identity];
            at.run(&with(&DEMANDING, &who))
        };
        demand(&root, RELEASE).refused(3, "signature-missing");
        let by = ["--key", &key, "--certificate", &pem];
        at.run(&with(&["sign", "./model"], &by)).ok();
        demand("other.root.pem", RELEASE).refused(3, "untrusted-signer");
        demand(&root, "evil@acme.example").refused(3, "identity-mismatch");
        let nobody = ["--certificate-identity", RELEASE];
        assert_eq!(at.run(&with(&DEMANDING, &nobody)).code, 2);
        let sent = std::fs::read_dir(at.path("store/blobs/sha256"));
        assert_eq!(sent.map_or(0, Iterator::count), 0, "something was sent");
        demand(&root, RELEASE).ok();
        // A certificate that is marked by mistake signs models, and no artifact.
        let push = at.run(&with(&["push", REF, "model", "--sign"], &by));
        match is_marked {
            true => push.refused(2, "certificate-file-invalid"),
            false => assert_eq!(push.code, 0, "{push:?}"),
        }
        at.write("model/config.json", "[]");
        demand(&root, RELEASE).refused(3, "subject-mismatch");
    }
}

#[test]
fn a_push_can_demand_whom_a_sigstore_instance_certified() {
    const CI: &str = "ci@example.com";
    let server = Server::start();
    let at = Workspace::with_model_and_key();
    at.write(
        "services.json",
        server.signing_config(&[Version::V1]).to_string(),
    );
    at.write("root.json", server.trusted_root().to_string());
    at.write("token", server.provider.mint(&Claims::email(CI)));
    let keyless = [
        "--signing-config",
        "services.json",
        "--trusted-root",
        "root.json",
        "--identity-token",
        "token",
        "--yes",
    ];
    at.run(&with(&["sign", "./model"], &keyless)).ok();
    let demand = |identity: &str, issuer: &str| {
        let who = [
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            issuer,
        ];
        at.run(&with(
            &with(&DEMANDING, &who),
            &["--trusted-root", "root.json"],
        ))
    };
    let issuer = server.provider.url.clone();
    demand("eve@example.com", &issuer).refused(3, "identity-mismatch");
    demand(CI, "https://other.example.com").refused(3, "issuer-mismatch");
    demand(CI, &issuer).ok();
    let useless = ["push", REF, "model", "--trusted-root", "root.json"];
    assert_eq!(at.run(&useless).code, 2);
}
