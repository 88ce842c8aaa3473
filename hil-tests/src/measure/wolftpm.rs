//! What wolfTPM takes on the bus for the commands of a board's flows.
//!
//! Measured on the model that the boards are measured on: SLB9672, burst count 64, no wait states, never busy, in front of the
//! same software TPM. wolfTPM at revision 68deab3, built for `WOLFTPM_SLB9672` with wolfSSL 5.5.4, had an I/O callback
//! that selected the chip, clocked each transfer through the model and deselected it. A program called wolfTPM's functions in
//! the order of the firmware's commands with the same templates, PCRs, NV sizes and signatures, on the TPM that [`flows`](super::flows)
//! has. The model counted. wolfTPM had its nonces from wolfCrypt, so no command was sent for them.
//!
//! With sessions: one HMAC session salted to the EK, AES-128-CFB, beside an empty password wherever a command needs an
//! authorization, since wolfTPM takes no HMAC session in that place. wolfTPM has no session for `TPM2_GetRandom`,
//! `TPM2_ReadClock`, `TPM2_PCR_Read` and `TPM2_ReadPublic`: [`Theirs::as_published`] is with these four left unguarded. The
//! tables are with the session added to the four by wolfTPM's own means for others, so that both guard the same.
//!
//! Only these figures are here, and nothing of wolfTPM.

#![expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

use serde::{Deserialize, Serialize};

use super::flows::{Flow, Flows};

/// One command as wolfTPM sent it: name, bytes of the command and of the response, SPI bytes since the command before.
pub type Traced = (&'static str, u64, u64, u64);

/// A flow of wolfTPM's.
#[derive(Debug, Clone, Copy)]
pub struct Theirs {
    /// Its commands, all guarded that ours guards.
    pub commands: &'static [Traced],
    /// SPI bytes as wolfTPM is, where that guards less.
    pub as_published: u64,
}

/// What ours is held to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// SPI bytes of the same commands by wolfTPM, guarded alike.
    pub spi_bytes: u64,
    /// Ours over theirs.
    pub ratio: f64,
    /// SPI bytes by wolfTPM as it is, with four commands unguarded.
    pub as_published: u64,
}

/// Cold login, plain bus.
pub const PLAIN_LOGIN: Theirs = Theirs {
    commands: &[
        ("Startup", 12, 10, 118),
        ("GetCapability", 22, 83, 190),
        ("GetCapability", 22, 139, 261),
        ("ReadClock", 10, 35, 115),
        ("CreatePrimary", 57, 272, 459),
        ("FlushContext", 14, 10, 79),
        ("PCR_Read", 20, 78, 183),
        ("PCR_Extend", 65, 19, 169),
        ("PCR_Extend", 81, 19, 185),
        ("PCR_Extend", 65, 19, 169),
        ("PCR_Extend", 81, 19, 185),
        ("GetRandom", 12, 44, 126),
        ("GetCapability", 22, 23, 115),
        ("CreatePrimary", 163, 346, 684),
        ("CreatePrimary", 65, 312, 522),
        ("NV_ReadPublic", 14, 62, 146),
        ("NV_Read", 35, 533, 758),
        ("NV_Read", 35, 323, 488),
        ("CreatePrimary", 129, 312, 601),
        ("Sign", 73, 91, 264),
        ("Certify", 76, 271, 492),
        ("StartAuthSession", 43, 32, 145),
        ("PolicySecret", 41, 29, 140),
        ("ActivateCredential", 244, 106, 480),
        ("PCR_Read", 20, 300, 450),
        ("Quote", 73, 238, 441),
        ("FlushContext", 14, 10, 79),
    ],
    as_published: 8_044,
};

/// Renewal, plain bus.
pub const PLAIN_RENEWAL: Theirs = Theirs {
    commands: &[
        ("GetRandom", 12, 44, 126),
        ("ReadClock", 10, 35, 115),
        ("CreatePrimary", 57, 272, 459),
        ("FlushContext", 14, 10, 79),
        ("PCR_Read", 20, 300, 450),
        ("Quote", 73, 238, 441),
    ],
    as_published: 1_670,
};

