//! Names of attestation methods.

use serde::{Deserialize, Serialize};

/// An attestation method: a number on the line, a name in policies, logs and documents.
///
/// A number and not a closed enum, so that an old peer can carry a method it does not know. Numbers are
/// assigned once and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AttestorKind(pub u8);

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl AttestorKind {
            $($(#[$meta])* pub const $name: Self = Self($value);)*

            /// Every method this version knows by name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The method's type identifier; `None` for a number this version does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A TPM's endorsement key, and an attestation key in the same TPM.
    TPM_EK = 1, "tpm_ek";
    /// PCR values quoted by the attestation key that `tpm_ek` or `tpm_devid` bound in the same login.
    TPM_QUOTE = 2, "tpm_quote";
    /// A device identity key (TCG DevID) in a TPM.
    TPM_DEVID = 3, "tpm_devid";
    /// AWS instance identity document.
    AWS_IID = 4, "aws_iid";
    /// AWS web identity token.
    AWS_TOKEN = 5, "aws_token";
    /// Azure attested instance metadata.
    AZURE_IMDS = 6, "azure_imds";
    /// Azure managed identity.
    AZURE_MSI = 7, "azure_msi";
    /// A JWT of any configured issuer.
    CUSTOM_JWT = 8, "custom_jwt";
    /// An operator's own executable and webhook.
    EXTENSION = 9, "extension";
    /// GCP instance identity token.
    GCP_IIT = 10, "gcp_iit";
    /// Control of a DNS name, over HTTP.
    HTTP_DNS = 11, "http_dns";
    /// A token that an operator made, good for one login.
    JOIN_TOKEN = 12, "join_token";
    /// Kubernetes service account token, checked by its signature.
    K8S_TOKEN = 13, "k8s_token";
    /// Kubernetes projected service account token, checked by TokenReview.
    K8S_PSAT = 14, "k8s_psat";
    /// Legacy Kubernetes service account token.
    K8S_SAT = 15, "k8s_sat";
    /// An SSH host certificate.
    SSH_POP = 16, "ssh_pop";
    /// An X.509 certificate.
    X509POP = 17, "x509pop";
    /// The microcontroller beside the TPM, by a key of its own.
    MCU_KEY = 18, "mcu_key";
}

impl AttestorKind {
    /// The node's SVID key ([`crate::method::svid_key`]), which travels like a method's data but is none: it proves
    /// nothing about the node that a policy could ask for, so no policy can name it, it is not in [`ALL`](Self::ALL) and
    /// has no [`name`](Self::name). The highest number that an [`AttestorSet`](super::AttestorSet) holds; methods count
    /// up from 1.
    pub const SVID_KEY: Self = Self(31);

    /// The session key of an agent without a TPM ([`crate::login::session_key`]): as [`SVID_KEY`](Self::SVID_KEY), no method.
    pub const SESSION_KEY: Self = Self(30);

    /// Whether the number is of the protocol's own data and not of a method.
    #[must_use]
    pub const fn is_protocol(self) -> bool {
        matches!(self, Self::SVID_KEY | Self::SESSION_KEY)
    }

    /// What the names of the method's attributes begin with. It is the type identifier, but for two methods whose attributes
    /// have another origin in the documents that name them.
    #[must_use]
    pub const fn origin(self) -> Option<&'static str> {
        match self {
            Self::EXTENSION => Some("custom"),
            Self::X509POP => Some("x509_pop"),
            kind => kind.name(),
        }
    }

    /// The method with the given type identifier, matched whole and case-sensitively.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == Some(name))
    }
}

impl core::fmt::Display for AttestorKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None if *self == Self::SVID_KEY => f.write_str("svid_key"),
            None if *self == Self::SESSION_KEY => f.write_str("session_key"),
            None => write!(f, "method {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AttestorKind;

    #[test]
    fn names_and_numbers_are_unique_and_go_both_ways() {
        for (i, kind) in AttestorKind::ALL.iter().enumerate() {
            let name = kind.name().unwrap_or_default();
            assert_eq!(AttestorKind::from_name(name), Some(*kind));
            assert_eq!(usize::from(kind.0), i + 1, "{name}");
        }
    }

    #[test]
    fn the_protocols_own_data_are_no_methods() {
        for (kind, name) in [
            (AttestorKind::SVID_KEY, "svid_key"),
            (AttestorKind::SESSION_KEY, "session_key"),
        ] {
            assert_eq!(std::format!("{kind}"), name);
            assert_eq!(AttestorKind::from_name(name), None);
            assert_eq!(kind.name(), None);
            assert!(kind.is_protocol());
            assert!(!AttestorKind::ALL.contains(&kind));
            let set = crate::policy::AttestorSet::EMPTY.with(kind);
            assert!(set.contains(kind));
        }
        assert!(AttestorKind::ALL.iter().all(|kind| !kind.is_protocol()));
    }

    #[test]
    fn attributes_are_named_after_their_method_but_for_two() {
        for kind in AttestorKind::ALL {
            let origin = match kind.name() {
                Some("extension") => Some("custom"),
                Some("x509pop") => Some("x509_pop"),
                name => name,
            };
            assert_eq!(kind.origin(), origin);
        }
    }

    #[test]
    fn names_are_matched_whole() {
        assert_eq!(AttestorKind::from_name("tpm"), None);
        assert_eq!(AttestorKind::from_name("TPM_EK"), None);
        assert_eq!(AttestorKind::from_name("tpm_ek "), None);
    }
}
