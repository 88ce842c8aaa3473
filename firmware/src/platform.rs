//! What the agent asks of a board besides a bus and a serial port.

/// Time, rest, the watchdog and the last resort. A board implements it over its timer.
pub trait Platform {
    /// Microseconds since start, never going back. 64 bits do not wrap in a board's life.
    fn now_us(&mut self) -> u64;

    /// Rests until an interrupt, for about a millisecond at most. May return at once.
    fn idle(&mut self);

    /// Tells the watchdog that the agent is alive. Called at least every 10 ms while the agent waits, and never
    /// while it hangs.
    fn kick_watchdog(&mut self);

    /// Noise nobody can foresee, from a source that the board has: fills the front of `out`, returns how many bytes. Takes ten
    /// milliseconds at most, and gives nothing when the source is not ready by then or finds itself broken. A board without one
    /// gives nothing, as this does as it is. Less than [`MIN_NOISE`](assay_common::identity::provisioning::MIN_NOISE) stands in for no secret.
    ///
    /// What is given counts in full, so a source that is not worth eight bits a byte gives fewer bytes than it was read for.
    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        let _ = out;
        0
    }

    /// Which boot this is, counted in memory that keeps it without power; 0 on a board that does not count, as it is. It keeps
    /// the random numbers of one boot from being those of the one before where nothing else differs.
    fn boots(&mut self) -> u32 {
        0
    }

    /// Called when several attempts in a row found no TPM that works: resets the TPM, if the board has a way to, and
    /// need not return. On a board where the TPM shares the processor's reset, and it should, that is a reset of both.
    ///
    /// Does nothing as it is: a board whose TPM somebody else resets must not do it, and one that cannot is left waiting.
    fn restart(&mut self) {}
}

/// What a board calls itself. Both are hints for the verifier's log; nothing proves them.
#[derive(Debug, Clone, Copy)]
pub struct BoardInfo {
    /// The board's folder name.
    pub name: &'static str,
    /// The image's version.
    pub version: &'static str,
}

/// What a chip does for the flash with the provisioning record. As the chip says, and no more than that: what it holds against
/// differs between chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// Against being changed.
    pub write: WriteProtection,
    /// Against being read, of the whole flash.
    pub read_out: ReadOut,
}

impl Protection {
    /// Of a board that does not look.
    pub const UNKNOWN: Self = Self {
        write: WriteProtection::Unknown,
        read_out: ReadOut::Unknown,
    };
}

/// Whether the record's flash can be written by code that runs on the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteProtection {
    /// The controller refuses to, all of the record.
    Protected,
    /// Some of it can be, or all.
    Open,
    /// The board does not look.
    Unknown,
}

/// Whether somebody with a probe can read the flash, in the levels that STM32s have (RDP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOut {
    /// Yes.
    Level0,
    /// No; what takes the protection away erases the flash.
    Level1,
    /// No, for good, and no option byte can be changed any more.
    Level2,
    /// The board does not look, or its chip has no such levels.
    Unknown,
}
