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
pub(super) struct Chaos(SplitMix);

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
    /// The board starts anew, between two attempts.
    Board,
}

impl Chaos {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix::new(seed))
    }

    /// For what else is drawn: where the power goes in a boot.
    pub(super) const fn random(&mut self) -> &mut SplitMix {
        &mut self.0
    }

    /// Of a hundred logins thirty are left alone.
    pub(super) fn draw(&mut self) -> Disturbance {
        let random = &mut self.0;
        match random.between(0, 99) {
            0..30 => Disturbance::None,
            30..80 => Disturbance::Tpm(faults(random)),
            80..90 => Disturbance::Noise(random.between(40, 4_000)),
            90..94 => Disturbance::Away,
            94..97 => Disturbance::Power,
            _ => Disturbance::Board,
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

    pub(super) const fn resets_the_board(&self) -> bool {
        matches!(self, Self::Board)
    }

    /// What it is called in a report, its numbers aside.
    pub(super) fn name(&self) -> String {
        self.kinds().join(" + ")
    }

    /// What it is of.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let one = match self {
            Self::None => "nothing",
            Self::Tpm(plan) => return plan.faults.iter().map(|fault| fault.kind.name()).collect(),
            Self::Noise(_) => "noise on the line",
            Self::Away => "no verifier",
            Self::Power => "TPM without power",
            Self::Board => "board reset",
        };
        vec![one]
    }

    pub(super) fn begin(&self, loopback: &Loopback) {
        match self {
            Self::None | Self::Board => {}
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
            Self::None | Self::Power | Self::Board => {}
        }
        !self.is_none()
    }
}
