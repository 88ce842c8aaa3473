//! Parts of the machine that the board works with: its USART2, its clock and its interrupt controller; and the devices of
//! QEMU's own that are added to it ([`Devices`]). Called with QEMU's lock held, from a read or write by the guest, or
//! while the machine is made.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::blocks::MachineUart;
use crate::qemu::{self, Opaque};

/// The one of the machine's USARTs at 0x4000_4400; they are numbered from 0.
const USART2: &CStr = c"usart[1]";
/// What the machine's processor, and with it SysTick, runs by.
const CORE_CLOCK: &CStr = c"/machine/SYSCLK";
/// The processor's interrupt controller.
const NVIC: &CStr = c"nvic";
/// What has the interrupt controller's inputs.
const PROCESSOR: &CStr = c"armv7m";
/// QEMU's model for an nRF51, whose registers an nRF52840 has, too.
const NRF_UART: &CStr = c"nrf51_soc.uart";
/// Which `-serial` the UART that is added has: the first that the machine has no USART for.
const ADDED_SERIAL: c_int = 7;
/// Interrupts on an nRF52840: each the number of its block of 4 KiB. `[nRF52840_PS] Instantiation`
const UART_INTERRUPT: c_int = 2;
const TIMER_INTERRUPT: c_int = 8;
/// A second in the unit of periods, 2^-32 ns.
const SECOND: u64 = 1_000_000_000 << 32;

/// Registers of the UART that was added; 0 where none was.
static ADDED_UART: AtomicUsize = AtomicUsize::new(0);

/// QEMU's UART below the overlay's: the one that was added, or else the machine's own USART2.
#[derive(Debug, Default)]
pub struct Uart {
    /// Its registers; 0 until they were first needed, when the machine is complete.
    region: usize,
}

/// Larger than QEMU's `QEMUTimer` in any version seen (48 bytes in 7.2).
type TimerStorage = [u64; 32];

/// What an nRF52840 has and the machine has not: a UART of QEMU's own, and what the overlay's timer needs of QEMU.
#[derive(Debug)]
pub struct Devices {
    uart: usize,
    /// QEMU's timer, which calls back when the guest's time has come.
    alarm: usize,
    /// The interrupt's input that the timer has; 0 until the machine is complete.
    timer_input: AtomicUsize,
}

impl Devices {
    /// Makes them while the machine is made. `on_alarm` is called when what [`Devices::apply_timer`] was given has come.
    #[must_use]
    pub fn add(on_alarm: qemu::TimerCallback) -> Self {
        let storage: &'static mut TimerStorage = Box::leak(Box::new([0; 32]));
        let alarm = ptr::from_mut(storage).cast::<c_void>();
        // SAFETY: QEMU is making the machine and holds its lock; names end in NUL, the type is a device of the system bus
        // with one region, and QEMU ends with a message where it is missing. A device lives as long as the process, and so
        // does the zeroed storage, which is larger than a timer.
        unsafe {
            let uart = qemu::qdev_new(NRF_UART.as_ptr());
            let line = qemu::serial_hd(ADDED_SERIAL);
            qemu::qdev_prop_set_chr(uart, c"chardev".as_ptr(), line);
            qemu::sysbus_realize_and_unref(uart, &raw mut qemu::error_fatal);
            let region = qemu::sysbus_mmio_get_region(uart, 0);
            ADDED_UART.store(region.expose_provenance(), Ordering::Relaxed);
            qemu::timer_init_full(
                alarm,
                ptr::null_mut(),
                qemu::CLOCK_VIRTUAL,
                qemu::NANOSECONDS,
                0,
                on_alarm,
                ptr::null_mut(),
            );
            Self {
                uart: uart.expose_provenance(),
                alarm: alarm.expose_provenance(),
                timer_input: AtomicUsize::new(0),
            }
        }
    }

    /// Connects the interrupts, once the machine is complete.
    pub fn connect(&self) {
        let Some(processor) = find(PROCESSOR) else {
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
        // SAFETY: the input and the timer were made above and live as long as the process; QEMU's lock is held.
        unsafe {
            qemu::qemu_set_irq(ptr::with_exposed_provenance_mut(input), c_int::from(raised));
            let alarm = ptr::with_exposed_provenance_mut(self.alarm);
            match next.and_then(|at| i64::try_from(at).ok()) {
                Some(at) => qemu::timer_mod(alarm, at),
                None => qemu::timer_del(alarm),
            }
        }
    }
}

fn find(name: &CStr) -> Option<ptr::NonNull<Opaque>> {
    let mut ambiguous = false;
    // SAFETY: the name ends in NUL; QEMU's lock is held. An object of the machine lives as long as the process.
    let object = unsafe { qemu::object_resolve_path(name.as_ptr(), &raw mut ambiguous) };
    ptr::NonNull::new(object).filter(|_| !ambiguous)
}

impl Uart {
    fn region(&mut self) -> Option<*mut Opaque> {
        if self.region == 0 {
            self.region = ADDED_UART.load(Ordering::Relaxed);
        }
        if self.region == 0 {
            let Some(device) = find(USART2) else {
                eprintln!("assay-qemu-overlay: this machine has no USART2");
                return None;
            };
            // SAFETY: the object is a device of the system bus with one region of registers.
            let region = unsafe { qemu::sysbus_mmio_get_region(device.as_ptr(), 0) };
            self.region = region.expose_provenance();
        }
        (self.region != 0).then(|| ptr::with_exposed_provenance_mut(self.region))
    }
}

impl MachineUart for Uart {
    fn read(&mut self, offset: u32) -> u32 {
        let Some(region) = self.region() else {
            return 0;
        };
        let mut value = 0;
        // SAFETY: the region is the device's, which lives as long as the process; QEMU's lock is held.
        unsafe {
            qemu::memory_region_dispatch_read(
                region,
                offset.into(),
                &raw mut value,
                qemu::WORD,
                qemu::UNSPECIFIED,
            );
        }
        u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn write(&mut self, offset: u32, value: u32) {
        let Some(region) = self.region() else { return };
        // SAFETY: as for the read.
        unsafe {
            qemu::memory_region_dispatch_write(
                region,
                offset.into(),
                value.into(),
                qemu::WORD,
                qemu::UNSPECIFIED,
            );
        }
    }
}

/// Makes the machine's processor and SysTick run at `hz`.
pub fn set_core_clock(hz: u64) {
    static SET: AtomicU64 = AtomicU64::new(0);
    let Some(period) = SECOND.checked_div(hz) else {
        return;
    };
    if SET.swap(hz, Ordering::Relaxed) == hz {
        return;
    }
    let Some(clock) = find(CORE_CLOCK) else {
        eprintln!("assay-qemu-overlay: this machine has no clock to set");
        return;
    };
    // SAFETY: the object is the machine's clock, which has no source but what is set here; QEMU's lock is held.
    unsafe {
        if qemu::clock_set(clock.as_ptr(), period) {
            qemu::clock_propagate(clock.as_ptr());
        }
    }
}

/// Raises the interrupt that cannot be masked.
pub fn raise_non_maskable() {
    let Some(nvic) = find(NVIC) else {
        eprintln!("assay-qemu-overlay: this machine has no NVIC");
        return;
    };
    // SAFETY: the object is the processor's NVIC; QEMU's lock is held.
    unsafe { qemu::armv7m_nvic_set_pending(nvic.as_ptr(), qemu::NON_MASKABLE, false) };
}
