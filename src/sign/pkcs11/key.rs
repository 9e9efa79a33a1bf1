//! A key in a token: found, described as a public key, and signing.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::UserType;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use spki::der::asn1::{ObjectIdentifier, OctetStringRef, SequenceOf, UintRef};
use spki::der::{Decode, Encode};

use crate::certificate::Certificate;
use crate::error::{Error, Reason, Result};
use crate::key::{Algorithm, P256, P384, P521, PublicKey, SUPPORTED};
use crate::secret::Secret;
use crate::sign::pkcs11::token::{Token, failed, unknown};
use crate::sign::pkcs11::uri::{ObjectName, Uri};

/// What stands before a SHA-256 in a signature by RSA (RFC 8017, section 9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A private key in a token.
pub(super) struct TokenKey {
    token: Token,
    handle: ObjectHandle,
    public: PublicKey,
    /// There when the key wants it for each signature.
    pin_each_time: Option<Option<Secret>>,
}

impl TokenKey {
    /// Finds the private key that `uri` names, in a token that was signed in to with `pin`.
    pub(super) fn find(token: Token, uri: &Uri, pin: Option<Secret>) -> Result<Self> {
        let handle = one(&token, &uri.object, ObjectClass::PRIVATE_KEY)
            .map_err(|error| error.at(format_args!("`{uri}`")))?;
        let kinds = [AttributeType::Id, AttributeType::AlwaysAuthenticate];
        let (mut id, mut always) = (None, false);
        for attribute in token.attributes(handle, &kinds)? {
            match attribute {
                Attribute::Id(value) => id = Some(value).filter(|id| !id.is_empty()),
                Attribute::AlwaysAuthenticate(value) => always = value,
                _ => {}
            }
        }
        // The other half of a pair has the same identifier, though it may have another label.
        let pair = match id {
            Some(id) => ObjectName {
                label: None,
                id: Some(id),
            },
            None => uri.object.clone(),
        };
        Ok(Self {
            public: public_key(&token, &pair).map_err(|error| error.at(format_args!("`{uri}`")))?,
            token,
            handle,
            pin_each_time: always.then_some(pin),
        })
    }

    pub(super) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the signature on `message`, in the form that verifiers expect.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match self.public.algorithm() {
            // Tokens sign hashes: not every one can hash before (SoftHSM cannot for ECDSA).
            Algorithm::EcdsaP256 => self.ecdsa(&Sha256::digest(message)),
            Algorithm::EcdsaP384 => self.ecdsa(&Sha384::digest(message)),
            Algorithm::EcdsaP521 => self.ecdsa(&Sha512::digest(message)),
            Algorithm::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
                self.raw(&Mechanism::Eddsa(pure), message)
            }
            Algorithm::Rsa if self.token.knows(MechanismType::SHA256_RSA_PKCS)? => {
                self.raw(&Mechanism::Sha256RsaPkcs, message)
            }
            Algorithm::Rsa => {
                let hash = Sha256::digest(message);
                self.raw(&Mechanism::RsaPkcs, &[&SHA256_INFO[..], &hash].concat())
            }
        }
    }

    /// Returns an ECDSA signature in DER; tokens give its two numbers side by side (PKCS #11,
    /// section 6.3.1).
    fn ecdsa(&self, hash: &[u8]) -> Result<Vec<u8>> {
        let signature = self.raw(&Mechanism::Ecdsa, hash)?;
        let (r, s) = signature.split_at(signature.len() / 2);
        numbers(r, s).map_err(|error| {
            Error::new(Reason::TokenFailed, "the token's signature is malformed").because(error)
        })
    }

    fn raw(&self, mechanism: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>> {
        let session = &self.token.session;
        let Some(pin) = &self.pin_each_time else {
            return session
                .sign(mechanism, self.handle, data)
                .map_err(failed("sign with the token"));
        };
        session
            .sign_init(mechanism, self.handle)
            .map_err(failed("sign with the token"))?;
        self.token.login(UserType::ContextSpecific, pin.as_ref())?;
        session
            .sign_update(data)
            .and_then(|()| session.sign_final())
            .map_err(failed("sign with the token"))
    }
}

/// Returns a SEQUENCE of two numbers that are not negative.
fn numbers(first: &[u8], second: &[u8]) -> spki::der::Result<Vec<u8>> {
    let mut sequence = SequenceOf::<UintRef<'_>, 2>::new();
    sequence.add(UintRef::new(first)?)?;
    sequence.add(UintRef::new(second)?)?;
    sequence.to_der()
}

