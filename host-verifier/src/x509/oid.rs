//! Object identifiers: a small copyable value, and the ones this project knows.

use super::der::DerError;

const MAX: usize = 39;

/// An object identifier, kept as its DER contents.
///
/// Limit: 39 bytes of encoding, well above what certificates carry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    bytes: [u8; MAX],
    len: u8,
}

impl Oid {
    /// From arcs, at compile time. The second arc must be below 128 minus 40 times the first, or
    /// the first must be 2; arcs are below 2^28.
    const fn new(arcs: &[u32]) -> Self {
        let mut bytes = [0; MAX];
        let mut len = 0;
        let mut i = 1;
        while i < arcs.len() {
            #[expect(
                clippy::indexing_slicing,
                reason = "evaluated at compile time on literals: an error is a build error"
            )]
            {
                let arc = if i == 1 {
                    arcs[0] * 40 + arcs[1]
                } else {
                    arcs[i]
                };
                let mut shift = 21;
                let mut started = false;
                while shift > 0 {
                    let group = (arc >> shift) & 0x7f;
                    if group != 0 || started {
                        bytes[len] = 0x80 | group as u8;
                        len += 1;
                        started = true;
                    }
                    shift -= 7;
                }
                bytes[len] = (arc & 0x7f) as u8;
                len += 1;
            }
            i += 1;
        }
        Self {
            bytes,
            len: len as u8,
        }
    }

    /// From the contents of an OBJECT IDENTIFIER element.
    ///
    /// # Errors
    /// [`DerError::Value`] when it is empty, too long, or ends inside an arc.
    pub fn from_contents(contents: &[u8]) -> Result<Self, DerError> {
        let mut bytes = [0; MAX];
        if contents.last().is_none_or(|b| b & 0x80 != 0) {
            return Err(DerError::Value("object identifier"));
        }
        bytes
            .get_mut(..contents.len())
            .ok_or(DerError::Value("object identifier"))?
            .copy_from_slice(contents);
        Ok(Self {
            bytes,
            len: contents.len() as u8,
        })
    }

    /// The DER contents.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl core::fmt::Display for Oid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut arc: u128 = 0;
        let mut first = true;
        for byte in self.contents() {
            // 39 bytes of 7 bits may overflow; such an arc is printed modulo 2^128.
            arc = arc << 7 | u128::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if first {
                let top = (arc / 40).min(2);
                write!(f, "{top}.{}", arc - top * 40)?;
                first = false;
            } else {
                write!(f, ".{arc}")?;
            }
            arc = 0;
        }
        Ok(())
    }
}

impl core::fmt::Debug for Oid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = [$($arc:literal),+];)+) => {
        impl Oid {
            $($(#[$doc])* pub const $name: Self = Self::new(&[$($arc),+]);)+
        }
    };
}

oids! {
    /// rsaEncryption, RFC 3279.
    RSA_ENCRYPTION = [1, 2, 840, 113549, 1, 1, 1];
    /// id-RSAES-OAEP, RFC 4055: the label on the keys of some older EK certificates.
    RSAES_OAEP = [1, 2, 840, 113549, 1, 1, 7];
    /// id-RSASSA-PSS, RFC 4055.
    RSASSA_PSS = [1, 2, 840, 113549, 1, 1, 10];
    /// id-mgf1, RFC 4055.
    MGF1 = [1, 2, 840, 113549, 1, 1, 8];
    /// sha1WithRSAEncryption.
    SHA1_WITH_RSA = [1, 2, 840, 113549, 1, 1, 5];
    /// sha256WithRSAEncryption.
    SHA256_WITH_RSA = [1, 2, 840, 113549, 1, 1, 11];
    /// sha384WithRSAEncryption.
    SHA384_WITH_RSA = [1, 2, 840, 113549, 1, 1, 12];
    /// sha512WithRSAEncryption.
    SHA512_WITH_RSA = [1, 2, 840, 113549, 1, 1, 13];
    /// ecdsa-with-SHA256, RFC 5758.
    ECDSA_WITH_SHA256 = [1, 2, 840, 10045, 4, 3, 2];
    /// ecdsa-with-SHA384, RFC 5758.
    ECDSA_WITH_SHA384 = [1, 2, 840, 10045, 4, 3, 3];
    /// ecdsa-with-SHA512, RFC 5758.
    ECDSA_WITH_SHA512 = [1, 2, 840, 10045, 4, 3, 4];
    /// ecdsa-with-SHA1; recognised to be refused by name.
    ECDSA_WITH_SHA1 = [1, 2, 840, 10045, 4, 1];
    /// id-sha1.
    SHA1 = [1, 3, 14, 3, 2, 26];
    /// id-sha256.
    SHA256 = [2, 16, 840, 1, 101, 3, 4, 2, 1];
    /// id-sha384.
    SHA384 = [2, 16, 840, 1, 101, 3, 4, 2, 2];
    /// id-sha512.
    SHA512 = [2, 16, 840, 1, 101, 3, 4, 2, 3];
    /// id-data, RFC 5652.
    DATA = [1, 2, 840, 113549, 1, 7, 1];
    /// id-signedData, RFC 5652.
    SIGNED_DATA = [1, 2, 840, 113549, 1, 7, 2];
    /// id-contentType, the signed attribute of RFC 5652 section 11.1.
    CONTENT_TYPE = [1, 2, 840, 113549, 1, 9, 3];
    /// id-messageDigest, the signed attribute of RFC 5652 section 11.2.
    MESSAGE_DIGEST = [1, 2, 840, 113549, 1, 9, 4];
    /// id-signingTime, the signed attribute of RFC 5652 section 11.3.
    SIGNING_TIME = [1, 2, 840, 113549, 1, 9, 5];
    /// id-aa-CMSAlgorithmProtect, the signed attribute of RFC 6211.
    CMS_ALGORITHM_PROTECTION = [1, 2, 840, 113549, 1, 9, 52];
    /// id-Ed25519, RFC 8410: key and signature.
    ED25519 = [1, 3, 101, 112];
    /// id-ecPublicKey, RFC 5480.
    EC_PUBLIC_KEY = [1, 2, 840, 10045, 2, 1];
    /// secp256r1.
    P256 = [1, 2, 840, 10045, 3, 1, 7];
    /// secp384r1.
    P384 = [1, 3, 132, 0, 34];
    /// secp521r1.
    P521 = [1, 3, 132, 0, 35];

    /// subjectDirectoryAttributes, RFC 5280 section 4.2.1.8.
    SUBJECT_DIRECTORY_ATTRIBUTES = [2, 5, 29, 9];
    /// subjectKeyIdentifier.
    SUBJECT_KEY_IDENTIFIER = [2, 5, 29, 14];
    /// keyUsage.
    KEY_USAGE = [2, 5, 29, 15];
    /// subjectAltName.
    SUBJECT_ALT_NAME = [2, 5, 29, 17];
    /// basicConstraints.
    BASIC_CONSTRAINTS = [2, 5, 29, 19];
    /// cRLNumber, RFC 5280 section 5.2.3.
    CRL_NUMBER = [2, 5, 29, 20];
    /// reasonCode of an entry, RFC 5280 section 5.3.1.
    REASON_CODE = [2, 5, 29, 21];
    /// invalidityDate of an entry, RFC 5280 section 5.3.2.
    INVALIDITY_DATE = [2, 5, 29, 24];
    /// deltaCRLIndicator, RFC 5280 section 5.2.4.
    DELTA_CRL_INDICATOR = [2, 5, 29, 27];
    /// issuingDistributionPoint, RFC 5280 section 5.2.5.
    ISSUING_DISTRIBUTION_POINT = [2, 5, 29, 28];
    /// nameConstraints.
    NAME_CONSTRAINTS = [2, 5, 29, 30];
    /// certificatePolicies.
    CERTIFICATE_POLICIES = [2, 5, 29, 32];
    /// policyConstraints.
    POLICY_CONSTRAINTS = [2, 5, 29, 36];
    /// authorityKeyIdentifier.
    AUTHORITY_KEY_IDENTIFIER = [2, 5, 29, 35];
    /// extKeyUsage.
    EXTENDED_KEY_USAGE = [2, 5, 29, 37];
    /// anyExtendedKeyUsage.
    ANY_EXTENDED_KEY_USAGE = [2, 5, 29, 37, 0];
    /// id-kp-serverAuth, RFC 5280 section 4.2.1.12.
    KP_SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1];
    /// authorityInfoAccess.
    AUTHORITY_INFO_ACCESS = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    /// id-ad-caIssuers, RFC 5280 section 4.2.2.1.
    AD_CA_ISSUERS = [1, 3, 6, 1, 5, 5, 7, 48, 2];

