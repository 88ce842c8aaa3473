//! The DevID key of `tpm_devid`: settings, files, and the key that they make.
//!
//! The files are what tpm2-tools and openssl write: `tpm2_create -u` and `-r`, and a certificate with its chain in PEM. They
//! are read anew for every login, so a renewed certificate needs no restart.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use assay_common::method::tpm_devid::MAX_CERTIFICATES;
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::public::Public;
use assay_firmware::keys::{DevidKey, DevidParent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::spki::is_in;
use crate::key::{Leaf, first};
use crate::method::MethodError;

/// Longest file read, bytes.
const MAX_FILE: u64 = 64 * 1024;
/// Longest password of a TPM, bytes.
const MAX_PASSWORD: usize = 64;

/// `config:` of a `tpm_devid` entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// PEM: the DevID certificate, behind it the issuing ones.
    pub devid_cert_path: PathBuf,
    /// TPM2B_PUBLIC.
    pub devid_pub_path: PathBuf,
    /// TPM2B_PRIVATE.
    pub devid_priv_path: PathBuf,
    /// `srk-rsa`, `srk-ecc` or a persistent handle; found out when it is not said.
    #[serde(default, deserialize_with = "parent")]
    pub devid_parent: Option<DevidParent>,
    /// The key's password.
    pub devid_password_file: Option<PathBuf>,
    /// The owner hierarchy's password.
    pub owner_password_file: Option<PathBuf>,
    /// The endorsement hierarchy's password.
    pub endorsement_password_file: Option<PathBuf>,
}

/// A DevID key, and the passwords of the hierarchies that it takes to use it.
#[derive(Debug)]
pub struct Devid {
    /// For [`TpmEvidence::set_devid`](assay_firmware::evidence::tpm::TpmEvidence::set_devid).
    pub key: DevidKey,
    /// Passwords for [`Tpm::set_password`](assay_firmware::tpm::Tpm::set_password), by hierarchy.
    pub passwords: Vec<(Handle, Zeroizing<Vec<u8>>)>,
}

impl Config {
    /// Reads the files. `base` is where relative paths begin.
    ///
    /// # Errors
    ///
    /// [`MethodError`]; also when the first certificate is for another key. One that cannot be read is the verifier's to refuse.
    pub fn load(&self, base: &Path) -> Result<Devid, MethodError> {
        let at = |path: &Path| base.join(path);
        let certificates = certificates(&at(&self.devid_cert_path))?;
        let public = sized(
            &at(&self.devid_pub_path),
            "tpm2_create -u writes such a file",
        )?;
        let private = sized(
            &at(&self.devid_priv_path),
            "tpm2_create -r writes such a file",
        )?;
        let other = Public::parse(&public)
            .ok()
            .zip(first(&certificates).filter(|leaf| Leaf::read(leaf).is_some()))
            .is_some_and(|(public, leaf)| !is_in(&public, leaf));
        if other {
            let (path, key) = (at(&self.devid_cert_path), at(&self.devid_pub_path));
            return Err(MethodError::new(
                format!(
                    "the first certificate of {} is not for the key in {}",
                    path.display(),
                    key.display()
                ),
                "name a pair; the DevID certificate comes first in the file",
            ));
        }
        let own = match &self.devid_password_file {
            Some(path) => password(&at(path))?,
            None => Zeroizing::default(),
        };
        let parents = match &self.devid_parent {
            Some(parent) => core::slice::from_ref(parent),
            None => &DevidParent::USUAL,
        };
        let key = DevidKey::new(public, private, certificates, parents, &own);
        let key = key.map_err(|error| {
            content(
                &at(&self.devid_pub_path),
                error.to_string(),
                "make it with: tpm2_create -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'",
            )
        })?;
        let hierarchies = [
            (Handle::OWNER, &self.owner_password_file),
            (Handle::ENDORSEMENT, &self.endorsement_password_file),
        ];
        let mut passwords = Vec::new();
        for (hierarchy, path) in hierarchies {
            if let Some(path) = path {
                passwords.push((hierarchy, password(&at(path))?));
            }
        }
        Ok(Devid { key, passwords })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, MethodError> {
    let fail = |error: std::io::Error| {
        content(
            path,
            error.to_string(),
            "the agent's user must be able to read it",
        )
    };
    let mut bytes = Vec::new();
    let file = crate::secret::open(path).map_err(fail)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(content(path, "longer than 64 KiB", "name another file"));
    }
    Ok(bytes)
}

fn content(path: &Path, what: impl Into<String>, hint: &'static str) -> MethodError {
    let what = format!("{}: {}", path.display(), what.into());
    MethodError::new(what, hint)
}

/// A password: all of the file but a line end.
fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, MethodError> {
    let mut password = crate::secret::read(path)?;
    if password.last() == Some(&b'\n') {
        password.pop();
    }
    if password.len() > MAX_PASSWORD {
        return Err(content(
            path,
            "longer than a TPM's password",
            "64 bytes at most",
        ));
    }
    Ok(password)
}

/// The contents of a `TPM2B`: the file is exactly one.
fn sized(path: &Path, hint: &'static str) -> Result<Vec<u8>, MethodError> {
    let file = read(path)?;
    match file.split_first_chunk::<2>() {
        Some((len, rest))
            if usize::from(u16::from_be_bytes(*len)) == rest.len() && !rest.is_empty() =>
        {
            Ok(rest.to_vec())
        }
        _ => Err(content(
            path,
            "not one structure with its length in front",
            hint,
        )),
    }
}

/// The certificates of a PEM file, as DER one after the other.
fn certificates(path: &Path) -> Result<Vec<u8>, MethodError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    const HINT: &str = "the DevID certificate first, behind it the issuing ones, all in PEM";
    let file = read(path)?;
    let text = core::str::from_utf8(&file).map_err(|_| content(path, "not PEM", HINT))?;
    let (mut all, mut count) = (Vec::new(), 0);
    for block in text.split(BEGIN).skip(1) {
        let (body, _) = block
            .split_once(END)
            .ok_or_else(|| content(path, "a certificate without its end line", HINT))?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body);
        all.extend(der.map_err(|_| content(path, "a certificate that is not base64", HINT))?);
        count += 1;
    }
    match count {
        0 => Err(content(path, "no certificate in it", HINT)),
        1..=MAX_CERTIFICATES => Ok(all),
        more => Err(content(
            path,
            format!("{more} certificates, at most {MAX_CERTIFICATES} are sent"),
            "leave out the root and what does not belong to the chain",
        )),
    }
}

fn parent<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<DevidParent>, D::Error> {
    let text = String::deserialize(from)?;
    let handle = || {
        let digits = text.strip_prefix("0x")?;
        let handle = Handle(u32::from_str_radix(digits, 16).ok()?);
        handle.is(HandleKind::PERSISTENT).then_some(handle)
    };
    match text.as_str() {
        "srk-rsa" => Ok(Some(DevidParent::SrkRsa2048)),
        "srk-ecc" => Ok(Some(DevidParent::SrkP256)),
        _ => match handle() {
            Some(handle) => Ok(Some(DevidParent::Persistent(handle))),
            None => Err(serde::de::Error::custom(
                "a parent is `srk-rsa`, `srk-ecc`, or a persistent handle as 0x81000001",
            )),
        },
    }
}
