//! The SVID that went over a line: public, and read here as any relying party would.

use anyhow::{Context, Result};
use assay_common::protocol::{FrameKind, Renewal, SvidGrant, VerifierMessage, decode};
use assay_host_verifier::x509::Certificate;
use assay_host_verifier::x509::der::Reader;
use assay_host_verifier::x509::extensions::GeneralName;
use jiff::Timestamp;

use super::Seen;

/// An SVID, as its leaf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvidSeen {
    /// Its certificates, DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The URI names in it; of an SVID there is one.
    pub uris: Vec<String>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo of its key, DER.
    pub key: Vec<u8>,
}

impl SvidSeen {
    /// The SVID of a grant or a renewal; `None` for any other frame, and when there is no SVID in it.
    ///
    /// # Errors
    ///
    /// When what is there is no list of certificates.
    pub fn of(frame: &Seen) -> Result<Option<Self>> {
        if frame.kind != FrameKind::MESSAGE || frame.from_agent {
            return Ok(None);
        }
        let svid = match decode(&frame.body) {
            Ok(VerifierMessage::SvidGranted(sealed)) => {
                decode::<SvidGrant<'_>>(sealed.body).map(|grant| grant.svid)
            }
            Ok(VerifierMessage::Renewed(signed)) => {
                decode::<Renewal<'_>>(signed.body).map(|renewal| renewal.svid)
            }
            _ => return Ok(None),
        };
        let svid = svid.context("a grant that cannot be read")?;
        if svid.is_empty() {
            return Ok(None);
        }
        Self::parse(svid).map(Some)
    }

    fn parse(svid: &[u8]) -> Result<Self> {
        let mut chain = Vec::new();
        let mut rest = Reader::new(svid);
        while !rest.is_empty() {
            chain.push(rest.any().context("not DER")?.raw.to_vec());
        }
        let leaf = chain.first().context("no certificate")?;
        let leaf = Certificate::from_der(leaf).context("the SVID's leaf")?;
        let names = leaf.extensions().subject_alt_name.iter().flatten();
        let uris = names.filter_map(|name| match name {
            GeneralName::Uri(uri) => Some(uri.clone()),
            _ => None,
        });
        Ok(Self {
            uris: uris.collect(),
            serial: hex::encode(leaf.serial()),
            not_before: Timestamp::from_second(leaf.not_before().0)?,
            not_after: Timestamp::from_second(leaf.not_after().0)?,
            key: leaf.spki().to_vec(),
            chain,
        })
    }
}
