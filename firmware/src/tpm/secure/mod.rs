//! The session that guards the bus: HMACs over commands and responses, and ciphers for what is secret in them
//! (`[TPM2.0 1.85 Part 1]` 16 to 18).
//!
//! One HMAC session, [salted](salt) to a key whose private half only the TPM has, stands from the beginning of a login to
//! the next one. Every command that means something goes through it: those that need an authorization are authorized by it
//! instead of by an empty password, the others are audited by it. Whoever is on the bus can still keep commands and
//! responses from arriving. They cannot change, replay, swap or make up one without an HMAC being wrong.
//!
//! Once anything is wrong the session is broken for good: until the next [`start`](Tpm::start) every guarded command fails
//! with the same error and nothing is sent. It is never tried again without a session.
//!
//! Commands that are not guarded, and why they need not be:
//!
//! | command | |
//! |---|---|
//! | `TPM2_Startup`, `TPM2_Shutdown`, `TPM2_SelfTest`, `TPM2_GetTestResult` | before there is a session, or about a TPM without one |
//! | `TPM2_GetCapability`, but for PCR banks | sizes, handles and names for logs: a lie makes commands fail that are guarded |
//! | `TPM2_StartAuthSession` | makes the session; the first HMAC proves it. A policy session authorizes what a guarded command asks |
//! | `TPM2_PolicyOR` | left out or changed, the policy does not hold, and the guarded command says so |
//! | `TPM2_NV_ReadPublic` | the HMAC would be over the Name that it tells; `TPM2_NV_Read` has that Name in its own |
//! | `TPM2_FlushContext` | takes no session |

mod names;
mod salt;
#[cfg(test)]
mod tests;

#[cfg(feature = "host")]
use alloc::vec::Vec;

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::EncodeError;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;
use zeroize::Zeroize;

use self::names::Names;
use super::exchange::{Acknowledgement, Guard, HANDLE, HEADER, MAX_DIGEST, MAX_NAME, NONCE};
use super::op::Op;
use super::{Tpm, TpmError, TpmTransport};
use crate::crypto::cfb::{self, BLOCK, Direction};
use crate::crypto::hash::{Digest, Hash, Hasher, Mac, kdfa};

/// How the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None was started.
    Absent,
    Standing,
    /// Something was wrong, and whatever comes fails with it.
    Broken(TpmError),
}

/// What this side knows of the session. Wiped when it ends.
pub(super) struct Secure {
    state: State,
    handle: Handle,
    keys: Keys,
    nonce_tpm: heapless::Vec<u8, MAX_DIGEST>,
    nonce_caller: [u8; NONCE],
    names: Names,
}

/// The secret of the session, and what is done with it.
struct Keys {
    hash: Hash,
    /// Bytes of AES keys: 16 or 32.
    cipher_key: usize,
    session: Digest,
}

impl core::fmt::Debug for Secure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Secure({:?})", self.state)
    }
}

impl Secure {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Absent,
            handle: Handle(0),
            keys: Keys {
                hash: Hash::Sha256,
                cipher_key: 16,
                session: Digest::zero(Hash::Sha256),
            },
            nonce_tpm: heapless::Vec::new(),
            nonce_caller: [0; NONCE],
            names: Names::new(),
        }
    }

    /// Forgets the session and every Name.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Forgets the session's secrets and every Name. A session that was there stays as one that fails everything, until
    /// another is begun.
    pub(super) fn lose(&mut self, error: TpmError) {
        let was_there = self.is_there();
        self.clear();
        if was_there {
            self.state = State::Broken(error);
        }
    }

    /// What guards a command; nothing where none is needed or there is no session.
    pub(super) fn guard(&self, op: Op) -> Result<Option<Guard>, TpmError> {
        match self.state {
            _ if !op.is_guarded() => Ok(None),
            State::Absent => Ok(None),
            State::Standing => Ok(Some(Guard {
                handle: self.handle,
                hmac: self.keys.hash.len(),
            })),
            State::Broken(error) => Err(error),
        }
    }

    /// Whether there is a session, be it a broken one.
    pub(super) fn is_there(&self) -> bool {
        self.state != State::Absent
    }

    pub(super) fn learn(&mut self, handle: Handle, name: &[u8]) {
        self.names.set(handle, name);
    }

    /// The Name that follows from a public area; one of a hash that is not here stays unknown.
    pub(super) fn learn_name_of(&mut self, handle: Handle, alg: AlgId, area: &[u8]) {
        if let Some(hash) = Hash::of(alg) {
            let mut name = heapless::Vec::<u8, MAX_NAME>::new();
            let _ = name.extend_from_slice(&alg.0.to_be_bytes());
            let _ = name.extend_from_slice(hash.digest(&[area]).as_bytes());
            self.learn(handle, &name);
        }
    }

    /// Whether the Name of an entity is known.
    #[cfg(feature = "host")]
    pub(super) fn knows(&self, handle: Handle) -> bool {
        self.names.of(handle).is_some()
    }

    pub(super) fn forget(&mut self, handle: Handle) {
        self.names.remove(handle);
        if handle == self.handle {
            self.clear();
        }
    }
}

