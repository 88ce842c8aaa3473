//! The asynchronous driver: the same frames as the blocking one, and what a dropped future leaves behind.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use assay_firmware::bus;
use assay_firmware::tis;
use embedded_hal::delay::DelayNs as _;
use embedded_hal::spi::{self, SpiBus as _};

use crate::bytes::response;
use crate::model::{Delay, State, answering};
use crate::slave::{Bus, ChipSelect, SharedSlave, slave};

/// Gives the processor away once.
async fn yielded(count: &Cell<usize>) {
    let mut first = true;
    poll_fn(|_| {
        if core::mem::take(&mut first) {
            count.set(count.get() + 1);
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// A bus of which every transfer waits before it happens.
struct WaitingBus(Bus, Rc<Cell<usize>>);

impl spi::ErrorType for WaitingBus {
    type Error = spi::ErrorKind;
}

impl embedded_hal_async::spi::SpiBus for WaitingBus {
    async fn read(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        yielded(&self.1).await;
        self.0.read(words)
    }
    async fn write(&mut self, words: &[u8]) -> Result<(), spi::ErrorKind> {
        yielded(&self.1).await;
        self.0.write(words)
    }
    async fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), spi::ErrorKind> {
        yielded(&self.1).await;
        self.0.transfer(read, write)
    }
    async fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        yielded(&self.1).await;
        self.0.transfer_in_place(words)
    }
    async fn flush(&mut self) -> Result<(), spi::ErrorKind> {
        yielded(&self.1).await;
        self.0.flush()
    }
}

struct WaitingDelay(Delay, Rc<Cell<usize>>);

impl embedded_hal_async::delay::DelayNs for WaitingDelay {
    async fn delay_ns(&mut self, ns: u32) {
        yielded(&self.1).await;
        self.0.delay_ns(ns);
    }
}

type Waiting =
    tis::asynchronous::Tis<bus::asynchronous::SpiTis<WaitingBus, ChipSelect>, WaitingDelay>;

fn waiting(slave: &SharedSlave) -> (Waiting, Rc<Cell<usize>>) {
    let yields = Rc::<Cell<usize>>::default();
    let spi = WaitingBus(Bus(slave.clone()), yields.clone());
    let bus = bus::asynchronous::SpiTis::new(spi, ChipSelect(slave.clone())).unwrap();
    let delay = WaitingDelay(Delay::default(), yields.clone());
    (tis::asynchronous::Tis::new(bus, delay), yields)
}

/// Polls until the result is there, or `most` times.
fn poll<F: Future>(mut future: Pin<&mut F>, most: usize) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    (0..most).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// More polls than any command here takes.
const MANY: usize = 1_000_000;

fn command(len: usize) -> Vec<u8> {
    let mut command = vec![0xA5; len];
    command[..6].copy_from_slice(&[0x80, 0x01, 0, 0, (len >> 8) as u8, len as u8]);
    command
}

fn wired(answer: &[u8], waits: &[u16], bursts: &[u16]) -> SharedSlave {
    let fifo = answering(answer);
    fifo.borrow_mut().bursts = bursts.to_vec();
    let slave = slave(&fifo);
    slave.borrow_mut().waits = waits.to_vec();
    slave
}

#[test]
fn both_drivers_clock_the_same_frames() {
    for (waits, bursts) in [
        (&[0][..], &[64][..]),
        (&[1, 0, 5], &[32]),
        (&[2], &[8, 1, 64]),
    ] {
        for len in [10, 12, 65, 300, 1024] {
            let answer = response(0x8001, 0, &vec![0x5A; len - 10]);
            let once = wired(&answer, waits, bursts);
            let bus = bus::SpiTis::new(Bus(once.clone()), ChipSelect(once.clone())).unwrap();
            let mut blocking = tis::Tis::new(bus, Delay::default());
            let again = wired(&answer, waits, bursts);
            let (mut asynchronous, yields) = waiting(&again);
            let command = command(len);
            for _ in 0..3 {
                let mut buffer = [0; 1024];
                let blocked = blocking.transmit(&command, &mut buffer, 1000).unwrap();
                assert_eq!(blocked, answer);
                let mut buffer = [0; 1024];
                let future = pin!(async {
                    let sent = asynchronous.transmit(&command, &mut buffer, 1000);
                    sent.await.map(<[u8]>::to_vec)
                });
                assert_eq!(poll(future, MANY), Some(Ok(answer.clone())));
            }
            assert_eq!(
                once.borrow().frames,
                again.borrow().frames,
                "{len} {waits:?}"
            );
            assert_eq!(blocking.traffic(), asynchronous.traffic());
            assert!(
                yields.get() >= once.borrow().frames.len(),
                "it never waited"
            );
        }
    }
}

/// At every place where the driver waits, somebody loses patience.
#[test]
fn a_command_whose_future_was_dropped_does_not_hurt_the_next_one() {
    let answer = response(0x8001, 0, &[0x42; 90]);
    let mut places = 0;
    for patience in 1.. {
        let slave = wired(&answer, &[1], &[16]);
        slave.borrow_mut().loses_torn_frames = true;
        let (mut tis, _) = waiting(&slave);
        let mut buffer = [0; 256];
        let first = command(80);
        let dropped = {
            let future = pin!(tis.transmit(&first, &mut buffer, 1000));
            poll(future, patience).is_none()
        };
        let future = pin!(async {
            let sent = tis
                .transmit(&[&first[..6], &[7; 74]].concat(), &mut buffer, 1000)
                .await;
            sent.map(<[u8]>::to_vec)
        });
        assert_eq!(poll(future, MANY), Some(Ok(answer.clone())), "{patience}");
        let slave = slave.borrow();
        let fifo = slave.fifo.borrow();
        assert_eq!(
            fifo.executed.last().map(|last| last[6]),
            Some(7),
            "{patience}"
        );
        assert_eq!(fifo.state, State::Ready, "{patience}");
        if !dropped {
            break;
        }
        places += 1;
    }
    assert!(places > 50, "{places}");
}
