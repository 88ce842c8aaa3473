//! PCRs, and the quote over them.

use super::common::{alter, alter_command, flip_last, listen, replay, withhold};
use super::extend::{GOOD_IMAGE, TAMPERED_IMAGE, extended};
use super::{CREATE_PRIMARY, PCR_READ, QUOTE_CODE};
use crate::interposer::mode::{Goal, Mode, Operation};
use crate::interposer::parts::{Command, Response, tpm2b};
use crate::interposer::turn::dressed;
use crate::interposer::{Script, Stage};
use crate::message::error_response;
use std::time::Duration;

/// TPM_RC_RETRY: what asks a host to say a command again.
const RETRY: u32 = 0x922;

pub(in crate::interposer) const PCRS: &[Mode] = &[
    Mode::new(
        "sniff-pcrs",
        Stage::Pcrs,
        Operation::Read,
        "reads the PCRs",
        || listen(Stage::Pcrs),
    ),
    Mode::new(
        "alter-pcrs",
        Stage::Pcrs,
        Operation::Alter,
        "flips a bit of a PCR's value",
        || alter(Stage::Pcrs, PCR_READ, flip_last),
    ),
    Mode::new(
        "lengths-pcrs",
        Stage::Pcrs,
        Operation::Alter,
        "has the list of values announce four thousand million of them",
        || {
            alter(Stage::Pcrs, PCR_READ, |parameters| {
                // pcrUpdateCounter, a selection of one bank of three bytes, the count of values.
                if let Some(count) = parameters.get_mut(14..18) {
                    count.fill(0xFF);
                }
            })
        },
    ),
    Mode::new(
        "drop-pcrs",
        Stage::Pcrs,
        Operation::Drop,
        "asks the node again and again to repeat its reading",
        || withhold(Stage::Pcrs, PCR_READ, |_| error_response(RETRY)),
    ),
    Mode::new(
        "replay-pcrs",
        Stage::Pcrs,
        Operation::Replay,
        "gives the values that were read in the login before",
        || replay(Stage::Pcrs, &[PCR_READ]),
    ),
    Mode::new(
        "forge-pcrs",
        Stage::Pcrs,
        Operation::Substitute,
        "shows the value of a good image where a tampered one was measured",
        || {
            alter(Stage::Pcrs, PCR_READ, |parameters| {
                let (bad, good) = (extended(&TAMPERED_IMAGE), extended(&GOOD_IMAGE));
                let at = parameters.windows(32).position(|value| value == bad);
                if let Some(value) = at.and_then(|at| parameters.get_mut(at..at.checked_add(32)?)) {
                    value.copy_from_slice(&good);
                }
            })
        },
    )
    .to(Goal::TamperedImage),
];

pub(in crate::interposer) const QUOTE: &[Mode] = &[
    Mode::new(
        "sniff-quote",
        Stage::Quote,
        Operation::Read,
        "reads the quote",
        || listen(Stage::Quote),
    ),
    Mode::new(
        "alter-quote",
        Stage::Quote,
        Operation::Alter,
        "flips a bit of the quote's signature",
        || alter(Stage::Quote, QUOTE_CODE, flip_last),
    ),
    Mode::new(
        "narrow-quote",
        Stage::Quote,
        Operation::Alter,
        "has the TPM quote fewer PCRs than the node asked for",
        || {
            alter_command(Stage::Quote, QUOTE_CODE, |parameters| {
                // The selection's bitmap, three bytes, ends the command.
                if let Some(at) = parameters.len().checked_sub(3)
                    && let Some(mask) = parameters.get_mut(at..)
                {
                    mask.copy_from_slice(&[0x7F, 0, 0]);
                }
            })
        },
    ),
    Mode::new(
        "lengths-quote",
        Stage::Quote,
        Operation::Alter,
        "has the quote announce 65,535 bytes",
        || alter(Stage::Quote, QUOTE_CODE, super::common::endless_first_field),
    ),
    Mode::new(
        "drop-quote",
        Stage::Quote,
        Operation::Drop,
        "asks the node again and again to repeat its command",
        || withhold(Stage::Quote, QUOTE_CODE, |_| error_response(RETRY)),
    ),
    Mode::new(
        "stall-quote",
        Stage::Quote,
        Operation::Drop,
        "holds the quote back for ten minutes",
        || {
            Box::new(|turn| {
                if turn.is(Stage::Quote, QUOTE_CODE) {
                    turn.strike("held a command back");
                    turn.hold(Duration::from_secs(600));
                }
                turn.pass()
            })
        },
    ),
    Mode::new(
        "replay-quote",
        Stage::Quote,
        Operation::Replay,
        "gives the quote of the login before",
        || replay(Stage::Quote, &[QUOTE_CODE]),
    ),
    Mode::new(
        "swap-quote",
        Stage::Quote,
        Operation::Substitute,
        "has another genuine TPM quote, with a key of the same template",
        quote_of_another,
    ),
    Mode::new(
        "forge-quote",
        Stage::Quote,
        Operation::Substitute,
        "has the TPM sign its clock instead of its PCRs",
        time_for_quote,
    ),
];

/// Makes the same AK in the other TPM when the node makes its own, and asks that for the quote.
fn quote_of_another() -> Script {
    let mut key = None;
    Box::new(move |turn| {
        if turn.is(Stage::Ak, CREATE_PRIMARY) {
            let made = turn.pass_to_other()?;
            key = Response::parse(&made, CREATE_PRIMARY).map(|parts| parts.handle.to_vec());
        }
        let (command, stage) = (turn.command, turn.is(Stage::Quote, QUOTE_CODE));
        match (&key, Command::parse(command)) {
            (Some(key), Some(parts)) if stage => {
                turn.strike("asked another TPM");
                let theirs = Command {
                    handles: key,
                    ..parts
                };
                let answer = turn.ask_other(&theirs.stripped())?;
                Ok(dressed(answer, &parts))
            }
            _ => turn.pass(),
        }
    })
}

/// GetTime by the AK over the quote's own qualifyingData.
fn time_for_quote() -> Script {
    const GET_TIME: u32 = 0x14C;
    /// The endorsement hierarchy's administrator, and the key.
    const PRIVACY_ADMIN: [u8; 4] = [0x40, 0, 0, 0x0B];
    const EMPTY_PASSWORDS: [u8; 18] = [0x40, 0, 0, 9, 0, 0, 1, 0, 0, 0x40, 0, 0, 9, 0, 0, 1, 0, 0];
    Box::new(|turn| {
        let command = turn.command;
        let quote = Command::parse(command).filter(|_| turn.is(Stage::Quote, QUOTE_CODE));
        let Some((parts, nonce)) =
            quote.and_then(|parts| Some((parts, tpm2b(parts.parameters)?.0)))
        else {
            return turn.pass();
        };
        let handles = [&PRIVACY_ADMIN, parts.handles].concat();
        let own = Command {
            code: GET_TIME,
            handles: &handles,
            authorizations: None,
            parameters: &[],
        };
        // qualifyingData, and the key's own scheme.
        let parameters = [&super::super::parts::sized(nonce)[..], &[0, 0x10]].concat();
        turn.strike("asked for another signature");
        let answer = turn.ask(&own.with(Some(&EMPTY_PASSWORDS), &parameters))?;
        Ok(dressed(
            answer,
            &Command {
                code: GET_TIME,
                ..parts
            },
        ))
    })
}
