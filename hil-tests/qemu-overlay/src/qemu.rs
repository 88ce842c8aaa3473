//! QEMU's functions that the overlay calls, by hand: the plugin interface, and the handful of memory
//! functions that a build with loadable modules exports. Layouts as of QEMU 7.2 and 10.0.
#![expect(unsafe_code, reason = "declarations of QEMU's C functions")]

use std::ffi::{c_char, c_int, c_uint, c_void};

/// `qemu_plugin_id_t`.
pub type PluginId = u64;
/// `qemu_plugin_meminfo_t`.
pub type MemInfo = u32;
/// An opaque structure of QEMU's.
#[repr(C)]
pub struct Opaque {
    _private: [u8; 0],
}

/// The head of `qemu_info_t`; what follows is not read.
#[repr(C)]
pub struct Info {
    /// Name of the target, such as "arm".
    pub target_name: *const c_char,
    /// Oldest and current version of the plugin interface.
    pub version: [c_int; 2],
    /// Whether a whole machine is emulated.
    pub system_emulation: bool,
}

/// `MemoryRegionOps.valid`: what the guest may do. Its pointer makes it 8-aligned, so that it begins
/// at offset 40.
#[repr(C)]
pub struct ValidAccess {
    /// Smallest access, bytes.
    pub min: c_uint,
    /// Largest access, bytes.
    pub max: c_uint,
    /// Whether unaligned accesses are passed on.
    pub unaligned: bool,
    /// Filter, unused.
    pub accepts: *const c_void,
}

/// `MemoryRegionOps.impl`: what the callbacks take.
#[repr(C)]
pub struct TakenAccess {
    /// Smallest access, bytes.
    pub min: c_uint,
    /// Largest access, bytes.
    pub max: c_uint,
    /// Whether unaligned accesses are taken.
    pub unaligned: bool,
}

/// `MemoryRegionOps`.
#[repr(C)]
pub struct MemoryRegionOps {
    /// Unused variants that cannot fail.
    pub plain: [*const c_void; 2],
    /// Read of `size` bytes: what the bus says to it. `attributes` is a structure of one or two words, passed in a register.
    pub read: extern "C" fn(
        opaque: *mut c_void,
        address: u64,
        data: *mut u64,
        size: c_uint,
        attributes: u64,
    ) -> u32,
    /// Write of `size` bytes, likewise.
    pub write: extern "C" fn(
        opaque: *mut c_void,
        address: u64,
        data: u64,
        size: c_uint,
        attributes: u64,
    ) -> u32,
    /// 2 = little-endian.
    pub endianness: c_int,
    /// What the guest may do.
    pub valid: ValidAccess,
    /// What the callbacks take.
    pub implemented: TakenAccess,
}

const _: () = {
    assert!(std::mem::offset_of!(MemoryRegionOps, valid) == 40);
    assert!(std::mem::offset_of!(MemoryRegionOps, implemented) == 64);
    assert!(size_of::<MemoryRegionOps>() == 80);
};

// SAFETY: the structure is only read by QEMU, and holds function pointers and nulls.
unsafe impl Sync for MemoryRegionOps {}

/// Priority of what is laid over the machine: above everything that it maps itself.
pub const PRIORITY: c_int = 100;
/// Of what lies below all that: above everything that the machine maps, and below memory that it has not.
pub const BELOW: c_int = 50;
/// Of that memory.
pub const MEMORY: c_int = 75;
/// `MEMTX_OK`.
pub const ANSWERED: u32 = 0;
/// `MEMTX_ERROR`.
pub const BUS_FAULT: u32 = 1;
/// `ARMV7M_EXCP_NMI`.
pub const NON_MASKABLE: c_int = 2;
/// `MO_32`, little-endian.
pub const WORD: c_int = 2;
/// `MEMTXATTRS_UNSPECIFIED`.
pub const UNSPECIFIED: u64 = 1;
/// `DEVICE_LITTLE_ENDIAN`.
pub const LITTLE_ENDIAN: c_int = 2;
/// `QEMU_PLUGIN_CB_NO_REGS`: the callback touches no registers.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_W`.
pub const WRITES: c_int = 2;
/// `QEMU_PLUGIN_INLINE_ADD_U64`.
#[cfg(not(feature = "plugin-v4"))]
pub const INLINE_ADD: c_int = 0;
/// `SCALE_NS`: a timer's unit.
pub const NANOSECONDS: c_int = 1;
/// `QEMU_CLOCK_VIRTUAL`.
pub const CLOCK_VIRTUAL: c_int = 1;
/// `SHUTDOWN_CAUSE_GUEST_RESET`.
pub const GUEST_RESET: c_int = 7;

