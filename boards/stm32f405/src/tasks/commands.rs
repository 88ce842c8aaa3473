//! TPM commands without sessions, over the asynchronous driver.
//!
//! Bytes are written and read with `assay_common`'s codec. The agent's command layer, with sessions, repetitions and flushing,
//! stands on the blocking driver; see README.md, "Asynchronous".

use core::fmt;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::{DecodeError, EncodeError, Reader, Writer};
use assay_common::tpm::pcr::{PcrError, PcrIndex, PcrSelection, PcrSelections};
use assay_common::tpm::rc::TpmRc;
use assay_firmware::tis::TisError;
use assay_firmware::tpm::DurationClass;

use super::request::Work;
use crate::Driver;

/// `TPM_ST_NO_SESSIONS`.
const NO_SESSIONS: u16 = 0x8001;
/// Bytes of a header.
const HEADER: usize = 10;
/// `TPM_SU_CLEAR`.
const CLEAR: u16 = 0;
/// `fullTest` = YES.
const FULL: u8 = 1;
/// Random bytes asked for: most that SLB9670 and ST33 give at once.
pub(crate) const RANDOM: usize = 32;
/// Bytes of a SHA-256 digest.
const DIGEST: usize = 32;

/// Why work was not done.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    /// No response.
    Driver(TisError),
    /// The TPM refused.
    Tpm(TpmRc),
    /// Bytes that are no response to this command.
    Malformed,
    /// The command is longer than its buffer, which no command here is.
    Command(EncodeError),
}

impl From<DecodeError> for Failure {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl From<PcrError> for Failure {
    fn from(_: PcrError) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => error.fmt(f),
            Self::Tpm(rc) => rc.fmt(f),
            Self::Malformed => f.write_str("malformed response"),
            Self::Command(error) => error.fmt(f),
        }
    }
}

/// What came of it.
pub(crate) enum Outcome {
    /// Nothing to say but that.
    Done,
    /// `TPM_DID_VID` and `TPM_RID`.
    Found(assay_firmware::tis::chip::ChipId),
    /// So many bytes of this.
    Bytes([u8; RANDOM], usize),
}

/// The driver and the buffers of one command.
pub(crate) struct Commands {
    driver: Driver,
    command: [u8; 32],
    response: [u8; 128],
}

impl Commands {
    pub(crate) const fn new(driver: Driver) -> Self {
        Self {
            driver,
            command: [0; 32],
            response: [0; 128],
        }
    }

    /// Does it. Dropping the future leaves the driver fit for the next.
    pub(crate) async fn run(&mut self, work: Work) -> Result<Outcome, Failure> {
        match work {
            Work::Probe => {
                let found = self.driver.probe().await;
                found.map(Outcome::Found).map_err(Failure::Driver)
            }
            Work::Startup => {
                let put = |w: &mut Writer<'_>| w.u16(CLEAR);
                self.transact(0x144, put, DurationClass::Medium).await?;
                Ok(Outcome::Done)
            }
            Work::SelfTest => {
                let put = |w: &mut Writer<'_>| w.u8(FULL);
                self.transact(0x143, put, DurationClass::Long).await?;
                Ok(Outcome::Done)
            }
            Work::Random => {
                let put = |w: &mut Writer<'_>| w.u16(RANDOM as u16);
                let mut response = self.transact(0x17B, put, DurationClass::Long).await?;
                let bytes = response.tpm2b_max(RANDOM)?;
                response.finish()?;
                Ok(kept(bytes))
            }
            Work::Pcr(index) => self.pcr(index).await,
        }
    }

    async fn pcr(&mut self, index: PcrIndex) -> Result<Outcome, Failure> {
        let asked = [PcrSelection::new(AlgId::SHA256, index.mask())];
        let put = |w: &mut Writer<'_>| PcrSelections::encode(&asked, w);
        let mut response = self.transact(0x17E, put, DurationClass::Medium).await?;
        // pcrUpdateCounter tells a reader of many pages that they are of one moment; here is one.
        response.u32()?;
        let read = PcrSelections::read(&mut response)?;
        // A TPM that lacks the PCR leaves it out.
        if read.mask_of(AlgId::SHA256) != index.mask() || response.u32()? != 1 {
            return Err(Failure::Malformed);
        }
        let value = response.tpm2b_max(DIGEST)?;
        response.finish()?;
        if value.len() != DIGEST {
            return Err(Failure::Malformed);
        }
        Ok(kept(value))
    }

    /// Sends the command `code` with the parameters that `put` writes; the parameters of its response.
    async fn transact(
        &mut self,
        code: u32,
        put: impl FnOnce(&mut Writer<'_>),
        class: DurationClass,
    ) -> Result<Reader<'_>, Failure> {
        let mut w = Writer::new(&mut self.command);
        w.u16(NO_SESSIONS);
        let size = w.begin_u32();
        w.u32(code);
        put(&mut w);
        let len = w.len();
        w.set_u32(size, len as u32);
        let command = w.finish().map_err(Failure::Command)?;
        let transmitted = self
            .driver
            .transmit(command, &mut self.response, class.limit_us());
        let response = transmitted.await.map_err(Failure::Driver)?;
        let len = response.len();
        let mut r = Reader::new(response);
        let (tag, size, rc) = (r.u16()?, r.u32()?, TpmRc(r.u32()?));
        if tag != NO_SESSIONS || size as usize != len || (!rc.is_success() && len != HEADER) {
            return Err(Failure::Malformed);
        }
        if rc.is_success() {
            Ok(r)
        } else {
            Err(Failure::Tpm(rc))
        }
    }
}

fn kept(bytes: &[u8]) -> Outcome {
    let mut kept = [0; RANDOM];
    let mut len = 0;
    for (to, byte) in kept.iter_mut().zip(bytes) {
        *to = *byte;
        len += 1;
    }
    Outcome::Bytes(kept, len)
}