/// Returns the one object of `class` that is called `name`.
fn one(token: &Token, name: &ObjectName, class: ObjectClass) -> Result<ObjectHandle> {
    let what = match class {
        ObjectClass::PRIVATE_KEY => "private key",
        ObjectClass::PUBLIC_KEY => "public key",
        _ => "certificate",
    };
    let mut objects = token.objects(&template(name, class))?;
    match (objects.pop(), objects.is_empty()) {
        (Some(object), true) => Ok(object),
        (None, _) => Err(unknown(&format!("the token has no such {what}"))),
        (Some(_), false) => Err(unknown(&format!("the token has more than one such {what}"))),
    }
}

fn template(name: &ObjectName, class: ObjectClass) -> Vec<Attribute> {
    let label = name.label.as_ref().map(|label| label.as_bytes().to_vec());
    let label = label.map(Attribute::Label);
    let id = name.id.clone().map(Attribute::Id);
    [Some(Attribute::Class(class)), label, id]
        .into_iter()
        .flatten()
        .collect()
}

/// Reads the certificate that is called `name`.
pub(super) fn certificate(token: &Token, name: &ObjectName) -> Result<Certificate> {
    let object = one(token, name, ObjectClass::CERTIFICATE)?;
    for attribute in token.attributes(object, &[AttributeType::Value])? {
        if let Attribute::Value(der) = attribute {
            return Certificate::from_der(&der)
                .map_err(|error| Error::new(Reason::CertificateFileInvalid, error.to_string()));
        }
    }
    Err(unknown("the token does not tell the certificate"))
}

/// Reads the public key that is called `name`: its object or, where there is none, the
/// certificate's.
pub(super) fn public_key(token: &Token, name: &ObjectName) -> Result<PublicKey> {
    if token
        .objects(&template(name, ObjectClass::PUBLIC_KEY))?
        .is_empty()
    {
        return certificate(token, name)
            .map_err(|_| unknown("the token has neither a public key nor a certificate of it"))?
            .public_key();
    }
    read_public_key(token, one(token, name, ObjectClass::PUBLIC_KEY)?)
}

fn read_public_key(token: &Token, object: ObjectHandle) -> Result<PublicKey> {
    let kinds = [AttributeType::KeyType];
    let kind = token
        .attributes(object, &kinds)?
        .into_iter()
        .find_map(|a| match a {
            Attribute::KeyType(kind) => Some(kind),
            _ => None,
        });
    match kind {
        Some(KeyType::RSA) => rsa(token, object),
        Some(KeyType::EC) | Some(KeyType::EC_EDWARDS) => elliptic(token, object),
        _ => {
            let message = "the key is of an unsupported kind";
            Err(Error::new(Reason::KeyInvalid, message).hint(SUPPORTED))
        }
    }
}

fn rsa(token: &Token, object: ObjectHandle) -> Result<PublicKey> {
    let kinds = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
    for attribute in token.attributes(object, &kinds)? {
        match attribute {
            Attribute::Modulus(value) => modulus = value,
            Attribute::PublicExponent(value) => exponent = value,
            _ => {}
        }
    }
    PublicKey::from_bits(
        Algorithm::Rsa,
        &numbers(&modulus, &exponent).map_err(malformed)?,
    )
}

fn elliptic(token: &Token, object: ObjectHandle) -> Result<PublicKey> {
    let kinds = [AttributeType::EcParams, AttributeType::EcPoint];
    let (mut parameters, mut point) = (Vec::new(), Vec::new());
    for attribute in token.attributes(object, &kinds)? {
        match attribute {
            Attribute::EcParams(value) => parameters = value,
            Attribute::EcPoint(value) => point = value,
            _ => {}
        }
    }
    // The point stands in an OCTET STRING (section 6.3.3), which some tokens leave out.
    let bits = OctetStringRef::from_der(&point).map_or(point.as_slice(), |s| s.as_bytes());
    PublicKey::from_bits(curve(&parameters)?, bits)
}

/// Returns the curve that a key's parameters name: by an identifier or, for Edwards curves, by a
/// string (section 6.3.5).
fn curve(parameters: &[u8]) -> Result<Algorithm> {
    let is_string = parameters.get(2..) == Some(b"edwards25519".as_slice());
    match ObjectIdentifier::from_der(parameters) {
        Ok(P256) => Ok(Algorithm::EcdsaP256),
        Ok(P384) => Ok(Algorithm::EcdsaP384),
        Ok(P521) => Ok(Algorithm::EcdsaP521),
        Ok(other) if other.to_string() == "1.3.101.112" => Ok(Algorithm::Ed25519),
        Err(_) if is_string => Ok(Algorithm::Ed25519),
        _ => {
            let message = "the key is on an unsupported curve";
            Err(Error::new(Reason::KeyInvalid, message).hint(SUPPORTED))
        }
    }
}

fn malformed(error: spki::der::Error) -> Error {
    Error::new(Reason::KeyInvalid, "the token's public key is malformed").because(error)
}
