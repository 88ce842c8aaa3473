//! The files of a session: SVID, key and bundle, in the order that keeps them fitting.

use zeroize::Zeroizing;

use super::bundle::{Bundle, pem};
use super::files::{FileError, NewFile, remove, replace};
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
/// An SVID whose key is in the TPM has no file of it. One that is there, from a time when the key was in memory, is removed:
/// it fits no certificate any more, and it is a private key that nobody looks after.
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
    if !svid.is_empty() && key.is_none() {
        remove(&outputs.directory, Outputs::KEY)?;
    }
    let paths = files.iter().map(|file| outputs.directory.join(file.name));
    Ok(paths.map(|path| path.display().to_string()).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Identity, write};
    use crate::config::{Mode, Outputs};
    use crate::svid::bundle::Bundle;

    /// The key of a node that had no TPM, or did not use it.
    #[test]
    fn a_key_in_the_tpm_leaves_no_old_one_behind() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs {
            directory: dir.path().to_owned(),
            key_mode: Mode(0o600),
            public_mode: Mode(0o644),
        };
        let key = dir.path().join(Outputs::KEY);
        let bundle = Bundle {
            document: b"{}".to_vec(),
            x509: Vec::new(),
            jwt: Vec::new(),
            refresh: std::time::Duration::ZERO,
        };
        let chain = [vec![0x30, 0]];
        let in_memory = Identity {
            svid: &chain,
            key: Some(&[0x30, 0]),
        };
        write(&outputs, Some(&in_memory), &bundle).unwrap();
        assert!(key.exists());
        // A session that is over, or one without an SVID, leaves the last files.
        write(&outputs, None, &bundle).unwrap();
        let none = Identity {
            svid: &[],
            key: None,
        };
        write(&outputs, Some(&none), &bundle).unwrap();
        assert!(key.exists());
        let in_tpm = Identity {
            svid: &chain,
            key: None,
        };
        let written = write(&outputs, Some(&in_tpm), &bundle).unwrap();
        assert!(!key.exists() && dir.path().join(Outputs::SVID).exists());
        assert!(!written.iter().any(|path| path.ends_with(Outputs::KEY)));
        write(&outputs, Some(&in_tpm), &bundle).unwrap();
    }
}
