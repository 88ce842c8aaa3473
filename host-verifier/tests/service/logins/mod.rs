//! Logins from the first message to the last, and what they leave behind.

mod choices;
mod events;
mod hellos;
mod outcomes;
mod turns;

use assay_common::protocol::DenyCode;

use crate::agent::Answer;

pub(super) fn is_denied(answer: &Answer, code: DenyCode) -> bool {
    matches!(answer, Answer::Denied(c, _) if *c == code)
}
