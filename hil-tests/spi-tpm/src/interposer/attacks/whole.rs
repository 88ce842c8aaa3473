//! What takes the whole of a login.

use super::super::parts::Command;
use crate::interposer::Stage;
use crate::interposer::mode::{Begin, Goal, Mode, Operation};
use crate::message::{code, set_u32};

pub(in crate::interposer) const WHOLE: &[Mode] = &[
    Mode::new(
        "swap-tpm",
        Stage::End,
        Operation::Substitute,
        "puts another genuine TPM in the socket before power-on",
        || {
            Box::new(|turn| {
                turn.strike("asked another TPM");
                let command = turn.command;
                turn.ask_other(command)
            })
        },
    ),
    Mode::new(
        "replay-login",
        Stage::End,
        Operation::Replay,
        "answers every command as in the login before; the TPM is not asked at all",
        || {
            Box::new(|turn| match turn.earlier() {
                Some(earlier) => {
                    turn.strike("answered with an earlier response");
                    Ok(earlier)
                }
                None => turn.pass(),
            })
        },
    )
    .to(Goal::AnySession),
    Mode::new(
        "reset-login",
        Stage::End,
        Operation::Drop,
        "resets the TPM in the middle of a login, and starts it again",
        || {
            let mut done = false;
            Box::new(move |turn| {
                if turn.stage == Stage::Quote && !done {
                    done = true;
                    turn.strike("reset the TPM");
                    turn.reset_and_start()?;
                }
                turn.pass()
            })
        },
    ),
    Mode::new(
        "bad-lengths",
        Stage::End,
        Operation::Alter,
        "has every response that is longer than its header announce more than there is in its parameters",
        || {
            Box::new(|turn| {
                let mut answer = turn.pass()?;
                let has_area = Command::parse(turn.command)
                    .is_some_and(|parts| parts.authorizations.is_some());
                let handle = crate::command::info(turn.code).is_some_and(|row| row.returns_handle);
                if code(&answer) == Some(0) && has_area {
                    turn.strike("changed a response");
                    set_u32(&mut answer, if handle { 14 } else { 10 }, u32::MAX);
                }
                Ok(answer)
            })
        },
    )
    .from(Begin::PowerOn)
    .to(Goal::AnySession),
];
