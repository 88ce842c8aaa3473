#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod identity;
pub mod login;
pub mod measurement;
pub mod method;
pub mod policy;
pub mod protocol;
pub mod tpm;
