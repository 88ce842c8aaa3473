//! TPM 2.0 commands: typed arguments in, checked views of the response out.
//!
//! One file per chapter of `[TPM2.0 1.85 Part 3]`. All share [`Tpm`] with its one command and one
//! response buffer; results borrow from the response buffer, so they must be used or copied before
//! the next command. Structures that the verifier judges (public areas, attestation, signatures) are
//! handed on byte for byte as the TPM sent them.
//!
//! The layer repeats what the TPM asks to be repeated, flushes what is stale when the TPM runs out of
//! memory, and sorts everything else into [`TpmError`]. It makes no decisions, and holds no key but that of the
//! session which guards the bus once `Tpm::protect` has started one.

mod attestation;
#[cfg(feature = "console")]
mod bringup;
mod call;
mod capability;
mod clock;
mod context;
mod error;
mod exchange;
mod live;
#[cfg(feature = "host")]
mod load;
mod nv;
mod object;
mod op;
#[cfg(feature = "host")]
mod passwords;
mod pcr;
mod policy;
mod random;
#[cfg(feature = "secure-bus")]
mod secure;
mod session;
mod startup;
mod transport;

pub use self::attestation::Attested;
pub use self::capability::{Identity, Sizes};
pub use self::clock::Time;
pub use self::error::{Malformed, TpmError, TransportError};
use self::exchange::Exchange;
use self::live::Live;
pub use self::nv::{NV_CHUNK, NvPublic};
pub use self::object::{Created, Readable};
pub(crate) use self::object::{MAX_TEMPLATE, PublicHead};
#[cfg(feature = "host")]
pub use self::passwords::PasswordTooLong;
pub use self::pcr::PcrRead;
pub use self::session::PolicySession;
pub use self::startup::{Start, TestResult};
pub use self::transport::{DurationClass, TpmTransport};

use crate::bus::Traffic;
use crate::trace::Counters;

/// Bytes of the command buffer. The smallest chips take 1 KiB.
pub const COMMAND_MAX: usize = 1024;
/// Bytes of the response buffer: the largest response is that to [`nv_read`](Tpm::nv_read).
pub const RESPONSE_MAX: usize = 1024;

/// Commands over one transport.
#[derive(Debug)]
pub struct Tpm<T> {
    transport: T,
    exchange: Exchange,
    live: Live,
    sizes: Sizes,
    repeats: u16,
    #[cfg(feature = "secure-bus")]
    secure: secure::Secure,
    #[cfg(feature = "secure-bus")]
    drbg: crate::entropy::Drbg,
    errors: Counters<{ TpmError::CODES }>,
}

impl<T: TpmTransport> Tpm<T> {
    /// Commands over `transport`. Sends nothing; [`start`](Self::start) comes first.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            exchange: Exchange::new(),
            live: Live::NONE,
            sizes: Sizes::FLOOR,
            repeats: 0,
            #[cfg(feature = "secure-bus")]
            secure: secure::Secure::new(),
            #[cfg(feature = "secure-bus")]
            drbg: crate::entropy::Drbg::new(),
            errors: Counters::ZERO,
        }
    }

    /// The transport.
    pub const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Bytes and frames on the bus so far.
    pub fn traffic(&self) -> Traffic {
        self.transport.traffic()
    }

    /// Failed commands by [`TpmError::code`].
    pub const fn errors(&self) -> &Counters<{ TpmError::CODES }> {
        &self.errors
    }

    /// How often the TPM asked for a command to be sent again.
    pub const fn repeats(&self) -> u16 {
        self.repeats
    }

    /// `TPM_CC` of the last command that was begun, 0 before the first: says which one an error is of.
    pub const fn last_command(&self) -> u32 {
        self.exchange.frame.op.code()
    }

    /// How many objects and sessions of ours are loaded.
    pub fn loaded(&self) -> usize {
        self.live.count()
    }

    /// The buffer sizes that the TPM reported at [`start`](Self::start).
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Whether a session guards the bus: all that matters goes through it, or fails. Never without the feature `secure-bus`.
    pub fn is_protected(&self) -> bool {
        #[cfg(feature = "secure-bus")]
        return self.secure.is_there();
        #[cfg(not(feature = "secure-bus"))]
        false
    }

    /// Overwrites the last response, which held a secret.
    pub(crate) fn wipe_response(&mut self) {
        self.exchange.wipe_response();
    }
}
