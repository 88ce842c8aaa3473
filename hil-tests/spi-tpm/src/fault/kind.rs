//! The catalogue of faults: everything a bus, a FIFO and a TPM have been seen to do wrong.
//!
//! One table holds name, layer, default argument and the phases in which a fault can show, so the
//! fault matrix iterates [`FaultKind::ALL`] and needs no list of its own.

use super::Phase;

/// Where a fault sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Wires, clock and chip select.
    Bus,
    /// Registers and the FIFO's state machine.
    Fifo,
    /// The TPM behind the FIFO.
    Tpm,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $layer:ident, $default:expr, $phases:expr;)*) => {
        /// One kind of fault. The argument's meaning is in each variant's text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[$doc])* $variant,)* }

        impl FaultKind {
            /// Every kind, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in a plan's text form.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Layer that misbehaves.
            #[must_use]
            pub const fn layer(self) -> Layer {
                match self { $(Self::$variant => Layer::$layer,)* }
            }

            /// Argument that holds when a plan gives none.
            #[must_use]
            pub const fn default_arg(self) -> u32 {
                match self { $(Self::$variant => $default,)* }
            }

            /// Phases of the FIFO in which the ordinary traffic of a host can meet this kind.
            #[must_use]
            pub const fn phases(self) -> &'static [Phase] {
                match self { $(Self::$variant => $phases,)* }
            }
        }
    };
}

const ANY: &[Phase] = Phase::ALL;
const SENDING: &[Phase] = &[Phase::Ready, Phase::Reception];
const MOVING: &[Phase] = &[Phase::Ready, Phase::Reception, Phase::Completion];
const RECEPTION: &[Phase] = &[Phase::Reception];
const EXECUTION: &[Phase] = &[Phase::Execution];
const COMPLETION: &[Phase] = &[Phase::Completion];
const IDLE: &[Phase] = &[Phase::Idle];
/// Phases in which a host has something to write to STS.
const STATUS_WRITES: &[Phase] = &[Phase::Idle, Phase::Reception, Phase::Completion];
/// Phases in which commandReady ends something.
const COMMAND: &[Phase] = &[Phase::Reception, Phase::Execution, Phase::Completion];

