//! `assay evidence`: judge evidence offline, and hand it on.

mod export;
mod login;
mod offline;
mod tar;
mod tpm_quote;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// The commands below `assay evidence`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge evidence that was kept or came from elsewhere
    ///
    /// With `--login` or `--evidence`, a whole stored login: its transcript, the verifier's signatures, every proof, the policies.
    /// Exit status: 0 it would be granted, 1 refused, 2 unreadable input.
    Verify(Verify),
    /// The evidence of one login as a tar archive of files that `assay evidence verify` and tpm2-tools read
    ///
    /// attest.bin, signature.bin, ak.pub, ek.pub, ek.der, pcrs.txt, pcrs.bin, nonce.hex, record.json, below a folder with the
    /// login's name. The same login always makes the same archive.
    Export(export::Export),
}

/// A whole login, or files of one method.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Verify {
    #[command(subcommand)]
    method: Option<Method>,
    #[command(flatten)]
    login: login::Login,
}

/// The methods whose evidence can be judged from files.
#[derive(Debug, Subcommand)]
pub enum Method {
    /// A TPM quote: which key signed it, over which nonce and which PCR values?
    ///
    /// It proves what the key signed. That the key lives in a TPM no file can prove: a login does, by credential
    /// activation. Whether the values are good is for a policy. Exit status: 0 accepted, 1 refused, 2 unreadable
    /// input.
    #[command(name = "tpm_quote")]
    TpmQuote(tpm_quote::TpmQuote),
    /// Possession of the key of an X.509 certificate
    ///
    /// Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "x509pop")]
    X509Pop(offline::Evidence),
    /// Possession of the key of an SSH host certificate
    ///
    /// Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "ssh_pop")]
    SshPop(offline::Evidence),
}

/// Runs a command below `assay evidence`.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Verify { method, login } = match command {
        Command::Verify(verify) => verify,
        Command::Export(options) => return export::run(&options),
    };
    match method {
        Some(Method::TpmQuote(quote)) => tpm_quote::run(&quote),
        Some(Method::X509Pop(evidence)) => offline::run::<offline::X509Pop>(&evidence),
        Some(Method::SshPop(evidence)) => offline::run::<offline::SshPop>(&evidence),
        None => login::run(&login),
    }
}
