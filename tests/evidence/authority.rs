//! Certificate authorities that issue whatever a test asks for.

use jiff::Timestamp;
use modelctl::bundle::pre_authentication_encoding;
use modelctl::bundle::{Bundle, IN_TOTO, Material, RawCertificate, RawChain};
use modelctl::certificate::{Certificate, RevocationList};
use modelctl::digest::Digest;
use modelctl::identity::Match;
use modelctl::oms::{Contents, IgnoredPaths, Resource, Serialization};
use modelctl::sign::key::PrivateKey;
use modelctl::statement::Statement;
use modelctl::trust::pki::{Pki, Signers};
use modelctl::trust::{Authority, TrustRoot};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

/// The mail address in the certificates that [`signer`] describes.
pub(crate) const RELEASE: &str = "release@acme.example";

/// The time at which everything is judged, unless a test says otherwise.
pub(crate) fn now() -> Timestamp {
    "2027-06-01T00:00:00Z".parse().unwrap()
}

/// Someone who issues certificates.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: Certificate,
}

/// The description of an authority's certificate.
pub(crate) fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The description of the certificate of someone who may sign code.
pub(crate) fn signer() -> CertificateParams {
    let mut params = named("release");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Acme");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.subject_alt_names = vec![SanType::Rfc822Name(RELEASE.try_into().unwrap())];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(
        Digest::of(name.as_bytes()).as_bytes()[..8].to_vec(),
    ));
    params
}

impl Ca {
    /// Returns a root as `params` describe it.
    pub(crate) fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = read(params.self_signed(&key).unwrap().der());
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// Returns an authority under this one.
    pub(crate) fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = read(params.signed_by(&key, &self.issuer).unwrap().der());
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// Returns another certificate that this root issued to itself.
    pub(crate) fn renew(&self, params: &CertificateParams) -> Certificate {
        read(params.self_signed(self.issuer.key()).unwrap().der())
    }

    /// Issues a certificate to a new holder.
    pub(crate) fn issue(&self, params: &CertificateParams) -> Holder {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    /// Issues a certificate to the holder of `key`.
    pub(crate) fn issue_for(&self, params: &CertificateParams, key: KeyPair) -> Holder {
        let certificate = read(params.signed_by(&key, &self.issuer).unwrap().der());
        Holder::new(certificate, &key)
    }

    /// Returns a list, current at [`now`], of what was revoked: the serial numbers of certificates.
    pub(crate) fn revoke(&self, params: &[&CertificateParams]) -> Vec<RevocationList> {
        self.revoke_in(params, 2027)
    }

    /// Returns a list that is current in one year.
    pub(crate) fn revoke_in(
        &self,
        params: &[&CertificateParams],
        year: i32,
    ) -> Vec<RevocationList> {
        let revoked = params.iter().map(|params| RevokedCertParams {
            serial_number: params.serial_number.clone().unwrap(),
            revocation_time: date_time_ymd(year, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(year, 1, 1),
            next_update: date_time_ymd(year + 1, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        RevocationList::all_from_file(pem.as_bytes(), "list").unwrap()
    }
}

/// A certificate's holder.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

impl Holder {
    /// Returns a holder who issued the certificate to themselves.
    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(read(params.self_signed(&key).unwrap().der()), &key)
    }

    fn new(certificate: Certificate, key: &KeyPair) -> Self {
        let pem = key.serialize_pem();
        let key = PrivateKey::from_pem(pem.as_bytes(), || panic!("no password"), "key").unwrap();
        Self { certificate, key }
    }

    /// Returns a signature's bundle with the certificate alone.
    pub(crate) fn sign(&self) -> Bundle {
        self.sign_with(certificate(&self.certificate))
    }

    /// Returns a signature's bundle with the certificate and more above it.
    pub(crate) fn sign_under(&self, above: &[&Certificate]) -> Bundle {
        let certificates = std::iter::once(&self.certificate).chain(above.iter().copied());
        self.sign_with(chain(certificates))
    }

    pub(crate) fn sign_with(&self, material: Material) -> Bundle {
        let statement = Statement::signature(&Digest::of(b""), Default::default());
        self.sign_statement(&statement, material)
    }

    /// Returns a model signature's bundle with the certificate and more above it.
    pub(crate) fn sign_model(&self, above: &[&Certificate]) -> Bundle {
        let digest = Digest::of(b"one").as_bytes().to_vec();
        let files = vec![Resource::file("one", digest).unwrap()];
        let serialization = Serialization::of_files(IgnoredPaths::git());
        let contents = Contents::new("m", serialization, files).unwrap();
        let certificates = std::iter::once(&self.certificate).chain(above.iter().copied());
        let statement = Statement::parse(&contents.to_bytes().unwrap()).unwrap();
        self.sign_statement(&statement, chain(certificates))
    }

    pub(crate) fn sign_statement(&self, statement: &Statement, material: Material) -> Bundle {
        let payload = statement.to_bytes().unwrap();
        let signature = self
            .key
            .sign(&pre_authentication_encoding(IN_TOTO, &payload));
        Bundle::new(&payload, &signature.unwrap(), material)
    }
}

fn read(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

pub(crate) fn certificate(certificate: &Certificate) -> Material {
    Material {
        certificate: Some(raw(certificate)),
        ..Material::default()
    }
}

pub(crate) fn chain<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> Material {
    Material {
        x509_certificate_chain: Some(RawChain {
            certificates: certificates.map(raw).collect(),
        }),
        ..Material::default()
    }
}

fn raw(certificate: &Certificate) -> RawCertificate {
    RawCertificate {
        raw_bytes: certificate.der().to_vec(),
    }
}

/// Returns trust in [`RELEASE`] under `root`.
pub(crate) fn under(root: &Certificate) -> Pki {
    Pki::with_roots(vec![root.clone()], release(), now()).unwrap()
}

/// Returns the signers that are [`RELEASE`].
pub(crate) fn release() -> Signers {
    Signers {
        identities: vec![Match::exact(RELEASE).unwrap()],
        ..Signers::default()
    }
}

pub(crate) fn trust(pki: Pki) -> TrustRoot {
    TrustRoot::new([Authority::pki("acme", pki)]).unwrap()
}
