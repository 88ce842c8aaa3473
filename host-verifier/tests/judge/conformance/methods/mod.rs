//! One adapter per method, and the list of them.

mod aws_iid;
mod azure_imds;
mod azure_msi;
mod cloud_tokens;
mod extension;
mod http_dns;
mod join_token;
mod kubernetes;
mod mcu_key;
mod ssh_pop;
mod tokens;
mod tpm;
mod tpm_devid;
mod x509pop;

use std::sync::OnceLock;

use super::Method;

/// Every method in each of its ways. Made once: keys take a while.
pub(super) fn all() -> &'static [Box<dyn Method>] {
    static ALL: OnceLock<Vec<Box<dyn Method>>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            Box::new(aws_iid::AwsIid::Asked),
            Box::new(aws_iid::AwsIid::Alone),
            Box::new(cloud_tokens::AwsToken::Bearer),
            Box::new(cloud_tokens::AwsToken::Fresh),
            Box::new(cloud_tokens::GcpIit::Bearer),
            Box::new(cloud_tokens::GcpIit::Fresh),
            Box::new(cloud_tokens::GcpIit::Asked),
            Box::new(azure_imds::Imds::Alone),
            Box::new(azure_imds::Imds::Fetched),
            Box::new(azure_imds::Imds::Asked),
            Box::new(azure_msi::Msi),
            Box::new(extension::Extension),
            Box::new(http_dns::HttpDns),
            Box::new(join_token::JoinTokens::new()),
            Box::new(kubernetes::Psat::new()),
            Box::new(kubernetes::SatReviewed::new()),
            Box::new(kubernetes::SatByKey),
            Box::new(mcu_key::Mcu::new()),
            Box::new(ssh_pop::Host::new()),
            Box::new(tokens::CustomJwt::Published),
            Box::new(tokens::CustomJwt::Inline),
            Box::new(tokens::K8sToken::Published),
            Box::new(tokens::K8sToken::Inline),
            Box::new(tpm::Ek::new()),
            Box::new(tpm::Quote::new()),
            Box::new(tpm_devid::Devid::new()),
            Box::new(x509pop::Certified::new("p256")),
            Box::new(x509pop::Certified::new("rsa2048")),
            Box::new(x509pop::Certified::new("ed25519")),
        ]
    })
}
