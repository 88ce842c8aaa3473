//! The session that protects what goes over the bus: its start, and what it is worth.

use super::common::{alter, alter_command, flip_last, listen, replay, withhold};
use super::{CREATE_PRIMARY, FLUSH_CONTEXT, GET_RANDOM, QUOTE_CODE, START_AUTH_SESSION};
use crate::interposer::mode::{Begin, Goal, Mode, Operation};
use crate::interposer::parts::{Authorization, Command, ENCRYPT, NULL, Response, sized, tpm2b};
use crate::interposer::turn::dressed;
use crate::interposer::{Script, Stage};
use crate::message::error_response;

pub(in crate::interposer) const SESSION: &[Mode] = &[
    Mode::new(
        "sniff-session",
        Stage::Session,
        Operation::Read,
        "listens while a session is started, to learn its key",
        || listen(Stage::Session),
    )
    .to(Goal::Secret),
    Mode::new(
        "alter-session",
        Stage::Session,
        Operation::Alter,
        "changes the TPM's nonce",
        || alter(Stage::Session, START_AUTH_SESSION, flip_last),
    ),
    Mode::new(
        "alter-salt",
        Stage::Session,
        Operation::Alter,
        "changes the salt that is encrypted to the EK",
        || alter_command(Stage::Session, START_AUTH_SESSION, flip_salt),
    ),
    Mode::new(
        "weaken-cipher",
        Stage::Session,
        Operation::Alter,
        "asks for a session without a cipher",
        || alter_command(Stage::Session, START_AUTH_SESSION, without_cipher),
    ),
    Mode::new(
        "clear-encrypt",
        Stage::Session,
        Operation::Alter,
        "asks for the responses that are to be encrypted in clear",
        clear_encrypt,
    )
    .to(Goal::Secret),
    Mode::new(
        "downgrade",
        Stage::Session,
        Operation::Drop,
        "says that the TPM knows no sessions, so that the node goes on without",
        || {
            const COMMAND_CODE: u32 = 0x143;
            withhold(Stage::Session, START_AUTH_SESSION, |_| {
                error_response(COMMAND_CODE)
            })
        },
    ),
    Mode::new(
        "forget-session",
        Stage::Session,
        Operation::Drop,
        "says after a login that the TPM was reset, so that the node forgets its session and renews without",
        forget,
    )
    .from(Begin::Session)
    .to(Goal::Clear),
    Mode::new(
        "replay-session",
        Stage::Session,
        Operation::Replay,
        "answers the start of a session as that of the login before",
        || replay(Stage::Session, &[START_AUTH_SESSION]),
    ),
    Mode::new(
        "replay-salt",
        Stage::Session,
        Operation::Replay,
        "gives the TPM the salt of the login before in the place of this one's",
        replay_salt,
    ),
    Mode::new(
        "unsalt",
        Stage::Session,
        Operation::Substitute,
        "starts a session without a salt, whose key anybody can make",
        unsalt,
    ),
    Mode::new(
        "strip-sessions",
        Stage::Session,
        Operation::Substitute,
        "turns protected commands into plain ones, and dresses the answers up again",
        strip,
    )
    .to(Goal::Nonce),
];

/// Flips a bit of encryptedSalt, which follows nonceCaller.
#[expect(clippy::ptr_arg, reason = "an edit may change the length")]
fn flip_salt(parameters: &mut Vec<u8>) {
    let before = tpm2b(parameters).map_or(0, |(nonce, _)| nonce.len());
    let salt = parameters.get_mut(before.saturating_add(2)..);
    let salt = salt.unwrap_or_default();
    let size = tpm2b(salt).map_or(0, |(salt, _)| salt.len());
    // The last byte of the last coordinate, or of the ciphertext.
    if size > 0
        && let Some(byte) = salt.get_mut(size.saturating_add(1))
    {
        *byte ^= 1;
    }
}

/// `symmetric` behind sessionType, as TPM_ALG_NULL.
fn without_cipher(parameters: &mut Vec<u8>) {
    const NULL_CIPHER: [u8; 2] = [0, 0x10];
    let changed = tpm2b(parameters).and_then(|(nonce, rest)| {
        let (salt, rest) = tpm2b(rest)?;
        let (kind, rest) = rest.split_first()?;
        let hash = rest.get(rest.len().checked_sub(2)?..)?;
        let head = [sized(nonce), sized(salt), vec![*kind]].concat();
        Some([&head, &NULL_CIPHER[..], hash].concat())
    });
    if let Some(changed) = changed {
        *parameters = changed;
    }
}

