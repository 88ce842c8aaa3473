//! What a method concluded.

use std::borrow::Cow;

use assay_common::policy::AttestorKind;

/// One attribute, e.g. `tpm_ek.public_hash`. An attribute with several values is several of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute {
    /// The method that vouches for it.
    pub origin: AttestorKind,
    /// Its full name, which begins with the method's [`origin`](AttestorKind::origin): `tpm_ek.public_hash`.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: String,
}

/// As logs and audit records show it: `tpm_ek:tpm_ek.public_hash="…"`, the origin first.
impl core::fmt::Display for Attribute {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let origin = self.origin.origin().unwrap_or("?");
        write!(f, "{origin}:{}={:?}", self.name, self.value)
    }
}

/// A key that a method has proven to live in the TPM that it proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundKey {
    /// Its public area (TPMT_PUBLIC) as the TPM returned it.
    pub public: Vec<u8>,
    /// Its TPM Name: algorithm number and digest, computed here.
    pub name: Vec<u8>,
}

/// Where a TPM's clocks and counters stood, out of a verified attestation structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootState {
    /// `TPMS_CLOCK_INFO.clock`, milliseconds.
    pub clock: u64,
    /// `TPMS_CLOCK_INFO.resetCount`.
    pub reset_count: u32,
    /// `TPMS_CLOCK_INFO.restartCount`.
    pub restart_count: u32,
    /// `TPMS_CLOCK_INFO.safe`.
    pub safe: bool,
    /// `TPMS_ATTEST.firmwareVersion`.
    pub firmware_version: u64,
}

/// A quote that was judged, as far as a renewal compares with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// The PCRs that the node was asked for, as the request named them.
    pub selection: Vec<u8>,
    /// SHA-256 of the quoted values one after the other.
    pub values_sha256: [u8; 32],
    /// Clock, counters and firmware version as signed, disguised or not.
    pub boot: BootState,
    /// SHA-256 of the TPMS_ATTEST that was verified.
    pub attest_sha256: [u8; 32],
}

/// The microcontroller that has signed a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct McuKey {
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub hash: [u8; 32],
    /// Whether this login pairs it with its TPM, if neither is paired yet.
    pub pairs: bool,
}

/// What a method has proven that other methods and the node's record build on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Who the node is: the lower-case hex SHA-256 of the EK's SubjectPublicKeyInfo.
    pub subject: Option<String>,
    /// The attestation key in the subject's TPM.
    pub attestation_key: Option<BoundKey>,
    /// Where the TPM's counters stand.
    pub boot: Option<BootState>,
    /// What the attestation key quoted.
    pub quoted: Option<Quoted>,
    /// The microcontroller beside the subject's TPM.
    pub mcu_key: Option<McuKey>,
    /// The method's own, stable name of the node: the same for the same node at every login, however often its keys' documents
    /// are renewed. The audit trail has it, beside the SPIFFE ID that the node is known by.
    pub identity: Option<String>,
    /// Where a cloud says that the node is: the addresses that its interfaces have, inside and outside.
    pub addresses: Vec<std::net::IpAddr>,
}

/// The result of a method, made only after its last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The method.
    pub kind: AttestorKind,
    /// What is now known of the node.
    pub attributes: Vec<Attribute>,
    /// What others build on.
    pub facts: Facts,
}
