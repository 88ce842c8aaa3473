//! The task that has the line: takes requests, and answers what needs no TPM at once.

use core::fmt::Write as _;
use core::future::poll_fn;
use core::task::Poll;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embedded_io::{Read, ReadReady, Write};
use heapless::String;

use super::request::Request;
use super::{ANSWERS, LINE, heart, tpm};
use crate::serial::{ARRIVAL, Link};

/// The task.
#[embassy_executor::task]
pub(crate) async fn serve(mut serial: Link) {
    say(
        &mut serial,
        concat!(
            "Assay asynchronous driver under embassy, stm32f405 ",
            env!("CARGO_PKG_VERSION")
        ),
    );
    let mut typed = Typed::new();
    loop {
        match select(arrival(&mut serial), ANSWERS.receive()).await {
            Either::First(byte) => {
                if let Some(line) = typed.take(byte) {
                    obey(&mut serial, line);
                    typed = Typed::new();
                    // Whoever types faster than lines are answered must not keep the others from their turn.
                    yield_now().await;
                }
            }
            Either::Second(answer) => say(&mut serial, &answer),
        }
    }
}

/// Answers a line, or passes it on to the TPM's task.
fn obey(serial: &mut Link, line: Option<&str>) {
    match line {
        Some("") => {}
        Some("status") => {
            let mut status = String::<LINE>::new();
            let tpm = if tpm::is_busy() { "busy" } else { "idle" };
            // Far shorter than LINE.
            let _ = write!(status, "status: tpm {tpm}, {} beats", heart::beats());
            say(serial, &status);
        }
        other => match other.and_then(Request::parse) {
            None => say(
                serial,
                "what? [within MICROSECONDS] probe | startup | selftest | random | pcr N, or status",
            ),
            Some(request) => {
                if !tpm::ask(request) {
                    say(serial, "busy: one request at a time");
                }
            }
        },
    }
}

/// A byte from the line. Nothing is lost when it is dropped.
async fn arrival(serial: &mut Link) -> u8 {
    poll_fn(|context| {
        // Before the look, so that a byte that comes after it wakes.
        ARRIVAL.register(context.waker());
        let mut byte = [0];
        match (serial.read_ready(), byte.as_mut_slice()) {
            (Ok(true), buffer) => {
                // Does not wait: one is there. This serial port has no errors.
                let _ = serial.read(buffer);
                let [byte] = byte;
                Poll::Ready(byte)
            }
            _ => Poll::Pending,
        }
    })
    .await
}

/// Sends a line. Polled, like every line of this board: 1.5 ms at most, at 115,200 baud 12 ms.
fn say(serial: &mut Link, text: &str) {
    for part in [text, "\r\n"] {
        // It takes everything, and has no errors.
        let _ = serial.write(part.as_bytes());
    }
}

/// A line as far as it was typed.
struct Typed {
    line: String<LINE>,
    is_whole: bool,
}

impl Typed {
    const fn new() -> Self {
        Self {
            line: String::new(),
            is_whole: true,
        }
    }

    /// Takes a byte. At the end of a line that line, `None` in it when it was too long or no ASCII.
    fn take(&mut self, byte: u8) -> Option<Option<&str>> {
        match byte {
            b'\r' | b'\n' => Some(self.is_whole.then_some(self.line.as_str())),
            _ => {
                self.is_whole &= byte.is_ascii() && self.line.push(byte.into()).is_ok();
                None
            }
        }
    }
}
