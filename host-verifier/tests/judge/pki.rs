//! Small certificate hierarchies made by `openssl`, one folder per test.
//!
//! Certificates are valid for a hundred years from now; tests that need another time judge at another
//! time.

use std::path::PathBuf;

use assay_host_verifier::x509::{Certificate, UnixTime, decode};
use tempfile::TempDir;

use crate::swtpm::run;

/// Extensions of a CA.
pub(crate) const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";

/// Extensions of an EK certificate for a curve key, with the names of a TPM.
pub(crate) const EK_EC: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\n\
    extendedKeyUsage=2.23.133.8.1\nsubjectAltName=critical,dirName:tpm";

/// The same for an RSA key.
pub(crate) const EK_RSA: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyEncipherment\n\
    extendedKeyUsage=2.23.133.8.1\nsubjectAltName=critical,dirName:tpm";

/// A section that [`EK_EC`] refers to: three single-valued names. What stands before the first dot is
/// for openssl to drop.
const TPM_NAMES: &str =
    "\n[tpm]\n0.2.23.133.2.1=id:4E544300\n0.2.23.133.2.2=NPCT75x\n0.2.23.133.2.3=id:00070002\n";

/// A folder of keys (`name.key`) and certificates (`name.crt`).
pub(crate) struct Pki {
    folder: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn openssl(&self, command: &str) -> Vec<u8> {
        let args: Vec<&str> = command.split_whitespace().collect();
        run("openssl", &args, self.folder.path(), &[])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Makes `name.key`: `p256`, `p384`, `p521`, `ed25519` or `rsa<bits>`.
    pub(crate) fn key(&self, name: &str, kind: &str) {
        let options = match kind {
            "p256" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-256".into(),
            "p384" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-384".into(),
            "p521" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-521".into(),
            "ed25519" => "-algorithm ED25519".into(),
            rsa => format!(
                "-algorithm RSA -pkeyopt rsa_keygen_bits:{}",
                rsa.strip_prefix("rsa").unwrap()
            ),
        };
        self.openssl(&format!("genpkey {options} -out {name}.key"));
    }

    /// A self-signed certificate `name.crt` with subject `/CN=name`.
    pub(crate) fn root(&self, name: &str, kind: &str, extensions: &str) -> Certificate {
        self.key(name, kind);
        self.self_sign(name, name, extensions, "-sha256")
    }

    /// A self-signed certificate under another common name than the key's file.
    pub(crate) fn self_sign(
        &self,
        name: &str,
        common_name: &str,
        extensions: &str,
        options: &str,
    ) -> Certificate {
        self.request(name, common_name);
        self.sign(name, &format!("-signkey {name}.key {options}"), extensions)
    }

    /// A certificate `name.crt` with subject `/CN=name` by `issuer`, with a fresh P-256 key.
    pub(crate) fn issue(&self, name: &str, issuer: &str, extensions: &str) -> Certificate {
        self.issue_as(name, name, "p256", issuer, extensions, "-sha256")
    }

    /// A certificate `name.crt` with any common name (empty for an empty subject), key type and
    /// signature options.
    pub(crate) fn issue_as(
        &self,
        name: &str,
        common_name: &str,
        kind: &str,
        issuer: &str,
        extensions: &str,
        options: &str,
    ) -> Certificate {
        self.key(name, kind);
        self.request(name, common_name);
        let options = format!("-CA {issuer}.crt -CAkey {issuer}.key {options}");
        self.sign(name, &options, extensions)
    }

    /// A certificate for a public key that is not ours, in PEM.
    pub(crate) fn certify(
        &self,
        name: &str,
        public_pem: &[u8],
        issuer: &str,
        extensions: &str,
    ) -> Certificate {
        self.write(&format!("{name}.pub"), public_pem);
        self.key(name, "p256");
        self.request(name, "");
        let options =
            format!("-CA {issuer}.crt -CAkey {issuer}.key -sha256 -force_pubkey {name}.pub");
        self.sign(name, &options, extensions)
    }

    /// Big-endian `65537^n`.
    pub(crate) fn power_of_65537(n: usize) -> Vec<u8> {
        let mut number = vec![1u8];
        for _ in 0..n {
            // x * 65537 = (x << 16) + x, added from the last byte on.
            let mut sum = [&number[..], &[0, 0]].concat();
            let mut carry = 0u16;
            for i in 0..sum.len() {
                let at = sum.len() - 1 - i;
                let low = number.iter().rev().nth(i).copied().unwrap_or(0);
                let total = u16::from(sum[at]) + u16::from(low) + carry;
                sum[at] = total as u8;
                carry = total >> 8;
            }
            number = sum;
        }
        number
    }

    fn request(&self, name: &str, common_name: &str) {
        let subject = match common_name {
            "" => "/".to_owned(),
            name => format!("/CN={name}"),
        };
        self.openssl(&format!(
            "req -new -key {name}.key -subj {subject} -out {name}.csr"
        ));
    }

    /// As [`Pki::issue`], without reading what came of it.
    pub(crate) fn issue_unread(&self, name: &str, issuer: &str, extensions: &str) -> Vec<u8> {
        self.key(name, "p256");
        self.request(name, name);
        let options = format!("-CA {issuer}.crt -CAkey {issuer}.key -sha256");
        self.make(name, &options, extensions);
        self.pem(name)
    }

    fn sign(&self, name: &str, options: &str, extensions: &str) -> Certificate {
        self.make(name, options, extensions);
        self.read(name)
    }

    fn make(&self, name: &str, options: &str, extensions: &str) {
        self.write(&format!("{name}.ext"), format!("{extensions}{TPM_NAMES}"));
        let serial = format!(
            "0x{:x}",
            name.bytes().fold(7u64, |h, b| h * 31 + u64::from(b))
        );
        self.openssl(&format!(
            "x509 -req -in {name}.csr -out {name}.crt -days 36500 -set_serial {serial} \
             -extfile {name}.ext {options}"
        ));
    }

    /// Reads `name.crt`.
    pub(crate) fn read(&self, name: &str) -> Certificate {
        decode::certificate(&self.pem(name)).unwrap()
    }

    /// The bytes of `name.crt`.
    pub(crate) fn pem(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{name}.crt"))).unwrap()
    }
}

/// A time at which everything made by a test is valid.
pub(crate) fn now() -> UnixTime {
    UnixTime(jiff::Timestamp::now().as_second() + 60)
}

/// The same `days` later.
pub(crate) fn days_from_now(days: i64) -> UnixTime {
    UnixTime(now().0 + days * 86_400)
}
