//! Whether the overlay can be loaded into a QEMU: it calls functions that are no plugin interface, which
//! only builds with loadable modules export (Debian's do). Found out here, by reading the program's dynamic
//! symbols, instead of by a failed start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use object::{Object, ObjectSymbol};

use super::QemuError;

/// What the overlay calls, as declared in its `qemu` module.
pub const NEEDED: [&str; 37] = [
    "get_system_memory",
    "memory_region_init_io",
    "memory_region_add_subregion_overlap",
    "memory_region_init_ram",
    "memory_region_init_rom",
    "memory_region_get_ram_ptr",
    "memory_region_set_enabled",
    "memory_region_dispatch_read",
    "memory_region_dispatch_write",
    "object_resolve_path",
    "object_resolve_path_type",
    "sysbus_mmio_get_region",
    "sysbus_realize_and_unref",
    "sysbus_connect_irq",
    "qdev_new",
    "qdev_prop_set_chr",
    "qdev_get_gpio_in",
    "serial_hd",
    "qemu_set_irq",
    "timer_del",
    "error_fatal",
    "armv7m_nvic_set_pending",
    "clock_set",
    "clock_propagate",
    "qemu_clock_get_ns",
    "timer_init_full",
    "timer_mod_ns",
    "qemu_system_reset_request",
    "qemu_register_reset",
    "qemu_plugin_register_vcpu_init_cb",
    "qemu_plugin_register_vcpu_tb_trans_cb",
    "qemu_plugin_register_atexit_cb",
    "qemu_plugin_tb_n_insns",
    "qemu_plugin_tb_get_insn",
    "qemu_plugin_insn_vaddr",
    "qemu_plugin_register_vcpu_insn_exec_cb",
    "qemu_plugin_register_vcpu_mem_cb",
];

/// The first function that `binary` lacks; each program is examined once per process.
///
/// # Errors
/// [`QemuError::Symbol`] when one is missing, [`QemuError::Unreadable`] when the file is no ELF program.
pub fn check(binary: &Path) -> Result<(), QemuError> {
    static SEEN: Mutex<BTreeMap<PathBuf, Option<&'static str>>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = match seen.get(binary) {
        Some(known) => *known,
        None => {
            let found = first_missing(binary)?;
            seen.insert(binary.to_owned(), found);
            found
        }
    };
    match missing {
        None => Ok(()),
        Some(symbol) => Err(QemuError::Symbol {
            path: binary.to_owned(),
            symbol,
        }),
    }
}

fn first_missing(binary: &Path) -> Result<Option<&'static str>, QemuError> {
    let unreadable = |reason: String| QemuError::Unreadable {
        path: binary.to_owned(),
        reason,
    };
    let bytes = fs::read(binary).map_err(|error| unreadable(error.to_string()))?;
    let file =
        object::File::parse(bytes.as_slice()).map_err(|error| unreadable(error.to_string()))?;
    let exported: Vec<&str> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| symbol.name().ok())
        .filter(|name| NEEDED.contains(name))
        .collect();
    Ok(NEEDED.into_iter().find(|name| !exported.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_the_symbols_is_refused_by_name_with_the_fallback() {
        let this_test = std::env::current_exe().unwrap_or_default();
        let error = check(&this_test)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("does not export get_system_memory"),
            "{error}"
        );
        assert!(error.contains("mps2-an386"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_program_is_unreadable() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(matches!(
            check(&manifest),
            Err(QemuError::Unreadable { .. })
        ));
    }
}