kinds! {
    /// Exactly `arg` wait bytes in the access.
    WaitStates = "wait-states", Bus, 5, ANY;
    /// 0..=`arg` wait bytes, drawn anew for the access.
    WaitRandom = "wait-random", Bus, 8, ANY;
    /// Wait bytes without end.
    WaitEndless = "wait-endless", Bus, 0, ANY;
    /// MISO shorted to ground: every byte of the frame reads 0x00.
    MisoStuckLow = "miso-stuck-low", Bus, 0, ANY;
    /// No TPM drives MISO: every byte of the frame reads 0xFF.
    MisoStuckHigh = "miso-stuck-high", Bus, 0, ANY;
    /// Bit `arg` (0..=31, 0 = last bit) of the frame's header arrives flipped at the TPM.
    MosiFlipHeader = "mosi-flip-header", Bus, 2, ANY;
    /// Bit `arg` (0..=31, 0 = last bit) of what the TPM drives during the header is flipped.
    MisoFlipHeader = "miso-flip-header", Bus, 0, ANY;
    /// Bit `arg` (0..=31) of STS is flipped on its way to the host.
    MisoFlipStatus = "miso-flip-status", Bus, 4, ANY;
    /// Bit `arg` (0..=7) of a byte written to STS is flipped.
    MosiFlipStatus = "mosi-flip-status", Bus, 6, STATUS_WRITES;
    /// Bit `arg` of the response bytes in the frame is flipped (byte `arg`/8, bit `arg`%8).
    MisoFlipFifo = "miso-flip-fifo", Bus, 0, COMPLETION;
    /// Bit `arg` of the command bytes in the frame is flipped (byte `arg`/8, bit `arg`%8).
    MosiFlipFifo = "mosi-flip-fifo", Bus, 0, SENDING;
    /// The TPM misses eight clocks before byte `arg` of the frame (0 = first of the header).
    ClockDrop = "clock-drop", Bus, 4, ANY;
    /// The TPM sees eight clocks too many before byte `arg` of the frame.
    ClockInsert = "clock-insert", Bus, 4, ANY;
    /// The TPM sees one clock too many before byte `arg`; all that follows is shifted by a bit.
    BitSlip = "bit-slip", Bus, 4, ANY;
    /// Chip select rises and falls before byte `arg` of the frame.
    CsGlitch = "cs-glitch", Bus, 4, ANY;
    /// The rise of chip select at the end of the frame does not reach the TPM.
    CsStuckLow = "cs-stuck-low", Bus, 0, ANY;
    /// The last `arg` bytes of the frame are not clocked at the TPM.
    ShortClocking = "short-clocking", Bus, 1, ANY;
    /// DID_VID reads `arg`.
    WrongDidVid = "wrong-did-vid", Bus, 0x0BAD_1234, IDLE;

    /// burstCount reads 0 for `arg` polls.
    BurstZero = "burst-zero", Fifo, 3, MOVING;
    /// burstCount is `arg` for the rest of the command.
    BurstFixed = "burst-fixed", Fifo, 1, MOVING;
    /// burstCount is another number in 1..=`arg` at each poll for the rest of the command.
    BurstChanging = "burst-changing", Fifo, 64, MOVING;
    /// burstCount promises `arg` bytes more than the FIFO takes, for the rest of the command; the excess is lost.
    BurstTooLarge = "burst-too-large", Fifo, 16, MOVING;
    /// burstCount reads 0xFFFF; what really fits is unchanged.
    BurstMax = "burst-max", Fifo, 0, MOVING;
    /// stsValid reads 0 for `arg` polls.
    StatusInvalid = "status-invalid", Fifo, 3, ANY;
    /// Expect stays 1 after the last byte of the command.
    ExpectStuck = "expect-stuck", Fifo, 0, RECEPTION;
    /// Expect falls before the command is complete, and further bytes are dropped.
    ExpectEarly = "expect-early", Fifo, 0, RECEPTION;
    /// One byte of the command is lost inside the FIFO.
    CommandByteLost = "command-byte-lost", Fifo, 0, SENDING;
    /// One byte of the response is lost inside the FIFO; a retry delivers all.
    ResponseByteLost = "response-byte-lost", Fifo, 0, COMPLETION;
    /// The first `arg` readings of the response lack their last byte: responseRetry is needed.
    RetryNeeded = "retry-needed", Fifo, 1, COMPLETION;
    /// dataAvail comes `arg` polls late.
    DataLate = "data-late", Fifo, 5, EXECUTION;
    /// dataAvail never comes.
    DataNever = "data-never", Fifo, 0, EXECUTION;
    /// dataAvail falls for good in the middle of the response.
    DataDropped = "data-dropped", Fifo, 0, COMPLETION;
    /// The response announces `arg` bytes more than it has.
    LengthLong = "length-long", Fifo, 4, EXECUTION;
    /// The response announces `arg` bytes fewer than it has.
    LengthShort = "length-short", Fifo, 1, EXECUTION;
    /// The response announces `arg` bytes (fewer than a header).
    LengthTiny = "length-tiny", Fifo, 9, EXECUTION;
    /// The response announces 0xFFFFFFFF bytes.
    LengthMax = "length-max", Fifo, 0, EXECUTION;
    /// `arg` bytes follow the end of the response.
    ExtraBytes = "extra-bytes", Fifo, 4, EXECUTION;
    /// commandReady has no effect.
    ReadyStuck = "ready-stuck", Fifo, 0, IDLE;
    /// A commandReady that ends or aborts a command has no effect.
    AbortIgnored = "abort-ignored", Fifo, 0, COMMAND;
    /// tpmRegValidSts stays 0 until `arg` ms after this fault first shows.
    AccessInvalid = "access-invalid", Fifo, 30, IDLE;
    /// Locality 4 holds the TPM for `arg` ms.
    LocalityBusy = "locality-busy", Fifo, 100, IDLE;
    /// Locality 4 seizes the TPM and gives it back after `arg` ms.
    LocalitySeized = "locality-seized", Fifo, 100, ANY;
    /// The active locality is dropped without anybody taking it.
    LocalityLost = "locality-lost", Fifo, 0, ANY;
    /// tpmGo has no effect.
    GoIgnored = "go-ignored", Fifo, 0, RECEPTION;
    /// The command is cancelled while it runs: RC_CANCELED (0x909), nothing done.
    Cancelled = "cancelled", Fifo, 0, EXECUTION;

    /// nRST pulses: the TPM forgets the command, needs locality and TPM2_Startup again.
    TpmReset = "tpm-reset", Tpm, 0, ANY;
    /// The supply fails and returns: as a reset, and only NV survives.
    PowerLoss = "power-loss", Tpm, 0, ANY;
    /// The TPM was reset and started by somebody else, behind the host's back.
    SilentReset = "silent-reset", Tpm, 0, EXECUTION;
    /// Answer RC_RETRY (0x922) instead of running the command.
    RcRetry = "rc-retry", Tpm, 0x922, EXECUTION;
    /// Answer RC_YIELDED (0x908).
    RcYielded = "rc-yielded", Tpm, 0x908, EXECUTION;
    /// Answer RC_TESTING (0x90A).
    RcTesting = "rc-testing", Tpm, 0x90A, EXECUTION;
    /// Answer RC_LOCKOUT (0x921).
    RcLockout = "rc-lockout", Tpm, 0x921, EXECUTION;
    /// Answer RC_NV_RATE (0x920).
    RcNvRate = "rc-nv-rate", Tpm, 0x920, EXECUTION;
    /// Answer RC_CANCELED (0x909).
    RcCanceled = "rc-canceled", Tpm, 0x909, EXECUTION;
    /// Answer RC_FAILURE (0x101).
    RcFailure = "rc-failure", Tpm, 0x101, EXECUTION;
    /// Answer RC_OBJECT_MEMORY (0x902).
    RcObjectMemory = "rc-object-memory", Tpm, 0x902, EXECUTION;
    /// Answer RC_SESSION_MEMORY (0x903).
    RcSessionMemory = "rc-session-memory", Tpm, 0x903, EXECUTION;
    /// Answer the response code `arg`.
    Rc = "rc", Tpm, 0x101, EXECUTION;
    /// The command takes `arg` more busy polls.
    Slow = "slow", Tpm, 200, EXECUTION;
    /// The answer to the previous command with this code is given again.
    Replay = "replay", Tpm, 0, EXECUTION;
    /// An interposer flips the lowest bit of byte `arg` of the response, counted from its end.
    AlterResponse = "alter-response", Tpm, 0, EXECUTION;
    /// An interposer flips the lowest bit of byte `arg` of the command, counted from its end.
    AlterCommand = "alter-command", Tpm, 0, EXECUTION;
    /// Another TPM is in the socket from now on.
    SwapTpm = "swap-tpm", Tpm, 0, EXECUTION;
    /// The TPM is dead from now on: MISO floats high until a reset brings it back.
    Dead = "dead", Tpm, 0, EXECUTION;
}

impl FaultKind {
    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
