//! Every public function of `assay-common` and `assay-firmware`, for the proof that none of them can panic.
//!
//! The image (`src/bin/no-panic.rs`) holds the address of each where the compiler cannot see what becomes of it, so each is
//! compiled for every argument that its type allows, whatever this project's boards call it with. The test
//! (`tests/proof`) builds the image, and asks the same list for its names, to find a function that is missing in it.
//!
//! Generic functions are here for the hardware of [`wire`], of which the compiler knows nothing but its types.
#![no_std]
#![forbid(unsafe_code)]

pub mod bench;
mod common;
mod firmware;
pub mod left_out;
mod macros;
pub mod wire;

/// What is done with each function.
pub trait Prover {
    /// A function, by its own type, which carries its name, and its address.
    fn function<F>(&mut self, function: &F, address: *const ());

    /// An implementation of `Debug`, which is [left out](left_out).
    fn debug<F>(&mut self, function: &F, address: *const ());

    /// A function that returns an iterator without a name, and the address of one that walks it to its end.
    fn walked<F>(&mut self, function: &F, address: *const ());

    /// A type that does something when it is dropped, and the address of that.
    fn dropped<T>(&mut self, address: *const ());
}

/// Shows `prover` every public function, but for what is [left out](left_out).
pub fn all(prover: &mut impl Prover) {
    common::prove(prover);
    firmware::prove(prover);
}
