//! A TPM through the TSS' loadable interfaces (TCTI).
//!
//! # Why a thread of its own
//!
//! Two of the three interfaces block until the TPM has answered, whatever time limit they are given, so the limit is kept
//! here: a worker owns the connection, and whoever waits for it stops when the time is over. A TPM that never answers keeps
//! the worker; it ends, and closes the connection, with the answer. As long as it hangs no further connection is opened, so
//! that a dead TPM costs one thread however often a login is tried.

mod context;

use core::ffi::c_uint;
use core::time::Duration;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use assay_firmware::tpm::{DurationClass, TpmTransport, TransportError};
use zeroize::Zeroizing;

use self::context::{Context, Rc};
use super::{SLACK, TpmPlace};

/// Longest response of a TPM: `TPM2_MAX_RESPONSE_SIZE` of the TSS.
const LONGEST: usize = 4096;
/// What a connection may take: `tabrmd` is started by the bus when it is not there.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Workers whose TPM did not answer in time, and still has not.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The TSS could not load the interface, or it could not connect; the number is the TSS' return code.
    #[error("the TPM's interface cannot be opened (TSS return code {0:#010x})")]
    Tss(c_uint),
    /// It does not come up.
    #[error("the TPM's interface did not come up within {OPEN_LIMIT:?}")]
    Timeout,
    /// A TPM that was asked earlier has not answered yet.
    #[error("the TPM still has not answered an earlier command")]
    Hanging,
    /// No thread can be started.
    #[error("no thread can be started")]
    Thread,
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Tss(_) => {
                "is the device there and readable (group tss), is tpm2-abrmd running, is the interface's package \
                 installed (libtss2-tcti-device0, libtss2-tcti-tabrmd0, libtss2-tcti-swtpm0)?"
            }
            Self::Timeout | Self::Hanging => {
                "look at the kernel's log; a reset of the machine resets its TPM"
            }
            Self::Thread => "the machine is out of memory, or the unit's TasksMax is too small",
        }
    }
}

/// Why no response was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TctiError {
    /// The connection is gone, or failed.
    #[error("the connection to the TPM is closed")]
    Closed,
    /// No answer within the command's limit.
    #[error("the TPM did not answer in time")]
    Timeout,
    /// It was cancelled.
    #[error("the TPM's command was given up")]
    Cancelled,
}

impl From<TctiError> for TransportError {
    fn from(error: TctiError) -> Self {
        match error {
            TctiError::Timeout => Self::Timeout,
            TctiError::Closed | TctiError::Cancelled => Self::Closed,
        }
    }
}

/// A command of ours may hold a password, a response a secret.
type Bytes = Zeroizing<Vec<u8>>;
type Response = Result<Bytes, Rc>;

/// What the worker and whoever waits for it say to each other.
#[derive(Debug)]
struct Worker {
    commands: SyncSender<Bytes>,
    responses: Receiver<Response>,
    /// Set by whoever stopped waiting, for the worker to take itself off the list of the hanging.
    given_up: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// Gives up a command that runs, from another thread.
#[derive(Debug, Clone)]
pub struct Canceller(SyncSender<Response>);

impl Canceller {
    /// Whoever waits for a response stops waiting, and the connection is closed. A command that was sent is still worked on
    /// by the TPM; its answer goes nowhere. Without one that runs, the next one is given up.
    pub fn cancel(&self) {
        // A full channel has an answer in it, and then there is nothing left to give up.
        let _ = self.0.try_send(Err(CANCELLED));
    }
}

/// No code of the TSS: its layer is none.
const CANCELLED: Rc = Rc(u32::MAX);

/// A TPM behind the TSS. After an error it is closed for good: what is left of an answer would be taken for the next one.
#[derive(Debug)]
pub struct TctiTpm {
    worker: Option<Worker>,
    canceller: Canceller,
}

impl TctiTpm {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(place: &TpmPlace) -> Result<Self, OpenError> {
        if HANGING.load(Ordering::Acquire) > 0 {
            return Err(OpenError::Hanging);
        }
        // A place has no zero in it.
        let name = CString::new(place.as_str()).map_err(|_| OpenError::Tss(0))?;
        let (commands, to_do) = sync_channel::<Bytes>(1);
        let (done, responses) = sync_channel::<Response>(1);
        let (opened, waiting) = sync_channel(1);
        let given_up = Arc::new(AtomicUsize::new(RUNNING));
        let canceller = Canceller(done.clone());
        let state = given_up.clone();
        let thread = std::thread::Builder::new()
            .name("tpm".to_owned())
            .spawn(move || work(&name, &opened, &to_do, &done, &state))
            .map_err(|_| OpenError::Thread)?;
        match waiting.recv_timeout(OPEN_LIMIT) {
            Ok(Ok(())) => Ok(Self {
                worker: Some(Worker {
                    commands,
                    responses,
                    given_up,
                    thread,
                }),
                canceller,
            }),
            Ok(Err(rc)) => Err(OpenError::Tss(rc.0)),
            Err(_) => {
                give_up(&given_up);
                Err(OpenError::Timeout)
            }
        }
    }

