//! The DevID of `tpm_devid`: its files, as a login would read them. Whether the TPM takes the key only a login can say.

use std::path::Path;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use crate::finding::Finding;
use crate::key::Leaf;
use crate::method::{MethodError, Offer, PUBLIC_HASH};
use crate::tpm::devid::Config;

/// Reads the files, and looks at the certificate's time.
pub(super) fn examine(config: &Config, base: &Path) -> Finding {
    let subject = AttestorKind::TPM_DEVID.to_string();
    let certificate = base.join(&config.devid_cert_path).display().to_string();
    match config.load(base) {
        Err(error) => Finding::fail(subject, error.what, error.hint),
        Ok(devid) => {
            let term = Leaf::read(devid.key.certificates()).map(|leaf| leaf.term);
            let late = term.and_then(|term| term.doctor(&subject, &certificate, Timestamp::now()));
            late.unwrap_or_else(|| {
                let key = base.join(&config.devid_pub_path);
                let seen = format!("{certificate} is for the key in {}", key.display());
                Finding::ok(subject, seen)
            })
        }
    }
}

/// What would be offered of it.
///
/// # Errors
///
/// Why nothing.
pub(crate) fn show(config: &Config, base: &Path) -> Result<Offer, MethodError> {
    let devid = config.load(base)?;
    let certificate = base.join(&config.devid_cert_path);
    let offer = Offer::default().with("certificate", certificate.display().to_string());
    Ok(match Leaf::read(devid.key.certificates()) {
        Some(leaf) => offer
            .until(&leaf.term)
            .with(PUBLIC_HASH, hex::encode(leaf.key_sha256)),
        None => offer,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use serde_json::json;

    use super::{examine, show};
    use crate::finding::Level;

    #[test]
    fn a_file_that_is_missing_is_said_before_a_login_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::from_value(json!({
            "devidCertPath": "devid.crt", "devidPubPath": "devid.pub", "devidPrivPath": "devid.priv",
        }));
        let config = config.unwrap();
        let found = examine(&config, folder.path());
        assert_eq!(
            (found.level, found.subject.as_str()),
            (Level::Fail, "tpm_devid")
        );
        assert!(found.seen.contains("devid.crt"), "{found:?}");
        assert!(found.mend.is_some());
        let error = show(&config, folder.path()).unwrap_err();
        assert!(error.what.contains("devid.crt"), "{error}");
    }
}
