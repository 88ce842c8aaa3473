//! QEMU machines with a TPM, as processes that end with their owner.
//!
//! ```text
//! Launch ──► find QEMU, check its symbols, build the overlay ──► Qemu
//!                                                                ├─ serial: the board's link (unix socket)
//!                                                                ├─ events: one per TPM command (overlay or bridge)
//!                                                                └─ qmp: reset, quit
//! ```
//!
//! * [`locate`] finds the program, [`symbols`] checks that the overlay can be loaded into it.
//! * [`overlay`] builds the plugin and writes its arguments.
//! * [`launch`] writes the command line, [`process`] is the running machine, [`qmp`] and [`events`] its
//!   side channels.
//! * [`monitor`] builds the program that decodes the log of a board.
//! * [`bridge`](self) is the fallback for a QEMU that cannot load the overlay: the board `mps2-an386` reaches the
//!   same model through FIFOs.
//!
//! Every run has a deadline, after which the process is killed: a machine never outlives its test.

mod bridge;
pub mod events;
pub mod launch;
pub mod locate;
pub mod monitor;
pub mod overlay;
pub mod process;
pub mod qmp;
pub mod symbols;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use events::{CommandEvent, Event, ExitEvent, Kicks};
pub use launch::Launch;
pub use locate::Installation;
pub use overlay::OverlayOptions;
pub use process::Qemu;

/// Why a machine did not run.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// QEMU is not installed.
    #[error(
        "{binary} is not in ASSAY_QEMU_DIR, target/tools/qemu or PATH (Debian package \"{package}\")"
    )]
    Missing {
        /// The program.
        binary: String,
        /// The package that has it.
        package: &'static str,
    },
    /// This QEMU does not export what the overlay calls.
    #[error(
        "{path} does not export {symbol}, so the overlay cannot be loaded into it: use a QEMU that is built with \
         loadable modules (Debian's is), or the board mps2-an386, which needs no overlay"
    )]
    Symbol {
        /// The program.
        path: PathBuf,
        /// The first function that is missing.
        symbol: &'static str,
    },
    /// The plugin interface of this QEMU is one that the overlay is not made for.
    #[error("{path} is QEMU {version}; the overlay is made for 7.x, 8.x, and 9.2 and later")]
    Version {
        /// The program.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// The program could not be read as an ELF file.
    #[error("{path} is no program that can be examined: {reason}")]
    Unreadable {
        /// The program.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The overlay, or the log monitor, did not build; cargo has said why.
    #[error("the program that goes with QEMU does not build ({0})")]
    Build(String),
    /// A file, socket or process could not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// QEMU ended by itself.
    #[error("QEMU ended ({status}): {stderr}")]
    Ended {
        /// Exit status.
        status: String,
        /// What it wrote.
        stderr: String,
    },
    /// QEMU did not connect to the harness's sockets in time.
    #[error("QEMU did not open its serial line within {0:?}")]
    Late(Duration),
    /// The board did not keep its watchdog quiet.
    #[error("the watchdog was not kicked in time: {0:?}")]
    Watchdog(Option<Kicks>),
    /// The monitor refused a command.
    #[error("QEMU's monitor: {0}")]
    Monitor(String),
    /// An option that the machine's TPM has not.
    #[error("option {option}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Why it was refused.
        reason: String,
    },
    /// The TPM was started in the wrong mode for the machine.
    #[error("a machine {0} the overlay or a bridge needs swtpm in mode {1}")]
    Mode(&'static str, &'static str),
}

/// Wraps an operating system error.
fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> QemuError {
    let what = what.into();
    move |source| QemuError::Io { what, source }
}
