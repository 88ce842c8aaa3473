//! Keys: the EK, the AK, the SVID's.

use sha2::{Digest, Sha256};

use super::common::{
    alter, alter_command, endless_first_field, flip_first_field, flip_last, listen, replay,
    withhold,
};
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
        || {
            alter_command(Stage::Ek, CREATE_PRIMARY, |parameters| {
                // `unique` is the last field of inPublic, which outsideInfo and creationPCR follow: 2 + 4 bytes.
                if let Some(at) = parameters.len().checked_sub(7)
                    && let Some(byte) = parameters.get_mut(at)
                {
                    *byte ^= 1;
                }
            })
        },
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

/// The generator of P-256: the public key to the private key 1, so that what is agreed with it is the other side's own
/// point, which everybody on the bus sees.
const GENERATOR: [[u8; 32]; 2] = [
    [
        0x6B, 0x17, 0xD1, 0xF2, 0xE1, 0x2C, 0x42, 0x47, 0xF8, 0xBC, 0xE6, 0xE5, 0x63, 0xA4, 0x40,
        0xF2, 0x77, 0x03, 0x7D, 0x81, 0x2D, 0xEB, 0x33, 0xA0, 0xF4, 0xA1, 0x39, 0x45, 0xD8, 0x98,
        0xC2, 0x96,
    ],
    [
        0x4F, 0xE3, 0x42, 0xE2, 0xFE, 0x1A, 0x7F, 0x9B, 0x8E, 0xE7, 0xEB, 0x4A, 0x7C, 0x0F, 0x9E,
        0x16, 0x2B, 0xCE, 0x33, 0x57, 0x6B, 0x31, 0x5E, 0xCE, 0xCB, 0xB6, 0x40, 0x68, 0x37, 0xBF,
        0x51, 0xF5,
    ],
];

/// Puts [`GENERATOR`] in the place of a P-256 EK's point.
fn own_ek(rename: bool) -> Script {
    Box::new(move |turn| {
        let answer = turn.pass()?;
        if !turn.is(Stage::Ek, CREATE_PRIMARY) {
            return Ok(answer);
        }
        let changed = Response::parse(&answer, turn.code).and_then(|parts| {
            let (public, rest) = tpm2b(parts.parameters)?;
            // It ends with `unique`: two coordinates with their lengths.
            let head = public.get(..public.len().checked_sub(68)?)?;
            let mut own = head.to_vec();
            GENERATOR.iter().for_each(|x| own.extend(sized(x)));
            Some(parts.with(&with_public(&own, rest, rename)?))
        });
        Ok(match changed {
            Some(changed) => {
                turn.strike("showed a key of his own");
                changed
            }
            None => answer,
        })
    })
}

/// The parameters of a CreatePrimary with another public area, whose rest is `rest`; `rename` puts its Name there too.
fn with_public(public: &[u8], rest: &[u8], rename: bool) -> Option<Vec<u8>> {
    const SHA256: u16 = 0x0B;
    let mut out = sized(public);
    if rename && u16_at(public, 2) == Some(SHA256) {
        // The Name is the last field: two bytes of length, two of algorithm, 32.
        out.extend_from_slice(rest.get(..rest.len().checked_sub(36)?)?);
        let name = [&SHA256.to_be_bytes()[..], &Sha256::digest(public)].concat();
        out.extend(sized(&name));
    } else {
        out.extend_from_slice(rest);
    }
    Some(out)
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