impl Keys {
    /// HMAC over a parameters' hash, the nonces from newer to older, and the attributes. `auth` is the authorization value
    /// of what the session authorizes, without zeros at its end.
    fn hmac(&self, auth: &[u8], hash: &Digest, nonces: [&[u8]; 2], attributes: u8) -> Digest {
        let mut mac = Mac::new(self.hash, &[self.session.as_bytes(), auth]);
        mac.update(hash.as_bytes());
        for nonce in nonces {
            mac.update(nonce);
        }
        mac.update(&[attributes]);
        mac.finish()
    }

    /// Encrypts or decrypts the content of the `TPM2B` at the front of `params`; false when there is none.
    fn hide(
        &self,
        direction: Direction,
        auth: &[u8],
        nonces: [&[u8]; 2],
        params: &mut [u8],
    ) -> bool {
        let Some((len, rest)) = params.split_first_chunk_mut::<2>() else {
            return false;
        };
        let Some(text) = rest.get_mut(..usize::from(u16::from_be_bytes(*len))) else {
            return false;
        };
        let mut key_iv = [0; 32 + BLOCK];
        let key_iv = key_iv
            .get_mut(..self.cipher_key + BLOCK)
            .unwrap_or_default();
        kdfa(
            self.hash,
            &[self.session.as_bytes(), auth],
            b"CFB",
            nonces,
            key_iv,
        );
        cfb::apply(direction, key_iv, text);
        key_iv.zeroize();
        true
    }
}

impl<T: TpmTransport> Tpm<T> {
    /// The generator that the session's secrets come from.
    pub const fn drbg(&mut self) -> &mut crate::entropy::Drbg {
        &mut self.drbg
    }

