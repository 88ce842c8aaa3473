//! Finding the TPM and holding its locality.
//!
//! The locality is asked for once and kept for good: nobody else uses this bus, a request costs
//! two frames per command, and one chip drops requests that follow a release (see
//! [`chip`](super::chip)).

use embedded_hal::delay::DelayNs;

use super::chip::{Chip, ChipId};
use super::regs::access;
use super::timeouts::Clock;
use super::{Tis, TisError, TisEvent};
use crate::bus::{Reg, TisBus};
use crate::fmt::info;

impl<B: TisBus, D: DelayNs> Tis<B, D> {
    /// Finds the TPM: reads its identity, picks its quirks, and claims the locality.
    ///
    /// Called by the first command if nobody called it before. A TPM that is still powering up is
    /// given [`Limits::a_us`](super::Limits::a_us).
    ///
    /// # Errors
    /// [`TisError::Absent`] when nothing answers, [`TisError::Locality`] when the locality is not
    /// granted, [`TisError::Bus`] when the bus keeps failing.
    pub fn probe(&mut self) -> Result<ChipId, TisError> {
        let result = self.find_and_claim();
        if let Err(error) = result {
            self.failed(error);
        }
        result
    }

    fn find_and_claim(&mut self) -> Result<ChipId, TisError> {
        let id = self.find()?;
        self.chip = Chip::identify(id);
        self.claim()?;
        info!(
            "TPM found: vendor {=u16:x} device {=u16:x}",
            id.vendor, id.device
        );
        self.id = Some(id);
        Ok(id)
    }

    fn find(&mut self) -> Result<ChipId, TisError> {
        let mut clock = Clock::new(self.limits.a_us);
        loop {
            let mut id = [0; 4];
            let result = self.read(Reg::DID_VID, &mut id);
            if result.is_ok() && id != [0; 4] && id != [0xFF; 4] {
                let [v0, v1, d0, d1] = id;
                let mut revision = [0];
                self.read(Reg::RID, &mut revision)?;
                let [revision] = revision;
                return Ok(ChipId {
                    vendor: u16::from_le_bytes([v0, v1]),
                    device: u16::from_le_bytes([d0, d1]),
                    revision,
                });
            }
            if !self.pause(&mut clock) {
                return Err(result.err().unwrap_or(TisError::Absent));
            }
        }
    }

    /// Makes sure that the locality is ours; costs nothing once it is.
    pub(super) fn acquire(&mut self) -> Result<(), TisError> {
        if self.id.is_none() {
            self.find_and_claim()?;
        }
        if self.claimed { Ok(()) } else { self.claim() }
    }

    fn claim(&mut self) -> Result<(), TisError> {
        let mut clock = Clock::new(self.limits.a_us);
        let mut ask_again_us = 0;
        loop {
            let mut register = [access::FLOATING];
            let result = self.read(Reg::ACCESS, &mut register);
            let [seen] = register;
            if result.is_ok() && access::granted(seen) {
                self.claimed = true;
                self.events.push(TisEvent::Claimed);
                return Ok(());
            }
            // Until VALID is set the chip is starting (30 ms after power-on) and a request would be
            // lost. A request can also be dropped later, so it is repeated, less and less often.
            let believable = seen != access::FLOATING && seen & access::VALID != 0;
            if result.is_ok() && believable && clock.elapsed_us() >= ask_again_us {
                let first = ask_again_us == 0;
                ask_again_us = clock.elapsed_us().max(5_000) * 2;
                self.write(Reg::ACCESS, access::REQUEST_USE)?;
                if first {
                    // Granted at once as a rule, so look before the first pause.
                    continue;
                }
            }
            if !self.pause(&mut clock) {
                return Err(match result {
                    Err(error) => error,
                    Ok(()) if seen == access::FLOATING || seen == 0 => TisError::Absent,
                    Ok(()) => TisError::Locality,
                });
            }
        }
    }

    /// Gives the locality up, for a board that hands the TPM to other software. The next command
    /// claims it again.
    ///
    /// # Errors
    /// [`TisError::Bus`].
    pub fn release(&mut self) -> Result<(), TisError> {
        self.claimed = false;
        self.write(Reg::ACCESS, access::ACTIVE_LOCALITY)?;
        self.delay
            .delay_us(self.chip.quirks().settle_after_relinquish_us);
        Ok(())
    }

    /// True when the TPM answers and says that the locality isn't ours (any more).
    pub(super) fn is_lost(&mut self) -> bool {
        let mut register = [access::FLOATING];
        let result = self.read(Reg::ACCESS, &mut register);
        let [seen] = register;
        let lost = result.is_ok()
            && seen != access::FLOATING
            && seen & access::VALID != 0
            && !access::granted(seen);
        if lost {
            self.claimed = false;
        }
        lost
    }

    /// Why the status could not be believed for so long: not there, not ours, or a broken bus.
    pub(super) fn diagnose(&mut self) -> TisError {
        self.claimed = false;
        let mut register = [0];
        match self.read(Reg::ACCESS, &mut register) {
            Err(error) => error,
            Ok(()) if register == [access::FLOATING] => TisError::Absent,
            Ok(()) => TisError::Locality,
        }
    }
}
