//! What happens to a node, drawn at random.

use assay_spi_tpm::FaultPlan;
use assay_spi_tpm::fault::{Fault, FaultKind};
use assay_spi_tpm::random::SplitMix;

use super::{no_faults, one_of};
use crate::scenario::loopback::Loopback;

/// Commands of a login, to hit one of them.
const COMMANDS: [u32; 16] = [
    0x144, // Startup
    0x17A, // GetCapability
    0x17B, // GetRandom
    0x169, // NV_ReadPublic
    0x14E, // NV_Read
    0x131, // CreatePrimary
    0x173, // ReadPublic
    0x176, // StartAuthSession
    0x151, // PolicySecret
    0x147, // ActivateCredential
    0x17E, // PCR_Read
    0x158, // Quote
    0x148, // Certify
    0x181, // ReadClock
    0x182, // PCR_Extend
    0x165, // FlushContext
];

/// Draws disturbances.
pub(super) struct Chaos {
    random: SplitMix,
    /// Whether the TPM's reset line is the board's.
    shares_reset: bool,
}

/// What happens during one attempt.
pub(super) enum Disturbance {
    /// Nothing.
    None,
    /// Faults on the bus or in the TPM.
    Tpm(FaultPlan),
    /// Every n-th byte on the line is changed.
    Noise(u32),
    /// Nobody answers.
    Away,
    /// The TPM loses its power between two logins.
    Power,
    /// The board starts anew, between two attempts, and its TPM with it where it is wired so.
    Board(Reset),
    /// The board is reset within an attempt.
    Cut(Cut),
}

/// Who is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// The board: whatever is under way stays in the TPM.
    Board,
    /// The board and its TPM.
    Both,
}

/// A reset within an attempt, in the middle of a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Whether the board starts before the attempt, which then begins with the TPM's start and what is measured.
    pub(super) anew: bool,
    /// Who is reset.
    pub(super) reset: Reset,
}

/// What a [`Cut`] falls into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// The first login after a start, with what is measured before it.
    Boot,
    /// A login of a node that ran before.
    Login,
    /// A renewal.
    Renewal,
}

impl Moment {
    /// Transfers that it takes, about: `docs/faults.md`, "A board that is reset". An attempt of fewer than were drawn is not cut.
    const fn transfers(self) -> u32 {
        match self {
            Self::Boot => 1_310,
            Self::Login => 1_218,
            Self::Renewal => 104,
        }
    }

    /// Draws how many transfers the board makes before its reset.
    pub(super) fn draw(self, random: &mut SplitMix) -> u64 {
        random.between(0, self.transfers().saturating_sub(1)).into()
    }
}

impl Cut {
    /// What it is of, in a report.
    pub(super) const fn kind(self, moment: Moment) -> &'static str {
        match (self.reset, moment) {
            (Reset::Board, Moment::Boot) => "board reset within a boot's login",
            (Reset::Board, Moment::Login) => "board reset within a login",
            (Reset::Board, Moment::Renewal) => "board reset within a renewal",
            (Reset::Both, Moment::Boot) => "board and TPM reset within a boot's login",
            (Reset::Both, Moment::Login) => "board and TPM reset within a login",
            (Reset::Both, Moment::Renewal) => "board and TPM reset within a renewal",
        }
    }
}

impl Chaos {
    pub(super) fn new(seed: u64, shares_reset: bool) -> Self {
        Self {
            random: SplitMix::new(seed),
            shares_reset,
        }
    }

    /// For what else is drawn: where the power goes in a boot.
    pub(super) const fn random(&mut self) -> &mut SplitMix {
        &mut self.random
    }

    /// Of a hundred logins thirty are left alone.
    pub(super) fn draw(&mut self) -> Disturbance {
        let random = &mut self.random;
        match random.between(0, 99) {
            0..30 => Disturbance::None,
            30..76 => Disturbance::Tpm(faults(random)),
            76..84 => Disturbance::Noise(random.between(40, 4_000)),
            84..88 => Disturbance::Away,
            88..91 => Disturbance::Power,
            91..93 => Disturbance::Board(self.reset()),
            _ => Disturbance::Cut(self.cut()),
        }
    }

