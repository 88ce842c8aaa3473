//! `assay evidence verify tpm_quote`: a quote from files.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use assay_common::tpm::{
    alg::AlgId,
    pcr::{PcrIndex, PcrMask, PcrSelection},
    public::{Public, PublicError},
};
use clap::Args;

use super::measured;
use crate::{
    attestor::tpm_quote::verify::{self, CHECKS, QuoteError, Untrusted, VerifiedQuote},
    cli::{
        format::Format,
        pcr_file,
        report::{Report, Unreadable, read_file},
    },
    crypto::{PublicKey, has_roca_fingerprint},
    tpm::{AkError, AttestationKey},
    x509::{Certificate, decode, spki},
};

/// Longest structure read from a file; an attest or a public area of a TPM has a few hundred bytes.
const MAX_STRUCTURE: usize = 64 * 1024;

/// Arguments of `assay evidence verify tpm_quote`.
#[derive(Debug, Args)]
pub struct TpmQuote {
    /// The attestation structure: TPMS_ATTEST or TPM2B_ATTEST as the TPM returned it
    #[arg(long, value_name = "FILE")]
    attest: PathBuf,

    /// The signature: TPMT_SIGNATURE
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,

    /// The attestation key: TPMT_PUBLIC or TPM2B_PUBLIC; PEM or DER, also of a certificate, give a key without attributes
    #[arg(long, value_name = "FILE")]
    ak: PathBuf,

    /// The PCR values: lines of an index and a value in hex; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pcrs: PathBuf,

    /// What the quote's extraData must be, exactly
    #[arg(long, value_name = "HEX")]
    nonce: String,

    /// What must have been quoted, exactly; without it, the PCRs of the file in the quote's bank
    #[arg(long, value_name = "BANK:INDICES")]
    selection: Option<PcrSelection>,

    /// What the node measured, to be judged by the quoted values: eventlog.cel, in the TLV encoding of TCG CEL
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,

    /// Reference values for it, one of which every image must have: what `assay image list --json` prints
    #[arg(long, value_name = "FILE", requires = "event_log")]
    images: Option<PathBuf>,

    #[command(flatten)]
    format: Format,
}

pub(super) fn run(quote: &TpmQuote) -> ExitCode {
    match judge(quote) {
        Ok(report) => report.print(&quote.attest.display().to_string(), quote.format.json()),
        Err(unreadable) => unreadable.print(quote.format.json()),
    }
}

fn judge(args: &TpmQuote) -> Result<Report, Unreadable> {
    let nonce = nonce(&args.nonce)?;
    let attest = read_file(&args.attest, MAX_STRUCTURE)?;
    let attest = without_size(&attest);
    let signature = read_file(&args.signature, MAX_STRUCTURE)?;
    let ak = read_file(&args.ak, MAX_STRUCTURE)?;
    let pcrs = pcr_file::read(&args.pcrs)?;

    let mut report = Report::default();
    report.detail("nonce", hex::encode(&nonce));
    let Some(key) = attestation_key(&ak, args, &mut report)? else {
        return Ok(report);
    };
    if let PublicKey::Rsa(rsa) = key.key()
        && has_roca_fingerprint(rsa)
    {
        report.fail(
            "ak-roca",
            "rsa modulus has the fingerprint of CVE-2017-15361: the private key can be computed",
        );
        return Ok(report);
    }
    let untrusted = match Untrusted::parse(attest, &signature) {
        Ok(untrusted) => untrusted,
        Err(error) if error.position().is_some() => {
            // Parsing looks at magic, type and signature scheme; nothing else was compared yet.
            refuse(&mut report, &error, PARSED);
            return Ok(report);
        }
        Err(error) => {
            let file = match error {
                QuoteError::SignatureMalformed(_) => &args.signature,
                _ => &args.attest,
            };
            return Err(Unreadable::new(&file.display().to_string(), error)
                .with_hint("give the bytes as the TPM returned them (tpm2_quote -m, -s)"));
        }
    };

    let listed: PcrMask = pcrs.keys().copied().collect();
    let quoted = untrusted.attest().quote();
    let selection = args.selection.or_else(|| {
        let bank = quoted?.selection.iter().next()?.bank;
        Some(PcrSelection::new(bank, listed))
    });
    let expected: Vec<PcrSelection> = selection.into_iter().collect();
    let values: Vec<u8> = pcrs.values().flatten().copied().collect();

    let verified = verify::verify(&untrusted, &key, &nonce, &expected, &values);
    // All checks up to the values: what follows is about the file of values alone.
    let selected = match &verified {
        Ok(_) => true,
        Err(error) => error.position() >= CHECKS.iter().position(|c| *c == "pcr-values"),
    };
    match verified.and_then(|quote| file_fits(&pcrs, &expected).map(|()| quote)) {
        Ok(quote) => {
            accept(&mut report, &quote, &key, &expected);
            if let Some(log) = &args.event_log {
                measured::judge(&mut report, &quote, log, args.images.as_deref())?;
            }
        }
        Err(error) if selected => {
            let error = file_fits(&pcrs, &expected).err().unwrap_or(error);
            refuse(&mut report, &error, CHECKS.len());
        }
        Err(error) => refuse(&mut report, &error, CHECKS.len()),
    }
    Ok(report)
}

