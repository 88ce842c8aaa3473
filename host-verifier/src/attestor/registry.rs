//! The methods that are built: one line each, and no other place lists them.

use assay_common::policy::AttestorKind;
use serde::Deserialize;

use super::MethodConfig;

macro_rules! methods {
    ($($kind:ident => $module:ident;)*) => {
        /// Every method that has an attestor: all that have a name, which the assertion below holds.
        pub const BUILT: &[AttestorKind] = &[$(AttestorKind::$kind),*];

        /// Reads a policy's `config:` for `kind`, so that errors carry their place in the document.
        ///
        /// # Errors
        ///
        /// The deserializer's; also when `kind` has no attestor.
        pub fn deserialize_config<'de, D: serde::Deserializer<'de>>(
            kind: AttestorKind,
            deserializer: D,
        ) -> Result<Box<dyn MethodConfig>, D::Error> {
            let _ = &deserializer;
            match kind {
                $(AttestorKind::$kind => {
                    <super::$module::Config>::deserialize(deserializer)
                        .map(|config| Box::new(config) as Box<dyn MethodConfig>)
                })*
                _ => Err(serde::de::Error::custom(format_args!("{kind} has no attestor"))),
            }
        }

        /// What `docs/methods` says of `kind`; `None` when it has no attestor.
        #[must_use]
        pub const fn document(kind: AttestorKind) -> Option<&'static str> {
            match kind {
                $(AttestorKind::$kind => Some(include_str!(concat!(
                    "../../../docs/methods/",
                    stringify!($module),
                    ".md"
                ))),)*
                _ => None,
            }
        }

        /// Whether a proof by `kind` can have this attribute, whatever the settings; `None` when it has no attestor.
        #[must_use]
        pub fn may_give(kind: AttestorKind, attribute: &str) -> Option<bool> {
            match kind {
                $(AttestorKind::$kind => Some(super::$module::may_give(attribute)),)*
                _ => None,
            }
        }

        /// The schema of a policy's `config:` for `kind`; `None` when it has no attestor.
        #[must_use]
        pub fn config_schema(
            kind: AttestorKind,
            generator: &mut schemars::SchemaGenerator,
        ) -> Option<schemars::Schema> {
            match kind {
                $(AttestorKind::$kind => Some(generator.subschema_for::<super::$module::Config>()),)*
                _ => None,
            }
        }

        /// The settings of `kind` when a policy gives none; `None` when it needs some or has no attestor.
        #[must_use]
        pub fn default_config(kind: AttestorKind) -> Option<Box<dyn MethodConfig>> {
            let empty = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
                core::iter::empty::<(&str, &str)>(),
            );
            deserialize_config(kind, empty).ok()
        }
    };
}

// A policy may name whatever has a name, and finds an attestor for it.
const _: () = {
    let mut all = AttestorKind::ALL;
    while let [kind, rest @ ..] = all {
        assert!(
            document(*kind).is_some(),
            "a named method has no line below"
        );
        all = rest;
    }
};

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
    K8S_PSAT => k8s_psat;
    K8S_SAT => k8s_sat;
    K8S_TOKEN => k8s_token;
    MCU_KEY => mcu_key;
    SSH_POP => ssh_pop;
    TPM_DEVID => tpm_devid;
    TPM_EK => tpm_ek;
    TPM_QUOTE => tpm_quote;
    X509POP => x509pop;
}
