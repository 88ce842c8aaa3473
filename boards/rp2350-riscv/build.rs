//! Linker arguments of this board: they belong to the board, not to the workspace.

use std::{env, path::PathBuf};

fn main() {
    // On another target (a workspace-wide check on the host) there is nothing to link specially.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        println!(
            "cargo::rustc-link-arg-bins=-T{}",
            here.join("link.ld").display()
        );
    }
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-changed=build.rs");
}
