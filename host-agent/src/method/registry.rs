//! The host's methods: one line each, and no other place lists them.

use assay_common::policy::AttestorKind;

use super::MethodConfig;

macro_rules! methods {
    ($($kind:ident => $module:ident;)*) => {
        /// Every method of the host, in the order of this file.
        pub const BUILT: &[AttestorKind] = &[$(AttestorKind::$kind),*];

        /// Reads a method's `config:`, so that errors carry their place in the document.
        ///
        /// # Errors
        ///
        /// The deserializer's; also when `kind` is none of [`BUILT`].
        pub fn deserialize_config<'de, D: serde::Deserializer<'de>>(
            kind: AttestorKind,
            deserializer: D,
        ) -> Result<Box<dyn MethodConfig>, D::Error> {
            let _ = &deserializer;
            match kind {
                $(AttestorKind::$kind => {
                    <super::$module::Config as serde::Deserialize>::deserialize(deserializer)
                        .map(|config| Box::new(config) as Box<dyn MethodConfig>)
                })*
                _ => Err(serde::de::Error::custom(format_args!("{kind} is no method of this agent"))),
            }
        }
    };
}

methods! {
    AWS_IID => aws_iid;
    AWS_TOKEN => aws_token;
    AZURE_IMDS => azure_imds;
    AZURE_MSI => azure_msi;
    CUSTOM_JWT => custom_jwt;
    EXTENSION => extension;
    GCP_IIT => gcp_iit;
    HTTP_DNS => http_dns;
    JOIN_TOKEN => join_token;
    SSH_POP => ssh_pop;
    K8S_PSAT => kubernetes;
    K8S_SAT => kubernetes;
    K8S_TOKEN => kubernetes;
    TPM_DEVID => tpm_devid;
    X509POP => x509pop;
}

/// The settings of `kind` when the configuration gives none; `None` when it needs some or is no method of this agent.
#[must_use]
pub fn default_config(kind: AttestorKind) -> Option<Box<dyn MethodConfig>> {
    let empty = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
        core::iter::empty::<(&str, &str)>(),
    );
    deserialize_config(kind, empty).ok()
}
