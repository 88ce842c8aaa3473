//! The structure of `SignedData`, RFC 5652 section 5: version 1, content of type `data` inside, one signer named by issuer and
//! serial number.

use crate::x509::der::{DerError, Element, Reader, tag};
use crate::x509::name::Name;
use crate::x509::{Certificate, Oid};

use super::error::CmsError;

/// Most certificates in one message.
pub const MAX_CERTIFICATES: usize = 16;

/// A message that is well-formed. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct SignedData<'a> {
    content: &'a [u8],
    certificates: Vec<&'a [u8]>,
    pub(super) signer: SignerInfo<'a>,
}

/// `SignerInfo`, RFC 5652 section 5.3.
#[derive(Clone, Debug)]
pub(super) struct SignerInfo<'a> {
    /// A name, as it stands in the message.
    issuer: Element<'a>,
    /// Without leading zeros, as [`Certificate::serial`].
    pub(super) serial: &'a [u8],
    pub(super) digest: Oid,
    pub(super) attributes: Option<Element<'a>>,
    pub(super) algorithm: Oid,
    pub(super) signature: &'a [u8],
}

impl SignerInfo<'_> {
    /// Whether it names this certificate. Its issuer is mostly written as there, byte for byte, which makes it the same name;
    /// otherwise it is read as a name and compared as one.
    pub(super) fn is(&self, certificate: &Certificate) -> Result<bool, CmsError> {
        let own = certificate.issuer();
        if own.raw() != self.issuer.raw {
            let issuer = Name::from_element(&self.issuer).map_err(at("the signer's issuer"))?;
            if issuer != *own {
                return Ok(false);
            }
        }
        Ok(self.serial == certificate.serial())
    }
}

fn at(field: &'static str) -> impl Fn(DerError) -> CmsError + Copy {
    move |source| CmsError::Der { field, source }
}

impl<'a> SignedData<'a> {
    /// Reads a message that [`to_der`](super::to_der) returned; nothing may follow it.
    ///
    /// # Errors
    /// [`CmsError`]: not a message of this kind, detached content, not exactly one signer.
    pub fn read(der: &'a [u8]) -> Result<Self, CmsError> {
        let outer = at("outer structure");
        let mut reader = Reader::new(der);
        let mut info = reader.expect(tag::SEQUENCE).map_err(outer)?.reader();
        reader.finish().map_err(outer)?;
        let kind = oid(&mut info).map_err(outer)?;
        if kind != Oid::SIGNED_DATA {
            return Err(CmsError::NotSignedData(kind));
        }
        let signed = only(&mut info, tag::constructed(0), tag::SEQUENCE).map_err(outer)?;
        info.finish().map_err(outer)?;

        let mut fields = signed.reader();
        // RFC 5652 section 5.1: 1 when the content is data, and no certificate or signer is of a later kind.
        version(&mut fields, "SignedData")?;
        let digests = at("digestAlgorithms");
        let mut listed = fields.expect(tag::SET).map_err(digests)?.reader();
        let listed_digest = algorithm(&mut listed).map_err(digests)?;
        let several = !listed.is_empty();
        let content = content(&mut fields)?;
        let certificates = certificates(&mut fields)?;
        // Revocation lists are not read, like all that is not signed: who needs one has a source of its own for it.
        fields
            .optional(tag::constructed(1))
            .map_err(at("revocation lists"))?;
        let signers = at("signerInfos");
        let mut infos = fields.expect(tag::SET).map_err(signers)?.reader();
        fields.finish().map_err(at("SignedData"))?;
        let (mut first, mut count) = (None, 0);
        while !infos.is_empty() {
            let info = infos.expect(tag::SEQUENCE).map_err(signers)?;
            first.get_or_insert(info);
            count += 1;
        }
        let (Some(only), 1) = (first, count) else {
            return Err(CmsError::Signers(count));
        };
        let signer = signer(&only)?;
        if several || listed_digest != signer.digest {
            return Err(CmsError::DigestMismatch);
        }
        Ok(Self {
            content,
            certificates,
            signer,
        })
    }

    /// The content. Who wrote it is not known: good for nothing but to find out which certificate it should be verified under.
    #[must_use]
    pub const fn untrusted_content(&self) -> &'a [u8] {
        self.content
    }

    /// The certificates that came with it, in DER, at most [`MAX_CERTIFICATES`]. None of them is trusted.
    #[must_use]
    pub fn untrusted_certificates(&self) -> &[&'a [u8]] {
        &self.certificates
    }

    /// Whether this certificate's key should have signed it, by its own word.
    ///
    /// # Errors
    /// [`CmsError::Der`]: the signer's issuer is no name.
    pub fn untrusted_signer_is(&self, certificate: &Certificate) -> Result<bool, CmsError> {
        self.signer.is(certificate)
    }

    /// The one certificate among those that came with it that the signer names. It is the only one that may be put through a
    /// path validation: whichever stands first is anybody's choice.
    ///
    /// A certificate that cannot be read is not the signer's.
    ///
    /// # Errors
    /// [`CmsError::SignerCertificate`] when it is not exactly one.
    pub fn untrusted_certificate_of_signer(&self) -> Result<Certificate, CmsError> {
        self.untrusted_certificate_of_signer_by(|der| Certificate::from_der(der).ok())
    }

    /// As [`Self::untrusted_certificate_of_signer`], for a caller who has read some of the certificates before: `read` gives what
    /// the bytes are as a certificate.
    ///
    /// # Errors
    /// As [`Self::untrusted_certificate_of_signer`].
    pub fn untrusted_certificate_of_signer_by(
        &self,
        read: impl Fn(&[u8]) -> Option<Certificate>,
    ) -> Result<Certificate, CmsError> {
        let readable = self.certificates.iter().filter_map(|der| read(der));
        let mut named = Vec::new();
        for one in readable {
            if self.signer.is(&one)? {
                named.push(one);
            }
        }
        match (named.pop(), named.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(CmsError::SignerCertificate(0)),
            (Some(_), others) => Err(CmsError::SignerCertificate(others + 1)),
        }
    }
}

