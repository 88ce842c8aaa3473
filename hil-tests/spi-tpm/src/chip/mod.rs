//! What makes a software TPM behave like a chip: its identity and habits on the bus
//! ([`personality`]), and the limits of its memory ([`limits`]).

pub mod handles;
pub mod limits;
pub mod personality;

pub use limits::{ChipLimits, LimitedTpm};
pub use personality::Personality;
