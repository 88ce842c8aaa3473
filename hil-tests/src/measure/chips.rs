//! How long a flow would take on real chips: an estimate out of published figures, since no chip is here.
//!
//! wolfTPM's README ("TPM2 Benchmarks", revision 68deab3) gives the mean time of a chip's operations, measured through Linux
//! on a Raspberry Pi. Operations are taken from there, and everything else about a command is a trivial command's time, which
//! follows from the rate of random numbers: 32 bytes per command. What nobody has published (reading NV) is the upper bound
//! that the rate of hashing leaves. An estimate is good for comparing flows and chips; first silicon will correct it.

#![expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

use std::collections::BTreeMap;

use crate::qemu::CommandEvent;

/// A chip's published times, ms.
#[derive(Debug, Clone, Copy)]
pub struct Chip {
    /// What it is called.
    pub name: &'static str,
    /// A command that computes nothing: `TPM2_GetRandom` of 32 bytes.
    pub trivial: f64,
    /// A P-256 primary key.
    pub p256_key: f64,
    /// A P-256 signature.
    pub sign: f64,
    /// One multiplication on P-256: half of the published key agreement, which takes two.
    pub multiply: f64,
    /// A KiB of NV, at most.
    pub nv_kib: f64,
}

/// The chips of the common modules.
pub const CHIPS: [Chip; 4] = [
    Chip {
        name: "SLB9670",
        trivial: 2.2,
        p256_key: 231.0,
        sign: 68.9,
        multiply: 116.0,
        nv_kib: 10.0,
    },
    Chip {
        name: "SLB9672",
        trivial: 1.4,
        p256_key: 136.0,
        sign: 35.6,
        multiply: 33.0,
        nv_kib: 15.0,
    },
    Chip {
        name: "ST33K",
        trivial: 1.4,
        p256_key: 89.2,
        sign: 25.3,
        multiply: 33.2,
        nv_kib: 10.0,
    },
    Chip {
        name: "NPCT750",
        trivial: 2.2,
        p256_key: 84.0,
        sign: 56.4,
        multiply: 14.7,
        nv_kib: 10.0,
    },
];

/// Time of a byte on a bus of 10 MHz, ms.
const BYTE: f64 = 0.000_8;
/// Bytes of a `TPM2_StartAuthSession` from which on it has a salt in it, which the TPM must decrypt: without one it has 43.
const SALTED: u64 = 80;
/// Bytes of the `TPM2_CreatePrimary` of a reset's witness, plain and guarded: an HMAC key, for which no point is multiplied.
const WITNESS: [u64; 2] = [57, 105];

impl Chip {
    /// Milliseconds of one command, the bus left out.
    #[must_use]
    pub fn command(&self, command: &CommandEvent) -> f64 {
        let own = match command.name.as_str() {
            "CreatePrimary" if WITNESS.contains(&command.command_len) => 0.0,
            "CreatePrimary" | "Create" => self.p256_key,
            "Quote" | "Certify" | "Sign" => self.sign,
            "ActivateCredential" => self.multiply,
            "StartAuthSession" if command.command_len >= SALTED => self.multiply,
            "NV_Read" => self.nv_kib * command.response_len as f64 / 1024.0,
            _ => 0.0,
        };
        self.trivial + own
    }

    /// Seconds of a flow: its commands, its bytes on the bus, and the processor's own time.
    #[must_use]
    pub fn seconds(&self, commands: &[CommandEvent], spi_bytes: u64, processor_ms: f64) -> f64 {
        let tpm: f64 = commands.iter().map(|command| self.command(command)).sum();
        let ms = tpm + spi_bytes as f64 * BYTE + processor_ms;
        (ms / 10.0).round() / 100.0
    }
}

/// Seconds of a flow on each chip.
#[must_use]
pub fn estimate(
    commands: &[CommandEvent],
    spi_bytes: u64,
    processor_ms: f64,
) -> BTreeMap<String, f64> {
    let seconds = |chip: &Chip| chip.seconds(commands, spi_bytes, processor_ms);
    CHIPS
        .iter()
        .map(|chip| (chip.name.to_owned(), seconds(chip)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, command_len: u64, response_len: u64) -> CommandEvent {
        CommandEvent {
            name: name.to_owned(),
            command_len,
            response_len,
            ..CommandEvent::default()
        }
    }

    /// The cold flow of the seventeen commands that peers are measured with, by the same figures.
    #[test]
    fn the_cold_flow_is_what_the_published_figures_say() {
        let mut flow: Vec<_> = ["CreatePrimary"; 2]
            .map(|name| command(name, 100, 300))
            .into();
        flow.push(command("ActivateCredential", 180, 74));
        flow.push(command("Quote", 73, 238));
        flow.push(command("StartAuthSession", 43, 32));
        flow.extend(vec![command("GetRandom", 12, 44); 12]);
        let seconds = estimate(&flow, 5_589, 0.0);
        for (chip, expected) in [
            ("SLB9670", 0.70),
            ("SLB9672", 0.37),
            ("ST33K", 0.27),
            ("NPCT750", 0.28),
        ] {
            let estimated = seconds.get(chip).copied().unwrap_or_default();
            assert!((estimated - expected).abs() < 0.02, "{chip}: {estimated}");
        }
    }

    #[test]
    fn the_witness_of_a_reset_costs_no_key_of_a_curve() {
        let [chip, ..] = CHIPS;
        for (length, own) in [(57, 0.0), (105, 0.0), (65, chip.p256_key)] {
            let time = chip.command(&command("CreatePrimary", length, 300));
            assert!((time - chip.trivial - own).abs() < 1e-9, "{length}");
        }
    }

    #[test]
    fn a_salt_costs_a_multiplication() {
        let [chip, ..] = CHIPS;
        let plain = chip.command(&command("StartAuthSession", 43, 32));
        let salted = chip.command(&command("StartAuthSession", 115, 48));
        assert!((salted - plain - chip.multiply).abs() < 1e-9);
    }
}
