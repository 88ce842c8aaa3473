//! What an nRF52840 has and the machine has not: a UART of QEMU's own, and interrupts. Handled with QEMU's lock held.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::alarm::Alarm;
use crate::machine;
use crate::qemu;

/// What has the interrupt controller's inputs.
const PROCESSOR: &CStr = c"armv7m";
/// QEMU's model for an nRF51, whose registers an nRF52840 has, too.
const NRF_UART: &CStr = c"nrf51_soc.uart";
/// Which `-serial` the UART that is added has: the first that the machine has no USART for.
const ADDED_SERIAL: c_int = 7;
/// Interrupts on an nRF52840: each the number of its block of 4 KiB. `[nRF52840_PS] Instantiation`
const UART_INTERRUPT: c_int = 2;
const TIMER_INTERRUPT: c_int = 8;

/// The devices.
#[derive(Debug)]
pub struct Devices {
    uart: usize,
    /// Calls back when the guest's time is what the overlay's timer awaits.
    alarm: Alarm,
    /// The interrupt's input that the timer has; 0 until the machine is complete.
    timer_input: AtomicUsize,
}

impl Devices {
    /// Makes them while the machine is made. `on_alarm` is called when what [`Devices::apply_timer`] was given has come.
    #[must_use]
    pub fn add(on_alarm: qemu::TimerCallback) -> Self {
        // SAFETY: QEMU is making the machine and holds its lock; names end in NUL, the type is a device of the system bus
        // with one region, and QEMU ends with a message where it is missing. A device lives as long as the process.
        let uart = unsafe {
            let uart = qemu::qdev_new(NRF_UART.as_ptr());
            let line = qemu::serial_hd(ADDED_SERIAL);
            qemu::qdev_prop_set_chr(uart, c"chardev".as_ptr(), line);
            qemu::sysbus_realize_and_unref(uart, &raw mut qemu::error_fatal);
            machine::added_uart(qemu::sysbus_mmio_get_region(uart, 0));
            uart
        };
        Self {
            uart: uart.expose_provenance(),
            alarm: Alarm::new(on_alarm),
            timer_input: AtomicUsize::new(0),
        }
    }

    /// Connects the interrupts, once the machine is complete.
    pub fn connect(&self) {
        let Some(processor) = machine::find(PROCESSOR) else {
            eprintln!("assay-qemu-overlay: this machine has no interrupts to connect");
            return;
        };
        // SAFETY: both are devices of this machine, which has as many inputs; QEMU's lock is held.
        unsafe {
            let input = qemu::qdev_get_gpio_in(processor.as_ptr(), UART_INTERRUPT);
            qemu::sysbus_connect_irq(ptr::with_exposed_provenance_mut(self.uart), 0, input);
            let input = qemu::qdev_get_gpio_in(processor.as_ptr(), TIMER_INTERRUPT);
            self.timer_input
                .store(input.expose_provenance(), Ordering::Relaxed);
        }
    }

    /// Sets the timer's interrupt, and when to call back: at a guest's time in ns, or not.
    pub fn apply_timer(&self, (raised, next): (bool, Option<u64>)) {
        let input = self.timer_input.load(Ordering::Relaxed);
        if input == 0 {
            return;
        }
        // SAFETY: the input is the processor's, which lives as long as the process; QEMU's lock is held.
        unsafe { qemu::qemu_set_irq(ptr::with_exposed_provenance_mut(input), c_int::from(raised)) };
        self.alarm.set(next);
    }

    /// The alarm has called back.
    pub fn rang(&self) {
        self.alarm.rang();
    }
}
