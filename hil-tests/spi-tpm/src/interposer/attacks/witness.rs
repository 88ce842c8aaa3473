//! What tells a TPM that was reset: its counts, and a key whose seed every reset draws anew.

use super::common::{alter, flip_first_field, flip_last, listen, replay, withhold};
use super::{CREATE_PRIMARY, READ_CLOCK};
use crate::interposer::Stage;
use crate::interposer::mode::{Mode, Operation};
use crate::message::error_response;

pub(in crate::interposer) const WITNESS: &[Mode] = &[
    Mode::new(
        "sniff-witness",
        Stage::Witness,
        Operation::Read,
        "reads the TPM's counts of resets",
        || listen(Stage::Witness),
    ),
    Mode::new(
        "alter-clock",
        Stage::Witness,
        Operation::Alter,
        "changes what the TPM says of its clock and its resets",
        || alter(Stage::Witness, READ_CLOCK, flip_last),
    ),
    Mode::new(
        "alter-witness",
        Stage::Witness,
        Operation::Alter,
        "flips a bit of the key that witnesses resets",
        || alter(Stage::Witness, CREATE_PRIMARY, flip_first_field),
    ),
    Mode::new(
        "drop-witness",
        Stage::Witness,
        Operation::Drop,
        "says that the TPM has no clock",
        || {
            const COMMAND_CODE: u32 = 0x143;
            withhold(Stage::Witness, READ_CLOCK, |_| error_response(COMMAND_CODE))
        },
    ),
    Mode::new(
        "replay-witness",
        Stage::Witness,
        Operation::Replay,
        "tells the counts and the key of the boot before",
        || replay(Stage::Witness, &[READ_CLOCK, CREATE_PRIMARY]),
    ),
    Mode::new(
        "swap-witness",
        Stage::Witness,
        Operation::Substitute,
        "has another genuine TPM tell its counts and its key",
        || {
            Box::new(|turn| {
                if turn.stage == Stage::Witness {
                    turn.strike("asked another TPM");
                    return turn.pass_to_other();
                }
                turn.pass()
            })
        },
    ),
];
