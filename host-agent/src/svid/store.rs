//! The files of a session: SVID, key and bundle, in the order that keeps them fitting.

use zeroize::Zeroizing;

use super::bundle::{Bundle, pem};
use super::files::{FileError, NewFile, replace};
use crate::config::Outputs;

/// An SVID and its key.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Certificates, DER, the leaf first.
    pub svid: &'a [Vec<u8>],
    /// PKCS #8, DER; `None` when the key is in the TPM, and there is no file of it.
    pub key: Option<&'a [u8]>,
}

impl core::fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Writes them, and returns their paths. Bundles come first, so that whoever is shown the new SVID can verify it; the
/// certificate last, so that whoever sees it finds its key.
///
/// # Errors
///
/// [`FileError`]; what was there before is there still, but for what the error says.
pub fn write(
    outputs: &Outputs,
    identity: Option<&Identity<'_>>,
    bundle: &Bundle,
) -> Result<Vec<String>, FileError> {
    let bundle_pem = bundle.x509_pem();
    let mut svid = String::new();
    let mut key = None;
    if let Some(identity) = identity.filter(|identity| !identity.svid.is_empty()) {
        let chain = identity.svid.iter();
        svid = chain.map(|der| pem("CERTIFICATE", der)).collect();
        key = identity
            .key
            .map(|der| Zeroizing::new(pem("PRIVATE KEY", der)));
    }
    let public = |name, content| NewFile {
        name,
        content,
        mode: outputs.public_mode,
    };
    let mut files = vec![
        public(Outputs::BUNDLE, bundle_pem.as_bytes()),
        public(Outputs::SPIFFE_BUNDLE, bundle.document.as_slice()),
    ];
    files.extend(key.as_ref().map(|key| NewFile {
        name: Outputs::KEY,
        content: key.as_bytes(),
        mode: outputs.key_mode,
    }));
    if !svid.is_empty() {
        files.push(public(Outputs::SVID, svid.as_bytes()));
    }
    replace(&outputs.directory, &files)?;
    let paths = files.iter().map(|file| outputs.directory.join(file.name));
    Ok(paths.map(|path| path.display().to_string()).collect())
}
