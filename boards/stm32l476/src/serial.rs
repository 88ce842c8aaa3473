//! The link: USART2, which the Nucleo wires to its ST-Link's serial port; received by interrupt, sent by polling.

#![expect(
    unsafe_code,
    reason = "the interrupt handler shares the USART with its owner"
)]

use assay_board_support::line::{LineError, Receiver, Uart, longest_send_ms};
use cortex_m::peripheral::NVIC;

use crate::clock::CORE_HZ;
use crate::pac::{Interrupt, USART2, interrupt};
use crate::watchdog;

/// Bits per second, both ways; 8 data bits, no parity, one stop bit, no flow control.
const BAUD: u32 = if cfg!(feature = "serial-115200") {
    115_200
} else {
    921_600
};
/// Nobody kicks the watchdog while a frame is sent.
const _: () = assert!(longest_send_ms(BAUD) < watchdog::LEAST_MS / 2);

/// 16 times oversampling: the register holds clock / baud. 80 MHz / 921,600 = 86.8, which is 0.2 % off when rounded.
const DIVIDER: u16 = ((CORE_HZ + BAUD / 2) / BAUD) as u16;
const _: () = assert!(DIVIDER >= 16);

/// What has arrived.
pub(crate) static RECEIVER: Receiver = Receiver::new();

#[interrupt]
fn USART2() {
    // SAFETY: the handler reads the status and the received byte and clears errors by a register of its own for that. The
    // owner ([`LinkUsart`]) writes the byte to send and reads the status, so neither disturbs the other.
    let usart = unsafe { &*USART2::ptr() };
    let status = usart.isr().read();
    let error = LineError {
        overrun: status.ore().bit_is_set(),
        garbled: status.fe().bit_is_set() || status.nf().bit_is_set(),
    };
    if error != LineError::default() {
        // An overrun that is not cleared interrupts for ever.
        usart.icr().write(|w| {
            w.orecf().clear();
            w.fecf().clear();
            w.ncf().clear()
        });
        RECEIVER.note(error);
    }
    if status.rxne().bit_is_set() {
        // Reading it clears the flag.
        RECEIVER.take(usart.rdr().read().rdr().bits() as u8);
    }
}

/// The sending half of the link.
pub(crate) struct LinkUsart(USART2);

impl LinkUsart {
    /// Switches the USART on; bytes are received from here on.
    pub(crate) fn start(usart: USART2) -> Self {
        // SAFETY: any value of at least 16 is a valid divider.
        usart.brr().write(|w| unsafe { w.brr().bits(DIVIDER) });
        // Eight bits, no parity, one stop bit are what is left at zero.
        usart.cr1().write(|w| {
            w.ue().set_bit();
            w.te().set_bit();
            w.re().set_bit();
            w.rxneie().set_bit()
        });
        // SAFETY: unmasking breaks no critical section: none is held here, and the handler's state is static and ready.
        unsafe { NVIC::unmask(Interrupt::USART2) };
        Self(usart)
    }
}

impl Uart for LinkUsart {
    fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while self.0.isr().read().txe().bit_is_clear() {}
            // SAFETY: the data register takes any byte.
            self.0.tdr().write(|w| unsafe { w.tdr().bits(byte.into()) });
        }
    }

    fn drain(&mut self) {
        while self.0.isr().read().tc().bit_is_clear() {}
    }
}

/// Sends from a panic or fault handler, whoever owns the USART. Does nothing before [`LinkUsart::start`].
///
/// Interrupts must be disabled for good: what the owner was sending is cut off.
pub(crate) fn send_last_words(bytes: &[u8]) {
    // SAFETY: the caller never returns to the owner of the USART, so nobody else uses it.
    let usart = unsafe { USART2::steal() };
    if usart.cr1().read().ue().bit_is_set() {
        let mut usart = LinkUsart(usart);
        usart.send(bytes);
        usart.drain();
    }
}
