//! For boards with an Arm core of the M profile.

pub mod fault;
pub mod sleep;
pub mod systick;
