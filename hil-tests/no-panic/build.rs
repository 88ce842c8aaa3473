//! Has the linker keep in the image who refers to what, for the test that names those who panic.

fn main() {
    println!("cargo:rustc-link-arg-bins=--emit-relocs");
    println!("cargo:rerun-if-changed=build.rs");
}
