//! Keys: the EK, the AK, the SVID's.

use super::common::{
    alter, alter_command, endless_first_field, flip_first_field, flip_last, listen, replay,
    withhold,
};
use super::own_key::{own_ek, with_public};
use super::{CERTIFY, CREATE_PRIMARY, SIGN};
use crate::interposer::mode::{Mode, Operation};
use crate::interposer::parts::{Command, Response, sized, tpm2b};
use crate::interposer::turn::dressed;
use crate::interposer::{Script, Stage, Turn};
use crate::message::{error_response, u16_at};

/// TPM_RC_VALUE, parameter 2: what a TPM says of a template that it does not know.
const NO_TEMPLATE: u32 = 0x2C4;

pub(in crate::interposer) const EK: &[Mode] = &[
    Mode::new(
        "sniff-ek",
        Stage::Ek,
        Operation::Read,
        "listens while the EK is made",
        || listen(Stage::Ek),
    ),
    Mode::new(
        "alter-ek",
        Stage::Ek,
        Operation::Alter,
        "flips a bit of the EK's public area",
        || alter(Stage::Ek, CREATE_PRIMARY, flip_first_field),
    ),
    Mode::new(
        "alter-ek-template",
        Stage::Ek,
        Operation::Alter,
        "changes the template, so that the TPM makes another EK",
        || alter_command(Stage::Ek, CREATE_PRIMARY, other_unique),
    ),
    Mode::new(
        "lengths-ek",
        Stage::Ek,
        Operation::Alter,
        "has the EK's public area announce 65,535 bytes",
        || alter(Stage::Ek, CREATE_PRIMARY, endless_first_field),
    ),
    Mode::new(
        "drop-ek",
        Stage::Ek,
        Operation::Drop,
        "says that the TPM can make no EK",
        || withhold(Stage::Ek, CREATE_PRIMARY, |_| error_response(NO_TEMPLATE)),
    ),
    Mode::new(
        "replay-ek",
        Stage::Ek,
        Operation::Replay,
        "shows the EK of the login before, and has the TPM make none",
        || replay(Stage::Ek, &[CREATE_PRIMARY]),
    ),
    Mode::new(
        "swap-ek",
        Stage::Ek,
        Operation::Substitute,
        "shows the EK and the certificate of another genuine TPM",
        || {
            Box::new(|turn| {
                if turn.stage == Stage::Certificate {
                    return turn.pass_to_other();
                }
                if !turn.is(Stage::Ek, CREATE_PRIMARY) {
                    return turn.pass();
                }
                let theirs = turn.pass_to_other()?;
                shown_as(turn, &theirs)
            })
        },
    ),
    Mode::new(
        "own-ek",
        Stage::Ek,
        Operation::Substitute,
        "shows an EK whose private key is his, with its right Name, to read what is encrypted to it",
        || own_ek(true),
    ),
    Mode::new(
        "substitute-name",
        Stage::Ek,
        Operation::Substitute,
        "shows an EK whose private key is his, and the genuine Name beside it",
        || own_ek(false),
    ),
];

/// Flips a bit at the end of the template's `unique`, zeros of a modulus or of a point; a template with an empty point gets a y
/// of one byte.
fn other_unique(parameters: &mut Vec<u8>) {
    /// How long a template with an empty point is. `[EKP 2.5] template H-3`
    const OF_EMPTY_POINT: usize = 74;
    let changed = tpm2b(parameters).and_then(|(sensitive, rest)| {
        let (public, rest) = tpm2b(rest)?;
        let mut public = public.to_vec();
        if public.len() == OF_EMPTY_POINT {
            public.truncate(OF_EMPTY_POINT - 2);
            public.extend(sized(&[1]));
        } else {
            *public.last_mut()? ^= 1;
        }
        Some([sized(sensitive), sized(&public), rest.to_vec()].concat())
    });
    if let Some(changed) = changed {
        *parameters = changed;
    }
}

/// The TPM's own answer with the key of `theirs` in it: its handle is the TPM's, what is shown is not.
fn shown_as(turn: &mut Turn<'_>, theirs: &[u8]) -> crate::interposer::Answer {
    let answer = turn.pass()?;
    let parameters = Response::parse(theirs, turn.code).map(|parts| parts.parameters.to_vec());
    Ok(match (Response::parse(&answer, turn.code), parameters) {
        (Some(own), Some(parameters)) => {
            turn.strike("showed a key of another TPM");
            own.with(&parameters)
        }
        _ => answer,
    })
}