/// Which value belongs to which PCR comes from the selection, so the file must list exactly those:
/// were its indices or lengths others, values could be shown under a wrong number.
fn file_fits(
    pcrs: &BTreeMap<PcrIndex, Vec<u8>>,
    expected: &[PcrSelection],
) -> Result<(), QuoteError> {
    let listed: PcrMask = pcrs.keys().copied().collect();
    for bank in expected {
        if bank.mask != listed {
            return Err(QuoteError::Selection {
                got: format!(
                    "{} in the file of values",
                    PcrSelection::new(bank.bank, listed)
                ),
                expected: bank.to_string(),
            });
        }
        let len = bank.bank.digest_len().unwrap_or(0);
        if let Some(odd) = pcrs.values().find(|value| value.len() != len) {
            return Err(QuoteError::ValuesLength {
                got: odd.len(),
                expected: len,
            });
        }
    }
    Ok(())
}

/// `None` when the key is refused; the report then says why.
fn attestation_key(
    bytes: &[u8],
    args: &TpmQuote,
    report: &mut Report,
) -> Result<Option<AttestationKey>, Unreadable> {
    let name = args.ak.display().to_string();
    if let Some((key, certified)) = bare_key(bytes, &name)? {
        report.skip(
            "ak-attributes",
            "a bare key has none: whoever gave it vouches that it is restricted and lives in a TPM",
        );
        if certified {
            report.skip(
                "ak-certificate",
                "only the key is taken from it: neither its issuer nor its time was judged",
            );
        }
        not_in_a_file(report);
        report.detail("ak", key.to_string());
        return Ok(Some(AttestationKey::danger_trusted_by_operator(key)));
    }
    let public = Public::parse_tpm2b(bytes).or_else(|_| Public::parse(bytes));
    let public = match public {
        Ok(public) => public,
        // A known type of object, so it is a public area, and of a key that cannot be used here.
        Err(PublicError::Unsupported(alg)) if begins_with_an_object_type(without_size(bytes)) => {
            report.fail(
                "ak-scheme",
                format!("algorithm {alg} is not supported for an attestation key"),
            );
            return Ok(None);
        }
        Err(error) => {
            return Err(Unreadable::new(&name, error).with_hint(
                "give TPMT_PUBLIC or TPM2B_PUBLIC (tpm2_readpublic -f tss), PEM or DER",
            ));
        }
    };
    match AttestationKey::from_public(&public) {
        Ok(key) => {
            report.pass(
                "ak-attributes",
                format!("the file states {}", public.attributes),
            );
            not_in_a_file(report);
            report.detail("ak", key.key().to_string());
            report.detail("ak_name", key.name().map(|n| hex::encode(n.as_bytes())));
            Ok(Some(key))
        }
        Err(error) => {
            report.fail(error.check(), error.to_string());
            if matches!(error, AkError::Attributes { .. }) {
                report.hint(
                    "a key that is not restricted signs anything, also a quote that no TPM made",
                );
            }
            Ok(None)
        }
    }
}

/// What would otherwise be read into the attributes and the counters: anybody can write a public area, and sign with its
/// key a structure that begins as a TPM's does.
fn not_in_a_file(report: &mut Report) {
    report.skip(
        "ak-in-tpm",
        "no file can prove that a TPM holds the key; the checks below assume it",
    );
    report.detail("ak_in_tpm", "not proven");
}

fn begins_with_an_object_type(public: &[u8]) -> bool {
    let Some((first, _)) = public.split_first_chunk::<2>() else {
        return false;
    };
    let object_type = AlgId(u16::from_be_bytes(*first));
    matches!(
        object_type,
        AlgId::RSA | AlgId::ECC | AlgId::KEYEDHASH | AlgId::SYMCIPHER
    )
}

