//! The plugin: what QEMU calls. Hangs the [`Board`] into the machine's memory and feeds the
//! counters. A panic ends here and never reaches QEMU: the access then reads as 0.
#![expect(unsafe_code, reason = "QEMU's plugin interface is C")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use assay_spi_tpm::swtpm::SwtpmSocket;
use assay_spi_tpm::{Config, SpiTpm};

use crate::alarm::Alarm;
use crate::args::Args;
use crate::blocks::nrf::nvmc::Closed;
use crate::blocks::rp::rom;
use crate::board::{Block, Board};
use crate::counters;
use crate::devices::{Devices, Wanted};
use crate::machine;
use crate::memories;
use crate::qemu::{self, Info, MemoryRegionOps, Opaque, PluginId, TakenAccess, ValidAccess};
use crate::report::Reporter;

/// Version of the plugin interface that this build was made for. QEMU refuses others.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = if cfg!(feature = "plugin-v4") { 4 } else { 1 };

static BOARD: OnceLock<Mutex<Board>> = OnceLock::new();
static REPORT: Mutex<Reporter> = Mutex::new(Reporter::silent());
static ARGS: OnceLock<Args> = OnceLock::new();
static WATCHDOG: OnceLock<Alarm> = OnceLock::new();

/// What was added to the machine, where its chip wants it.
static DEVICES: OnceLock<Devices> = OnceLock::new();

static OPS: MemoryRegionOps = MemoryRegionOps {
    plain: [ptr::null(); 2],
    read: on_read,
    write: on_write,
    endianness: qemu::LITTLE_ENDIAN,
    valid: ValidAccess {
        min: 1,
        max: 4,
        unaligned: false,
        accepts: ptr::null(),
    },
    implemented: TakenAccess {
        min: 1,
        max: 4,
        unaligned: false,
    },
};

/// Runs `work`; a panic gives `fallback`.
fn guard<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

/// QEMU's entry into the plugin. 0 when the overlay is ready.
///
/// # Safety
/// Called by QEMU with `argc` valid strings in `argv` and a valid `info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: PluginId,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    guard(-1, || {
        // SAFETY: QEMU passes a pointer to its own structure, whose head is declared in `Info`.
        let system = unsafe { info.as_ref() }.is_some_and(|info| info.system_emulation);
        if !system {
            return refuse("only whole machines can be overlaid");
        }
        let count = usize::try_from(argc).unwrap_or(0);
        let arguments = (0..count).filter_map(|i| {
            // SAFETY: QEMU passes `argc` pointers to strings that end in NUL and outlive this call.
            unsafe { CStr::from_ptr(*argv.add(i)) }.to_str().ok()
        });
        match Args::parse(arguments) {
            Ok(args) => install(id, args),
            Err(error) => refuse(&error.to_string()),
        }
    })
}

fn refuse(reason: &str) -> c_int {
    eprintln!("assay-qemu-overlay: {reason}");
    -1
}

fn install(id: PluginId, args: Args) -> c_int {
    if let Some(path) = &args.stats {
        match Reporter::open(path) {
            Ok(reporter) => *lock(&REPORT) = reporter,
            Err(error) => return refuse(&format!("stats={}: {error}", path.display())),
        }
    }
    if let Some((low, high)) = args.stack {
        counters::watch(low, high);
    }
    let watches_code = args.count || args.stack.is_some();
    let board = make_board(&args);
    report(&format!(
        "{{\"event\":\"start\",\"personality\":\"{}\",\"plugin_api\":{qemu_plugin_version}}}",
        args.config.personality.name
    ));
    if BOARD.set(Mutex::new(board)).is_err() || ARGS.set(args).is_err() {
        return refuse("loaded twice");
    }
    // SAFETY: `id` is the one QEMU gave; the callbacks have the declared signatures and live as
    // long as the process.
    unsafe {
        qemu::qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
        qemu::qemu_plugin_register_atexit_cb(id, on_exit, ptr::null_mut());
        if watches_code {
            qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
        }
    }
    0
}

