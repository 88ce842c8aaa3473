//! The C interface: one connection to a TPM, opened by the TSS' loader.
//!
//! All of this crate's `unsafe` is here. The interface is [TSS TCTI 1.0] chapter 3: a context is a struct that begins with
//! pointers to the functions that work on it; which version of it is said by a number in it.

#![expect(unsafe_code, reason = "the TSS is a C library")]

use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::os::fd::BorrowedFd;

use tss_esapi_sys::{
    TSS2_RC, TSS2_TCTI_CONTEXT, TSS2_TCTI_CONTEXT_COMMON_V1, TSS2_TCTI_POLL_HANDLE,
    TSS2_TCTI_TIMEOUT_BLOCK, Tss2_TctiLdr_Finalize, Tss2_TctiLdr_Initialize,
};

/// A return code of the TSS other than success. Its upper half says which layer it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rc(pub(super) TSS2_RC);

impl Rc {
    /// Without the layer, [TSS Overview] 3.12.
    pub(super) const fn base(self) -> u32 {
        self.0 & 0xFFFF
    }
}

const fn checked(rc: TSS2_RC) -> Result<(), Rc> {
    match rc {
        0 => Ok(()),
        rc => Err(Rc(rc)),
    }
}

/// Stands for a function that the context does not have: TSS2_TCTI_RC_NOT_IMPLEMENTED.
const NOT_IMPLEMENTED: Rc = Rc(0x000A_0002);

/// A connection. It stays on the thread that opened it, which the raw pointer sees to.
#[derive(Debug)]
pub(super) struct Context {
    raw: NonNull<TSS2_TCTI_CONTEXT>,
    here: PhantomData<*mut ()>,
}

impl Context {
    /// Loads the interface that `place` names and has it connect.
    pub(super) fn open(place: &CStr) -> Result<Self, Rc> {
        let mut raw = ptr::null_mut();
        // SAFETY: `place` ends with a zero and outlives the call; `raw` is a place for one pointer, which the loader writes
        // only with success.
        checked(unsafe { Tss2_TctiLdr_Initialize(place.as_ptr(), &raw mut raw) })?;
        let raw = NonNull::new(raw).ok_or(NOT_IMPLEMENTED)?;
        let context = Self {
            raw,
            here: PhantomData,
        };
        context.keep_from_programs();
        Ok(context)
    }

    /// Closes the connection in programs that are started while it stands, which the TSS does not see to: one of
    /// `extension` would have the TPM in its hands, and would hold its connection when this end has long closed. The
    /// interface to swtpm connects anew for each command.
    fn keep_from_programs(&self) {
        let Some(poll_handles) = self.functions().getPollHandles else {
            return;
        };
        let mut handles = [TSS2_TCTI_POLL_HANDLE {
            fd: -1,
            events: 0,
            revents: 0,
        }; 4];
        let mut count = handles.len() as tss_esapi_sys::size_t;
        // SAFETY: the function is the context's own; it writes at most `count` entries to `handles`, which has as many, and
        // says in `count` how many.
        let rc = unsafe { poll_handles(self.raw.as_ptr(), handles.as_mut_ptr(), &raw mut count) };
        if checked(rc).is_err() {
            return;
        }
        let count = usize::try_from(count).unwrap_or(0);
        for handle in handles.iter().take(count).filter(|handle| handle.fd >= 0) {
            // SAFETY: the context has the descriptor open until it is finalized, which waits for this borrow.
            let fd = unsafe { BorrowedFd::borrow_raw(handle.fd) };
            // It cannot fail with a descriptor that is open.
            let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
        }
    }

    /// The functions of the context.
    fn functions(&self) -> TSS2_TCTI_CONTEXT_COMMON_V1 {
        // SAFETY: every version of a context begins with the fields of version 1 ([TSS TCTI 1.0] 3.2.2), the loader's too,
        // and `raw` is a context from when it was opened until it is dropped.
        unsafe { self.raw.cast::<TSS2_TCTI_CONTEXT_COMMON_V1>().read() }
    }

    /// Sends a whole command.
    pub(super) fn transmit(&mut self, command: &[u8]) -> Result<(), Rc> {
        let transmit = self.functions().transmit.ok_or(NOT_IMPLEMENTED)?;
        // SAFETY: the function is the context's own; it reads `command.len()` bytes of `command`, and no more.
        let rc = unsafe {
            transmit(
                self.raw.as_ptr(),
                command.len() as tss_esapi_sys::size_t,
                command.as_ptr(),
            )
        };
        self.keep_from_programs();
        checked(rc)
    }

    /// Waits for the response to the last command; its length.
    ///
    /// Waits for as long as the TPM takes: of the three interfaces only one keeps a time limit.
    pub(super) fn receive(&mut self, response: &mut [u8]) -> Result<usize, Rc> {
        let receive = self.functions().receive.ok_or(NOT_IMPLEMENTED)?;
        let mut size = response.len() as tss_esapi_sys::size_t;
        // SAFETY: the function is the context's own; it writes at most `size` bytes to `response`, which has as many, and
        // says in `size` how many.
        let rc = unsafe {
            receive(
                self.raw.as_ptr(),
                &raw mut size,
                response.as_mut_ptr(),
                TSS2_TCTI_TIMEOUT_BLOCK,
            )
        };
        checked(rc)?;
        Ok(usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(response.len()))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: the loader made the context, nobody else has it, and nothing uses it afterwards.
        unsafe { Tss2_TctiLdr_Finalize(&raw mut raw) };
    }
}
