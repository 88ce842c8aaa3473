//! The link: UART0, a PL011 with FIFOs of 32 bytes; received by interrupt, sent by polling.

#![expect(
    unsafe_code,
    reason = "the interrupt handler shares the UART with its owner"
)]

use assay_board_support::line::{LineError, Receiver, Uart, longest_send_ms};
use rp235x_pac::{Interrupt, RESETS, UART0};

use crate::arch;
use crate::clock::PERIPHERAL_HZ;
use crate::watchdog;

/// Bits per second, both ways; 8 data bits, no parity, one stop bit, no flow control.
const BAUD: u32 = if cfg!(feature = "serial-115200") {
    115_200
} else {
    921_600
};
const _: () = assert!(longest_send_ms(BAUD) < watchdog::LONGEST_MS / 2);

/// The divider in 64ths, for 16 times oversampling. 150 MHz / 16 / 921,600 = 10.17; 10 + 11 / 64 is 0.01 % off.
const DIVIDER: u32 = (PERIPHERAL_HZ * 4 + BAUD / 2) / BAUD;
const _: () = assert!(DIVIDER >= 1 << 6 && DIVIDER < 1 << 22);

/// What has arrived.
pub(crate) static RECEIVER: Receiver = Receiver::new();

/// Moves what has arrived into the ring.
pub(crate) fn receive() {
    // SAFETY: the handler reads the data register's receive side and clears its own interrupts; the owner ([`LinkUart`])
    // writes the transmit side, so neither disturbs the other.
    let uart = unsafe { &*UART0::ptr() };
    // Cleared first: bytes that come after the last look then interrupt again.
    uart.uarticr().write(|w| {
        w.rxic().clear_bit_by_one();
        w.rtic().clear_bit_by_one();
        w.oeic().clear_bit_by_one()
    });
    while uart.uartfr().read().rxfe().bit_is_clear() {
        let entry = uart.uartdr().read();
        let broken = entry.be().bit_is_set();
        RECEIVER.note(LineError {
            overrun: entry.oe().bit_is_set(),
            garbled: broken || entry.fe().bit_is_set(),
        });
        // A break is not a byte.
        if !broken {
            RECEIVER.take(entry.data().bits());
        }
    }
}

/// The sending half of the link.
pub(crate) struct LinkUart(());

impl LinkUart {
    /// Switches the UART on; bytes are received from here on.
    pub(crate) fn start() -> Self {
        // SAFETY: called once, before anything else uses them.
        let (resets, uart) = unsafe { (&*RESETS::ptr(), &*UART0::ptr()) };
        resets.reset().modify(|_, w| w.uart0().set_bit());
        resets.reset().modify(|_, w| w.uart0().clear_bit());
        while resets.reset_done().read().uart0().bit_is_clear() {}
        // SAFETY: both parts were checked above to fit.
        uart.uartibrd()
            .write(|w| unsafe { w.baud_divint().bits((DIVIDER >> 6) as u16) });
        // SAFETY: as above.
        uart.uartfbrd()
            .write(|w| unsafe { w.baud_divfrac().bits((DIVIDER & 0x3F) as u8) });
        // Eight bits, FIFOs on. This write takes the divider in.
        // SAFETY: 3 is the code of eight bits.
        uart.uartlcr_h()
            .write(|w| unsafe { w.wlen().bits(3).fen().set_bit() });
        // At four bytes, so that 28 may come (0.3 ms at 921,600 baud) before one is lost; the rest of a frame by the
        // timeout, when the line has been quiet for 32 bits.
        // SAFETY: 0 is the code of an eighth.
        uart.uartifls().write(|w| unsafe { w.rxiflsel().bits(0) });
        uart.uartimsc()
            .write(|w| w.rxim().set_bit().rtim().set_bit());
        uart.uartcr()
            .write(|w| w.uarten().set_bit().txe().set_bit().rxe().set_bit());
        arch::unmask(Interrupt::UART0_IRQ);
        Self(())
    }
}

impl Uart for LinkUart {
    fn send(&mut self, bytes: &[u8]) {
        // SAFETY: `self` is the owner of the transmit side.
        let uart = unsafe { &*UART0::ptr() };
        for &byte in bytes {
            while uart.uartfr().read().txff().bit_is_set() {}
            // SAFETY: the data register takes any byte.
            uart.uartdr().write(|w| unsafe { w.data().bits(byte) });
        }
    }

    fn drain(&mut self) {
        // SAFETY: a read.
        while unsafe { (*UART0::ptr()).uartfr().read().busy().bit_is_set() } {}
    }
}

/// Sends from a panic or fault handler, whoever owns the UART. Does nothing before [`LinkUart::start`].
///
/// Interrupts must be disabled for good: what the owner was sending is cut off.
pub(crate) fn send_last_words(bytes: &[u8]) {
    // SAFETY: reads. A UART held in reset must not be touched, or the access faults.
    let on = unsafe {
        (*RESETS::ptr()).reset_done().read().uart0().bit_is_set()
            && (*UART0::ptr()).uartcr().read().uarten().bit_is_set()
    };
    if on {
        // The caller never returns to the owner, so nobody else sends.
        let mut uart = LinkUart(());
        uart.send(bytes);
        uart.drain();
    }
}
