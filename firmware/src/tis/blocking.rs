//! The driver that waits in its delay and returns when it is done.

mod mode {
    pub(super) use embedded_hal::delay::DelayNs;
    pub(super) use maybe_async::must_be_sync as both;

    pub(super) use crate::bus::TisBus;
}

#[path = "driver/mod.rs"]
mod driver;

pub use self::driver::Tis;