/// Of it, PCRs and quote.
pub const PLAIN_QUOTE: Theirs = Theirs {
    commands: &[("PCR_Read", 20, 300, 450), ("Quote", 73, 238, 441)],
    as_published: 891,
};

/// Cold login, guarded bus.
pub const SECURE_LOGIN: Theirs = Theirs {
    commands: &[
        ("Startup", 12, 10, 118),
        ("GetCapability", 22, 83, 190),
        ("GetCapability", 22, 139, 261),
        ("GetCapability", 22, 23, 115),
        ("CreatePrimary", 163, 346, 684),
        ("GetRandom", 12, 44, 126),
        ("StartAuthSession", 131, 48, 279),
        ("GetRandom", 89, 117, 306),
        ("ReadClock", 87, 108, 295),
        ("CreatePrimary", 130, 341, 646),
        ("FlushContext", 14, 10, 79),
        ("PCR_Read", 97, 151, 363),
        ("PCR_Extend", 138, 88, 341),
        ("PCR_Extend", 154, 88, 357),
        ("PCR_Extend", 138, 88, 341),
        ("PCR_Extend", 154, 88, 357),
        ("ReadPublic", 91, 279, 515),
        ("CreatePrimary", 138, 381, 694),
        ("NV_ReadPublic", 14, 62, 146),
        ("NV_Read", 108, 602, 930),
        ("NV_Read", 108, 392, 660),
        ("CreatePrimary", 202, 381, 773),
        ("Sign", 146, 160, 436),
        ("Certify", 149, 340, 664),
        ("StartAuthSession", 43, 32, 145),
        ("PolicySecret", 114, 98, 312),
        ("ActivateCredential", 317, 175, 652),
        ("PCR_Read", 97, 373, 630),
        ("Quote", 146, 307, 613),
        ("FlushContext", 14, 10, 79),
    ],
    as_published: 11_207,
};

/// Renewal, guarded bus.
pub const SECURE_RENEWAL: Theirs = Theirs {
    commands: &[
        ("ReadClock", 87, 108, 295),
        ("CreatePrimary", 130, 341, 646),
        ("FlushContext", 14, 10, 79),
        ("PCR_Read", 97, 373, 630),
        ("Quote", 146, 307, 613),
    ],
    as_published: 1_903,
};

/// Of it, PCRs and quote.
pub const SECURE_QUOTE: Theirs = Theirs {
    commands: &[("PCR_Read", 97, 373, 630), ("Quote", 146, 307, 613)],
    as_published: 1_063,
};

impl Theirs {
    /// SPI bytes of all its commands.
    #[must_use]
    pub fn spi_bytes(&self) -> u64 {
        self.commands.iter().map(|(.., bytes)| bytes).sum()
    }

    /// Compares a flow of ours; `None` for one of other commands, with which there is nothing to compare.
    #[must_use]
    pub fn against(&self, ours: &Flow) -> Option<Comparison> {
        let names = ours.commands.iter().map(|command| command.name.as_str());
        let same = names.eq(self.commands.iter().map(|(name, ..)| *name));
        let ratio = ours.spi_bytes as f64 / self.spi_bytes() as f64;
        same.then(|| Comparison {
            spi_bytes: self.spi_bytes(),
            ratio: (ratio * 1e3).round() / 1e3,
            as_published: self.as_published,
        })
    }
}

/// Holds flows of ours against wolfTPM's.
pub fn compare(flows: &mut Flows, is_secure: bool) {
    let (login, renewal, quote) = if is_secure {
        (SECURE_LOGIN, SECURE_RENEWAL, SECURE_QUOTE)
    } else {
        (PLAIN_LOGIN, PLAIN_RENEWAL, PLAIN_QUOTE)
    };
    for (flow, theirs) in [
        (&mut flows.cold_login, login),
        (&mut flows.renewal, renewal),
        (&mut flows.warm_quote, quote),
    ] {
        flow.wolftpm = theirs.against(flow);
    }
}
