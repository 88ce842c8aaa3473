#![no_std]
//! Placeholder, replaced in the first commits.
