//! Messages with openssl's signature.

use assay_host_verifier::x509::Certificate;

use super::build::Message;
use crate::pki::Pki;

impl Message {
    /// Signs with `key.key`, in the name of `certificate`.
    pub(crate) fn sign(&self, pki: &Pki, key: &str, certificate: &Certificate) -> Vec<u8> {
        pki.write("signed.bin", self.signed());
        let command = format!("dgst -{} -sign {key}.key signed.bin", self.hash);
        self.with_signature(&pki.openssl(&command), certificate)
    }
}