fn version(fields: &mut Reader<'_>, field: &'static str) -> Result<(), CmsError> {
    match fields.small_uint().map_err(at(field))? {
        1 => Ok(()),
        got => Err(CmsError::Version {
            field,
            got,
            wanted: 1,
        }),
    }
}

fn oid(reader: &mut Reader<'_>) -> Result<Oid, DerError> {
    Oid::from_contents(reader.expect(tag::OID)?.contents)
}

/// `[n] EXPLICIT`: the one element inside.
fn only<'a>(reader: &mut Reader<'a>, outside: u8, inside: u8) -> Result<Element<'a>, DerError> {
    let mut inner = reader.expect(outside)?.reader();
    let element = inner.expect(inside)?;
    inner.finish()?;
    Ok(element)
}

/// An `AlgorithmIdentifier` whose parameters are absent or NULL: clouds write either.
pub(super) fn algorithm(reader: &mut Reader<'_>) -> Result<Oid, DerError> {
    bare_algorithm(&reader.expect(tag::SEQUENCE)?)
}

/// As [`algorithm`], of an element whatever its tag.
pub(super) fn bare_algorithm(element: &Element<'_>) -> Result<Oid, DerError> {
    let mut fields = element.reader();
    let oid = oid(&mut fields)?;
    if let Some(parameters) = fields.optional(tag::NULL)?
        && !parameters.contents.is_empty()
    {
        return Err(DerError::Value("algorithm parameters"));
    }
    fields.finish()?;
    Ok(oid)
}

/// `EncapsulatedContentInfo`.
fn content<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], CmsError> {
    let wrong = at("encapContentInfo");
    let mut info = fields.expect(tag::SEQUENCE).map_err(wrong)?.reader();
    let kind = oid(&mut info).map_err(wrong)?;
    if kind != Oid::DATA {
        return Err(CmsError::ContentType(kind));
    }
    if info.is_empty() {
        return Err(CmsError::Detached);
    }
    let content = only(&mut info, tag::constructed(0), tag::OCTET_STRING).map_err(wrong)?;
    info.finish().map_err(wrong)?;
    Ok(content.contents)
}

/// `CertificateSet`, of which only plain certificates are known.
fn certificates<'a>(fields: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, CmsError> {
    let wrong = at("certificates");
    let mut certificates = Vec::new();
    let Some(set) = fields.optional(tag::constructed(0)).map_err(wrong)? else {
        return Ok(certificates);
    };
    let mut set = set.reader();
    while !set.is_empty() {
        let element = set.any().map_err(wrong)?;
        if element.tag != tag::SEQUENCE || certificates.len() == MAX_CERTIFICATES {
            return Err(CmsError::Certificates);
        }
        certificates.push(element.raw);
    }
    Ok(certificates)
}

fn signer<'a>(info: &Element<'a>) -> Result<SignerInfo<'a>, CmsError> {
    let wrong = at("signerInfo");
    let mut fields = info.reader();
    let first = fields.small_uint().map_err(wrong)?;
    if fields.peek() == Some(tag::context(0)) {
        return Err(CmsError::SignerName);
    }
    if first != 1 {
        return Err(CmsError::Version {
            field: "SignerInfo",
            got: first,
            wanted: 1,
        });
    }
    let mut name = fields.expect(tag::SEQUENCE).map_err(wrong)?.reader();
    let issuer = name
        .expect(tag::SEQUENCE)
        .map_err(at("the signer's issuer"))?;
    let serial = serial(&mut name).map_err(at("the signer's serial number"))?;
    name.finish().map_err(wrong)?;
    let digest = algorithm(&mut fields).map_err(at("digestAlgorithm"))?;
    let attributes = fields
        .optional(tag::constructed(0))
        .map_err(at("signedAttrs"))?;
    let algorithm = algorithm(&mut fields).map_err(at("signatureAlgorithm"))?;
    let signature = fields
        .expect(tag::OCTET_STRING)
        .map_err(at("signature"))?
        .contents;
    // Not signed, so not read.
    fields
        .optional(tag::constructed(1))
        .map_err(at("unsignedAttrs"))?;
    fields.finish().map_err(wrong)?;
    Ok(SignerInfo {
        issuer,
        serial,
        digest,
        attributes,
        algorithm,
        signature,
    })
}

/// As a certificate's is read: leading zeros do not count.
fn serial<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DerError> {
    let contents = reader.expect(tag::INTEGER)?.contents;
    let last = contents
        .len()
        .checked_sub(1)
        .ok_or(DerError::Value("serial number"))?;
    let zeros = contents.iter().take_while(|b| **b == 0).count();
    Ok(contents.get(zeros.min(last)..).unwrap_or_default())
}
