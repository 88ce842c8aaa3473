//! The vendor's side: swtpm_setup with a CA in a folder of its own, and certificates by swtpm_cert.
//!
//! The tools' default CA lies in a global folder and belongs to root, hence the configuration files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::recipe::EkKind;
use super::{ManufactureError, at, make_folder, write_file};

/// What the certificates say of the TPM, as libtpms says it of itself (manufacturer "IBM").
const MANUFACTURER: &str = "id:00001014";
const MODEL: &str = "swtpm";
const VERSION: &str = "id:20191023";

/// A root CA and the CA below it that issues EK certificates.
pub struct Ca {
    folder: PathBuf,
    root: PathBuf,
    intermediate: PathBuf,
}

impl Ca {
    /// Makes a CA in `folder/ca` and a TPM with EKs and two certificates in `state`.
    ///
    /// # Errors
    /// [`ManufactureError`] when a tool is missing or fails.
    pub fn set_up(folder: &Path, state: &Path) -> Result<Self, ManufactureError> {
        // Names of the root's files are the tool's.
        let home = folder.join("ca");
        let ca = Self {
            root: home.join("swtpm-localca-rootca-cert.pem"),
            intermediate: home.join("issuercert.pem"),
            folder: home,
        };
        make_folder(&ca.folder)?;
        let config = ca.folder.join("localca.conf");
        let options = ca.folder.join("localca.options");
        let setup = ca.folder.join("setup.conf");
        let localca = which("swtpm_localca").ok_or(ManufactureError::Tool {
            tool: "swtpm_localca",
            package: "swtpm-tools",
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let inside = |name: &str| ca.folder.join(name).display().to_string();
        write_file(
            &config,
            format!(
                "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
                ca.folder.display(),
                inside("signkey.pem"),
                inside("issuercert.pem"),
                inside("certserial")
            )
            .as_bytes(),
        )?;
        // -1: valid to 9999-12-31, so that no test ends with a certificate.
        write_file(&options, b"--days -1\n")?;
        write_file(
            &setup,
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
                localca.display(),
                config.display(),
                options.display()
            )
            .as_bytes(),
        )?;
        run(
            "swtpm_setup",
            Command::new("swtpm_setup")
                .args(["--tpm2", "--ecc", "--create-ek-cert", "--overwrite"])
                .args(["--pcr-banks", "sha256,sha384"])
                .arg("--tpmstate")
                .arg(format!("dir://{}", state.display()))
                .arg("--config")
                .arg(&setup),
        )?;
        Ok(ca)
    }

    /// The root's certificate, PEM.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The issuing CA's certificate, PEM.
    #[must_use]
    pub fn intermediate(&self) -> &Path {
        &self.intermediate
    }

    /// The issuing CA's certificate, DER.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn intermediate_der(&self, folder: &Path) -> Result<Vec<u8>, ManufactureError> {
        let out = folder.join("intermediate.der");
        run(
            "openssl",
            Command::new("openssl")
                .args(["x509", "-outform", "der", "-in"])
                .arg(self.intermediate())
                .arg("-out")
                .arg(&out),
        )?;
        fs::read(&out).map_err(at(&out))
    }

    /// An EK certificate for the key in `public` (TPMT_PUBLIC), DER.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn issue(
        &self,
        kind: EkKind,
        public: &[u8],
        folder: &Path,
    ) -> Result<Vec<u8>, ManufactureError> {
        // Serial numbers of the tool count from 1; ours must not meet them.
        static SERIAL: AtomicU32 = AtomicU32::new(1000);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let out = folder.join("issued.der");
        let mut command = Command::new("swtpm_cert");
        command
            .args([
                "--type",
                "ek",
                "--tpm2",
                "--decryption",
                "--days",
                "-1",
                "--subject",
                "CN=unknown",
            ])
            .args([
                "--tpm-manufacturer",
                MANUFACTURER,
                "--tpm-model",
                MODEL,
                "--tpm-version",
                VERSION,
            ])
            .args([
                "--tpm-spec-family",
                "2.0",
                "--tpm-spec-level",
                "0",
                "--tpm-spec-revision",
                "164",
            ])
            .arg("--serial")
            .arg(serial.to_string())
            .arg("--signkey")
            .arg(self.folder.join("signkey.pem"))
            .arg("--issuercert")
            .arg(self.intermediate())
            .arg("--out-cert")
            .arg(&out);
        let cut_off = ManufactureError::CutOff("CreatePrimary");
        match kind {
            EkKind::Rsa2048 => {
                let modulus = tail(public, 256, 0).ok_or(cut_off)?;
                command.arg("--modulus").arg(hex::encode(modulus));
            }
            EkKind::P256 | EkKind::P384 => {
                let (len, curve) = match kind {
                    EkKind::P384 => (48, "secp384r1"),
                    _ => (32, "secp256r1"),
                };
                // The area ends with 2B x, 2B y.
                let (Some(x), Some(y)) = (tail(public, len, len + 2), tail(public, len, 0)) else {
                    return Err(cut_off);
                };
                command
                    .args(["--ecc-curveid", curve, "--ecc-x", &hex::encode(x)])
                    .args(["--ecc-y", &hex::encode(y)]);
            }
        }
        run("swtpm_cert", &mut command)?;
        fs::read(&out).map_err(at(&out))
    }
}

/// `len` bytes that end `before_end` bytes before the end.
fn tail(bytes: &[u8], len: usize, before_end: usize) -> Option<&[u8]> {
    let end = bytes.len().checked_sub(before_end)?;
    bytes.get(end.checked_sub(len)?..end)
}

fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn run(tool: &'static str, command: &mut Command) -> Result<(), ManufactureError> {
    let package = if tool == "openssl" {
        "openssl"
    } else {
        "swtpm-tools"
    };
    let output = command.output().map_err(|source| ManufactureError::Tool {
        tool,
        package,
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(ManufactureError::Failed {
        tool,
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&text).trim().to_owned(),
    })
}
