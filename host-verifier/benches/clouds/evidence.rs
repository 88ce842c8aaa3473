//! Identity documents of many instances, signed as AWS signs them, by a key of our own.

use std::sync::Arc;

use assay_host_verifier::x509::Certificate;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::json;

use crate::message::Message;

/// The region of all of them.
pub(crate) const REGION: &str = "eu-west-1";

/// Payloads, and the certificate that verifies them.
pub(crate) struct Evidence {
    payloads: Arc<Vec<Vec<u8>>>,
    pem: String,
}

/// The account of an instance's number.
pub(crate) fn account(number: usize) -> String {
    format!("{:012}", 100_000 + number)
}

impl Evidence {
    /// Of so many instances, spread over so many accounts.
    pub(crate) fn of(instances: usize, accounts: usize) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let parsed = Certificate::from_der(certificate.der()).unwrap();
        let signer = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
        let payload = |number: usize| {
            let document = document(number, &account(number % accounts));
            let message = Message::aws(document.as_bytes());
            let mut signature = vec![0; signer.public_modulus_len()];
            let random = SystemRandom::new();
            signer
                .sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    &message.signed(),
                    &mut signature,
                )
                .unwrap();
            let message = message.with_signature(&signature, &parsed);
            json!({"rsa2048": STANDARD.encode(message)})
                .to_string()
                .into_bytes()
        };
        Self {
            payloads: Arc::new((0..instances).map(payload).collect()),
            pem: certificate.pem(),
        }
    }

    pub(crate) fn payloads(&self) -> Arc<Vec<Vec<u8>>> {
        self.payloads.clone()
    }

    pub(crate) fn instances(&self) -> usize {
        self.payloads.len()
    }

    /// The certificate, as the operator's file has it.
    pub(crate) fn pinned(&self) -> String {
        format!("# {REGION}\n{}", self.pem)
    }
}

/// As AWS writes it, blanks and all.
fn document(number: usize, account: &str) -> String {
    format!(
        "{{\n  \"accountId\" : \"{account}\",\n  \"architecture\" : \"x86_64\",\n  \"availabilityZone\" : \"{REGION}a\",\n  \
         \"billingProducts\" : null,\n  \"devpayProductCodes\" : null,\n  \"marketplaceProductCodes\" : null,\n  \
         \"imageId\" : \"ami-0123456789abcdef0\",\n  \"instanceId\" : \"i-{number:017x}\",\n  \"instanceType\" : \"m5.large\",\n  \
         \"kernelId\" : null,\n  \"pendingTime\" : \"2026-11-01T10:00:00Z\",\n  \"privateIp\" : \"10.0.0.1\",\n  \
         \"ramdiskId\" : null,\n  \"region\" : \"{REGION}\",\n  \"version\" : \"2017-09-30\"\n}}"
    )
}
