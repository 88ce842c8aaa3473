//! The link to the verifier: a tty, or standard input and output.
//!
//! A thread does what the receive interrupt does on a board: it takes what arrives while the agent is busy with the TPM. What the
//! protocol allows on its way at once is small, so the queue is short, and a peer that sends more waits in the kernel.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::panic::PanicHookInfo;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use assay_board_support::last_words;
use embedded_io::{ErrorType, ReadReady};

use crate::Problem;
use crate::args::Line;

/// A read of the tty returns after this even if nothing came. It is then made again.
const LONGEST_READ: Duration = Duration::from_secs(3_600);
/// Pieces of what has arrived that wait for the agent.
const QUEUE: usize = 64;

/// The writing half, for last words.
static LAST_WORDS: Mutex<Option<Box<dyn Write + Send>>> = Mutex::new(None);

/// The owner of the link.
pub(crate) struct Link {
    arrived: Receiver<Vec<u8>>,
    waiting: VecDeque<u8>,
    out: Box<dyn Write + Send>,
}

impl Link {
    /// Opens the line; bytes are received from here on, and a panic is said on it.
    pub(crate) fn open(line: &Line) -> Result<Self, Problem> {
        let (input, out, last): (
            Box<dyn Read + Send>,
            Box<dyn Write + Send>,
            Box<dyn Write + Send>,
        ) = match line {
            Line::Stdio => (
                Box::new(io::stdin()),
                Box::new(io::stdout()),
                Box::new(io::stdout()),
            ),
            Line::Tty { path, baud } => {
                let problem = |error: serialport::Error| {
                    Problem::new(
                        format!("{path}: {error}"),
                        "is nobody else on it (a console, a getty), and the user in group dialout?",
                    )
                };
                let port = serialport::new(path, *baud)
                    .timeout(LONGEST_READ)
                    .open_native()
                    .map_err(problem)?;
                let clone = || port.try_clone_native().map_err(problem);
                (Box::new(clone()?), Box::new(clone()?), Box::new(port))
            }
        };
        *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        std::panic::set_hook(Box::new(say_last_words));
        let (sender, arrived) = sync_channel(QUEUE);
        thread::spawn(move || receive(input, &sender));
        Ok(Self {
            arrived,
            waiting: VecDeque::new(),
            out,
        })
    }

    /// Takes what the thread has; `true` while there is something to read.
    fn take(&mut self) -> Result<bool, io::Error> {
        while self.waiting.is_empty() {
            match self.arrived.try_recv() {
                Ok(piece) => self.waiting.extend(piece),
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(true)
    }
}

/// Until the line ends: an agent without a line has nothing to do, and whoever started it starts it again.
fn receive(mut input: impl Read, arrived: &SyncSender<Vec<u8>>) {
    let mut buffer = [0; 4_096];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let piece = buffer.get(..read).unwrap_or_default().to_vec();
                if arrived.send(piece).is_err() {
                    return;
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                eprintln!("error: link: {error}");
                break;
            }
        }
    }
    eprintln!("the link has ended");
    std::process::exit(1);
}

fn say_last_words(info: &PanicHookInfo<'_>) {
    eprintln!("{info}");
    let place = info
        .location()
        .map_or_else(|| "panic".to_owned(), ToString::to_string);
    last_words::send(place.as_bytes(), |bytes| {
        // Nobody else writes any more: the agent has one thread that does, and it is here.
        if let Ok(mut out) = LAST_WORDS.try_lock()
            && let Some(out) = &mut *out
        {
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
    });
    std::process::exit(1);
}

impl ErrorType for Link {
    type Error = io::Error;
}

impl embedded_io::Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, io::Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.take()? {
            let piece = self.arrived.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.waiting.extend(piece);
        }
        Read::read(&mut self.waiting, buffer)
    }
}

impl ReadReady for Link {
    fn read_ready(&mut self) -> Result<bool, io::Error> {
        self.take()
    }
}

impl embedded_io::Write for Link {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, io::Error> {
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), io::Error> {
        self.out.flush()
    }
}