/// Callback of a timer.
pub type TimerCallback = extern "C" fn(opaque: *mut c_void);
/// Callback of an executed instruction.
pub type ExecCallback = extern "C" fn(vcpu: c_uint, userdata: *mut c_void);
/// Callback of a memory access.
pub type MemCallback =
    extern "C" fn(vcpu: c_uint, info: MemInfo, address: u64, userdata: *mut c_void);

unsafe extern "C" {
    // Plugin interface.
    /// Calls back when a vCPU has been made.
    pub fn qemu_plugin_register_vcpu_init_cb(
        id: PluginId,
        callback: extern "C" fn(id: PluginId, vcpu: c_uint),
    );
    /// Calls back when a block of code is translated.
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: PluginId,
        callback: extern "C" fn(id: PluginId, block: *mut Opaque),
    );
    /// Calls back when QEMU ends in an orderly way.
    pub fn qemu_plugin_register_atexit_cb(
        id: PluginId,
        callback: extern "C" fn(id: PluginId, userdata: *mut c_void),
        userdata: *mut c_void,
    );
    /// Instructions of a block.
    pub fn qemu_plugin_tb_n_insns(block: *const Opaque) -> usize;
    /// One instruction of a block.
    pub fn qemu_plugin_tb_get_insn(block: *const Opaque, index: usize) -> *mut Opaque;
    /// Address of an instruction.
    pub fn qemu_plugin_insn_vaddr(instruction: *const Opaque) -> u64;
    /// Calls back at each execution of an instruction.
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Opaque,
        callback: ExecCallback,
        flags: c_int,
        userdata: *mut c_void,
    );
    /// Adds to a counter at each execution of an instruction, without a call.
    #[cfg(not(feature = "plugin-v4"))]
    pub fn qemu_plugin_register_vcpu_insn_exec_inline(
        instruction: *mut Opaque,
        operation: c_int,
        target: *mut c_void,
        immediate: u64,
    );
    /// Calls back at each memory access of an instruction.
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Opaque,
        callback: MemCallback,
        flags: c_int,
        accesses: c_int,
        userdata: *mut c_void,
    );

    // QEMU's own, exported by builds with loadable modules.
    /// The machine's address space.
    pub fn get_system_memory() -> *mut Opaque;
    /// Makes a region whose accesses are calls.
    pub fn memory_region_init_io(
        region: *mut c_void,
        owner: *mut c_void,
        ops: *const MemoryRegionOps,
        opaque: *mut c_void,
        name: *const c_char,
        size: u64,
    );
    /// Maps a region over others of lower priority.
    pub fn memory_region_add_subregion_overlap(
        parent: *mut Opaque,
        offset: u64,
        region: *mut c_void,
        priority: c_int,
    );
    /// A read from a region, as the machine's bus does it. 0 when it was answered. `attributes` is a structure of one or
    /// two words, passed in a register.
    pub fn memory_region_dispatch_read(
        region: *mut Opaque,
        offset: u64,
        value: *mut u64,
        operation: c_int,
        attributes: u64,
    ) -> u32;
    /// A write to a region, likewise.
    pub fn memory_region_dispatch_write(
        region: *mut Opaque,
        offset: u64,
        value: u64,
        operation: c_int,
        attributes: u64,
    ) -> u32;
    /// Makes a region of memory that the guest can write.
    pub fn memory_region_init_ram(
        region: *mut c_void,
        owner: *mut c_void,
        name: *const c_char,
        size: u64,
        error: *mut *mut Opaque,
    );
    /// Makes a region of memory that the guest cannot write.
    pub fn memory_region_init_rom(
        region: *mut c_void,
        owner: *mut c_void,
        name: *const c_char,
        size: u64,
        error: *mut *mut Opaque,
    );
    /// Where a region of memory is in this process.
    pub fn memory_region_get_ram_ptr(region: *mut c_void) -> *mut c_void;
    /// Whether a region is there for the guest.
    pub fn memory_region_set_enabled(region: *mut c_void, enabled: bool);
    /// The one object of this type at or below this path; null when there is none.
    pub fn object_resolve_path_type(
        path: *const c_char,
        name: *const c_char,
        ambiguous: *mut bool,
    ) -> *mut Opaque;
    /// The object with this name, where there is just one, or at this path; null when there is none.
    pub fn object_resolve_path(path: *const c_char, ambiguous: *mut bool) -> *mut Opaque;
    /// A device of this type, not realized yet. Ends QEMU when there is no such type.
    pub fn qdev_new(name: *const c_char) -> *mut Opaque;
    /// Gives a device its character device.
    pub fn qdev_prop_set_chr(device: *mut Opaque, name: *const c_char, value: *mut Opaque);
    /// The character device of the option `-serial` with this number; null when there is none.
    pub fn serial_hd(number: c_int) -> *mut Opaque;
    /// Completes a device of the system bus, which owns it from here on.
    pub fn sysbus_realize_and_unref(device: *mut Opaque, error: *mut *mut Opaque) -> bool;
    /// For whoever can do nothing about an error: QEMU ends with a message.
    pub static mut error_fatal: *mut Opaque;
    /// An interrupt's input of the processor.
    pub fn qdev_get_gpio_in(device: *mut Opaque, number: c_int) -> *mut Opaque;
    /// Connects a device's interrupt to an input.
    pub fn sysbus_connect_irq(device: *mut Opaque, number: c_int, input: *mut Opaque);
    /// Sets an interrupt's input.
    pub fn qemu_set_irq(input: *mut Opaque, level: c_int);
    /// Makes a timer call back no more.
    pub fn timer_del(timer: *mut c_void);
    /// The registers of a device.
    pub fn sysbus_mmio_get_region(device: *mut Opaque, number: c_int) -> *mut Opaque;
    /// Makes an exception of the processor pending.
    pub fn armv7m_nvic_set_pending(nvic: *mut Opaque, exception: c_int, secure: bool);
    /// Sets a clock's period, in 2^-32 ns. Whether it was another.
    pub fn clock_set(clock: *mut Opaque, period: u64) -> bool;
    /// Tells those who run by a clock that it was set.
    pub fn clock_propagate(clock: *mut Opaque);
    /// Time on one of the clocks, ns.
    pub fn qemu_clock_get_ns(clock: c_int) -> i64;
    /// Makes a timer in memory that is as large as QEMU's `QEMUTimer` and zeroed; null for the main loop's list.
    pub fn timer_init_full(
        timer: *mut c_void,
        group: *mut c_void,
        clock: c_int,
        scale: c_int,
        attributes: c_int,
        callback: TimerCallback,
        opaque: *mut c_void,
    );
    /// Sets when a timer calls back, ns on its clock; in the main loop's thread, with QEMU's lock held.
    pub fn timer_mod_ns(timer: *mut c_void, at: i64);
    /// Resets the machine as soon as its processor has stopped.
    pub fn qemu_system_reset_request(cause: c_int);
    /// Calls back at each reset of the machine.
    pub fn qemu_register_reset(callback: extern "C" fn(opaque: *mut c_void), opaque: *mut c_void);
}