    /// Who is reset where no pin tells the board from its TPM: both, if one line resets them.
    const fn reset(&self) -> Reset {
        if self.shares_reset {
            Reset::Both
        } else {
            Reset::Board
        }
    }

    /// A watchdog or a debugger may reset a processor and leave the line to the TPM as it is.
    fn cut(&mut self) -> Cut {
        let alone = self.random.between(0, 1) == 0;
        Cut {
            anew: self.random.between(0, 2) == 0,
            reset: if alone { Reset::Board } else { self.reset() },
        }
    }
}

/// One to three faults, each anywhere or at one command.
fn faults(random: &mut SplitMix) -> FaultPlan {
    let mut plan = FaultPlan::default();
    for _ in 0..random.between(1, 3) {
        // Another TPM in the socket is no fault that passes: the node is another one then.
        let kind = one_of(random, FaultKind::ALL).filter(|kind| **kind != FaultKind::SwapTpm);
        let Some(kind) = kind else { continue };
        let mut fault = Fault::new(*kind).times(random.between(1, 3));
        if let (0..2, Some(phase)) = (random.between(0, 2), one_of(random, kind.phases())) {
            fault = fault.in_phase(*phase);
        }
        if let (0..3, Some(code)) = (random.between(0, 3), one_of(random, &COMMANDS)) {
            fault = fault.at_code(*code);
        }
        plan.faults.push(fault);
    }
    plan
}

impl Disturbance {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What it is called in a report, its numbers aside.
    pub(super) fn name(&self) -> String {
        self.kinds().join(" + ")
    }

    /// What it is of. A cut's is [`Cut::kind`], once it is known what it falls into.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let one = match self {
            Self::None => "nothing",
            Self::Tpm(plan) => return plan.faults.iter().map(|fault| fault.kind.name()).collect(),
            Self::Noise(_) => "noise on the line",
            Self::Away => "no verifier",
            Self::Power => "TPM without power",
            Self::Board(Reset::Board) => "board reset between attempts",
            Self::Board(Reset::Both) => "board and TPM reset between attempts",
            Self::Cut(_) => "reset within an attempt",
        };
        vec![one]
    }

    pub(super) fn begin(&self, loopback: &Loopback) {
        match self {
            Self::None | Self::Board(_) | Self::Cut(_) => {}
            Self::Tpm(plan) => loopback.tpm.with(|tpm| tpm.set_faults(plan.clone())),
            Self::Noise(every) => {
                let (every, mut passed) = (*every, 0_u32);
                loopback.line.disturb(Box::new(move |_, bytes| {
                    for byte in bytes {
                        passed = passed.wrapping_add(1);
                        if passed.is_multiple_of(every) {
                            *byte ^= 0x10;
                        }
                    }
                }));
            }
            Self::Away => loopback.line.with_peer(|verifier| verifier.set_away(true)),
            Self::Power => loopback.tpm.with(|tpm| tpm.power_cycle()),
        }
    }

    /// Ends it; whether it showed.
    pub(super) fn end(&self, loopback: &Loopback) -> bool {
        match self {
            Self::Tpm(_) => {
                let showed = loopback.tpm.with(|tpm| !tpm.fired().is_empty());
                no_faults(loopback);
                // A TPM that died comes back with its supply only.
                if loopback.tpm.with(|tpm| tpm.is_dead()) {
                    loopback.tpm.with(|tpm| tpm.power_cycle());
                }
                return showed;
            }
            Self::Noise(_) => loopback.line.calm(),
            Self::Away => loopback.line.with_peer(|verifier| verifier.set_away(false)),
            Self::None | Self::Power | Self::Board(_) | Self::Cut(_) => {}
        }
        !self.is_none()
    }
}
