//! Everything that needs more than one crate: the layering, the driver on the SPI model, whole logins, boards in QEMU.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests stop at the first surprise"
)]

mod agent_service;
mod attacks;
mod board_reset;
mod boards;
mod bus_cost;
mod console;
mod devid;
mod embassy;
mod emulated;
mod faults;
mod front_door;
mod host_agent;
mod interposer;
mod key_page;
mod layering;
mod line;
mod linux_spidev;
mod loopback;
mod manufacture;
mod mcu_key;
mod measure;
mod measured_boot;
mod measured_images;
mod monitor;
mod possession;
mod protection;
mod qemu;
mod service_load;
mod settings;
mod soak;
mod svid;
mod unreadable_nv;
mod walkthrough;
mod watchdog;
