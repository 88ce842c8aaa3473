//! Stages of a login as somebody on the bus sees them: by the commands that belong to each.

use crate::message::{self, u32_at};

use super::parts::{Command, public_attributes};

/// A stage of a login, in the order in which a node comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The TPM is started and asked what it is.
    Start,
    /// Random bytes for the node's nonces and keys.
    Random,
    /// A session is started for authentication on the bus.
    Session,
    /// Code or settings are measured into a PCR.
    Extend,
    /// The TPM is asked for what only a reset changes.
    Witness,
    /// The endorsement key is made.
    Ek,
    /// The attestation key is made.
    Ak,
    /// Certificates are read from NV.
    Certificate,
    /// The SVID's key is made, certified by the AK, and signs its request.
    SvidKey,
    /// The credential is opened.
    Activate,
    /// PCRs are read.
    Pcrs,
    /// They are quoted.
    Quote,
    /// A session is renewed by another quote.
    Renewal,
    /// Keys and sessions are unloaded; anything else.
    End,
}

const DECRYPT: u32 = 1 << 17;
const RESTRICTED: u32 = 1 << 16;

impl Stage {
    /// Every stage, in order.
    pub const ALL: &'static [Self] = &[
        Self::Start,
        Self::Random,
        Self::Session,
        Self::Extend,
        Self::Witness,
        Self::Ek,
        Self::Ak,
        Self::Certificate,
        Self::SvidKey,
        Self::Activate,
        Self::Pcrs,
        Self::Quote,
        Self::Renewal,
        Self::End,
    ];

    /// Name in the names of modes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Random => "random",
            Self::Session => "session",
            Self::Extend => "extend",
            Self::Witness => "witness",
            Self::Ek => "ek",
            Self::Ak => "ak",
            Self::Certificate => "certificate",
            Self::SvidKey => "svid-key",
            Self::Activate => "activate",
            Self::Pcrs => "pcrs",
            Self::Quote => "quote",
            Self::Renewal => "renewal",
            Self::End => "end",
        }
    }

    /// The stage of a command. `renewing` says that a session is being renewed, whose commands are those of a login.
    #[must_use]
    pub fn of(command: &[u8], renewing: bool) -> Self {
        let own = match message::code(command).unwrap_or(0) {
            // Startup, SelfTest, GetTestResult.
            0x143 | 0x144 | 0x17C => Self::Start,
            // GetCapability of handles in NV asks which certificates there are.
            0x17A => match u32_at(command, 14) {
                Some(property) if property >> 24 == 0x01 => Self::Certificate,
                _ => Self::Start,
            },
            0x17B => Self::Random,
            // NV_Read, NV_ReadPublic.
            0x14E | 0x169 => Self::Certificate,
            // CreatePrimary: by what the template is for.
            0x131 if makes_hmac_key(command) => Self::Witness,
            0x131 => match public_attributes(command) {
                Some(is) if is & DECRYPT != 0 => Self::Ek,
                Some(is) if is & RESTRICTED != 0 => Self::Ak,
                _ => Self::SvidKey,
            },
            // Certify, Sign.
            0x148 | 0x15D => Self::SvidKey,
            // StartAuthSession: HMAC for the bus, policy for the credential.
            0x176 if is_policy(command) => Self::Activate,
            0x176 => Self::Session,
            // ActivateCredential, PolicySecret, PolicyOR, PolicyAuthValue.
            0x147 | 0x151 | 0x171 | 0x16B => Self::Activate,
            0x182 => Self::Extend,
            0x17E => Self::Pcrs,
            0x158 => Self::Quote,
            // ReadClock.
            0x181 => Self::Witness,
            _ => Self::End,
        };
        if renewing && matches!(own, Self::Random | Self::Pcrs | Self::Quote) {
            Self::Renewal
        } else {
            own
        }
    }
}

/// Whether a CreatePrimary makes an HMAC key: a TPM_ALG_KEYEDHASH behind inSensitive and the public area's length.
fn makes_hmac_key(command: &[u8]) -> bool {
    const KEYED_HASH: u16 = 0x08;
    let kind = Command::parse(command).and_then(|parts| {
        let (_, rest) = super::parts::tpm2b(parts.parameters)?;
        message::u16_at(rest, 2)
    });
    kind == Some(KEYED_HASH)
}

/// Whether a StartAuthSession asks for a policy session: nonceCaller, encryptedSalt, then sessionType.
fn is_policy(command: &[u8]) -> bool {
    const POLICY: u8 = 1;
    let kind = Command::parse(command).and_then(|parts| {
        let (_, rest) = super::parts::tpm2b(parts.parameters)?;
        let (_, rest) = super::parts::tpm2b(rest)?;
        rest.first().copied()
    });
    kind == Some(POLICY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::plain_command;

    #[test]
    fn commands_belong_to_the_stage_that_needs_them() {
        let handles = plain_command(0x17A, &[0, 0, 0, 1, 1, 0xC0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(Stage::of(&handles, false), Stage::Certificate);
        let properties = plain_command(0x17A, &[0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 9]);
        assert_eq!(Stage::of(&properties, false), Stage::Start);
        let mut start = vec![0x40, 0, 0, 7, 0x40, 0, 0, 7, 0, 2, 9, 9, 0, 0, 1];
        assert_eq!(
            Stage::of(&plain_command(0x176, &start), false),
            Stage::Activate
        );
        if let Some(kind) = start.last_mut() {
            *kind = 0;
        }
        assert_eq!(
            Stage::of(&plain_command(0x176, &start), false),
            Stage::Session
        );
        let quote = plain_command(0x158, &[]);
        assert_eq!(Stage::of(&quote, false), Stage::Quote);
        assert_eq!(Stage::of(&quote, true), Stage::Renewal);
    }
}
