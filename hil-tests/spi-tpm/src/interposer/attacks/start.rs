//! Start-up and random bytes.

use super::common::{alter, endless_first_field, flip_last, listen, replay, withhold};
use super::{GET_CAPABILITY, GET_RANDOM, STARTUP};
use crate::interposer::Stage;
use crate::interposer::mode::{Goal, Mode, Operation};
use crate::interposer::parts::{made_up, sized};
use crate::message::u16_at;

pub(in crate::interposer) const START: &[Mode] = &[
    Mode::new(
        "sniff-start",
        Stage::Start,
        Operation::Read,
        "listens while the TPM is started and asked what it is",
        || listen(Stage::Start),
    ),
    Mode::new(
        "alter-start",
        Stage::Start,
        Operation::Alter,
        "changes what the TPM says it is",
        || alter(Stage::Start, GET_CAPABILITY, flip_last),
    ),
    Mode::new(
        "lengths-start",
        Stage::Start,
        Operation::Alter,
        "has a list of properties announce four thousand million entries",
        || {
            alter(Stage::Start, GET_CAPABILITY, |parameters| {
                // moreData, capability, count.
                if let Some(count) = parameters.get_mut(5..9) {
                    count.fill(0xFF);
                }
            })
        },
    ),
    Mode::new(
        "sizes-start",
        Stage::Start,
        Operation::Substitute,
        "says that the TPM takes and gives buffers of four thousand million bytes",
        || {
            alter(Stage::Start, GET_CAPABILITY, |parameters| {
                // Pairs of property and value behind moreData, capability and count.
                let pairs = parameters.get_mut(9..).unwrap_or_default();
                for pair in pairs.chunks_exact_mut(8) {
                    // TPM_PT_MAX_COMMAND_SIZE, TPM_PT_MAX_RESPONSE_SIZE, TPM_PT_NV_BUFFER_MAX.
                    if let [0, 0, 1, 0x1E | 0x1F | 0x2C, value @ ..] = pair {
                        value.fill(0xFF);
                    }
                }
            })
        },
    ),
    Mode::new(
        "drop-start",
        Stage::Start,
        Operation::Drop,
        "keeps Startup from the TPM and says that it is done",
        || withhold(Stage::Start, STARTUP, |command| made_up(command, &[])),
    ),
    Mode::new(
        "replay-start",
        Stage::Start,
        Operation::Replay,
        "says of the TPM what was said at its last start: that it comes from a reset",
        || replay(Stage::Start, &[STARTUP, GET_CAPABILITY]),
    ),
];

/// As many bytes as GetRandom asks for, all known.
fn known_bytes(command: &[u8]) -> Vec<u8> {
    let wanted = u16_at(command, command.len().saturating_sub(2)).unwrap_or(0);
    made_up(command, &sized(&vec![KNOWN; usize::from(wanted.min(64))]))
}

/// The byte that `forge-random` says.
pub(in crate::interposer) const KNOWN: u8 = 0x55;

pub(in crate::interposer) const RANDOM: &[Mode] = &[
    Mode::new(
        "sniff-random",
        Stage::Random,
        Operation::Read,
        "reads the random bytes, to know the node's nonce before it is said",
        || listen(Stage::Random),
    )
    .to(Goal::Nonce),
    Mode::new(
        "alter-random",
        Stage::Random,
        Operation::Alter,
        "flips a bit of the random bytes",
        || alter(Stage::Random, GET_RANDOM, flip_last),
    ),
    Mode::new(
        "lengths-random",
        Stage::Random,
        Operation::Alter,
        "announces 65,535 random bytes",
        || alter(Stage::Random, GET_RANDOM, endless_first_field),
    ),
    Mode::new(
        "drop-random",
        Stage::Random,
        Operation::Drop,
        "keeps GetRandom from the TPM and gives no bytes at all",
        || {
            withhold(Stage::Random, GET_RANDOM, |command| {
                made_up(command, &[0, 0])
            })
        },
    ),
    Mode::new(
        "replay-random",
        Stage::Random,
        Operation::Replay,
        "gives the random bytes of the login before",
        || replay(Stage::Random, &[GET_RANDOM]),
    )
    .to(Goal::Nonce),
    Mode::new(
        "forge-random",
        Stage::Random,
        Operation::Substitute,
        "gives bytes of his own instead of random ones",
        || withhold(Stage::Random, GET_RANDOM, known_bytes),
    )
    .to(Goal::Nonce),
];
