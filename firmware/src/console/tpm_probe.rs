//! `tpm probe`: from the wires to the certificates, and a stop at the first thing that is wrong.

use core::fmt;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::{MAX_BANKS, PcrMask};
use assay_common::tpm::properties::PropertyTag;
use heapless::Vec;

use super::diagnosis::{chip_id, identity};
use super::problem::Problem;
use super::{Board, Console};
use crate::bus::{Reg, TisBus as _};
use crate::tis::TisError;
use crate::tis::chip::Chip;
use crate::tpm::{Identity, Start, TpmError};

/// Characters of a TPM's own making: what cannot be printed is a dot, and zeros at the end are left out.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| !matches!(*byte, 0 | b' '));
        let shown = end.map_or(0, |end| end + 1);
        for byte in self.0.iter().take(shown) {
            let printable = byte.is_ascii_graphic() || *byte == b' ';
            fmt::Write::write_char(f, if printable { char::from(*byte) } else { '.' })?;
        }
        Ok(())
    }
}

impl<H: Board> Console<H> {
    pub(super) fn tpm_probe(&mut self) -> Result<(), Problem> {
        self.registers()?;
        self.go_on()?;
        self.locality()?;
        self.go_on()?;
        let start = match self.tpm.start() {
            Err(TpmError::FailureMode) => {
                self.test_result_data()?;
                return Err(TpmError::FailureMode.into());
            }
            start => start?,
        };
        self.identity_rows(&start);
        self.go_on()?;
        self.specification()?;
        self.go_on()?;
        let state = self.test_state()?;
        self.row("self-test", format_args!("{state}"));
        self.go_on()?;
        self.banks()?;
        self.ek_certificates()
    }

    /// Makes sure that there is a TPM and that it is started, without a word unless there is none.
    pub(super) fn started(&mut self) -> Result<Start, Problem> {
        identity(self.tpm.transport().bus()).map_err(Problem::Bus)?;
        self.go_on()?;
        match self.tpm.start() {
            Err(TpmError::FailureMode) => {
                self.test_result_data()?;
                Err(TpmError::FailureMode.into())
            }
            start => Ok(start?),
        }
    }

    /// What can be read before anything is asked of the TPM.
    fn registers(&mut self) -> Result<(), Problem> {
        let id = identity(self.tpm.transport().bus()).map_err(Problem::Bus)?;
        let [revision] = self.register(Reg::RID)?;
        let id = chip_id(id, revision);
        self.row(
            "chip",
            format_args!(
                "{}, vendor 0x{:04X}, device 0x{:04X}, revision 0x{:02X}",
                Chip::identify(id).name(),
                id.vendor,
                id.device,
                id.revision
            ),
        );
        let capability = u32::from_le_bytes(self.register(Reg::INTF_CAPABILITY)?);
        let version = match capability >> 28 & 7 {
            0 => "TIS 1.2",
            2 => "TIS 1.3",
            3 => "PTP",
            _ => "of a version not known",
        };
        let burst = if capability & 1 << 8 == 0 {
            "changing"
        } else {
            "fixed"
        };
        let longest = match capability >> 9 & 3 {
            0 => "any length",
            1 => "8 bytes at once",
            2 => "32 bytes at once",
            _ => "64 bytes at once",
        };
        self.row(
            "interface",
            format_args!("0x{capability:08X}: {version}, {burst} burst count, {longest}"),
        );
        let interface = u32::from_le_bytes(self.register(Reg::INTERFACE_ID)?);
        let kind = match interface & 0xF {
            0 => "FIFO",
            1 => "CRB, which this firmware does not speak",
            0xF => "FIFO as of TIS 1.3",
            _ => "not known",
        };
        self.row("interface id", format_args!("0x{interface:08X}: {kind}"));
        Ok(())
    }

    fn locality(&mut self) -> Result<(), Problem> {
        match self.tpm.transport().probe() {
            Ok(_) => {}
            Err(TisError::Locality) => {
                let [access] = self.register(Reg::ACCESS)?;
                return Err(Problem::Locality(access));
            }
            Err(error) => return Err(error.into()),
        }
        let [access] = self.register(Reg::ACCESS)?;
        self.row(
            "locality",
            format_args!("0 granted, TPM_ACCESS 0x{access:02X}"),
        );
        let status = u32::from_le_bytes(self.register(Reg::STS)?);
        let family = match status >> 26 & 3 {
            0 => "TPM 1.2 (or a chip that does not say)",
            1 => "TPM 2.0",
            _ => "not known",
        };
        self.row("family", format_args!("{family}, TPM_STS 0x{status:08X}"));
        Ok(())
    }

    fn identity_rows(&mut self, start: &Start) {
        let Identity { manufacturer, .. } = start.identity;
        self.row(
            "started",
            format_args!(
                "{}",
                if start.already_started {
                    "before this command: it was not reset with the board since"
                } else {
                    "by this command"
                }
            ),
        );
        self.row(
            "manufacturer",
            format_args!("{}", Text(&manufacturer.to_be_bytes())),
        );
        self.row(
            "vendor string",
            format_args!("{}", Text(&start.identity.vendor_string())),
        );
        let [high, low] = start.identity.firmware;
        self.row(
            "firmware",
            format_args!(
                "{}.{}.{}.{} (0x{:016X})",
                high >> 16,
                high & 0xFFFF,
                low >> 16,
                low & 0xFFFF,
                start.identity.firmware_version()
            ),
        );
    }

    fn specification(&mut self) -> Result<(), Problem> {
        let (mut family, mut revision) = ([0; 4], 0);
        self.tpm.properties(
            PropertyTag::FAMILY_INDICATOR,
            PropertyTag::REVISION,
            &mut |tag, value| match tag {
                PropertyTag::FAMILY_INDICATOR => family = value.to_be_bytes(),
                PropertyTag::REVISION => revision = value,
                _ => {}
            },
        )?;
        self.row(
            "specification",
            format_args!(
                "{}, revision {}.{:02}",
                Text(&family),
                revision / 100,
                revision % 100
            ),
        );
        Ok(())
    }

    fn banks(&mut self) -> Result<(), Problem> {
        let mut banks: Vec<(AlgId, PcrMask), MAX_BANKS> = Vec::new();
        self.tpm.pcr_banks(&mut |bank, mask| {
            let _ = banks.push((bank, mask));
        })?;
        banks.retain(|(_, mask)| !mask.is_empty());
        if banks.is_empty() {
            self.row("PCR banks", format_args!("none: this TPM cannot be quoted"));
            return Ok(());
        }
        self.say(format_args!("{:<16}", "PCR banks"));
        for (nth, (bank, mask)) in banks.iter().enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            let all = if mask.0 == 0x00FF_FFFF {
                ""
            } else {
                " (not all PCRs)"
            };
            self.say(format_args!("{comma}{bank}{all}"));
        }
        self.say(format_args!("\n"));
        Ok(())
    }

    fn register<const N: usize>(&mut self, reg: Reg) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        let read = self.tpm.transport().bus().read(reg, &mut bytes);
        read.map_err(|error| TisError::Bus(error.into()))?;
        Ok(bytes)
    }
}
