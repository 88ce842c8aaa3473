//! A true pseudo-terminal.

use std::os::fd::OwnedFd;

use assay_host_verifier::transport::Link;
use assay_host_verifier::transport::serial::SerialSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Line, Running};
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

/// A pseudo-terminal: (the board's end, the path that the verifier opens).
fn pty() -> (OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&board).unwrap();
    unlockpt(&board).unwrap();
    let path = ptsname(&board, Vec::new()).unwrap().into_string().unwrap();
    // A board's UART has no line discipline.
    let mut modes = rustix::termios::tcgetattr(&board).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&board, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (board, path)
}

/// The board's end as a stream: two threads, since a terminal's master is no socket.
fn board_link(board: OwnedFd) -> impl Link {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (mut read, mut write) = tokio::io::split(theirs);
    let mut input = std::fs::File::from(board.try_clone().unwrap());
    let mut output = std::fs::File::from(board);
    let runtime = tokio::runtime::Handle::current();
    let writer = runtime.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = std::io::Read::read(&mut input, &mut buffer) {
            if runtime.block_on(write.write_all(&buffer[..count])).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = writer.block_on(read.read(&mut buffer)) {
            if std::io::Write::write_all(&mut output, &buffer[..count]).is_err() {
                return;
            }
        }
    });
    ours
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_logs_in_over_a_true_serial_port() {
    let mut tpm = FakeTpm::new();
    let (board, path) = pty();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let source = SerialSource {
        path,
        baud: 115_200,
    };
    let mut running = Running::start(desk, vec![Box::new(source)]);
    let mut line = Line::new(board_link(board));
    // Every byte value crosses the terminal unharmed: control characters are in any login, here are all of them.
    running.until_a_link_is_open().await;
    let every: Vec<u8> = (0..=255).collect();
    line.raw(&every).await;
    for _ in 0..2 {
        granted(line.login(&mut running.desk.agent(), &tpm).await);
        tpm.clock += 1;
    }
    running.stop().await;
}
