//! Which message counts: one signer, known algorithms, and a signature over what is used.

use std::borrow::Cow;

use crate::crypto::{HashAlgorithm, Legacy, Scheme};
use crate::x509::der::{DerError, Element, Reader, tag};
use crate::x509::{Certificate, Oid, UnixTime};

use super::error::CmsError;
use super::signed::{SignedData, algorithm, bare_algorithm};

/// Most signed attributes; clouds write three or four.
const MAX_ATTRIBUTES: usize = 16;

/// What a cloud's messages are allowed beyond RFC 5652. Signatures are RSA with at least 2048 bits over SHA-256, SHA-384 or
/// SHA-512 in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `sha256WithRSAEncryption` where a digest algorithm belongs means SHA-256.
    pub signature_as_digest: bool,
    /// Signed attributes may be absent; the signature is over the content then, which has to begin as a JSON object does. A
    /// `SET` of attributes does not: without that rule, a signature over attributes could be shown as one over content.
    pub without_attributes: bool,
}

impl Profile {
    /// Identity documents of AWS: nothing beyond.
    pub const AWS: Self = Self {
        signature_as_digest: false,
        without_attributes: false,
    };
    /// Attested documents of Azure.
    pub const AZURE: Self = Self {
        signature_as_digest: true,
        without_attributes: true,
    };

    fn digest(self, oid: Oid) -> Result<HashAlgorithm, CmsError> {
        match oid {
            Oid::SHA256 => Ok(HashAlgorithm::Sha256),
            Oid::SHA384 => Ok(HashAlgorithm::Sha384),
            Oid::SHA512 => Ok(HashAlgorithm::Sha512),
            Oid::SHA256_WITH_RSA if self.signature_as_digest => Ok(HashAlgorithm::Sha256),
            other => Err(CmsError::Digest(other)),
        }
    }
}

/// A message whose signature was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// What was signed.
    pub content: &'a [u8],
    /// When, by the signer's own clock, when it says so.
    pub signing_time: Option<UnixTime>,
}

impl<'a> SignedData<'a> {
    /// Verifies the message under `certificate`, which the caller trusts, or has put through a path validation.
    ///
    /// The certificate's dates and extensions are the caller's business.
    ///
    /// # Errors
    /// [`CmsError`]: another signer than the certificate's subject, an algorithm that is not accepted, attributes that do not
    /// fit, a signature that does not verify.
    pub fn verify(
        &self,
        certificate: &Certificate,
        profile: Profile,
    ) -> Result<Signed<'a>, CmsError> {
        let signer = &self.signer;
        if !signer.is(certificate)? {
            return Err(CmsError::AnotherSigner);
        }
        let hash = profile.digest(signer.digest)?;
        // RFC 5754 section 3.2: a signature is labelled with the key's algorithm alone, or with the digest's too.
        let scheme = match signer.algorithm {
            Oid::RSA_ENCRYPTION => hash,
            Oid::SHA256_WITH_RSA => HashAlgorithm::Sha256,
            Oid::SHA384_WITH_RSA => HashAlgorithm::Sha384,
            Oid::SHA512_WITH_RSA => HashAlgorithm::Sha512,
            other => return Err(CmsError::SignatureAlgorithm(other)),
        };
        if scheme != hash {
            return Err(CmsError::AlgorithmMismatch(signer.algorithm));
        }
        let content = self.untrusted_content();
        let (message, signing_time) = match &signer.attributes {
            Some(element) => {
                let attributes = Attributes::read(element)?;
                attributes.check(content, hash, signer.digest, signer.algorithm)?;
                (Cow::Owned(attributes.message), attributes.signing_time)
            }
            None if !profile.without_attributes => return Err(CmsError::NoSignedAttributes),
            None if content.first() != Some(&b'{') => return Err(CmsError::NotJson),
            None => (Cow::Borrowed(content), None),
        };
        certificate.key()?;
        let scheme = Scheme::RsaPkcs1(scheme);
        // With the key as it is ready in a certificate that is kept: a cloud's sign for all of its instances.
        certificate.verify_by_key(scheme, &message, signer.signature, Legacy::default())?;
        Ok(Signed {
            content,
            signing_time,
        })
    }
}

