//! Codes that cross the line: why a verifier refuses, and what troubles a node.
//!
//! Numbers, not closed enums: an old node must be able to show a code that a new verifier invented.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[$type_meta:meta])* $type:ident($repr:ty) {
        $($(#[$meta:meta])* $name:ident = $value:literal, $text:literal;)*
    }) => {
        $(#[$type_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $type(pub $repr);

        impl $type {
            $($(#[$meta])* pub const $name: Self = Self($value);)*

            /// Every code this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code's stable name; `None` for one this version does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "code {}", self.0),
                }
            }
        }
    };
}

codes! {
    /// Why a login was denied: the category that a node may learn. The audit trail has the detail.
    DenyCode(u8) {
        /// The message could not be read, or broke the protocol.
        MALFORMED = 1, "malformed";
        /// A proof was checked and refused.
        REFUSED = 2, "refused";
        /// No policy of the cluster can be satisfied by what the agent offers.
        NO_POLICY = 3, "no-policy";
        /// The verifier's own configuration is at fault.
        MISCONFIGURED = 4, "misconfigured";
        /// Something the verifier depends on is down.
        UNAVAILABLE = 5, "unavailable";
        /// The verifier has a fault of its own.
        INTERNAL = 6, "internal";
        /// Too many logins at once; try again after the given time.
        OVERLOADED = 7, "overloaded";
        /// No protocol version in common.
        UNSUPPORTED_VERSION = 8, "unsupported-version";
        /// The login took too long and was given up.
        EXPIRED = 9, "expired";
        /// The cluster is not known here.
        UNKNOWN_CLUSTER = 10, "unknown-cluster";
        /// The session is not known, has ended, was revoked, or the node is not in the state it logged in with: the
        /// node logs in anew, at once.
        LOGIN_REQUIRED = 11, "login-required";
    }
}

codes! {
    /// What keeps a node from logging in. Each names one cause that a technician can act on.
    TroubleCode(u8) {
        /// No TPM answers on the bus (all bits 0 or all bits 1).
        TPM_ABSENT = 1, "tpm-absent";
        /// The bus itself reports an error, or wait states never end.
        TPM_BUS = 2, "tpm-bus";
        /// The TPM does not grant the locality, or lost it.
        TPM_LOCALITY = 3, "tpm-locality";
        /// The TPM did not answer within the command's time limit.
        TPM_TIMEOUT = 4, "tpm-timeout";
        /// Commands or responses do not get through the FIFO unharmed.
        TPM_TRANSFER = 5, "tpm-transfer";
        /// A response that is not well-formed.
        TPM_RESPONSE = 6, "tpm-response";
        /// The TPM is in failure mode: only its maker's tools can say why.
        TPM_FAILURE_MODE = 7, "tpm-failure-mode";
        /// The TPM is in field-upgrade mode.
        TPM_UPGRADE_MODE = 8, "tpm-upgrade-mode";
        /// Dictionary-attack lockout: wait, or clear it with the lockout authorisation.
        TPM_LOCKOUT = 9, "tpm-lockout";
        /// Out of object, session or other memory even after stale handles were flushed.
        TPM_OUT_OF_MEMORY = 10, "tpm-out-of-memory";
        /// The TPM was reset behind the node's back; the login starts again.
        TPM_RESET = 11, "tpm-reset";
        /// The TPM kept asking for a retry until the limit.
        TPM_BUSY = 12, "tpm-busy";
        /// A command was refused; the detail is the TPM_RC.
        TPM_COMMAND = 13, "tpm-command";
        /// The TPM offers no algorithm that the agent can use for an EK or AK.
        TPM_UNSUPPORTED = 14, "tpm-unsupported";
        /// Somebody between processor and TPM changed a command or a response, or answered for the TPM. Nothing was
        /// believed; look at the board.
        TPM_FORGED = 15, "tpm-forged";
        /// Another TPM answers than the one whose endorsement key the node was provisioned with.
        TPM_REPLACED = 16, "tpm-replaced";
        /// The provisioning record is missing or damaged.
        NOT_PROVISIONED = 20, "not-provisioned";
        /// The verifier's signature does not fit the pinned key.
        UNTRUSTED_VERIFIER = 21, "untrusted-verifier";
        /// The verifier broke the protocol.
        PROTOCOL = 22, "protocol";
        /// The verifier did not answer in time.
        NO_ANSWER = 23, "no-answer";
        /// The verifier asks for a proof that this agent cannot give.
        UNSUPPORTED_REQUEST = 24, "unsupported-request";
        /// PCRs moved during every attempt to quote them.
        PCR_UNSTABLE = 25, "pcr-unstable";
        /// The line failed while a long field was being sent.
        LINK = 26, "link";
        /// A method of a host has no proof; the host's own log says which and why.
        METHOD = 27, "method";
        /// What the node booted is not what the PCRs hold: the TPM was reset and the node was not (detail 0), or somebody else
        /// has extended the PCR that the detail names. Both are to be started together; a board that can does.
        MEASUREMENT_LOST = 28, "measurement-lost";
    }
}

/// A node's report that it cannot log in now. It tries again by itself; this is for whoever watches the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Trouble {
    /// The cause.
    pub code: TroubleCode,
    /// The TPM_RC for [`TroubleCode::TPM_COMMAND`], else 0 or a number whose meaning the code gives.
    pub detail: u32,
    /// The TPM command that was running (TPM_CC), 0 for none.
    pub command: u32,
    /// Failed attempts in a row, this one included.
    pub attempt: u32,
    /// When the node tries again, milliseconds from now.
    pub retry_in_ms: u32,
}
