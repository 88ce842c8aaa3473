//! `assay evidence`: judge evidence offline, and hand it on.

mod export;
mod login;
mod measured;
pub(super) mod methods;
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
    /// attest.bin, signature.bin, ak.pub, ek.pub, ek.name.hex, ek.der, pcrs.txt, pcrs.bin, nonce.hex of a quote; METHOD.payload of other methods
    /// that can be judged from files, with METHOD.nonce.hex where the method has a nonce and METHOD.answers.json where a cloud was
    /// asked; record.json; below a folder with the login's name. The same login always makes the same archive.
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
    /// A token of an issuer of JWTs
    ///
    /// Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "custom_jwt")]
    CustomJwt(offline::Evidence),
    /// A token of AWS STS
    ///
    /// The issuer's keys stand in --keys, or the token's in --cloud-answers. --nonce where the settings have nonceInAudience. Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "aws_token")]
    AwsToken(offline::Evidence),
    /// An identity token of an instance of Google Compute Engine
    ///
    /// Google's keys stand in --keys, or the token's in --cloud-answers, with what Compute Engine said where the settings ask it.
    /// --nonce where the settings have nonceInAudience. Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "gcp_iit")]
    GcpIit(offline::Evidence),
    /// A service account token of a Kubernetes cluster
    ///
    /// Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "k8s_token")]
    K8sToken(offline::Evidence),
    /// An instance identity document of AWS
    ///
    /// `--keys`: the certificates of the regions, as AWS publishes them. `--cloud-answers`: what AWS's API said, unless the
    /// settings ask it nothing. Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "aws_iid")]
    AwsIid(offline::Evidence),
    /// A document about a virtual machine that Azure signed
    ///
    /// --nonce is the one that the document was asked with, 32 digits. Roots and intermediates in PEM stand in --keys, beside the
    /// roots of Azure's that the system has; what the resource manager said in --cloud-answers. Exit status: 0 proven, 1 refused,
    /// 2 unreadable input.
    #[command(name = "azure_imds")]
    AzureImds(offline::Evidence),
    /// A token that Entra gave to a managed identity of Azure
    ///
    /// The tenant's keys stand in --keys, or the token's in --cloud-answers; with lists that only Azure's resource manager can
    /// answer, what it said stands there too. Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "azure_msi")]
    AzureMsi(offline::Evidence),
    /// A device identity in a TPM, but for the credential that only a login can have it open
    ///
    /// The payload file is a JSON object with the members DevIDCert, DevIDPub, EKCert, EKChain, EKPub, AKPub, CertifiedDevID,
    /// CertificationSignature and Possession, bytes in base64. Exit status: 0 proven, 1 refused, 2 unreadable input.
    #[command(name = "tpm_devid")]
    TpmDevid(offline::Evidence),
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
        Some(Method::CustomJwt(evidence)) => offline::run::<offline::CustomJwt>(&evidence),
        Some(Method::AwsToken(evidence)) => offline::run::<offline::AwsToken>(&evidence),
        Some(Method::GcpIit(evidence)) => offline::run::<offline::GcpIit>(&evidence),
        Some(Method::K8sToken(evidence)) => offline::run::<offline::K8sToken>(&evidence),
        Some(Method::AwsIid(evidence)) => offline::run::<offline::AwsIid>(&evidence),
        Some(Method::AzureImds(evidence)) => offline::run::<offline::AzureImds>(&evidence),
        Some(Method::AzureMsi(evidence)) => offline::run::<offline::AzureMsi>(&evidence),
        Some(Method::TpmDevid(evidence)) => offline::run::<offline::TpmDevid>(&evidence),
        None => login::run(&login),
    }
}