    /// For another thread to give up what runs.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

impl Drop for TctiTpm {
    /// Closes the connection before it returns: a device without a resource manager, and a software TPM, take one at a time.
    fn drop(&mut self) {
        // A worker that is still here waits for a command; it ends when none can come any more.
        if let Some(Worker {
            commands, thread, ..
        }) = self.worker.take()
        {
            drop(commands);
            let _ = thread.join();
        }
    }
}

const RUNNING: usize = 0;
const GIVEN_UP: usize = 1;
const ENDED: usize = 2;

/// Counts a worker among the hanging, unless it has just ended.
fn give_up(state: &AtomicUsize) {
    HANGING.fetch_add(1, Ordering::AcqRel);
    let old = state.compare_exchange(RUNNING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
    if old.is_err() {
        HANGING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Says that a worker has ended, when it does, however it does.
struct Ending<'a>(&'a AtomicUsize);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.0.swap(ENDED, Ordering::AcqRel) == GIVEN_UP {
            HANGING.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Owns the connection: opens it, sends one command after the other, closes it when there is nobody left to send some.
fn work(
    name: &CString,
    opened: &SyncSender<Result<(), Rc>>,
    commands: &Receiver<Bytes>,
    responses: &SyncSender<Response>,
    state: &AtomicUsize,
) {
    let ending = Ending(state);
    let mut context = match Context::open(name) {
        Ok(context) => context,
        Err(rc) => {
            let _ = opened.send(Err(rc));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let mut buffer = Zeroizing::new([0; LONGEST]);
    while let Ok(command) = commands.recv() {
        let received = context
            .transmit(&command)
            .and_then(|()| context.receive(buffer.as_mut_slice()));
        let response = received.map(|len| {
            let received = buffer.get(..len).unwrap_or_default();
            Zeroizing::new(received.to_vec())
        });
        // An error is the connection's last word. So is a channel that is full, or that nobody listens to: the command was
        // given up.
        let failed = response.is_err();
        let told = responses.try_send(response);
        if failed || told.is_err() {
            break;
        }
    }
    drop(context);
    drop(ending);
}

impl Worker {
    fn exchange(
        &self,
        command: &[u8],
        response: &mut [u8],
        class: DurationClass,
    ) -> Result<usize, TctiError> {
        let limit = Duration::from_micros(class.limit_us().into()) + SLACK;
        match self.commands.try_send(Zeroizing::new(command.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                return Err(TctiError::Closed);
            }
        }
        let received = match self.responses.recv_timeout(limit) {
            Ok(Ok(received)) => received,
            Ok(Err(rc)) => {
                give_up_if_cancelled(rc, &self.given_up);
                return Err(error_of(rc));
            }
            Err(RecvTimeoutError::Timeout) => {
                give_up(&self.given_up);
                return Err(TctiError::Timeout);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(TctiError::Closed),
        };
        let room = response.get_mut(..received.len());
        // More than the command layer takes is no answer to anything that it sends.
        let room = room.ok_or(TctiError::Closed)?;
        room.copy_from_slice(&received);
        Ok(received.len())
    }
}

fn give_up_if_cancelled(rc: Rc, state: &AtomicUsize) {
    if rc == CANCELLED {
        give_up(state);
    }
}

fn error_of(rc: Rc) -> TctiError {
    /// TSS2_BASE_RC_TRY_AGAIN, which an interface answers when its own time is over.
    const TRY_AGAIN: u32 = 9;
    match rc {
        CANCELLED => TctiError::Cancelled,
        rc if rc.base() == TRY_AGAIN => TctiError::Timeout,
        _ => TctiError::Closed,
    }
}

impl TpmTransport for TctiTpm {
    type Error = TctiError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], TctiError> {
        let worker = self.worker.take().ok_or(TctiError::Closed)?;
        let len = worker.exchange(command, response, class)?;
        self.worker = Some(worker);
        Ok(response.get(..len).unwrap_or_default())
    }

    fn pause_ms(&mut self, ms: u32) {
        std::thread::sleep(Duration::from_millis(ms.into()));
    }
}
