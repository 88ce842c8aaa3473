//! A spidev node with the model of an SPI TPM, for a program that does not know it: loaded by `LD_PRELOAD`, this library answers
//! `open` and `ioctl` for one path and hands everything else to the kernel.
//!
//! ```text
//!   program ── linux-embedded-hal ── spidev crate ── ioctl ══ this library ── SPI model ── swtpm
//! ```
//!
//! What it keeps of Linux (`Documentation/spi/spidev.rst`, `include/linux/spi/spi.h`): which requests there are and how they are laid
//! out; that a message is full duplex; that chip select falls with a message's first transfer and rises at its end, or between its transfers
//! where `cs_change` says so, and that `cs_change` on the last transfer keeps it low instead. What it does not show: the kernel's driver
//! and its controller, clock rates, permissions, and whoever else is on the bus.
//!
//! | variable | value |
//! |---|---|
//! | `ASSAY_SPIDEV_NODE` | the path that is answered, such as `/dev/spidev0.1` |
//! | `ASSAY_SPIDEV_TPM`, `ASSAY_SPIDEV_CONTROL` | sockets of swtpm |
//! | `ASSAY_SPIDEV_CHIP` | `slb9670`, `slb9672`, `st33`, `nuvoton` (`slb9672`) |
//! | `ASSAY_SPIDEV_SELECT` | `drops`: a controller that lets go of chip select after every message |

mod libc_calls;
mod message;
mod node;

pub use message::{Direction, Request};
pub use node::{Node, Select, Transfer};
