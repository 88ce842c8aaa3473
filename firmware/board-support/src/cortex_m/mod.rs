//! For boards with an Arm core of the M profile.

#[cfg(feature = "embassy")]
pub mod alarms;
pub mod fault;
pub mod sleep;
pub mod systick;
