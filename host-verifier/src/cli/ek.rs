//! `assay ek`: endorsement keys and their certificates.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    ek_files::Files,
    format::Format,
    report::{Report, Unreadable, read_file},
};
use crate::{
    attestor::tpm_ek::certificate::{self, Dangers, EkCertificateError},
    crypto::Legacy,
    x509::{self, PathError, TrustStore, UnixTime},
};

/// The commands below `assay ek`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge an EK certificate offline: does a manufacturer vouch for it?
    ///
    /// Exit status: 0 accepted, 1 refused, 2 unreadable input.
    Check(Check),
}

/// Arguments of `assay ek check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    files: Files,

    /// Judge at this time instead of now
    #[arg(long, value_name = "RFC3339")]
    at: Option<jiff::Timestamp>,

    /// Accept SHA-1 signatures in the chain (EKs of 2012 to 2015)
    #[arg(long)]
    danger_allow_sha1: bool,

    #[command(flatten)]
    format: Format,
}

/// Runs a command below `assay ek`.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Check(check) => {
            let json = check.format.json();
            match judge(&check) {
                Ok(report) => report.print(&check.files.cert.display().to_string(), json),
                Err(unreadable) => unreadable.print(json),
            }
        }
    }
}

fn judge(check: &Check) -> Result<Report, Unreadable> {
    let at = UnixTime::from(check.at.unwrap_or_else(jiff::Timestamp::now));
    let blob = read_file(&check.files.cert, x509::decode::MAX_FILE_LEN)?;
    let name = check.files.cert.display().to_string();
    let certificate = x509::decode::certificate(&blob)
        .map_err(|error| Unreadable::new(&name, error).with_hint(
            "give one certificate as DER, PEM, or the bytes of its NV index (tpm2_nvread 0x1c00002)",
        ))?;
    let manufacturers = manufacturers(&check.files.manufacturer_cas)?;

    let mut report = Report::default();
    report.detail("certificate_sha256", hex::encode(certificate.sha256()));
    report.detail("subject", certificate.subject().to_string());
    report.detail("issuer", certificate.issuer().to_string());
    report.detail("serial_number", hex::encode(certificate.serial()));
    report.detail("not_before", certificate.not_before().to_string());
    report.detail("not_after", certificate.not_after().to_string());
    report.detail("at", at.to_string());
    report.pass(
        "certificate-readable",
        format!(
            "{} bytes in a file of {}, {}",
            certificate.der().len(),
            blob.len(),
            certificate.algorithm()
        ),
    );
    if let Ok(key) = certificate.key() {
        report.detail("key", key.to_string());
        report.detail("ek_hash", hex::encode(key.spki_sha256()));
    }

    let dangers = Dangers {
        legacy: Legacy {
            danger_allow_sha1: check.danger_allow_sha1,
            danger_allow_small_rsa: false,
        },
        danger_allow_roca: false,
    };
    match certificate::verify(&certificate, &[], &manufacturers, dangers, at) {
        Ok(verified) => accept(&mut report, &verified),
        Err(error) => {
            report.fail(error.check(), error.to_string());
            if let Some(hint) = hint(&error) {
                report.hint(hint);
            }
        }
    }
    Ok(report)
}

fn accept(report: &mut Report, verified: &certificate::VerifiedEkCertificate) {
    let chain = verified.chain();
    let leaf = chain.leaf();
    report.pass(
        "validity",
        format!("{} to {}", leaf.not_before(), leaf.not_after()),
    );
    report.pass("end-entity", "not a certification authority");
    report.pass("critical-extension", "all are understood");
    let present = |there: bool, seen: &str| match there {
        true => seen.to_owned(),
        false => "not stated".to_owned(),
    };
    let extensions = leaf.extensions();
    report.pass(
        "key-usage",
        present(
            extensions.key_usage.is_some(),
            "allows credential activation",
        ),
    );
    report.pass(
        "extended-key-usage",
        present(
            extensions.extended_key_usage.is_some(),
            "tcg-kp-EKCertificate (2.23.133.8.1)",
        ),
    );
    report.pass("ek-mark", "names its purpose or its TPM's manufacturer");
    let names: Vec<String> = chain
        .issuers()
        .iter()
        .map(|issuer| issuer.subject().to_string())
        .collect();
    report.pass("chain", names.join(" <- "));
    report.detail("chain", names);
    report.detail("valid_until", chain.valid_until().to_string());

    let identity = verified.identity();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not stated".into());
    report.pass(
        "subject-alt-name",
        format!(
            "manufacturer {}, model {}, firmware {}",
            text(&identity.manufacturer),
            text(&identity.model),
            text(&identity.firmware_version)
        ),
    );
    report.detail("manufacturer", identity.manufacturer.clone());
    report.detail("model", identity.model.clone());
    report.detail("firmware_version", identity.firmware_version.clone());
    report.pass("key-strength", verified.key().to_string());
    report.pass("roca", "no fingerprint of CVE-2017-15361");
}

fn manufacturers(files: &[PathBuf]) -> Result<TrustStore, Unreadable> {
    let mut all = Vec::new();
    for file in files {
        let blob = read_file(file, x509::decode::MAX_FILE_LEN)?;
        let certificates = x509::decode::certificates(&blob)
            .map_err(|error| Unreadable::new(&file.display().to_string(), error))?;
        all.extend(certificates);
    }
    let store = TrustStore::from_mixed(all);
    if store.is_empty() {
        return Err(Unreadable::new(
            "--manufacturer-cas",
            "no certificate in these files can be a trust anchor",
        )
        .with_hint("give the manufacturer's root certificate too"));
    }
    Ok(store)
}

fn hint(error: &EkCertificateError) -> Option<String> {
    let EkCertificateError::Path(error) = error else {
        return None;
    };
    match error {
        PathError::UnknownIssuer { issuer, .. } => Some(format!(
            "add the certificate of {issuer:?} to --manufacturer-cas; the manufacturer publishes it"
        )),
        PathError::BadSignature { issuer, .. } => Some(format!(
            "a certificate named {issuer:?} is known, but its key did not sign this; look for another generation of that CA"
        )),
        PathError::Expired { .. } | PathError::NotYetValid { .. } => {
            Some("judge at another time with --at, for example 2024-05-01T00:00:00Z".into())
        }
        PathError::WeakHash { .. } => {
            Some("--danger-allow-sha1 admits chains of 2012 to 2015".into())
        }
        PathError::LeafIsCa { .. } => {
            Some("this is a manufacturer's CA certificate: give it to --manufacturer-cas".into())
        }
        _ => None,
    }
}
