//! The bring-up image of a board (feature `console`): the technician's console over a board's parts, in the agent's place.

use core::marker::PhantomData;

use assay_firmware::bus::TisBus;
use assay_firmware::console::{Board, ProtectFault, Wire};
use assay_firmware::platform::{BoardInfo, Platform, Protection, ReadOut, WriteProtection};
use embedded_hal::delay::DelayNs;
use embedded_io::{Read, ReadReady, Write};

/// What protects the record of a board on a desk.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// What the chip says.
    pub state: fn() -> Protection,
    /// [`Board::protect_record`], where the board can.
    pub protect: Option<fn() -> Result<(), ProtectFault>>,
    /// [`Board::how_to_unprotect`].
    pub undo: fn() -> &'static str,
}

impl Guard {
    /// A board that does not look.
    pub const UNKNOWN: Self = Self {
        state: || Protection::UNKNOWN,
        protect: None,
        undo: || "the board's README says how, \"In the field\"",
    };
    /// A record in a flash that anybody can write.
    pub const NONE: Self = Self {
        state: || Protection {
            write: WriteProtection::Open,
            read_out: ReadOut::Unknown,
        },
        ..Self::UNKNOWN
    };
}

/// A board on a technician's desk, whose record a programmer writes.
#[derive(Debug)]
pub struct Desk<P, S, B> {
    platform: P,
    about: BoardInfo,
    record: &'static [u8],
    how_to_flash: &'static str,
    guard: Guard,
    parts: PhantomData<(S, B)>,
}

impl<P, S, B> Desk<P, S, B> {
    /// A board with its time, its name, the region of its record, and how that is written, in one line.
    pub const fn new(
        platform: P,
        about: BoardInfo,
        record: &'static [u8],
        how_to_flash: &'static str,
    ) -> Self {
        Self {
            platform,
            about,
            record,
            how_to_flash,
            guard: Guard::UNKNOWN,
            parts: PhantomData,
        }
    }

    /// The same, of which it is known what protects its record.
    #[must_use]
    pub const fn guarded(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }
}

impl<P: Platform, S, B> Platform for Desk<P, S, B> {
    fn now_us(&mut self) -> u64 {
        self.platform.now_us()
    }

    fn idle(&mut self) {
        self.platform.idle();
    }

    fn kick_watchdog(&mut self) {
        self.platform.kick_watchdog();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        self.platform.noise(out)
    }

    fn restart(&mut self) {
        self.platform.restart();
    }
}

impl<P, S, B> Board for Desk<P, S, B>
where
    P: Platform + DelayNs,
    S: Read + ReadReady + Write,
    B: TisBus + Wire,
{
    type Serial = S;
    type Bus = B;
    type Delay = P;

    fn about(&self) -> BoardInfo {
        self.about
    }

    fn read_record(&mut self, to: &mut [u8]) {
        for (to, from) in to.iter_mut().zip(self.record) {
            *to = *from;
        }
    }

    fn how_to_flash_record(&self) -> &'static str {
        self.how_to_flash
    }

    fn protection(&mut self) -> Protection {
        (self.guard.state)()
    }

    fn can_protect_record(&self) -> bool {
        self.guard.protect.is_some()
    }

    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        self.guard
            .protect
            .map_or(Err(ProtectFault::NotHere), |protect| protect())
    }

    fn how_to_unprotect(&self) -> &'static str {
        (self.guard.undo)()
    }
}
