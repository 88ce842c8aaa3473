//! Finding the TPM and holding its locality.
//!
//! The locality is asked for once and kept for good: nobody else uses this bus, a request costs
//! two frames per command, and one chip drops requests that follow a release (see
//! [`chip`](crate::tis::chip)).

use super::super::mode::{DelayNs, TisBus, both};
use super::Tis;
use crate::bus::Reg;
use crate::fmt::info;
use crate::tis::chip::{Chip, ChipId};
use crate::tis::error::{Fault, TisError, TisStep};
use crate::tis::regs::access;
use crate::tis::timeouts::Clock;

#[both(AFIT)]
impl<B: TisBus, D: DelayNs> Tis<B, D> {
    /// Finds the TPM: reads its identity, picks its quirks, and claims the locality.
    ///
    /// Called by the first command if nobody called it before. A TPM that is still powering up is
    /// given [`Limits::a_us`](crate::tis::Limits::a_us).
    ///
    /// # Errors
    /// [`TisError::Absent`] when nothing answers (data stay high or low), [`TisError::Locality`] when
    /// the locality is not granted, [`TisError::Bus`] when the bus keeps failing.
    pub async fn probe(&mut self) -> Result<ChipId, TisError> {
        match self.find_and_claim().await {
            Ok(()) => Ok(self.id),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    // Apart, as `send` is.
    #[inline(never)]
    async fn find_and_claim(&mut self) -> Result<(), Fault> {
        self.find().await?;
        self.chip = Chip::identify(self.id);
        self.claim().await?;
        self.found = true;
        info!(
            "TPM found: vendor {=u16:x} device {=u16:x}",
            self.id.vendor, self.id.device
        );
        Ok(())
    }

    async fn find(&mut self) -> Result<(), Fault> {
        let mut clock = Clock::new(self.limits.a_us);
        loop {
            let mut id = [0; 4];
            let result = self.read(Reg::DID_VID, &mut id).await;
            if result.is_ok() && id != [0; 4] && id != [0xFF; 4] {
                let [v0, v1, d0, d1] = id;
                let mut revision = [0];
                self.read(Reg::RID, &mut revision).await?;
                let [revision] = revision;
                self.id = ChipId {
                    vendor: u16::from_le_bytes([v0, v1]),
                    device: u16::from_le_bytes([d0, d1]),
                    revision,
                };
                return Ok(());
            }
            if !self.pause(&mut clock).await {
                // Low data looks like wait states without end: with nobody ever seen, nobody is there.
                return match result {
                    Err(fault) if fault != Fault::WAIT_STATE => Err(fault),
                    _ => Err(Fault::ABSENT),
                };
            }
        }
    }

    /// Makes sure that the locality is ours; costs nothing once it is.
    pub(super) async fn acquire(&mut self) -> Result<(), Fault> {
        if !self.found {
            self.find_and_claim().await
        } else if !self.claimed {
            self.claim().await
        } else {
            Ok(())
        }
    }

    async fn claim(&mut self) -> Result<(), Fault> {
        let mut clock = Clock::new(self.limits.a_us);
        let mut ask_again_us = 0;
        loop {
            let (result, seen) = self.access().await;
            if access::granted(seen) {
                self.claimed = true;
                self.event(TisStep::Claimed, 0);
                return Ok(());
            }
            // Until VALID is set the chip is starting (30 ms after power-on) and a request would be
            // lost. A request can also be dropped later, so it is repeated, less and less often.
            if access::believable(seen) && clock.elapsed_us() >= ask_again_us {
                let first = ask_again_us == 0;
                ask_again_us = clock.elapsed_us().max(5_000) * 2;
                self.write(Reg::ACCESS, access::REQUEST_USE).await?;
                if first {
                    // Granted at once as a rule, so look before the first pause.
                    continue;
                }
            }
            if !self.pause(&mut clock).await {
                result?;
                return Err(match seen {
                    access::FLOATING | 0 => Fault::ABSENT,
                    _ => Fault::LOCALITY,
                });
            }
        }
    }

    /// Reads `TPM_ACCESS`; a bus that fails reads as one that floats.
    async fn access(&mut self) -> (Result<(), Fault>, u8) {
        let mut register = [0];
        let result = self.read(Reg::ACCESS, &mut register).await;
        let [seen] = register;
        (
            result,
            if result.is_ok() {
                seen
            } else {
                access::FLOATING
            },
        )
    }

    /// Gives the locality up, for a board that hands the TPM to other software. The next command
    /// claims it again.
    ///
    /// # Errors
    /// [`TisError::Bus`].
    pub async fn release(&mut self) -> Result<(), TisError> {
        self.claimed = false;
        self.write(Reg::ACCESS, access::ACTIVE_LOCALITY)
            .await
            .map_err(Fault::error)?;
        self.delay
            .delay_us(self.chip.quirks().settle_after_relinquish_us.into())
            .await;
        Ok(())
    }

    /// True when the TPM answers and says that the locality isn't ours (any more).
    pub(super) async fn is_lost(&mut self) -> bool {
        let (_, seen) = self.access().await;
        let lost = access::believable(seen) && !access::granted(seen);
        if lost {
            self.claimed = false;
        }
        lost
    }

    /// Why the status could not be believed for so long: not there, not ours, or a broken bus.
    pub(super) async fn diagnose(&mut self) -> Fault {
        self.claimed = false;
        match self.access().await {
            (Err(fault), _) => fault,
            (Ok(()), access::FLOATING) => Fault::ABSENT,
            (Ok(()), _) => Fault::LOCALITY,
        }
    }
}
