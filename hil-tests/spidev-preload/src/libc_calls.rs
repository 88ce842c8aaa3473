//! The two functions of the C library that are answered in its place.
//!
//! Both are variadic in C. Rust cannot define such a function, but on x86-64 and 64-bit Arm Linux a named argument is passed where a
//! variadic one is, so one with the arguments that there can be takes the calls.
#![expect(
    unsafe_code,
    reason = "the C library's functions and the kernel's structures"
)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::SwtpmSocket;
use assay_spi_tpm::{Config, SpiTpm};

use crate::message::{Direction, Request};
use crate::node::{Node, Select, Transfer};

/// The descriptor of the open node; -1 for none. It is a real one, of `/dev/null`, so that `close` needs no answer.
static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);
static NODE: Mutex<Option<Node>> = Mutex::new(None);

/// `struct spi_ioc_transfer` (`linux/spi/spidev.h`).
#[repr(C)]
struct IocTransfer {
    tx_buf: u64,
    rx_buf: u64,
    len: u32,
    speed_hz: u32,
    delay_usecs: u16,
    bits_per_word: u8,
    cs_change: u8,
    tx_nbits: u8,
    rx_nbits: u8,
    word_delay_usecs: u8,
    pad: u8,
}

const _: () = assert!(size_of::<IocTransfer>() == crate::message::TRANSFER_BYTES);

/// # Safety
/// As C's `open`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's `path` is a string that ends in NUL.
    let asked = unsafe { CStr::from_ptr(path) };
    let ours = std::env::var_os("ASSAY_SPIDEV_NODE");
    let ours = ours.is_some_and(|node| node.as_encoded_bytes() == asked.to_bytes());
    let path = if ours { c"/dev/null".as_ptr() } else { path };
    // SAFETY: the arguments are the caller's, or the path of a device that every system has.
    let opened = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) };
    let descriptor = c_int::try_from(opened).unwrap_or(-1);
    if ours && descriptor >= 0 {
        *NODE.lock().unwrap_or_else(PoisonError::into_inner) = make();
        DESCRIPTOR.store(descriptor, Ordering::Relaxed);
    }
    descriptor
}

/// # Safety
/// As C's `open64`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: as the caller's. On 64-bit systems the two are one.
    unsafe { open(path, flags, mode) }
}

/// # Safety
/// As C's `ioctl`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ioctl(
    descriptor: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    if descriptor >= 0
        && descriptor == DESCRIPTOR.load(Ordering::Relaxed)
        && let Some(request) = Request::decode(request & 0xFFFF_FFFF)
    {
        let mut node = NODE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = &mut *node {
            // SAFETY: the argument is what the request says it is.
            return unsafe { serve(node, request, argument) };
        }
    }
    // SAFETY: the arguments are the caller's.
    let result: c_long = unsafe { libc::syscall(libc::SYS_ioctl, descriptor, request, argument) };
    c_int::try_from(result).unwrap_or(-1)
}

/// # Safety
/// `argument` is what `request` says it is.
unsafe fn serve(node: &mut Node, request: Request, argument: *mut c_void) -> c_int {
    match request {
        // SAFETY: the argument is an array of so many transfers.
        Request::Message(count) => unsafe { message(node, argument.cast(), count) },
        Request::Setting {
            number,
            direction,
            bytes,
        } => {
            let mut value = [0; 4];
            match direction {
                Direction::Write => {
                    // SAFETY: the argument has so many bytes, one or four.
                    unsafe { ptr::copy_nonoverlapping(argument.cast(), value.as_mut_ptr(), bytes) };
                    node.set(number, u32::from_le_bytes(value));
                }
                Direction::Read => {
                    value = node.setting(number).to_le_bytes();
                    // SAFETY: as above.
                    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), argument.cast(), bytes) };
                }
            }
            0
        }
    }
}

/// # Safety
/// `transfers` are `count`, and their buffers are as long as they say.
unsafe fn message(node: &mut Node, transfers: *const IocTransfer, count: usize) -> c_int {
    let mut asked = Vec::with_capacity(count);
    let mut into = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: `at` is below their number.
        let transfer = unsafe { &*transfers.add(at) };
        let length = usize::try_from(transfer.len).unwrap_or(0);
        let mut sent = vec![0; length];
        if transfer.tx_buf != 0 {
            let from = ptr::with_exposed_provenance::<u8>(transfer.tx_buf as usize);
            // SAFETY: the program's buffer has the transfer's length.
            unsafe { ptr::copy_nonoverlapping(from, sent.as_mut_ptr(), length) };
        }
        let cs_change = transfer.cs_change != 0;
        asked.push(Transfer { sent, cs_change });
        into.push(transfer.rx_buf);
    }
    let mut total = 0;
    for (received, to) in node.message(&asked).iter().zip(into) {
        total += received.len();
        if to != 0 {
            let to = ptr::with_exposed_provenance_mut::<u8>(to as usize);
            // SAFETY: as above, and the answer is as long as what was sent.
            unsafe { ptr::copy_nonoverlapping(received.as_ptr(), to, received.len()) };
        }
    }
    c_int::try_from(total).unwrap_or(c_int::MAX)
}

fn make() -> Option<Node> {
    let text = |name| std::env::var(name).ok();
    let control = text("ASSAY_SPIDEV_CONTROL");
    let socket = SwtpmSocket::new(
        text("ASSAY_SPIDEV_TPM")?.as_ref(),
        control.as_deref().map(AsRef::as_ref),
    );
    let chip = text("ASSAY_SPIDEV_CHIP").unwrap_or_else(|| "slb9672".to_owned());
    let Some(personality) = Personality::from_name(&chip) else {
        eprintln!("assay-spidev-preload: no chip `{chip}`");
        return None;
    };
    let select = match text("ASSAY_SPIDEV_SELECT").as_deref() {
        Some("drops") => Select::Drops,
        _ => Select::Keeps,
    };
    Some(Node::new(
        SpiTpm::new(socket, Config::chip(personality)),
        select,
    ))
}
