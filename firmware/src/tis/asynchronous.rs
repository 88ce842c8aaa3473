//! The driver over embedded-hal-async: it gives the processor away in every transfer and in every pause.
//!
//! A future that is dropped leaves its command where it was, as a loss of power would. The next command ends it and
//! begins anew; whether the TPM had executed it is not known then.

mod mode {
    pub(super) use embedded_hal_async::delay::DelayNs;
    pub(super) use maybe_async::must_be_async as both;

    pub(super) use crate::bus::asynchronous::TisBus;
}

#[expect(
    clippy::duplicate_mod,
    reason = "one source for both drivers; see its head"
)]
#[path = "driver/mod.rs"]
mod driver;

pub use self::driver::Tis;
