//! What boards share below the agent: nothing here knows a chip.
//!
//! | module | for | what |
//! |---|---|---|
//! | [`ring`] | every board | bytes from the receive interrupt to the run loop |
//! | [`mod@line`] | boards with a UART | the link over that ring: receiver, counters, embedded-io's traits |
//! | [`byte_spi`] | boards that clock the TPM byte by byte | embedded-hal's `SpiBus` over one exchange |
//! | `polled_spi` | asynchronous images (feature `embassy`) | embedded-hal-async's bus over a polled one |
//! | [`provisioning`] | every board | the memory region with the node's record, from linker symbols |
//! | `record` | boards with a bring-up image (feature `console`) | the record, written |
//! | [`settings`] | boards that keep settings | the memory region with them, from linker symbols |
//! | [`flash_error`] | boards that write their flash | what it did not do |
//! | [`paged_flash`] | boards with a flash chip on quad SPI | settings in a flash that is written by pages, and read back |
//! | [`boots`] | boards that keep settings | the count of boots, into secrets and measurements |
//! | [`noise`] | boards with a random number generator | its words, and the check that it does not repeat itself |
//! | [`image`] | boards that measure themselves | the image that runs, from linker symbols |
//! | [`last_words`] | every board | the panic frame of a fault |
//! | [`wait`] | every board with a watchdog | waiting without being taken for a hang |
//! | `desk` | boards with a bring-up image (feature `console`) | the technician's console over their parts |
//! | [`timer`] | boards that do not use SysTick | time, sleep and delay over the chip's own timer |
//! | `cortex_m::systick` | Arm M profile | time, sleep and delay over SysTick |
//! | `cortex_m::alarms` | the same, asynchronous (feature `embassy`) | embassy's time over SysTick |
//! | `cortex_m::sleep` | Arm M profile, with [`timer`] | sleep that the chip's timer ends |
//! | `cortex_m::fault` | Arm M profile | the fault vector, stack overflow told from the rest |
//!
//! A board takes what suits it; whatever has registers of one chip stays in the board's folder.

#![cfg_attr(not(test), no_std)]

pub mod boots;
pub mod byte_spi;
#[cfg(target_arch = "arm")]
pub mod cortex_m;
#[cfg(feature = "console")]
pub mod desk;
pub mod flash_error;
pub mod image;
pub mod last_words;
pub mod line;
pub mod noise;
pub mod paged_flash;
#[cfg(feature = "embassy")]
pub mod polled_spi;
pub mod provisioning;
#[cfg(any(feature = "console", test))]
pub mod record;
pub mod ring;
pub mod settings;
pub mod timer;
pub mod wait;
