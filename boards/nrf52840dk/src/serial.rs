//! The link: UART0, the one without DMA; received by interrupt, sent by polling.
//!
//! The UART with DMA (UARTE) reports what has arrived only when a buffer is full or was stopped; to hear of each byte it
//! takes a timer and two channels between peripherals. This one has six bytes of FIFO, half a millisecond at 115,200 baud,
//! and an interrupt for each.

#![expect(
    unsafe_code,
    reason = "unmasking an interrupt is unsafe by its signature"
)]

use assay_board_support::line::{LineError, Receiver, Uart, longest_send_ms};
use cortex_m::peripheral::NVIC;
use nrf_pac::uart::vals::{Baudrate, Enable};
use nrf_pac::{Interrupt, UART0, interrupt};

use crate::{CORE_HZ, pins, watchdog};

/// Bits per second, both ways; 8 data bits, no parity, one stop bit, no flow control.
const BAUD: u32 = if cfg!(feature = "serial-921600") {
    921_600
} else {
    115_200
};
/// Nobody kicks the watchdog while a frame is sent.
const _: () = assert!(longest_send_ms(BAUD) < watchdog::LONGEST_MS / 2);

/// What has arrived.
pub(crate) static RECEIVER: Receiver = Receiver::new();

/// An interrupt when a byte has arrived, one when something is wrong with the line.
#[interrupt]
fn UARTE0() {
    if UART0.events_error().read() != 0 {
        UART0.events_error().write_value(0);
        let source = UART0.errorsrc().read();
        // Written back, the ones clear themselves.
        UART0.errorsrc().write_value(source);
        RECEIVER.note(LineError {
            overrun: source.overrun(),
            garbled: source.framing() || source.parity() || source.break_(),
        });
    }
    // Cleared before the byte is read: reading moves the next one up, which raises the event again (data sheet 6.33.2).
    while UART0.events_rxdrdy().read() != 0 {
        UART0.events_rxdrdy().write_value(0);
        RECEIVER.take(UART0.rxd().read().rxd());
    }
}

/// The sending half of the link.
pub(crate) struct LinkUart(());

impl LinkUart {
    /// Switches the UART on; bytes are received from here on.
    pub(crate) fn start() -> Self {
        UART0.psel().txd().write_value(pins::LINK_TX.select());
        UART0.psel().rxd().write_value(pins::LINK_RX.select());
        UART0.baudrate().write(|w| {
            w.set_baudrate(if BAUD == 921_600 {
                Baudrate::Baud921600
            } else {
                Baudrate::Baud115200
            });
        });
        // Eight bits, no parity, one stop bit, no flow control: what is left at zero.
        UART0.config().write(|_| ());
        UART0.enable().write(|w| w.set_enable(Enable::Enabled));
        UART0.intenset().write(|w| {
            w.set_rxdrdy(true);
            w.set_error(true);
        });
        UART0.tasks_startrx().write_value(1);
        UART0.tasks_starttx().write_value(1);
        // SAFETY: unmasking breaks no critical section: none is held here, and the handler's state is static and ready.
        unsafe { NVIC::unmask(Interrupt::UARTE0) };
        Self(())
    }
}

impl Uart for LinkUart {
    /// The UART holds one byte: returns when the last has left.
    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            UART0.events_txdrdy().write_value(0);
            UART0.txd().write(|w| w.set_txd(*byte));
            while UART0.events_txdrdy().read() == 0 {}
        }
    }

    fn drain(&mut self) {}
}

/// Sends from a panic or fault handler, whoever owns the UART. Does nothing before [`LinkUart::start`].
///
/// Interrupts must be disabled for good: what the owner was sending is cut off.
pub(crate) fn send_last_words(bytes: &[u8]) {
    if UART0.enable().read().enable() == Enable::Enabled {
        // The byte that the owner was sending leaves first: its event would be taken for the next one's.
        cortex_m::asm::delay(CORE_HZ / BAUD * 11);
        LinkUart(()).send(bytes);
    }
}