fn make_board(args: &Args) -> Board {
    let socket = SwtpmSocket::new(&args.swtpm, args.control.as_deref());
    let config: Config = args.config.clone();
    let mut tpm = SpiTpm::new(socket, config);
    if let Some(spare) = &args.spare {
        tpm = tpm.with_spare(SwtpmSocket::new(spare, args.spare_control.as_deref()));
    }
    tpm.observe(Box::new(|record, totals| {
        // The record's closing brace makes room for what only this plugin knows.
        let line = record.to_json();
        let head = line.strip_suffix('}').unwrap_or(&line);
        report(&format!(
            "{head},\"total_bytes\":{},\"total_chip_selects\":{},{}}}",
            totals.bytes,
            totals.chip_selects,
            counters::to_json_members()
        ));
    }));
    Board::new(tpm, Box::new(machine::Uart::default()), &args.setup)
}

fn report(line: &str) {
    lock(&REPORT).line(line);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine's memory exists: lay the blocks over it.
extern "C" fn on_vcpu_init(_id: PluginId, vcpu: c_uint) {
    guard((), || {
        if vcpu != 0 {
            return;
        }
        let Some(setup) = ARGS.get().map(|args| &args.setup) else {
            return;
        };
        for (block, base, size) in setup.chip.blocks() {
            if setup.record || block != Block::Record {
                overlay(block, base, size, qemu::PRIORITY);
            }
        }
        if let Some((block, base, size)) = setup.chip.below() {
            overlay(block, base, size, qemu::BELOW);
        }
        memories::add(&setup.chip.memories());
        WATCHDOG.get_or_init(|| Alarm::new(on_watchdog));
        if let Some(wanted) = Wanted::by(setup.chip) {
            DEVICES.get_or_init(|| Devices::add(wanted, on_alarm));
        }
        // SAFETY: QEMU calls back with the same null pointer, under its own lock.
        unsafe { qemu::qemu_register_reset(on_system_reset, ptr::null_mut()) };
    });
}

fn overlay(block: Block, base: u64, size: u64, priority: c_int) {
    let region = memories::storage();
    let opaque = ptr::from_mut(Box::leak(Box::new(block))).cast::<c_void>();
    // SAFETY: the storage is zeroed, larger than a MemoryRegion, 8-aligned and never freed; `OPS`,
    // `opaque` and the name live as long as the process; QEMU holds its lock in this callback.
    unsafe {
        qemu::memory_region_init_io(
            region,
            ptr::null_mut(),
            &raw const OPS,
            opaque,
            c"assay-overlay".as_ptr(),
            size,
        );
        qemu::memory_region_add_subregion_overlap(
            qemu::get_system_memory(),
            base,
            region,
            priority,
        );
    }
}

/// Runs `work` on the board, with the guest's time set.
fn with_board<T>(fallback: T, work: impl FnOnce(&mut Board) -> T) -> T {
    guard(None, || {
        let board = BOARD.get()?;
        let mut board = lock(board);
        board.set_time(now());
        let done = work(&mut board);
        board.work_ended(now());
        Some(done)
    })
    .unwrap_or(fallback)
}

/// The guest's time, ns.
fn now() -> u64 {
    // SAFETY: a plain query; the virtual clock exists since the machine was made.
    let now = unsafe { qemu::qemu_clock_get_ns(qemu::CLOCK_VIRTUAL) };
    u64::try_from(now).unwrap_or(0)
}

/// The watchdog may have run out, or be about to at another time than before.
fn watch(board: &mut Board) {
    if board.bite() {
        let gap = board.kicks().map_or(0, |kicks| kicks.longest_gap_us);
        let at = now();
        report(&format!(
            "{{\"event\":\"watchdog_bite\",\"at_ns\":{at},\"longest_gap_us\":{gap}}}"
        ));
        machine::reset();
    } else if let (Some(at), Some(alarm)) = (board.bites_at_ns(), WATCHDOG.get()) {
        alarm.at_the_latest(at);
    }
}

extern "C" fn on_watchdog(_opaque: *mut c_void) {
    if let Some(alarm) = WATCHDOG.get() {
        alarm.rang();
    }
    with_board((), watch);
}

extern "C" fn on_read(
    opaque: *mut c_void,
    address: u64,
    data: *mut u64,
    size: c_uint,
    _attributes: u64,
) -> u32 {
    // SAFETY: `opaque` is the leaked `Block` that `overlay` registered.
    let block = unsafe { *opaque.cast::<Block>() };
    let offset = u32::try_from(address).unwrap_or(u32::MAX);
    let (value, result) = with_board((0, qemu::ANSWERED), |board| {
        let value = match block {
            Block::RomCalls if offset == rom::START => memories::flash_start(),
            _ => u64::from(board.read(block, offset, size)),
        };
        if board.non_maskable() {
            machine::raise_non_maskable();
        }
        (value, answer(board, block))
    });
    // SAFETY: QEMU passes a place for the value.
    unsafe { data.write(value) };
    result
}

extern "C" fn on_write(
    opaque: *mut c_void,
    address: u64,
    data: u64,
    size: c_uint,
    _attributes: u64,
) -> u32 {
    // SAFETY: `opaque` is the leaked `Block` that `overlay` registered.
    let block = unsafe { *opaque.cast::<Block>() };
    let offset = u32::try_from(address).unwrap_or(u32::MAX);
    let value = u32::try_from(data & u64::from(u32::MAX)).unwrap_or(0);
    with_board(qemu::ANSWERED, |board| {
        board.write(block, offset, size, value);
        if block == Block::Rcc
            && let Some(hz) = board.core_hz()
        {
            machine::set_core_clock(hz);
        }
        answer(board, block)
    })
}

/// What the bus says to the access; and an interrupt that the access has changed.
fn answer(board: &mut Board, block: Block) -> u32 {
    match block {
        Block::Timer => apply_timer(board),
        Block::Watchdog => watch(board),
        Block::Flash if board.restarts() => machine::reset(),
        // The ticks of both, and what restarts the chip.
        Block::Rcc | Block::System(_) => {
            apply_timer(board);
            watch(board);
        }
        Block::RomCalls => memories::show_flash(board.flash_is_memory()),
        _ => {}
    }
    if board.refused() {
        qemu::BUS_FAULT
    } else {
        qemu::ANSWERED
    }
}

fn apply_timer(board: &Board) {
    if let Some(devices) = DEVICES.get() {
        devices.apply_timer(board.timer());
    }
}

/// The guest's time is what the timer awaits.
extern "C" fn on_alarm(_opaque: *mut c_void) {
    if let Some(devices) = DEVICES.get() {
        devices.rang();
    }
    with_board((), |board| apply_timer(board));
}

extern "C" fn on_system_reset(_opaque: *mut c_void) {
    static POWERED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    // The first call is part of power-on, when the machine is complete.
    if POWERED.swap(true, std::sync::atomic::Ordering::Relaxed) {
        with_board((), |board| {
            board.system_reset();
            memories::show_flash(board.flash_is_memory());
            apply_timer(board);
        });
        guard((), || report("{\"event\":\"system_reset\"}"));
    } else if let Some(devices) = DEVICES.get() {
        guard((), || devices.connect());
    }
}

extern "C" fn on_exit(_id: PluginId, _userdata: *mut c_void) {
    guard((), || {
        let Some(board) = BOARD.get() else { return };
        let mut board = lock(board);
        board.set_time(now());
        let closed: Vec<String> = board.closed().iter().map(Closed::to_json).collect();
        let totals = board.tpm().stats().totals();
        let watchdog = board.kicks().map_or("null".to_owned(), |kicks| {
            format!(
                "{{\"longest_gap_us\":{},\"limit_us\":{},\"bites\":{}}}",
                kicks.longest_gap_us, kicks.limit_us, kicks.bites
            )
        });
        report(&format!(
            "{{\"event\":\"exit\",\"noise_words\":{},\"watchdog\":{watchdog},\"closed\":[{}],\"closed_late\":{},\"late_alarms\":{},{},{}}}",
            board.noise_words(),
            closed.join(","),
            board.closed_late(),
            board.late_alarms(),
            totals.to_json_members(),
            counters::to_json_members()
        ));
    });
}

/// A block of code was translated: hook the instructions that are of interest.
extern "C" fn on_translate(_id: PluginId, block: *mut Opaque) {
    guard((), || {
        let Some(args) = ARGS.get() else { return };
        // SAFETY: QEMU passes a block that is valid during this call.
        let count = unsafe { qemu::qemu_plugin_tb_n_insns(block) };
        for index in 0..count {
            // SAFETY: `index` is below the block's number of instructions.
            let instruction = unsafe { qemu::qemu_plugin_tb_get_insn(block, index) };
            hook(args, instruction);
        }
    });
}

fn hook(args: &Args, instruction: *mut Opaque) {
    // SAFETY: `instruction` belongs to the block being translated.
    let address = unsafe { qemu::qemu_plugin_insn_vaddr(instruction) };
    let on_passage: Option<qemu::ExecCallback> = match args.span {
        Some((start, _)) if start == address => Some(on_span_start),
        Some((_, stop)) if stop == address => Some(on_span_stop),
        _ => None,
    };
    // SAFETY: `instruction` as above; the callbacks and the counter live as long as the process.
    unsafe {
        if let Some(callback) = on_passage {
            qemu::qemu_plugin_register_vcpu_insn_exec_cb(
                instruction,
                callback,
                qemu::NO_REGISTERS,
                ptr::null_mut(),
            );
        }
        if args.count {
            count_instruction(instruction);
        }
        if args.stack.is_some() {
            qemu::qemu_plugin_register_vcpu_mem_cb(
                instruction,
                on_memory_write,
                qemu::NO_REGISTERS,
                qemu::WRITES,
                ptr::null_mut(),
            );
        }
    }
}

/// # Safety
/// `instruction` belongs to the block being translated.
#[cfg(not(feature = "plugin-v4"))]
unsafe fn count_instruction(instruction: *mut Opaque) {
    let counter = counters::INSTRUCTIONS.as_ptr().cast::<c_void>();
    // SAFETY: the counter is a static u64; one vCPU adds to it.
    unsafe {
        qemu::qemu_plugin_register_vcpu_insn_exec_inline(instruction, qemu::INLINE_ADD, counter, 1);
    }
}

/// # Safety
/// `instruction` belongs to the block being translated.
#[cfg(feature = "plugin-v4")]
unsafe fn count_instruction(instruction: *mut Opaque) {
    extern "C" fn count(_vcpu: c_uint, _userdata: *mut c_void) {
        counters::INSTRUCTIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    // SAFETY: the callback has the declared signature and lives as long as the process.
    unsafe {
        qemu::qemu_plugin_register_vcpu_insn_exec_cb(
            instruction,
            count,
            qemu::NO_REGISTERS,
            ptr::null_mut(),
        );
    }
}

extern "C" fn on_span_start(_vcpu: c_uint, _userdata: *mut c_void) {
    counters::span_started();
}

extern "C" fn on_span_stop(_vcpu: c_uint, _userdata: *mut c_void) {
    guard((), || {
        if let Some(instructions) = counters::span_stopped() {
            report(&format!(
                "{{\"event\":\"span\",\"instructions\":{instructions}}}"
            ));
        }
    });
}

extern "C" fn on_memory_write(
    _vcpu: c_uint,
    _info: qemu::MemInfo,
    address: u64,
    _userdata: *mut c_void,
) {
    counters::written(address);
}
