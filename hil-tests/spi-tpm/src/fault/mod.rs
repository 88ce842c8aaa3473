//! Faults on the bus, in the FIFO and in the TPM: a plan in text form, applied deterministically.
//!
//! * [`kind`] is the catalogue.
//! * [`plan`] is the text form, parsed and printed.
//! * [`injector`] decides, at each place where a fault can show, whether it does.
//!
//! The grammar, separated by `;` because QEMU splits plugin arguments at commas:
//!
//! ```text
//! plan    = [ fault *( ";" fault ) ]
//! fault   = name [ "=" number ] [ "@" phase [ "/" command [ "/" count ] ] ]
//! phase   = "any" | "idle" | "ready" | "reception" | "execution" | "completion"
//! command = "any" | "#" n | code | command-name       n-th command, from 1; 0x17b; GetRandom
//! count   = "once" | "always" | n                     how often it shows; "once" by default
//! ```
//!
//! A fault shows once per frame (bus), poll, command or access, as its kind says. A command's code
//! is known to the model when its tenth byte has arrived; to hit a frame before that, name the
//! command by number. A command that is aborted and offered again keeps its number; one that was
//! executed and answered RC_RETRY does not.

pub mod injector;
pub mod kind;
pub mod plan;

pub use injector::{Context, FiredFault, Injector};
pub use kind::{FaultKind, Layer};
pub use plan::{CommandMatch, Count, Fault, FaultPlan, PlanError};

/// States of the FIFO, as `[PTP 1.05] 6.5.2.5` names them, and the time at which a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// No command: identification, locality, commandReady.
    Idle,
    /// commandReady is 1, no byte of the command has come.
    Ready,
    /// Bytes of the command are coming, up to tpmGo.
    Reception,
    /// The command runs.
    Execution,
    /// The response is there to be read.
    Completion,
}

impl Phase {
    /// Every phase, in the order of a command.
    pub const ALL: &'static [Self] = &[
        Self::Idle,
        Self::Ready,
        Self::Reception,
        Self::Execution,
        Self::Completion,
    ];

    /// Name in a plan's text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ready => "ready",
            Self::Reception => "reception",
            Self::Execution => "execution",
            Self::Completion => "completion",
        }
    }

    /// The phase with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|phase| phase.name() == name)
    }
}
