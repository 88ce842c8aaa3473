//! Certificates as they are written: the authorities' own, and X.509-SVIDs.
//!
//! # Why an own encoder
//!
//! Two fixed shapes are written, a few hundred bytes each, once per login. The signature is most of the work and has to stay so;
//! `benches/svid.rs` compares this with rcgen and with the bare signature.

use super::keys::{KeyError, KeyType, Signer};
use crate::crypto::encode::{put_element, put_head, put_nested};
use crate::random::{self, RandomError, SecureRandom};
use crate::x509::der::tag;
use crate::x509::{Oid, UnixTime};

/// Context tags: `keyIdentifier` of AuthorityKeyIdentifier, `uniformResourceIdentifier` of GeneralName.
const KEY_IDENTIFIER: u8 = tag::context(0);
const URI: u8 = tag::context(6);

/// id-kp-serverAuth and id-kp-clientAuth, RFC 5280 section 4.2.1.12.
const SERVER_AND_CLIENT: [u8; 22] = [
    0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2b, 0x06,
    0x01, 0x05, 0x05, 0x07, 0x03, 0x02,
];
/// digitalSignature.
const LEAF_USAGE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// keyCertSign and cRLSign.
const AUTHORITY_USAGE: [u8; 4] = [0x03, 0x02, 0x01, 0x06];
/// cA is FALSE, which DER leaves out.
const LEAF_CONSTRAINTS: [u8; 2] = [0x30, 0x00];
/// cA is TRUE, pathLenConstraint 0: authorities issue SVIDs and no further authorities.
const AUTHORITY_CONSTRAINTS: [u8; 8] = [0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00];

/// A serial number: 159 random bits in 20 bytes, so that it is positive and never longer than RFC 5280 allows.
pub(super) fn serial(random: &dyn SecureRandom) -> Result<[u8; 20], RandomError> {
    let mut serial: [u8; 20] = random::bytes(random)?;
    let [first, ..] = &mut serial;
    // Bit 158 set too: the number has 20 bytes in every encoding, and is not zero.
    *first = *first & 0x7f | 0x40;
    Ok(serial)
}

/// What the two shapes differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An authority: SPIFFE X509-SVID section 3.2.
    Authority,
    /// An X.509-SVID: section 3.1.
    Leaf,
}

/// A certificate that is not signed yet.
pub(super) struct Unsigned<'a> {
    pub(super) shape: Shape,
    pub(super) serial: [u8; 20],
    /// A `Name`, DER.
    pub(super) issuer: &'a [u8],
    /// A `Name`, DER; empty names make the subject alternative name critical.
    pub(super) subject: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// The subject's SubjectPublicKeyInfo, DER.
    pub(super) spki: &'a [u8],
    /// The SPIFFE ID.
    pub(super) uri: &'a str,
    pub(super) subject_key: [u8; 20],
    /// The issuer's subject key identifier, if it has one.
    pub(super) authority_key: Option<&'a [u8]>,
}

