//! Register access over embedded-hal-async, from the same source as the blocking one.
//!
//! A future that is dropped in the middle of a frame leaves the chip select low: [`SpiTis`] raises it before its next frame.

mod mode {
    pub(super) use embedded_hal_async::spi::SpiBus;
    pub(super) use maybe_async::must_be_async as both;
}

#[expect(clippy::duplicate_mod, reason = "one source for both; see its head")]
#[path = "access.rs"]
mod access;
#[expect(clippy::duplicate_mod, reason = "one source for both; see its head")]
#[path = "spi.rs"]
mod spi;

pub use self::access::TisBus;
pub use self::spi::SpiTis;
