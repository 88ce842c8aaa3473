//! The renewal of a session.

use super::common::{alter, flip_last, listen, replay, unwitnessed, withhold};
use super::extend::good_measurement;
use super::{PCR_READ, QUOTE_CODE};
use crate::interposer::Stage;
use crate::interposer::mode::{Mode, Operation};
use crate::message::error_response;

pub(in crate::interposer) const RENEWAL: &[Mode] = &[
    Mode::new(
        "sniff-renewal",
        Stage::Renewal,
        Operation::Read,
        "listens to a renewal",
        || listen(Stage::Renewal),
    ),
    Mode::new(
        "alter-renewal",
        Stage::Renewal,
        Operation::Alter,
        "flips a bit of the quote's signature",
        || alter(Stage::Renewal, QUOTE_CODE, flip_last),
    ),
    Mode::new(
        "drop-renewal",
        Stage::Renewal,
        Operation::Drop,
        "says that the key for the quote is gone",
        || {
            /// TPM_RC_REFERENCE_H0: no object with the first handle.
            const NO_KEY: u32 = 0x910;
            withhold(Stage::Renewal, QUOTE_CODE, |_| error_response(NO_KEY))
        },
    ),
    Mode::new(
        "replay-renewal",
        Stage::Renewal,
        Operation::Replay,
        "gives values and quote of the renewal before",
        || replay(Stage::Renewal, &[PCR_READ, QUOTE_CODE]),
    ),
    Mode::new(
        "swap-renewal",
        Stage::Renewal,
        Operation::Substitute,
        "puts another genuine TPM, with good measurements, in the socket while a session is alive",
        || {
            let mut prepared = false;
            Box::new(move |turn| {
                if !prepared {
                    prepared = true;
                    turn.ask_other(&good_measurement())?;
                }
                turn.strike("asked another TPM");
                let command = turn.command;
                let answer = turn.ask_other(command)?;
                Ok(unwitnessed(turn, answer))
            })
        },
    ),
];
