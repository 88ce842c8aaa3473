//! Attacks that every stage knows: to listen, to change bytes, to answer oneself, to repeat.

use crate::interposer::parts::{Command, Response};
use crate::interposer::{Script, Stage, Turn};

/// Changes a parameter area; without effect where there is nothing to change.
pub(super) type Edit = fn(&mut Vec<u8>);

/// Listens to a stage.
pub(super) fn listen(stage: Stage) -> Script {
    Box::new(move |turn| {
        if turn.stage == stage {
            turn.strike("listened");
        }
        turn.pass()
    })
}

/// Changes the parameters of every successful response to `code`.
pub(super) fn alter(stage: Stage, code: u32, edit: Edit) -> Script {
    Box::new(move |turn| {
        let answer = turn.pass()?;
        if !turn.is(stage, code) {
            return Ok(answer);
        }
        Ok(altered(turn, &answer, edit).unwrap_or(answer))
    })
}

/// A response with other parameters; `None` when there is nothing to change.
pub(super) fn altered(turn: &Turn<'_>, answer: &[u8], edit: Edit) -> Option<Vec<u8>> {
    let parts = Response::parse(answer, turn.code)?;
    let mut parameters = parts.parameters.to_vec();
    edit(&mut parameters);
    if parameters == parts.parameters {
        return None;
    }
    turn.strike("changed a response");
    Some(parts.with(&parameters))
}

/// Changes the parameters of every command `code` and passes it on.
pub(super) fn alter_command(stage: Stage, code: u32, edit: Edit) -> Script {
    Box::new(move |turn| {
        let changed = Command::parse(turn.command)
            .filter(|_| turn.is(stage, code))
            .and_then(|parts| {
                let mut parameters = parts.parameters.to_vec();
                edit(&mut parameters);
                (parameters != parts.parameters)
                    .then(|| parts.with(parts.authorizations, &parameters))
            });
        match changed {
            Some(changed) => {
                turn.strike("changed a command");
                turn.ask(&changed)
            }
            None => turn.pass(),
        }
    })
}

/// Keeps every command `code` from the TPM and says what `answer` makes up.
pub(super) fn withhold(stage: Stage, code: u32, answer: fn(&[u8]) -> Vec<u8>) -> Script {
    Box::new(move |turn| {
        if !turn.is(stage, code) {
            return turn.pass();
        }
        turn.strike("kept a command from the TPM and answered it");
        Ok(answer(turn.command))
    })
}

/// Answers the commands `codes` as they were answered in the run before, without the TPM.
pub(super) fn replay(stage: Stage, codes: &'static [u32]) -> Script {
    Box::new(move |turn| {
        let earlier = turn
            .earlier()
            .filter(|_| turn.stage == stage && codes.contains(&turn.code));
        match earlier {
            Some(earlier) => {
                turn.strike("answered with an earlier response");
                Ok(earlier)
            }
            None => turn.pass(),
        }
    })
}

/// The answer to a question for a reset's witness, with what was last told in the place of what is so now.
pub(super) fn unwitnessed(turn: &Turn<'_>, answer: Vec<u8>) -> Vec<u8> {
    let told = turn.told().filter(|_| turn.stage == Stage::Witness);
    let lie = told.and_then(|told| {
        let told = Response::parse(&told, turn.code)?;
        Some(Response::parse(&answer, turn.code)?.with(told.parameters))
    });
    match lie {
        Some(lie) => {
            turn.strike("told the reset's witness as it was before");
            lie
        }
        None => answer,
    }
}

/// Flips a bit of the last byte.
#[expect(clippy::ptr_arg, reason = "an edit may change the length")]
pub(super) fn flip_last(parameters: &mut Vec<u8>) {
    if let Some(byte) = parameters.last_mut() {
        *byte ^= 1;
    }
}

/// Flips a bit of the last byte of the TPM2B that the parameters begin with.
#[expect(clippy::ptr_arg, reason = "an edit may change the length")]
pub(super) fn flip_first_field(parameters: &mut Vec<u8>) {
    let size = crate::message::u16_at(parameters, 0).map_or(0, usize::from);
    if let Some(byte) = parameters.get_mut(2..).and_then(|rest| {
        let last = size.checked_sub(1)?;
        rest.get_mut(last)
    }) {
        *byte ^= 1;
    }
}

/// Has the TPM2B that the parameters begin with announce 65,535 bytes.
#[expect(clippy::ptr_arg, reason = "an edit may change the length")]
pub(super) fn endless_first_field(parameters: &mut Vec<u8>) {
    if let Some(field) = parameters.get_mut(..2) {
        field.fill(0xFF);
    }
}
