//! The agent's bytes, read once.

use serde::Deserialize;

use super::error::ImdsError;
use crate::base64_text;
use crate::cloud::azure::ScaleSetName;
use crate::x509::{Certificate, ParseError};

/// Longest payload, bytes: a signed document, four certificates, and room for blanks.
pub const MAX_PAYLOAD: usize = 48 * 1024;
/// Most certificates beside the document.
pub const MAX_CERTIFICATES: usize = 4;
/// Longest name of the agent's domain, bytes.
const MAX_DOMAIN: usize = 253;

/// What the agent sent; not verified.
#[derive(Debug, Clone)]
pub struct Untrusted {
    /// The signed document, CMS.
    pub document: Vec<u8>,
    /// Where the machine may be found.
    pub scale_set: Option<ScaleSetName>,
    /// Certificates that may stand between the signer and a root.
    pub certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    document: Document<'a>,
    metadata: Option<Metadata<'a>>,
    certificates: Option<Vec<&'a str>>,
}

/// As the metadata service answers it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    encoding: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metadata<'a> {
    agent_domain: Option<&'a str>,
    vmss_name: Option<&'a str>,
}

/// Reads a payload: one JSON object with these members, each once. `read` reads a certificate.
///
/// # Errors
///
/// [`ImdsError`]: the form of the JSON, of base64, of a certificate, of a name.
pub fn parse(
    payload: &[u8],
    read: impl Fn(&[u8]) -> Result<Certificate, ParseError>,
) -> Result<Untrusted, ImdsError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(ImdsError::Payload("it is too long"));
    }
    let wire: Wire<'_> = serde_json::from_slice(payload)
        .map_err(|_| ImdsError::Payload("it is not the JSON of this method"))?;
    if wire.document.encoding != "pkcs7" {
        return Err(ImdsError::Encoding);
    }
    let metadata = wire.metadata;
    // A hint for others; the policy says which tenant the subscription is of.
    let domain = metadata.as_ref().and_then(|all| all.agent_domain);
    if domain.is_some_and(|domain| domain.len() > MAX_DOMAIN) {
        return Err(ImdsError::Payload("the domain is too long"));
    }
    let name = metadata.and_then(|all| all.vmss_name);
    let scale_set = match name.filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => Some(ScaleSetName::parse(name).ok_or(ImdsError::ScaleSetName)?),
    };
    let texts = wire.certificates.unwrap_or_default();
    if texts.len() > MAX_CERTIFICATES {
        return Err(ImdsError::Payload("it has too many certificates"));
    }
    let certificates = texts.into_iter().map(|text| {
        let der =
            base64_text::standard(text).ok_or(ImdsError::Payload("a certificate is no base64"))?;
        read(&der).map_err(ImdsError::Certificate)
    });
    Ok(Untrusted {
        document: base64_text::standard(wire.document.signature)
            .ok_or(ImdsError::Payload("the signature is no base64"))?,
        scale_set,
        certificates: certificates.collect::<Result<_, _>>()?,
    })
}
