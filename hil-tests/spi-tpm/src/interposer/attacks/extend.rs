//! Measurements: the attack of [TPM Genie] (NCC Group, 2018), and a TPM that is reset behind the node's back.

use sha2::{Digest, Sha256};

use super::common::{alter, alter_command, flip_last, listen, unwitnessed};
use super::{GET_CAPABILITY, PCR_EXTEND, PCR_READ, STARTUP};
use crate::interposer::mode::{Begin, Goal, Mode, Operation};
use crate::interposer::parts::{Command, Response, made_up};
use crate::interposer::{Answer, Script, Stage, Turn};
use crate::message::error_response;

/// The digest of an image that the verifier's policy allows.
pub const GOOD_IMAGE: [u8; 32] = [0x60; 32];
/// That of one that it does not allow.
pub const TAMPERED_IMAGE: [u8; 32] = [0xBA; 32];
/// What a node measures into [`SETTINGS_PCR`] when its debugger is on; a policy wants that PCR as a reset leaves it.
pub const DEBUG_SETTINGS: [u8; 32] = [0xDE; 32];
/// The PCR that a boot loader measures the image into. The agent measures itself into 8 and 9.
pub const IMAGE_PCR: u8 = 10;
/// The PCR that it measures settings into.
pub const SETTINGS_PCR: u8 = 11;

/// A PCR's value after a reset and one extension.
#[must_use]
pub fn extended(digest: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([0; 32]);
    hash.update(digest);
    hash.finalize().into()
}

pub(in crate::interposer) const EXTEND: &[Mode] = &[
    Mode::new(
        "sniff-extend",
        Stage::Extend,
        Operation::Read,
        "listens to what is measured",
        || listen(Stage::Extend),
    ),
    Mode::new(
        "alter-extend",
        Stage::Extend,
        Operation::Alter,
        "flips a bit of a measurement",
        || alter_command(Stage::Extend, PCR_EXTEND, flip_last),
    ),
    Mode::new(
        "lengths-extend",
        Stage::Extend,
        Operation::Alter,
        "puts four bytes into a response that has none",
        || alter(Stage::Extend, PCR_EXTEND, |parameters| parameters.extend([0xFF; 4])),
    ),
    Mode::new(
        "drop-extend",
        Stage::Extend,
        Operation::Drop,
        "keeps the measurement that would betray a debugger from the TPM, and says that it is done",
        || {
            Box::new(|turn| {
                if turn.is(Stage::Extend, PCR_EXTEND) && is_of(turn, SETTINGS_PCR) {
                    turn.strike("kept a command from the TPM and answered it");
                    return Ok(made_up(turn.command, &[]));
                }
                turn.pass()
            })
        },
    )
    .to(Goal::HiddenSettings),
    Mode::new(
        "hide-bank",
        Stage::Extend,
        Operation::Drop,
        "says that the TPM has no SHA-384 bank, so that the node measures into SHA-256 alone",
        hide_bank,
    )
    .to(Goal::FreeBank),
    Mode::new(
        "replay-extend",
        Stage::Extend,
        Operation::Replay,
        "gives the TPM each measurement twice",
        || {
            Box::new(|turn| {
                let answer = turn.pass()?;
                if turn.is(Stage::Extend, PCR_EXTEND) {
                    turn.strike("gave a command to the TPM once more");
                    turn.pass()?;
                }
                Ok(answer)
            })
        },
    )
    .from(Begin::PowerOn),
    Mode::new(
        "replay-boot",
        Stage::Extend,
        Operation::Replay,
        "answers a tampered image's measurement, and all before it, as at the last boot; then measures a good one himself",
        replay_boot,
    )
    .to(Goal::TamperedImage),
    Mode::new(
        "forge-extend",
        Stage::Extend,
        Operation::Substitute,
        "puts the digest of a good image in the place of a tampered one's",
        || {
            alter_command(Stage::Extend, PCR_EXTEND, |parameters| {
                if let Some(at) = parameters.len().checked_sub(32)
                    && let Some(digest) = parameters.get_mut(at..)
                    && digest == TAMPERED_IMAGE
                {
                    digest.copy_from_slice(&GOOD_IMAGE);
                }
            })
        },
    )
    .to(Goal::TamperedImage),
    Mode::new(
        "make-extend",
        Stage::Extend,
        Operation::Substitute,
        "answers the measurement of a tampered image himself, and measures a good one with a command of his own",
        || {
            Box::new(|turn| {
                if turn.is(Stage::Extend, PCR_EXTEND) && is_of(turn, IMAGE_PCR) {
                    measure_good(turn)?;
                    return Ok(made_up(turn.command, &[]));
                }
                turn.pass()
            })
        },
    )
    .to(Goal::TamperedImage),
    Mode::new(
        "reset-tpm",
        Stage::Extend,
        Operation::Substitute,
        "resets the TPM, and not the node, once a tampered image was measured; starts it and measures a good one",
        reset_behind,
    )
    .to(Goal::TamperedImage),
];

