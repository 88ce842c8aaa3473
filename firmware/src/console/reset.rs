//! `reset`: the board begins again, and a TPM whose reset line is tied to it with it.

use super::problem::Problem;
use super::{Board, Console};

impl<H: Board> Console<H> {
    pub(super) fn reset(&mut self) -> Result<(), Problem> {
        self.say(format_args!("restarting\n"));
        self.board.reset();
        Err(Problem::NoReset)
    }
}
