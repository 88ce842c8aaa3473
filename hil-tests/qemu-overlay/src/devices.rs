//! What an nRF52840 or an RP2350 has and the machine has not: a UART of QEMU's own, and interrupts. Handled with QEMU's lock held.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::alarm::Alarm;
use crate::chip::Chip;
use crate::machine;
use crate::qemu;

/// What has the interrupt controller's inputs: a type.
const PROCESSOR: &CStr = c"armv7m";
/// Which `-serial` the UART that is added has: one that no machine here has a UART for.
const ADDED_SERIAL: c_int = 7;

/// What a chip has of these.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// QEMU's type of its UART.
    uart: &'static CStr,
    /// The interrupts of UART and timer.
    uart_interrupt: c_int,
    timer_interrupt: c_int,
}

impl Wanted {
    /// What `chip` wants; `None` where the machine's own serves.
    #[must_use]
    pub fn by(chip: Chip) -> Option<Self> {
        match chip {
            Chip::Stm32f405 | Chip::Stm32l476 => None,
            // That of an nRF51, with the same registers. An interrupt is the number of its block of 4 KiB.
            // `[nRF52840_PS] Instantiation`
            Chip::Nrf52840 => Some(Self {
                uart: c"nrf51_soc.uart",
                uart_interrupt: 2,
                timer_interrupt: 8,
            }),
            // `[RP2350] 3.2`: UART0_IRQ, TIMER0_IRQ_0.
            Chip::Rp2350 => Some(Self {
                uart: c"pl011",
                uart_interrupt: 33,
                timer_interrupt: 0,
            }),
        }
    }
}

/// The devices.
#[derive(Debug)]
pub struct Devices {
    wanted: Wanted,
    uart: usize,
    /// Calls back when the guest's time is what the overlay's timer awaits.
    alarm: Alarm,
    /// The interrupt's input that the timer has; 0 until the machine is complete.
    timer_input: AtomicUsize,
}

impl Devices {
    /// Makes them while the machine is made. `on_alarm` is called when what [`Devices::apply_timer`] was given has come.
    #[must_use]
    pub fn add(wanted: Wanted, on_alarm: qemu::TimerCallback) -> Self {
        // SAFETY: QEMU is making the machine and holds its lock; names end in NUL, the type is a device of the system bus
        // with one region, and QEMU ends with a message where it is missing. A device lives as long as the process.
        let uart = unsafe {
            let uart = qemu::qdev_new(wanted.uart.as_ptr());
            let line = qemu::serial_hd(ADDED_SERIAL);
            qemu::qdev_prop_set_chr(uart, c"chardev".as_ptr(), line);
            qemu::sysbus_realize_and_unref(uart, &raw mut qemu::error_fatal);
            machine::added_uart(qemu::sysbus_mmio_get_region(uart, 0));
            uart
        };
        Self {
            wanted,
            uart: uart.expose_provenance(),
            alarm: Alarm::new(on_alarm),
            timer_input: AtomicUsize::new(0),
        }
    }

    /// Connects the interrupts, once the machine is complete.
    pub fn connect(&self) {
        let Some(processor) = machine::find_type(PROCESSOR) else {
            eprintln!("assay-qemu-overlay: this machine has no interrupts to connect");
            return;
        };
        // SAFETY: both are devices of this machine, which has as many inputs; QEMU's lock is held.
        unsafe {
            let input = qemu::qdev_get_gpio_in(processor.as_ptr(), self.wanted.uart_interrupt);
            qemu::sysbus_connect_irq(ptr::with_exposed_provenance_mut(self.uart), 0, input);
            let input = qemu::qdev_get_gpio_in(processor.as_ptr(), self.wanted.timer_interrupt);
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