/// encryptedSalt of the login before, which the TPM can open as well as this one's.
fn replay_salt() -> Script {
    Box::new(|turn| {
        let starts = turn.is(Stage::Session, START_AUTH_SESSION);
        let earlier = turn.asked_earlier().filter(|_| starts);
        let changed = Command::parse(turn.command).and_then(|parts| {
            let earlier = earlier.as_deref().and_then(Command::parse)?;
            let (_, rest) = tpm2b(earlier.parameters)?;
            let (salt, _) = tpm2b(rest)?;
            let (nonce, rest) = tpm2b(parts.parameters)?;
            let (_, rest) = tpm2b(rest)?;
            let parameters = [sized(nonce), sized(salt), rest.to_vec()].concat();
            Some(parts.with(parts.authorizations, &parameters))
        });
        match changed {
            Some(changed) => {
                turn.strike("gave the TPM an earlier salt");
                turn.ask(&changed)
            }
            None => turn.pass(),
        }
    })
}

/// The same command with TPM_RH_NULL for the key of the salt, and no salt.
fn unsalt() -> Script {
    Box::new(|turn| {
        let changed = Command::parse(turn.command)
            .filter(|_| turn.is(Stage::Session, START_AUTH_SESSION))
            .and_then(|parts| {
                let (nonce, rest) = tpm2b(parts.parameters)?;
                let (_, rest) = tpm2b(rest)?;
                let handles = [NULL.to_be_bytes(), NULL.to_be_bytes()].concat();
                let plain = Command {
                    handles: &handles,
                    ..parts
                };
                Some(plain.with(None, &[sized(nonce), sized(&[]), rest.to_vec()].concat()))
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

/// A node unloads its EK when a login was granted, by a command that takes no session. Its answer is made up: an error has
/// no HMAC, and this one says that the session is gone.
fn forget() -> Script {
    /// TPM_RC_INITIALIZE: what a TPM says until it is started.
    const INITIALIZE: u32 = 0x100;
    let mut ek = Vec::new();
    let mut quoted = false;
    Box::new(move |turn| {
        let guards = Command::parse(turn.command).is_some_and(|parts| parts.is_protected());
        quoted |= guards && turn.code == QUOTE_CODE;
        if quoted && turn.code == FLUSH_CONTEXT && turn.command.ends_with(&ek) {
            turn.strike("said that the TPM was reset");
            return Ok(error_response(INITIALIZE));
        }
        let answer = turn.pass()?;
        if turn.is(Stage::Ek, CREATE_PRIMARY) {
            let made = Response::parse(&answer, CREATE_PRIMARY);
            ek = made.map_or_else(Vec::new, |parts| parts.handle.to_vec());
            quoted = false;
        }
        Ok(answer)
    })
}

/// Clears TPMA_SESSION.encrypt in every session of every command.
fn clear_encrypt() -> Script {
    Box::new(|turn| {
        let changed = Command::parse(turn.command).and_then(|parts| {
            let sessions = parts.sessions();
            let encrypts = |one: &Authorization<'_>| one.attributes & ENCRYPT != 0;
            if !sessions.iter().any(encrypts) {
                return None;
            }
            let area: Vec<u8> = sessions.iter().flat_map(|one| cleared(*one)).collect();
            Some(parts.with(Some(&area), parts.parameters))
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

fn cleared(one: Authorization<'_>) -> Vec<u8> {
    let mut out = one.session.to_be_bytes().to_vec();
    out.extend(sized(one.nonce));
    out.push(one.attributes & !ENCRYPT);
    out.extend(sized(one.hmac));
    out
}

/// Every command that a session protects goes to the TPM without it.
fn strip() -> Script {
    Box::new(|turn| {
        let command = turn.command;
        let Some(parts) = Command::parse(command).filter(Command::is_protected) else {
            return turn.pass();
        };
        // A policy session authorizes the use of a key, which a password cannot.
        let policy = |one: &Authorization<'_>| one.session >> 24 == 0x03;
        if parts.sessions().iter().any(policy) {
            return turn.pass();
        }
        turn.strike(if turn.code == GET_RANDOM {
            "asked for random bytes in clear"
        } else {
            "took the session off a command"
        });
        let answer = turn.ask(&parts.stripped())?;
        Ok(dressed(answer, &parts))
    })
}