    /// Ends the session, in the TPM as well. What comes next crosses the bus unguarded.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn unprotect(&mut self) -> Result<(), TpmError> {
        let handle = self.secure.handle;
        match self.secure.state {
            State::Absent => Ok(()),
            // It went with all else, or will with the next start.
            State::Broken(TpmError::Reset) => {
                self.secure.clear();
                Ok(())
            }
            State::Standing | State::Broken(_) => self.flush(handle),
        }
    }

    /// The authorization value that goes into the guard's keys: that of the first entity, where the command has an
    /// authorization at all.
    #[cfg(feature = "host")]
    fn auth(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let password = self.exchange.passwords.of(self.exchange.frame.authorized);
        let zeros = password.iter().rev().take_while(|byte| **byte == 0);
        let len = password.len() - zeros.count();
        zeroize::Zeroizing::new(password.get(..len).unwrap_or_default().to_vec())
    }

    /// Nobody sets authorization values on a board.
    #[cfg(not(feature = "host"))]
    #[inline(always)]
    fn auth(&self) -> [u8; 0] {
        []
    }

    /// Completes the guard of the command at hand: a new nonce, the cipher if it hides something, the HMAC. False when
    /// the command cannot be guarded, which is its outcome then.
    pub(super) fn seal(&mut self) -> bool {
        self.drbg.fill(&mut self.secure.nonce_caller);
        let auth = self.auth();
        let frame = self.exchange.frame;
        let sealed = seal(
            &self.secure,
            self.exchange.command(),
            frame.op,
            frame.entities.into(),
            &auth,
        );
        if sealed.is_none() {
            self.exchange.fail(TpmError::Encode(EncodeError::Value));
        }
        sealed.is_some()
    }

    /// Judges the outcome of a command: whether what came is what the TPM said.
    pub(super) fn judge(&mut self, result: Result<(), TpmError>) -> Result<(), TpmError> {
        if !self.exchange.frame.is_guarded {
            return result;
        }
        let judged = match result {
            Ok(()) => self.verify().ok_or(TpmError::Forged),
            // Only a success has an HMAC, and only one of the right shape.
            Err(TpmError::Malformed(_) | TpmError::Family) => Err(TpmError::Forged),
            Err(TpmError::Rc(rc)) if self.is_of_the_hmac(rc) => Err(TpmError::Forged),
            other => other,
        };
        // A response that got lost took the TPM's next nonce with it.
        if let Err(error @ (TpmError::Forged | TpmError::Transport(_))) = judged {
            self.secure.state = State::Broken(error);
        }
        judged
    }

    /// Whether the TPM refuses our HMAC. All authorization values that take part in one are known here, but for those that an
    /// owner may have set; so the TPM has seen another command than was sent.
    fn is_of_the_hmac(&self, rc: TpmRc) -> bool {
        #[cfg(feature = "host")]
        if !self.exchange.passwords.is_empty() {
            return false;
        }
        matches!(rc.base(), TpmRc::AUTH_FAIL | TpmRc::BAD_AUTH)
            && rc.session() == Some(1)
            && self.exchange.frame.authorized != Handle::OWNER
    }

    /// Verifies the HMAC of the response at hand, rolls the nonces and decrypts what is hidden. `None` when it is not the
    /// TPM's answer to this command.
    fn verify(&mut self) -> Option<()> {
        // What came between command and response may have ended the session, and its secrets are no secrets then.
        if self.secure.state != State::Standing {
            return None;
        }
        let auth = self.auth();
        let (params, acknowledgement) = self.exchange.acknowledged()?;
        let Acknowledgement {
            nonce,
            attributes,
            hmac,
        } = acknowledgement;
        let op = self.exchange.frame.op;
        let Secure {
            keys,
            nonce_tpm,
            nonce_caller,
            ..
        } = &mut self.secure;
        let x = &mut self.exchange;
        let mut hasher = Hasher::new(keys.hash);
        // TPM_RC_SUCCESS: no other response has an HMAC.
        hasher.update(&0u32.to_be_bytes());
        hasher.update(&op.code().to_be_bytes());
        hasher.update(x.part(params));
        let expected = keys.hmac(
            &auth,
            &hasher.finish(),
            [x.part(nonce), nonce_caller],
            attributes,
        );
        if !expected.is(x.part(hmac)) {
            return None;
        }
        *nonce_tpm = heapless::Vec::from_slice(x.part(nonce)).ok()?;
        if op.hides_its_response() {
            let nonces = [nonce_tpm.as_slice(), nonce_caller.as_slice()];
            let hidden = x.part_mut(params);
            if !keys.hide(Direction::Decrypt, &auth, nonces, hidden) {
                return None;
            }
        }
        Some(())
    }
}

/// Writes nonce, cipher and HMAC into a command; `None` when it has not the shape, or the Name of an entity is not known.
fn seal(secure: &Secure, command: &mut [u8], op: Op, entities: usize, auth: &[u8]) -> Option<()> {
    let keys = &secure.keys;
    let nonces = [secure.nonce_caller.as_slice(), &secure.nonce_tpm];
    let (head, rest) = command.split_at_mut_checked(HEADER + entities * HANDLE)?;
    let (area_len, rest) = rest.split_first_chunk_mut::<4>()?;
    let area_len = u32::from_be_bytes(*area_len) as usize;
    let (area, params) = rest.split_at_mut_checked(area_len)?;
    // The guard comes first: handle, nonce, attributes, HMAC.
    let (_, area) = area.split_at_mut_checked(HANDLE + 2)?;
    let (nonce, area) = area.split_first_chunk_mut::<NONCE>()?;
    let (attributes, area) = area.split_first_mut()?;
    let hmac = area.get_mut(2..2 + keys.hash.len())?;

    *nonce = secure.nonce_caller;
    if op.hides_its_command() && !keys.hide(Direction::Encrypt, auth, nonces, params) {
        return None;
    }
    let mut hasher = Hasher::new(keys.hash);
    hasher.update(&op.code().to_be_bytes());
    let (handles, _) = head.get(HEADER..)?.as_chunks::<HANDLE>();
    for handle in handles {
        hasher.update(secure.names.name(handle)?);
    }
    hasher.update(params);
    let code = keys.hmac(auth, &hasher.finish(), nonces, *attributes);
    // As long as each other, which the compiler does not follow: `copy_from_slice` would keep a panic.
    for (to, from) in hmac.iter_mut().zip(code.as_bytes()) {
        *to = *from;
    }
    Some(())
}
