//! Parts of the machine that the board works with: its USART2 or the UART that was added, its clock, its interrupt controller
//! and its reset. Called with QEMU's lock held, from a read or write by the guest.
#![expect(unsafe_code, reason = "QEMU's interface is C")]

use std::ffi::CStr;
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
/// A second in the unit of periods, 2^-32 ns.
const SECOND: u64 = 1_000_000_000 << 32;

/// Registers of the UART that was added; 0 where none was.
static ADDED: AtomicUsize = AtomicUsize::new(0);

/// QEMU's UART below the overlay's: the one that was added, or else the machine's own USART2.
#[derive(Debug, Default)]
pub struct Uart {
    /// Its registers; 0 until they were first needed, when the machine is complete.
    region: usize,
}

/// `region` are the registers of the UART that was added.
pub fn added_uart(region: *mut Opaque) {
    ADDED.store(region.expose_provenance(), Ordering::Relaxed);
}

/// The one object of this name, or at this path.
pub fn find(name: &CStr) -> Option<ptr::NonNull<Opaque>> {
    let mut ambiguous = false;
    // SAFETY: the name ends in NUL; QEMU's lock is held. An object of the machine lives as long as the process.
    let object = unsafe { qemu::object_resolve_path(name.as_ptr(), &raw mut ambiguous) };
    ptr::NonNull::new(object).filter(|_| !ambiguous)
}

/// The one object of this type.
pub fn find_type(name: &CStr) -> Option<ptr::NonNull<Opaque>> {
    let mut ambiguous = false;
    // SAFETY: both texts end in NUL; QEMU's lock is held. An object of the machine lives as long as the process.
    let object =
        unsafe { qemu::object_resolve_path_type(c"".as_ptr(), name.as_ptr(), &raw mut ambiguous) };
    ptr::NonNull::new(object).filter(|_| !ambiguous)
}

impl Uart {
    fn region(&mut self) -> Option<*mut Opaque> {
        if self.region == 0 {
            self.region = ADDED.load(Ordering::Relaxed);
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

/// Resets the machine, as one of its own parts would.
pub fn reset() {
    // SAFETY: a request that QEMU's main loop fulfils; QEMU's lock is held.
    unsafe { qemu::qemu_system_reset_request(qemu::GUEST_RESET) };
}