impl Unsigned<'_> {
    /// The whole certificate, DER.
    pub(super) async fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, KeyError> {
        let algorithm = algorithm(signer.key_type());
        let mut out = Vec::with_capacity(1024);
        put_nested(&mut out, tag::SEQUENCE, |out| self.put(out, algorithm));
        let signature = signer.sign(&out).await?;
        out.extend_from_slice(algorithm);
        put_head(&mut out, tag::BIT_STRING, 1 + signature.len());
        out.push(0);
        out.extend_from_slice(&signature);
        let mut head = Vec::with_capacity(4);
        put_head(&mut head, tag::SEQUENCE, out.len());
        out.splice(0..0, head);
        Ok(out)
    }

    /// `TBSCertificate`, RFC 5280 section 4.1.
    fn put(&self, out: &mut Vec<u8>, algorithm: &[u8]) {
        // Version 3.
        out.extend_from_slice(&[tag::constructed(0), 3, tag::INTEGER, 1, 2]);
        put_element(out, tag::INTEGER, &self.serial);
        out.extend_from_slice(algorithm);
        out.extend_from_slice(self.issuer);
        put_nested(out, tag::SEQUENCE, |out| {
            self.not_before.put(out);
            self.not_after.put(out);
        });
        out.extend_from_slice(self.subject);
        out.extend_from_slice(self.spki);
        put_nested(out, tag::constructed(3), |out| {
            put_nested(out, tag::SEQUENCE, |out| self.put_extensions(out));
        });
    }

    fn put_extensions(&self, out: &mut Vec<u8>) {
        let leaf = self.shape == Shape::Leaf;
        let (usage, constraints) = match self.shape {
            Shape::Leaf => (&LEAF_USAGE, LEAF_CONSTRAINTS.as_slice()),
            Shape::Authority => (&AUTHORITY_USAGE, AUTHORITY_CONSTRAINTS.as_slice()),
        };
        put_extension(out, Oid::KEY_USAGE, true, |out| {
            out.extend_from_slice(usage);
        });
        if leaf {
            put_extension(out, Oid::EXTENDED_KEY_USAGE, false, |out| {
                out.extend_from_slice(&SERVER_AND_CLIENT);
            });
        }
        put_extension(out, Oid::BASIC_CONSTRAINTS, true, |out| {
            out.extend_from_slice(constraints);
        });
        put_extension(out, Oid::SUBJECT_KEY_IDENTIFIER, false, |out| {
            put_element(out, tag::OCTET_STRING, &self.subject_key);
        });
        if let Some(identifier) = self.authority_key {
            put_extension(out, Oid::AUTHORITY_KEY_IDENTIFIER, false, |out| {
                put_nested(out, tag::SEQUENCE, |out| {
                    put_element(out, KEY_IDENTIFIER, identifier);
                });
            });
        }
        // X509-SVID section 3.1, RFC 5280 section 4.1.2.6.
        let no_subject = self.subject == EMPTY_NAME;
        put_extension(out, Oid::SUBJECT_ALT_NAME, no_subject, |out| {
            put_nested(out, tag::SEQUENCE, |out| {
                put_element(out, URI, self.uri.as_bytes());
            });
        });
    }
}

/// A `Name` without attributes.
pub(super) const EMPTY_NAME: [u8; 2] = [0x30, 0x00];

/// A `Name` of these attributes, one per relative name. Values are UTF8String, except where RFC 5280 appendix A wants
/// PrintableString; whoever calls has checked that they are.
pub(super) fn name(attributes: &[(Oid, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_nested(&mut out, tag::SEQUENCE, |out| {
        for (oid, text) in attributes {
            let kind = match *oid {
                Oid::COUNTRY | Oid::SERIAL_NUMBER => tag::PRINTABLE_STRING,
                _ => tag::UTF8_STRING,
            };
            put_nested(out, tag::SET, |out| {
                put_nested(out, tag::SEQUENCE, |out| {
                    put_element(out, tag::OID, oid.contents());
                    put_element(out, kind, text.as_bytes());
                });
            });
        }
    });
    out
}

fn put_extension(out: &mut Vec<u8>, oid: Oid, critical: bool, value: impl FnOnce(&mut Vec<u8>)) {
    put_nested(out, tag::SEQUENCE, |out| {
        put_element(out, tag::OID, oid.contents());
        if critical {
            put_element(out, tag::BOOLEAN, &[0xff]);
        }
        put_nested(out, tag::OCTET_STRING, value);
    });
}

/// DER of the `AlgorithmIdentifier` of a key's signatures (RFC 5758 section 3.2, RFC 4055 section 5).
const fn algorithm(key_type: KeyType) -> &'static [u8] {
    match key_type {
        KeyType::EcP256 => &[
            0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
        ],
        KeyType::EcP384 => &[
            0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
        ],
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &[
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05,
            0x00,
        ],
    }
}
