//! Linker arguments of this board: they belong to the board, not to the workspace.

use std::{env, fs, path::PathBuf};

fn main() {
    // On another target (a workspace-wide check on the host) there is nothing to link specially.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        if let Err(error) = fs::copy("memory.x", out.join("memory.x")) {
            println!("cargo::error=memory.x could not be copied: {error}");
        }
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
        println!("cargo::rustc-link-arg-bins=--nmagic");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
        }
    }
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=build.rs");
}
