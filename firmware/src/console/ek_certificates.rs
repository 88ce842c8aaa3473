//! The endorsement certificates of a TPM, as `tpm probe` lists them.

use assay_common::tpm::handle::Handle;
use heapless::Vec;

use super::problem::Problem;
use super::{Board, Console};
use crate::tpm::TpmError;

/// First index of endorsement material.
const FIRST: Handle = Handle(0x01C0_0000);
/// Indices shown; what is beyond is counted.
const MOST: usize = 24;

/// What lies at an index of `[EK Profile 2.6]` 2.2.1.4 and 2.2.1.5, `None` for one that it does not name.
fn meaning(index: Handle) -> Option<&'static str> {
    Some(match index.0 {
        0x01C0_0002 => "RSA 2048 certificate",
        0x01C0_0003 => "RSA 2048 nonce",
        0x01C0_0004 => "RSA 2048 template",
        0x01C0_000A => "P-256 certificate",
        0x01C0_000B => "P-256 nonce",
        0x01C0_000C => "P-256 template",
        0x01C0_0012 => "RSA 2048 certificate (high range)",
        0x01C0_0014 => "P-256 certificate (high range)",
        0x01C0_0016 => "P-384 certificate",
        0x01C0_0018 => "P-521 certificate",
        0x01C0_001A => "SM2 certificate",
        0x01C0_001C => "RSA 3072 certificate",
        0x01C0_001E => "RSA 4096 certificate",
        0x01C0_0013 | 0x01C0_0015 | 0x01C0_0017 | 0x01C0_0019 | 0x01C0_001B | 0x01C0_001D
        | 0x01C0_001F => "template",
        0x01C0_0100..=0x01C0_01FF => "certificate of the chain",
        _ => return None,
    })
}

impl<H: Board> Console<H> {
    /// Lists what there is, with its size.
    pub(super) fn ek_certificates(&mut self) -> Result<(), Problem> {
        let mut found: Vec<Handle, MOST> = Vec::new();
        let mut more = 0u32;
        self.tpm
            .handles(FIRST, Handle::NV_EK_CHAIN_LAST, &mut |handle| {
                if found.push(handle).is_err() {
                    more += 1;
                }
            })?;
        if found.is_empty() {
            self.row(
                "EK certificates",
                format_args!("none: a verifier can know this TPM by its key's hash only"),
            );
            return Ok(());
        }
        self.say(format_args!("EK certificates\n"));
        for index in found {
            self.go_on()?;
            let what = meaning(index).unwrap_or("not named by the EK profile");
            match self.tpm.nv_read_public(index) {
                Ok(public) => self.say(format_args!(
                    "  0x{:08X}   {what}, {} bytes\n",
                    index.0, public.data_size
                )),
                Err(error @ (TpmError::Transport(_) | TpmError::Reset)) => return Err(error.into()),
                Err(error) => {
                    self.say(format_args!("  0x{:08X}   {what}: {error}\n", index.0));
                }
            }
        }
        if more > 0 {
            self.say(format_args!("  and {more} more\n"));
        }
        Ok(())
    }
}