    /// tcg-kp-EKCertificate, [TCG EK Credential Profile 2.6] section 3.2.16.
    TCG_KP_EK_CERTIFICATE = [2, 23, 133, 8, 1];
    /// tcg-at-tpmManufacturer.
    TCG_AT_MANUFACTURER = [2, 23, 133, 2, 1];
    /// tcg-at-tpmModel.
    TCG_AT_MODEL = [2, 23, 133, 2, 2];
    /// tcg-at-tpmVersion: the firmware version.
    TCG_AT_VERSION = [2, 23, 133, 2, 3];
    /// tcg-at-tpmSpecification.
    TCG_AT_SPECIFICATION = [2, 23, 133, 2, 16];

    /// commonName.
    COMMON_NAME = [2, 5, 4, 3];
    /// emailAddress, PKCS #9: constrained as a mail address where no alternative name is one.
    EMAIL_ADDRESS = [1, 2, 840, 113549, 1, 9, 1];
    /// serialNumber, the attribute.
    SERIAL_NUMBER = [2, 5, 4, 5];
    /// countryName.
    COUNTRY = [2, 5, 4, 6];
    /// localityName.
    LOCALITY = [2, 5, 4, 7];
    /// stateOrProvinceName.
    STATE = [2, 5, 4, 8];
    /// organizationName.
    ORGANIZATION = [2, 5, 4, 10];
    /// organizationalUnitName.
    ORGANIZATIONAL_UNIT = [2, 5, 4, 11];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn encodes_and_prints_arcs() {
        assert_eq!(Oid::TCG_KP_EK_CERTIFICATE.contents(), [0x67, 0x81, 5, 8, 1]);
        assert_eq!(Oid::TCG_KP_EK_CERTIFICATE.to_string(), "2.23.133.8.1");
        assert_eq!(Oid::RSA_ENCRYPTION.to_string(), "1.2.840.113549.1.1.1");
        assert_eq!(
            Oid::RSA_ENCRYPTION.contents(),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]
        );
        assert_eq!(Oid::EXTENDED_KEY_USAGE.to_string(), "2.5.29.37");
    }

    #[test]
    fn refuses_empty_unfinished_and_overlong_identifiers() {
        assert!(Oid::from_contents(&[]).is_err());
        assert!(Oid::from_contents(&[0x67, 0x81]).is_err());
        assert!(Oid::from_contents(&[1; 40]).is_err());
        // An arc beyond 128 bits prints something and does not panic.
        let mut huge = [0xff; 39];
        *huge.last_mut().unwrap() = 0x7f;
        assert!(!Oid::from_contents(&huge).unwrap().to_string().is_empty());
    }
}
