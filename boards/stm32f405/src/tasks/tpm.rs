//! The task that has the TPM: one request, one answer.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_time::{Instant, with_timeout};
use heapless::String;

use super::commands::{Commands, Failure, Outcome};
use super::request::{Request, Work};
use super::{ANSWERS, REQUESTS, heart};
use crate::Driver;

static BUSY: AtomicBool = AtomicBool::new(false);

/// Whether a request is under way, from [`ask`] until its answer is on the way to the line.
pub(crate) fn is_busy() -> bool {
    BUSY.load(Ordering::Relaxed)
}

/// Hands a request over, unless one is under way; whether it did.
pub(crate) fn ask(request: Request) -> bool {
    // Nobody comes between: the tasks are of one executor.
    let is_free = !is_busy() && REQUESTS.try_send(request).is_ok();
    if is_free {
        BUSY.store(true, Ordering::Relaxed);
    }
    is_free
}

/// The task.
#[embassy_executor::task]
pub(crate) async fn work(driver: Driver) {
    let mut commands = Commands::new(driver);
    loop {
        let request = REQUESTS.receive().await;
        let (began, beats) = (Instant::now(), heart::beats());
        let outcome = answer(&mut commands, request).await;
        let mut line = String::new();
        // A line that is too long is cut: LINE has room for all of them.
        let _ = write!(
            line,
            "{}; {} us, {} beats",
            Said(request.work, outcome),
            began.elapsed().as_micros(),
            heart::beats().wrapping_sub(beats)
        );
        BUSY.store(false, Ordering::Relaxed);
        ANSWERS.send(line).await;
    }
}

/// `None`: somebody lost his patience, and the command was dropped wherever it was.
async fn answer(commands: &mut Commands, request: Request) -> Option<Result<Outcome, Failure>> {
    let run = commands.run(request.work);
    match request.patience {
        None => Some(run.await),
        Some(patience) => with_timeout(patience, run).await.ok(),
    }
}

/// An outcome in words.
struct Said(Work, Option<Result<Outcome, Failure>>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(work, outcome) = self;
        f.write_str(work.name())?;
        if let Work::Pcr(index) = work {
            write!(f, " {}", index.get())?;
        }
        match outcome {
            None => f.write_str(" given up"),
            Some(Err(failure)) => write!(f, " failed: {failure}"),
            Some(Ok(Outcome::Done)) => f.write_str(" done"),
            Some(Ok(Outcome::Found(id))) => write!(
                f,
                ": vendor 0x{:04X}, device 0x{:04X}, revision 0x{:02X}",
                id.vendor, id.device, id.revision
            ),
            Some(Ok(Outcome::Bytes(bytes, len))) => {
                f.write_str(": ")?;
                let mut shown = bytes.iter().take(*len);
                shown.try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}