/// Whether an extension is of this PCR.
fn is_of(turn: &Turn<'_>, pcr: u8) -> bool {
    Command::parse(turn.command).is_some_and(|parts| parts.handles == [0, 0, 0, pcr])
}

/// TPM_ALG_SHA384, as it stands in a selection.
const SHA384: [u8; 2] = [0, 0x0C];

/// Whether a command extends a bank of SHA-384.
#[must_use]
pub fn is_of_sha384(command: &[u8]) -> bool {
    Command::parse(command).is_some_and(|parts| {
        // TPML_DIGEST_VALUES: a count of one, then the hash.
        parts.code == PCR_EXTEND && parts.parameters.get(4..6) == Some(&SHA384)
    })
}

/// Readings of the bank end in the error of a hash that the TPM does not know, and the list of banks is one of SHA-256.
fn hide_bank() -> Script {
    /// TPM_RC_HASH, for the first parameter.
    const UNKNOWN_HASH: u32 = 0x1C3;
    /// TPM_CAP_PCRS.
    const BANKS: [u8; 4] = [0, 0, 0, 5];
    /// No more data; the capability; one bank of SHA-256 with 24 PCRs.
    const SHA256_ALONE: [u8; 15] = [0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0x0B, 3, 0xFF, 0xFF, 0xFF];
    Box::new(|turn| {
        let (command, code) = (turn.command, turn.code);
        let Some(parts) = Command::parse(command) else {
            return turn.pass();
        };
        // TPML_PCR_SELECTION: a count, then the hash.
        if code == PCR_READ && parts.parameters.get(4..6) == Some(&SHA384) {
            turn.strike("said that the TPM does not know a hash");
            return Ok(error_response(UNKNOWN_HASH));
        }
        let answer = turn.pass()?;
        if code != GET_CAPABILITY || !parts.parameters.starts_with(&BANKS) {
            return Ok(answer);
        }
        turn.strike("changed the list of banks");
        let told = Response::parse(&answer, code).map(|parts| parts.with(&SHA256_ALONE));
        Ok(told.unwrap_or(answer))
    })
}

/// A command that extends the image's PCR by a good digest, with the empty password that a PCR has.
pub(super) fn good_measurement() -> Vec<u8> {
    let handle = [0, 0, 0, IMAGE_PCR];
    let parameters = [&[0, 0, 0, 1, 0, 0x0B][..], &GOOD_IMAGE].concat();
    let own = Command {
        code: PCR_EXTEND,
        handles: &handle,
        authorizations: None,
        parameters: &parameters,
    };
    own.stripped()
}

fn measure_good(turn: &mut Turn<'_>) -> Answer {
    turn.strike("measured something himself");
    turn.ask(&good_measurement())
}

/// The login's Startup comes after the measurements: the TPM that it finds was reset and measured into by another. What
/// would witness it is told as it was before.
fn reset_behind() -> Script {
    let mut measured = false;
    let mut done = false;
    Box::new(move |turn| {
        measured |= turn.is(Stage::Extend, PCR_EXTEND) && is_of(turn, IMAGE_PCR);
        if measured && !done && turn.is(Stage::Start, STARTUP) {
            done = true;
            turn.strike("reset the TPM");
            turn.reset_and_start()?;
            measure_good(turn)?;
        }
        let answer = turn.pass()?;
        Ok(if done {
            unwitnessed(turn, answer)
        } else {
            answer
        })
    })
}

/// A response's HMAC says nothing of the command: at a boot that is in every secret the last one again, the last one's
/// responses fit other measurements.
fn replay_boot() -> Script {
    let mut done = false;
    Box::new(move |turn| {
        if done {
            let answer = turn.pass()?;
            return Ok(unwitnessed(turn, answer));
        }
        let Some(earlier) = turn.earlier() else {
            return turn.pass();
        };
        turn.strike("answered with an earlier response");
        if turn.is(Stage::Extend, PCR_EXTEND) && is_of(turn, IMAGE_PCR) {
            done = true;
            turn.reset_and_start()?;
            measure_good(turn)?;
        }
        Ok(earlier)
    })
}
