//! Register access that returns when it is done.

mod mode {
    pub(super) use embedded_hal::spi::SpiBus;
    pub(super) use maybe_async::must_be_sync as both;
}

#[path = "access.rs"]
mod access;
#[path = "spi.rs"]
mod spi;

pub use self::access::TisBus;
pub use self::spi::SpiTis;