/// A key as PEM or DER, and whether it is that of a certificate; `None` when the bytes are neither.
fn bare_key(bytes: &[u8], name: &str) -> Result<Option<(PublicKey, bool)>, Unreadable> {
    let unreadable = |error: &dyn core::fmt::Display| Unreadable::new(name, error);
    if let Some(text) = decode::pem_text(bytes) {
        let blocks = decode::pem_blocks(text).map_err(|error| unreadable(&error))?;
        let mut keys = blocks
            .into_iter()
            .filter(|b| matches!(b.label, "PUBLIC KEY" | "CERTIFICATE"));
        return match (keys.next(), keys.next()) {
            (Some(only), None) if only.label == "CERTIFICATE" => certified(&only.contents, name),
            (Some(only), None) => spki::from_der(&only.contents)
                .map(|key| Some((key, false)))
                .map_err(|error| unreadable(&error)),
            _ => Err(unreadable(
                &"it must hold one PEM block, `PUBLIC KEY` or `CERTIFICATE`",
            )),
        };
    }
    if bytes.first() != Some(&0x30) {
        return Ok(None);
    }
    match spki::from_der(bytes) {
        Ok(key) => Ok(Some((key, false))),
        Err(error) => certified(bytes, name).map_err(|_| unreadable(&error)),
    }
}

/// The key of a certificate in DER.
fn certified(der: &[u8], name: &str) -> Result<Option<(PublicKey, bool)>, Unreadable> {
    let certificate = Certificate::from_der(der).map_err(|error| Unreadable::new(name, error))?;
    match certificate.key() {
        Ok(key) => Ok(Some((key.clone(), true))),
        Err(error) => Err(Unreadable::new(name, error)),
    }
}

fn nonce(text: &str) -> Result<Vec<u8>, Unreadable> {
    let nonce = hex::decode(text).map_err(|error| {
        Unreadable::new("--nonce", error)
            .with_hint("give the hex digits themselves: --nonce \"$(cat nonce.hex)\"")
    })?;
    if nonce.is_empty() {
        return Err(Unreadable::new(
            "--nonce",
            "it is empty: a quote without a nonce may be from any time",
        ));
    }
    Ok(nonce)
}

/// Strips the 16-bit length of a TPM2B when it fits the rest exactly.
fn without_size(bytes: &[u8]) -> &[u8] {
    match bytes {
        [hi, lo, rest @ ..] if usize::from(u16::from_be_bytes([*hi, *lo])) == rest.len() => rest,
        _ => bytes,
    }
}

/// How many of [`CHECKS`] come before everything that is compared with what the caller gave: magic and type.
const PARSED: usize = 2;

/// Notes a failed check and those before it, as far as they were made: at most `made`.
fn refuse(report: &mut Report, error: &QuoteError, made: usize) {
    let passed = error.position().unwrap_or(0).min(made);
    for check in CHECKS.iter().take(passed) {
        report.pass(check, "");
    }
    report.fail(error.check(), error.to_string());
    match error {
        QuoteError::Digest { .. } => report.hint(
            "the values were read at another time than the quote was made, or a value was altered",
        ),
        QuoteError::Magic { .. } | QuoteError::AttestType { .. } => {
            report.hint("is this what the TPM attested (attest.bin, tpm2_quote --message)?");
        }
        QuoteError::Selection { .. } => {
            report.hint("list exactly the quoted PCRs, and name them with --selection");
        }
        _ => {}
    }
}

fn accept(
    report: &mut Report,
    quote: &VerifiedQuote,
    key: &AttestationKey,
    selection: &[PcrSelection],
) {
    let described = verify::describe(selection);
    for check in CHECKS {
        let seen = match check {
            "signature-scheme" => format!("{} over {}", key.key(), quote.hash()),
            "pcr-selection" => described.clone(),
            "pcr-values" => format!("{} values", quote.values().len()),
            _ => String::new(),
        };
        report.pass(check, seen);
    }
    let boot = quote.boot_as_signed();
    let primary = quote.boot().is_some();
    if primary {
        report.pass(
            "qualified-signer",
            "as for a primary of the Endorsement hierarchy: if a TPM holds the key, counters and firmware version are not disguised",
        );
    } else {
        report.skip(
            "qualified-signer",
            "the key is not known to be a primary of the Endorsement hierarchy: counters and firmware version may be disguised",
        );
    }
    report.detail("selection", described);
    report.detail("qualified_signer_is_endorsement_primary", primary);
    report.detail("clock_ms", boot.clock);
    report.detail("clock_safe", boot.safe);
    report.detail("reset_count", boot.reset_count);
    report.detail("restart_count", boot.restart_count);
    report.detail(
        "firmware_version",
        format!("{:016x}", boot.firmware_version),
    );
    let pcrs: serde_json::Map<String, serde_json::Value> = quote
        .values()
        .iter()
        .map(|pcr| {
            (
                format!("{}:{}", pcr.bank, pcr.index),
                hex::encode(&pcr.value).into(),
            )
        })
        .collect();
    report.detail("pcrs", pcrs);
}
