//! Published attacks on attestation verifiers, one test per entry that applies to judging material.
//! The number is the entry's in the project's list; the advisory stands in the test.

mod endorsement;
mod quotes;
