//! PEM (RFC 7468) of keys and certificates.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::KeyError;
use crate::method::MethodError;

/// Longest file of certificates, bytes.
const MAX_CERTIFICATES_LEN: u64 = 256 * 1024;

/// One block: its label and what stands between its lines.
struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (_, after) = rest.split_once("-----BEGIN ")?;
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once("-----END ")?;
        rest = after.strip_prefix(label)?.strip_prefix("-----")?;
        Some(Block { label, body })
    })
}

fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(digits.as_bytes()).ok().map(Zeroizing::new)
}

/// The first private key, by the label of its form.
pub(crate) fn private_key(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), KeyError> {
    let is_key = |block: &Block<'_>| block.label.ends_with("PRIVATE KEY");
    let block = blocks(text).find(is_key).ok_or(KeyError::NotPem)?;
    // The older forms say it in a header.
    if block.label.starts_with("ENCRYPTED") || block.body.contains("ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    let der = decode(block.body).ok_or(KeyError::NotPem)?;
    Ok((block.label, der))
}

/// The certificates of a file in PEM, DER each, in its order; at least one.
///
/// # Errors
///
/// It cannot be read, or there is none in it.
pub fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, MethodError> {
    use std::io::Read as _;
    let shown = path.display();
    let fail = |why: &dyn core::fmt::Display| {
        MethodError::new(
            format!("{shown}: {why}"),
            "name a file with certificates in PEM that the agent's user can read",
        )
    };
    let mut text = String::new();
    crate::secret::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATES_LEN).read_to_string(&mut text))
        .map_err(|error| fail(&error))?;
    let found = blocks(&text).filter(|block| block.label == "CERTIFICATE");
    let all: Option<Vec<Vec<u8>>> = found
        .map(|block| decode(block.body).map(|der| der.to_vec()))
        .collect();
    match all {
        None => Err(fail(&"a block is not base64")),
        Some(all) if all.is_empty() => Err(fail(&"no certificate in it")),
        Some(all) => Ok(all),
    }
}