pub(in crate::interposer) const AK: &[Mode] = &[
    Mode::new(
        "sniff-ak",
        Stage::Ak,
        Operation::Read,
        "listens while the AK is made",
        || listen(Stage::Ak),
    ),
    Mode::new(
        "alter-ak",
        Stage::Ak,
        Operation::Alter,
        "flips a bit of the AK's public area",
        || alter(Stage::Ak, CREATE_PRIMARY, flip_first_field),
    ),
    Mode::new(
        "weaken-ak",
        Stage::Ak,
        Operation::Alter,
        "has the TPM make an AK that signs whatever it is given",
        || alter_command(Stage::Ak, CREATE_PRIMARY, unrestricted),
    ),
    Mode::new(
        "hide-weak-ak",
        Stage::Ak,
        Operation::Alter,
        "has the TPM make an AK that signs whatever it is given, and shows it as a good one",
        hidden_weak_ak,
    ),
    Mode::new(
        "lengths-ak",
        Stage::Ak,
        Operation::Alter,
        "has the AK's public area announce 65,535 bytes",
        || alter(Stage::Ak, CREATE_PRIMARY, endless_first_field),
    ),
    Mode::new(
        "drop-ak",
        Stage::Ak,
        Operation::Drop,
        "says that the TPM can make no AK",
        || withhold(Stage::Ak, CREATE_PRIMARY, |_| error_response(NO_TEMPLATE)),
    ),
    Mode::new(
        "replay-ak",
        Stage::Ak,
        Operation::Replay,
        "shows the AK of the login before, and has the TPM make none",
        || replay(Stage::Ak, &[CREATE_PRIMARY]),
    ),
    Mode::new(
        "swap-ak",
        Stage::Ak,
        Operation::Substitute,
        "shows the AK of another genuine TPM",
        || {
            Box::new(|turn| {
                if !turn.is(Stage::Ak, CREATE_PRIMARY) {
                    return turn.pass();
                }
                let theirs = turn.pass_to_other()?;
                shown_as(turn, &theirs)
            })
        },
    ),
];

/// TPMA_OBJECT.restricted, in the second byte of the attributes.
const RESTRICTED: u8 = 1;

/// Takes `restricted` from the template of a CreatePrimary.
#[expect(clippy::ptr_arg, reason = "an edit may change the length")]
fn unrestricted(parameters: &mut Vec<u8>) {
    // inSensitive; then the public area's length, its type and its name algorithm; then the attributes.
    let sensitive = u16_at(parameters, 0).map_or(0, usize::from);
    if let Some(byte) = parameters.get_mut(sensitive.saturating_add(2 + 2 + 2 + 2 + 1)) {
        *byte &= !RESTRICTED;
    }
}

fn hidden_weak_ak() -> Script {
    Box::new(|turn| {
        let parts = Command::parse(turn.command).filter(|_| turn.is(Stage::Ak, CREATE_PRIMARY));
        let Some(parts) = parts else {
            return turn.pass();
        };
        let mut parameters = parts.parameters.to_vec();
        unrestricted(&mut parameters);
        turn.strike("changed a command");
        let answer = turn.ask(&parts.with(parts.authorizations, &parameters))?;
        let shown = Response::parse(&answer, turn.code).and_then(|parts| {
            let (public, rest) = tpm2b(parts.parameters)?;
            let mut public = public.to_vec();
            *public.get_mut(5)? |= RESTRICTED;
            Some(parts.with(&with_public(&public, rest, true)?))
        });
        Ok(shown.unwrap_or(answer))
    })
}

pub(in crate::interposer) const SVID_KEY: &[Mode] = &[
    Mode::new(
        "sniff-svid-key",
        Stage::SvidKey,
        Operation::Read,
        "listens while the SVID's key is made and certified",
        || listen(Stage::SvidKey),
    ),
    Mode::new(
        "alter-svid-key",
        Stage::SvidKey,
        Operation::Alter,
        "flips a bit of the key's certification",
        || alter(Stage::SvidKey, CERTIFY, flip_last),
    ),
    Mode::new(
        "alter-request",
        Stage::SvidKey,
        Operation::Alter,
        "flips a bit of the request's signature",
        || alter(Stage::SvidKey, SIGN, flip_last),
    ),
    Mode::new(
        "lengths-svid-key",
        Stage::SvidKey,
        Operation::Alter,
        "has the key's certification announce 65,535 bytes",
        || alter(Stage::SvidKey, CERTIFY, endless_first_field),
    ),
    Mode::new(
        "drop-svid-key",
        Stage::SvidKey,
        Operation::Drop,
        "says that the AK does not certify the key",
        || {
            /// TPM_RC_VALUE, handle 1.
            const NOT_THIS_KEY: u32 = 0x184;
            withhold(Stage::SvidKey, CERTIFY, |_| error_response(NOT_THIS_KEY))
        },
    ),
    Mode::new(
        "replay-svid-key",
        Stage::SvidKey,
        Operation::Replay,
        "shows the key of the login before with its certification",
        || replay(Stage::SvidKey, &[CREATE_PRIMARY, SIGN, CERTIFY]),
    ),
    Mode::new(
        "swap-svid-key",
        Stage::SvidKey,
        Operation::Substitute,
        "has the SVID's key made, and its request signed, in another TPM",
        key_of_another,
    ),
];

/// CreatePrimary and Sign of the SVID's key go to the other TPM; its certification stays with the node's AK.
fn key_of_another() -> Script {
    let mut key = None;
    Box::new(move |turn| {
        if turn.is(Stage::SvidKey, CREATE_PRIMARY) {
            let theirs = turn.pass_to_other()?;
            key = Response::parse(&theirs, turn.code).map(|parts| parts.handle.to_vec());
            return shown_as(turn, &theirs);
        }
        let command = turn.command;
        let signs = turn.is(Stage::SvidKey, SIGN);
        match (&key, Command::parse(command)) {
            (Some(key), Some(parts)) if signs => {
                turn.strike("had another TPM sign");
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
