//! Enrol and prove in 17 commands over SPI: Startup, SelfTest, GetCapability, GetRandom, NV_ReadPublic, NV_Read twice,
//! CreatePrimary twice, ReadPublic, StartAuthSession, PolicySecret, ActivateCredential, PCR_Extend, PCR_Read, Quote,
//! ReadClock, FlushContext.
//!
//! The flow that peers are measured with (start-up hygiene, retries and recoverable faults included). It is never run
//! here: the bus ends in two volatile words, so that nothing can be computed away.
#![no_std]
#![no_main]

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::public::templates;
use assay_firmware::bus::SpiTis;
use assay_firmware::tis::Tis;
use assay_firmware::tpm::{Tpm, TpmError};
use core::convert::Infallible;
use core::hint::black_box;
use cortex_m as _;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType as PinErrorType, OutputPin};
use embedded_hal::spi::{ErrorType, SpiBus};

struct Wire;

impl ErrorType for Wire {
    type Error = Infallible;
}

impl SpiBus for Wire {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        black_box(words.as_mut_ptr());
        Ok(())
    }
    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        black_box(words.as_ptr());
        Ok(())
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        black_box((read, write));
        Ok(())
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        black_box(words.as_mut_ptr());
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl PinErrorType for Wire {
    type Error = Infallible;
}

impl OutputPin for Wire {
    fn set_low(&mut self) -> Result<(), Infallible> {
        black_box(0);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        black_box(1);
        Ok(())
    }
}

// All three, as a board's timer has them: embedded-hal's own loops are not the TPM part's.
impl DelayNs for Wire {
    fn delay_ns(&mut self, ns: u32) {
        black_box(ns);
    }
    fn delay_us(&mut self, us: u32) {
        black_box(us);
    }
    fn delay_ms(&mut self, ms: u32) {
        black_box(ms);
    }
}

fn flow() -> Result<(), TpmError> {
    let Ok(bus) = SpiTis::new(Wire, Wire) else {
        return Ok(());
    };
    let mut tpm = Tpm::new(Tis::new(bus, Wire));
    black_box(&tpm.start()?);
    tpm.self_test()?;
    let mut nonce = [0; 32];
    tpm.random(&mut nonce)?;

    let certificate = tpm.nv_read_public(Handle(0x01C0_000A))?;
    black_box(tpm.nv_read(&certificate, 0, 512)?);
    black_box(tpm.nv_read(&certificate, 512, 512)?);

    let ek = tpm.create_primary(Handle::ENDORSEMENT, &[&templates::EK_P256_L2])?;
    black_box(ek.public);
    let ek = ek.handle;
    let ak = tpm
        .create_primary(Handle::ENDORSEMENT, &[&templates::AK_P256])?
        .handle;
    black_box(tpm.read_public(ak)?.public);

    let session = tpm.start_policy_session(AlgId::SHA256)?;
    tpm.policy_secret(Handle::ENDORSEMENT, &session)?;
    // Any bytes of the right lengths.
    const BLOB: &[u8] = templates::EK_P256_L2.split_at(68).0;
    const SECRET: &[u8] = templates::EK_P256_L2.split_at(70).0;
    black_box(tpm.activate_credential(ak, ek, &session, BLOB, SECRET)?);
    tpm.end_session(session)?;

    if let Some(index) = PcrIndex::new(16) {
        tpm.pcr_extend(index, AlgId::SHA256, &nonce)?;
    }
    let selection = [PcrSelection {
        bank: AlgId::SHA256,
        mask: PcrMask(0xFF),
    }];
    let mut values = [0; 256];
    tpm.pcr_read(&selection, &mut values)?;
    black_box(&values);
    let quote = tpm.quote(ak, &nonce, &selection)?;
    black_box(&quote);
    black_box(&tpm.read_clock()?);
    tpm.flush(ak)?;
    tpm.flush(ek)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        let _ = black_box(flow());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
