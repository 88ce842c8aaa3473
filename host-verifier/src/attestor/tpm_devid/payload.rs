//! The agent's bytes, read once.

use assay_common::{
    method::tpm_devid::{DevidPayload, MAX_CERTIFICATES},
    tpm::{
        attest::{Attest, AttestError},
        public::Public,
        signature::Signature,
    },
};

use super::verify::DevidError;
use crate::{
    attestor::tpm_ek::payload as ek,
    blobs::Blobs,
    x509::{
        Certificate,
        der::{Reader, tag},
    },
};

/// Everything that came with the DevID, well-formed and in no way verified.
#[derive(Debug)]
pub struct Untrusted<'a> {
    /// EK, its certificates, and the AK.
    pub endorsement: ek::Untrusted<'a>,
    /// The device's certificate.
    pub certificate: Certificate,
    /// The issuing ones that came with it, as hints.
    pub chain: Vec<Certificate>,
    /// The DevID key's public area.
    pub public: Public<'a>,
    /// What the AK signed.
    pub attest: Attest<'a>,
    /// The AK's signature.
    pub attest_signature: Signature<'a>,
    /// The DevID key's signature.
    pub possession: Signature<'a>,
}

/// Reads a [`DevidPayload`] and the blobs it names. Every byte is consumed, every structure is whole.
///
/// # Errors
/// [`DevidError`]: what cannot be read, or is too much.
pub fn parse<'a>(payload: &'a [u8], blobs: &Blobs) -> Result<Untrusted<'a>, DevidError> {
    let payload = match postcard::take_from_bytes::<DevidPayload<'a>>(payload) {
        Ok((payload, [])) => payload,
        _ => return Err(DevidError::Payload),
    };
    let blob = blobs.resolve(&payload.devid_certificates);
    let mut certificates = certificates(blob.map_err(DevidError::Blob)?)?.into_iter();
    let certificate = certificates.next().ok_or(DevidError::NoCertificate)?;
    let public = Public::parse(payload.devid_public).map_err(DevidError::Public)?;
    let attest = Attest::parse(payload.attest).map_err(|error| match error {
        AttestError::BadMagic(got) => DevidError::Magic { got },
        other => DevidError::Attest(other),
    })?;
    let attest_signature = Signature::parse(payload.attest_signature);
    let possession = Signature::parse(payload.possession);
    Ok(Untrusted {
        endorsement: ek::resolve(&payload.endorsement, blobs)?,
        certificate,
        chain: certificates.collect(),
        public,
        attest,
        attest_signature: attest_signature.map_err(DevidError::AttestSignatureMalformed)?,
        possession: possession.map_err(DevidError::PossessionMalformed)?,
    })
}

/// Certificates, DER one after the other. They are counted before any is read.
fn certificates(blob: &[u8]) -> Result<Vec<Certificate>, DevidError> {
    let mut found = Vec::new();
    let mut reader = Reader::new(blob);
    while !reader.rest().is_empty() {
        if found.len() == MAX_CERTIFICATES {
            return Err(DevidError::TooManyCertificates);
        }
        let element = reader.expect(tag::SEQUENCE);
        found.push(element.map_err(|_| DevidError::NotCertificates)?.raw);
    }
    let read = found.into_iter().map(Certificate::from_der);
    read.collect::<Result<_, _>>()
        .map_err(DevidError::Certificate)
}
