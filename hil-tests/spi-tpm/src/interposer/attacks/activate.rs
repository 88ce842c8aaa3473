//! The credential, and the secret in it.

use super::ACTIVATE_CREDENTIAL;
use super::common::{
    alter, alter_command, endless_first_field, flip_first_field, listen, replay, withhold,
};
use crate::interposer::Stage;
use crate::interposer::mode::{Goal, Mode, Operation};
use crate::interposer::parts::{made_up, sized};
use crate::message::error_response;

/// The secret that `forge-activate` says was in the credential.
const OWN_SECRET: [u8; 32] = [0x0A; 32];

pub(in crate::interposer) const ACTIVATE: &[Mode] = &[
    Mode::new(
        "sniff-activate",
        Stage::Activate,
        Operation::Read,
        "reads the secret of the credential, of which the session's keys are made",
        || listen(Stage::Activate),
    )
    .to(Goal::Secret),
    Mode::new(
        "alter-activate",
        Stage::Activate,
        Operation::Alter,
        "flips a bit of the secret",
        || alter(Stage::Activate, ACTIVATE_CREDENTIAL, flip_first_field),
    ),
    Mode::new(
        "alter-credential",
        Stage::Activate,
        Operation::Alter,
        "flips a bit of the credential on its way to the TPM",
        || alter_command(Stage::Activate, ACTIVATE_CREDENTIAL, flip_first_field),
    ),
    Mode::new(
        "lengths-activate",
        Stage::Activate,
        Operation::Alter,
        "has the secret announce 65,535 bytes",
        || alter(Stage::Activate, ACTIVATE_CREDENTIAL, endless_first_field),
    ),
    Mode::new(
        "drop-activate",
        Stage::Activate,
        Operation::Drop,
        "keeps the credential from the TPM and says that it does not fit",
        || {
            /// TPM_RC_INTEGRITY, parameter 1.
            const DOES_NOT_FIT: u32 = 0x1DF;
            withhold(Stage::Activate, ACTIVATE_CREDENTIAL, |_| {
                error_response(DOES_NOT_FIT)
            })
        },
    ),
    Mode::new(
        "replay-activate",
        Stage::Activate,
        Operation::Replay,
        "gives the secret of the login before",
        || replay(Stage::Activate, &[ACTIVATE_CREDENTIAL]),
    ),
    Mode::new(
        "forge-activate",
        Stage::Activate,
        Operation::Substitute,
        "gives a secret of his own",
        || {
            withhold(Stage::Activate, ACTIVATE_CREDENTIAL, |command| {
                made_up(command, &sized(&OWN_SECRET))
            })
        },
    )
    .to(Goal::Secret),
];