/// `SignedAttributes`.
struct Attributes<'a> {
    content_type: Option<Element<'a>>,
    message_digest: Option<Element<'a>>,
    protection: Option<Element<'a>>,
    signing_time: Option<UnixTime>,
    /// What the signature is over.
    message: Vec<u8>,
}

impl<'a> Attributes<'a> {
    fn read(element: &Element<'a>) -> Result<Self, CmsError> {
        let wrong = |source| CmsError::Der {
            field: "signedAttrs",
            source,
        };
        // RFC 5652 section 5.4: in the message the tag is [0], what is signed has the tag of a SET.
        let mut message = element.raw.to_vec();
        if let Some(first) = message.first_mut() {
            *first = tag::SET;
        }
        let mut attributes = Self {
            content_type: None,
            message_digest: None,
            protection: None,
            signing_time: None,
            message,
        };
        let (mut seen, mut count) = ([&[][..]; MAX_ATTRIBUTES], 0);
        let mut reader = element.reader();
        while !reader.is_empty() {
            let mut attribute = reader.expect(tag::SEQUENCE).map_err(wrong)?.reader();
            let name = attribute.expect(tag::OID).map_err(wrong)?.contents;
            let kind = Oid::from_contents(name).map_err(wrong)?;
            let mut values = attribute.expect(tag::SET).map_err(wrong)?.reader();
            attribute.finish().map_err(wrong)?;
            if seen.contains(&name) || values.is_empty() {
                return Err(CmsError::Attribute(kind));
            }
            // No name is empty, as places are that are free.
            *seen.get_mut(count).ok_or(CmsError::Attribute(kind))? = name;
            count += 1;
            let value = values.any().map_err(wrong)?;
            if !values.is_empty() {
                return Err(CmsError::Attribute(kind));
            }
            match kind {
                Oid::CONTENT_TYPE => attributes.content_type = Some(value),
                Oid::MESSAGE_DIGEST => attributes.message_digest = Some(value),
                Oid::CMS_ALGORITHM_PROTECTION => attributes.protection = Some(value),
                Oid::SIGNING_TIME => {
                    attributes.signing_time = Some(UnixTime::from_element(&value).map_err(wrong)?);
                }
                _ => {}
            }
        }
        Ok(attributes)
    }

    fn check(
        &self,
        content: &[u8],
        hash: HashAlgorithm,
        digest: Oid,
        signature: Oid,
    ) -> Result<(), CmsError> {
        let kind = self
            .content_type
            .ok_or(CmsError::NoAttribute("contentType"))?;
        if kind.tag != tag::OID || kind.contents != Oid::DATA.contents() {
            return Err(CmsError::SignedContentType);
        }
        let stated = self
            .message_digest
            .ok_or(CmsError::NoAttribute("messageDigest"))?;
        let is_digest = stated.tag == tag::OCTET_STRING;
        if !is_digest || stated.contents != hash.hash(&[content]).as_ref() {
            return Err(CmsError::MessageDigest);
        }
        match self.protection.map(|value| protected(&value)) {
            None => Ok(()),
            Some(Ok((d, s))) if d == digest && s == signature => Ok(()),
            Some(_) => Err(CmsError::AlgorithmProtection),
        }
    }
}

/// `CMSAlgorithmProtection` of a signature, RFC 6211 section 2: both algorithms, and no MAC's.
fn protected(value: &Element<'_>) -> Result<(Oid, Oid), DerError> {
    let mut outer = Reader::new(value.raw);
    let mut fields = outer.expect(tag::SEQUENCE)?.reader();
    outer.finish()?;
    let digest = algorithm(&mut fields)?;
    let signature = bare_algorithm(&fields.expect(tag::constructed(1))?)?;
    fields.finish()?;
    Ok((digest, signature))
}
