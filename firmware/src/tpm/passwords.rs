//! The passwords of hierarchies and keys, where a host's administrator has set some.
//!
//! Where a session guards the command, that of the first authorization takes part in the HMAC and stays off the bus. All others
//! go to the TPM as they are, in password sessions: before there is a session, and of a command's second authorization.

use alloc::vec::Vec;

use assay_common::tpm::handle::Handle;
use zeroize::Zeroizing;

use super::exchange::MAX_DIGEST;
use super::{Tpm, TpmTransport};

/// A password that no TPM can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordTooLong;

impl core::fmt::Display for PasswordTooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "password longer than {MAX_DIGEST} bytes")
    }
}

impl core::error::Error for PasswordTooLong {}

/// Passwords by what they are of.
pub(super) struct Passwords(Vec<(Handle, Zeroizing<Vec<u8>>)>);

impl core::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Passwords({})", self.0.len())
    }
}

impl Passwords {
    pub(super) const NONE: Self = Self(Vec::new());

    /// Empty for everything that has none.
    pub(super) fn of(&self, entity: Handle) -> &[u8] {
        let mut own = self.0.iter().filter(|(handle, _)| *handle == entity);
        own.next().map_or(&[], |(_, password)| password.as_slice())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(&mut self, entity: Handle, password: &[u8]) {
        self.0.retain(|(handle, _)| *handle != entity);
        if !password.is_empty() {
            self.0.push((entity, Zeroizing::new(password.to_vec())));
        }
    }
}

impl<T: TpmTransport> Tpm<T> {
    /// Sets the password of a hierarchy or a key for all commands from now on; an empty one forgets it. A TPM ignores zeros
    /// at the end of a password, and so they make no difference.
    ///
    /// # Errors
    /// [`PasswordTooLong`] for more than 64 bytes.
    pub fn set_password(&mut self, entity: Handle, password: &[u8]) -> Result<(), PasswordTooLong> {
        if password.len() > MAX_DIGEST {
            return Err(PasswordTooLong);
        }
        self.exchange.passwords.set(entity, password);
        Ok(())
    }
}
