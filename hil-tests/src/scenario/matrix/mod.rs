//! The fault matrix: every fault, in every phase it can show in, in every TPM command of a login.
//!
//! A cell is one login of a node that was just powered, with one fault. It ends in one of three ways, and no other:
//! the login is granted all the same, the node reports one trouble code, or the verifier refuses. Then the fault is
//! taken away, and the same node must log in by itself.
//!
//! * [`cell`] has the cells, and which of them the tests run.
//! * [`bench`](mod@bench) runs one, and says what must never happen: a [`Finding`].
//! * [`record`] is the file that keeps the outcome of every cell; [`table`] makes the documentation from it.
//!
//! # Why not every cell in every test run
//!
//! The whole matrix takes minutes. `hil faults` runs it and keeps the outcomes in `golden/faults.txt`. The tests run
//! of each row (fault, phase, how long it lasts) one cell for every outcome that the row has, and compare; they also
//! hold that the file has exactly the cells that the catalogue of faults and a recorded clean login ask for, so a new
//! fault or another command in a login cannot be forgotten.

pub mod bench;
pub mod cell;
pub mod record;
pub mod run;
mod socket;
pub mod table;

pub use bench::{Bench, Finding, Report};
pub use cell::{Cell, Login, Row, When};
pub use record::{Outcome, Record};
