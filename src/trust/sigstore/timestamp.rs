//! Timestamps ([RFC 3161](https://www.rfc-editor.org/rfc/rfc3161)) of authorities outside any
//! Sigstore instance, verified by the same code as those inside one.

use jiff::Timestamp;
use sigstore_tsa::verify_timestamp_for_authority;
use sigstore_types::{DerCertificate, SignatureBytes, TimestampToken, TsaAuthority};

/// Who dates, as certificates in DER.
pub(in crate::trust) struct Chain<'a> {
    pub(in crate::trust) leaf: &'a [u8],
    pub(in crate::trust) intermediates: Vec<&'a [u8]>,
    pub(in crate::trust) root: &'a [u8],
}

impl Chain<'_> {
    /// Returns the time in `token`, which must be this authority's on `signature`.
    pub(in crate::trust) fn time(
        &self,
        token: &[u8],
        signature: &[u8],
    ) -> Result<Timestamp, sigstore_tsa::Error> {
        let der = |bytes: &[u8]| DerCertificate::new(bytes.to_vec());
        let authority = TsaAuthority::new(
            der(self.leaf),
            self.intermediates.iter().map(|bytes| der(bytes)).collect(),
            der(self.root),
            None,
        );
        verify_timestamp_for_authority(
            &TimestampToken::new(token.to_vec()),
            &SignatureBytes::new(signature.to_vec()),
            &authority,
        )
    }
}
