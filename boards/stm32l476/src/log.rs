//! Log messages (feature `defmt`) over RTT: the debug probe reads them from RAM, without a pin and without waiting.
//!
//! `probe-rs attach` decodes them. When nobody reads, old messages are overwritten by new ones.

use defmt_rtt as _;

defmt::timestamp!(
    "{=u32:ms}",
    assay_board_support::cortex_m::systick::milliseconds()
);
