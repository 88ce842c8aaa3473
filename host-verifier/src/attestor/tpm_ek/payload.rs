//! The agent's bytes, read once.

use assay_common::{
    method::tpm_ek::{EkPayload, EkResponse},
    tpm::public::Public,
};

use super::verify::EkError;
use crate::{
    blobs::Blobs,
    x509::{self, Certificate, decode::DecodeError},
};

/// Everything that came with the EK, well-formed and in no way verified.
#[derive(Debug)]
pub struct Untrusted<'a> {
    /// The EK's public area.
    pub ek: Public<'a>,
    /// The AK's public area.
    pub ak: Public<'a>,
    /// The EK certificate; an unreadable one matters only where a certificate is needed.
    pub certificate: Option<Result<Certificate, DecodeError>>,
    /// Issuing certificates, as hints: all of each blob, which is one chain index of the TPM and may hold
    /// several. A blob that cannot be read as a whole is left out.
    pub chain: Vec<Certificate>,
}

/// Reads an [`EkPayload`] and the blobs it names. Every byte is consumed, every structure is whole.
///
/// # Errors
/// [`EkError::Payload`], [`EkError::EkPublic`], [`EkError::AkPublic`], [`EkError::Blob`].
pub fn parse<'a>(payload: &'a [u8], blobs: &Blobs) -> Result<Untrusted<'a>, EkError> {
    let (payload, rest) =
        postcard::take_from_bytes::<EkPayload<'a>>(payload).map_err(|_| EkError::Payload)?;
    if !rest.is_empty() {
        return Err(EkError::Payload);
    }
    resolve(&payload, blobs)
}

/// Reads what a payload holds and names.
///
/// # Errors
/// As [`parse`], but for [`EkError::Payload`].
pub fn resolve<'a>(payload: &EkPayload<'a>, blobs: &Blobs) -> Result<Untrusted<'a>, EkError> {
    let certificate = match &payload.ek_certificate {
        Some(reference) => {
            let blob = blobs.resolve(reference).map_err(EkError::Blob)?;
            Some(x509::decode::certificate(blob))
        }
        None => None,
    };
    let mut chain = Vec::new();
    for reference in &payload.ek_chain {
        let blob = blobs.resolve(reference).map_err(EkError::Blob)?;
        // Hints that cannot be read help nobody and harm nobody.
        chain.extend(x509::decode::chain(blob).unwrap_or_default());
    }
    Ok(Untrusted {
        ek: Public::parse(payload.ek_public).map_err(EkError::EkPublic)?,
        ak: Public::parse(payload.ak_public).map_err(EkError::AkPublic)?,
        certificate,
        chain,
    })
}

/// Reads an [`EkResponse`]; nothing may follow it.
///
/// # Errors
/// [`EkError::Response`].
pub fn parse_response(response: &[u8]) -> Result<EkResponse, EkError> {
    match postcard::take_from_bytes::<EkResponse>(response) {
        Ok((response, [])) => Ok(response),
        _ => Err(EkError::Response),
    }
}
