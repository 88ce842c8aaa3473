//! A QEMU plugin that turns the stock machine `netduinoplus2` (STM32F405, Cortex-M4F) into a board
//! with a TPM on SPI1, so that the ELF one would flash runs there unmodified.
//!
//! The board has the machine's own chip, an STM32L476 or an nRF52840 ([`chip`]), whose core is the same. QEMU keeps CPU, flash,
//! RAM, NVIC, SysTick and USARTs. The overlay lays its own models over RCC, PWR, the flash interface, the GPIO ports, SPI1
//! and the chip's factory area ([`blocks`], [`board`]), for the STM32L476 over USART2 and the random number generator, too.
//! For the nRF52840 it adds a UART that QEMU has and this machine has not, and lays models of that chip's blocks over it. An
//! RP2350 it makes of a machine that takes a Cortex-M33 (`lm3s811evb`), of which nothing else stays ([`memories`]). The TPM behind SPI1 is `assay-spi-tpm` on swtpm's sockets. Arguments: [`args`]. What it
//! reports: [`report`], [`counters`].
//!
//! # Why QEMU functions that are no plugin interface
//! The plugin interface observes a guest but cannot add devices. Debian's QEMU is built with
//! loadable modules, so it exports all its functions, among them the few memory functions that this
//! needs ([`qemu`]), and those that make and connect its devices. A QEMU without them is found out before the start (by the launcher in
//! `assay-hil-tests`), not by a crash.

#![warn(unsafe_op_in_unsafe_fn)]

pub mod args;
pub mod blocks;
pub mod board;
pub mod chip;
pub mod counters;
pub mod report;

// Nothing provides QEMU's functions to a test program.
#[cfg(not(test))]
pub mod alarm;
#[cfg(not(test))]
pub mod devices;
#[cfg(not(test))]
pub mod machine;
#[cfg(not(test))]
pub mod memories;
#[cfg(not(test))]
pub mod plugin;
#[cfg(not(test))]
pub mod qemu;
