//! One command and its response, in the buffers where they are sent from and received.
//!
//! Writing and reading share one rule: the first failure sticks, be it of the caller's arguments, of the
//! command or of a field; what is written afterwards goes nowhere, what is read is zero or empty, and the
//! end of the command reports the failure. With a `?` after every call and every field, and a writer and
//! a reader apart, the command layer had twice as much flash. The price: nothing that was read may be used
//! before the end, except to bound a loop that asks [`is_whole`](Exchange::is_whole).

use assay_common::tpm::codec::EncodeError;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

use super::op::Op;
#[cfg(feature = "host")]
use super::passwords::Passwords;
use super::{COMMAND_MAX, Malformed, RESPONSE_MAX, TpmError};

/// `TPM_ST_RSP_COMMAND`: the tag with which a TPM 1.2 answers, and a TPM 2.0 that saw a bad tag.
const RSP_COMMAND: u16 = 0x00C4;

/// Bytes of a header.
pub(super) const HEADER: usize = 10;
/// Bytes of a handle.
pub(super) const HANDLE: usize = 4;
/// Bytes of the authorization area's length.
pub(super) const AUTH_AREA: usize = 4;
/// Bytes of the commands that make room in the TPM: a header and at most the three numbers of
/// `TPM2_GetCapability`. Behind every other command there is room for them.
pub(super) const MAKING_ROOM: usize = HEADER + 3 * 4;
/// Bytes of one authorization with empty nonce and empty HMAC or password.
pub(super) const AUTH: usize = 9;

/// Longest nonce, HMAC or digest: SHA-512.
pub(super) const MAX_DIGEST: usize = 64;
/// Longest Name: algorithm and SHA-512 digest.
pub(super) const MAX_NAME: usize = 2 + MAX_DIGEST;

/// Where a byte string lies in the response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    start: u16,
    len: u16,
}

impl Part {
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }
}

/// A command and its response.
// In this order: what is read and written all the time is within reach of the short forms of load and
// store, the buffers are not.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Exchange {
    error: Option<TpmError>,
    pub(super) op: Op,
    /// The command is from `waiting` to `written`. Before it may be one that waits for memory.
    waiting: u16,
    written: u16,
    /// What is left to be read is from `next` to `end`.
    next: u16,
    end: u16,
    /// Bytes of the response.
    received: u16,
    command: [u8; COMMAND_MAX],
    response: [u8; RESPONSE_MAX],
    /// Of hierarchies and keys that have one; every other password is empty.
    #[cfg(feature = "host")]
    pub(super) passwords: Passwords,
}

// Positions in the buffers are kept in 16 bits.
const _: () = assert!(COMMAND_MAX <= u16::MAX as usize && RESPONSE_MAX <= u16::MAX as usize);

impl Exchange {
    pub(super) const fn new() -> Self {
        Self {
            command: [0; COMMAND_MAX],
            response: [0; RESPONSE_MAX],
            op: Op::NONE,
            waiting: 0,
            written: 0,
            next: 0,
            end: 0,
            received: 0,
            error: None,
            #[cfg(feature = "host")]
            passwords: Passwords::NONE,
        }
    }

    /// Makes `error` the outcome, unless an earlier one is.
    #[inline(never)]
    pub(super) fn fail(&mut self, error: TpmError) {
        if self.error.is_none() {
            self.error = Some(error);
        }
        self.next = 0;
        self.end = 0;
    }

    /// Fails with [`Malformed::Value`] unless `holds`.
    // A branch around a call is shorter than making a bool for one.
    #[inline(always)]
    pub(super) fn demand(&mut self, holds: bool) {
        if !holds {
            self.fail_value();
        }
    }

    #[inline(never)]
    fn fail_value(&mut self) {
        self.fail(TpmError::Malformed(Malformed::Value));
    }

    /// True while nothing has failed.
    pub(super) const fn is_whole(&self) -> bool {
        self.error.is_none()
    }

    /// The outcome: everything was there, and nothing is left over.
    pub(super) fn finish(&mut self) -> Result<(), TpmError> {
        if self.next != self.end {
            self.fail(TpmError::Malformed(Malformed::Trailing));
        }
        self.error.take().map_or(Ok(()), Err)
    }

    /// Begins a command: header, `handles`, and the authorizations, whose sessions are the last of
    /// `handles`: [`Handle::PW`] for a password, or a policy session, which ends with this command
    /// if it succeeds. The first session is for the first handle, and so on.
    #[inline(never)]
    pub(super) fn begin(&mut self, op: Op, handles: &[Handle]) {
        self.op = op;
        self.error = None;
        self.written = self.waiting;
        self.put_u16(op.tag());
        // The length is known at the end.
        self.put_u32(0);
        self.put_u32(op.code());
        let mut left = handles.len();
        for handle in handles {
            if left == op.auths() {
                self.put_u32((left * AUTH + self.password_bytes(op, handles)) as u32);
            }
            self.put_u32(handle.0);
            if left <= op.auths() {
                // Empty nonce, continueSession for the password session only, HMAC or password.
                self.put(&[0, 0, u8::from(*handle == Handle::PW)]);
                self.put_password(op, handles, left);
            }
            left -= 1;
        }
    }

    /// Of the authorizations' length what passwords add to it.
    #[cfg(feature = "host")]
    fn password_bytes(&self, op: Op, handles: &[Handle]) -> usize {
        let lens = (1..=op.auths()).map(|left| self.password(op, handles, left).len());
        lens.sum()
    }

    #[cfg(not(feature = "host"))]
    #[inline(always)]
    fn password_bytes(&self, _: Op, _: &[Handle]) -> usize {
        0
    }

    /// Appends the password of the authorization that has `left - 1` others behind it.
    #[cfg(feature = "host")]
    fn put_password(&mut self, op: Op, handles: &[Handle], left: usize) {
        let password = zeroize::Zeroizing::new(self.password(op, handles, left).to_vec());
        self.put_tpm2b(&password);
    }

    #[cfg(not(feature = "host"))]
    #[inline(always)]
    fn put_password(&mut self, _: Op, _: &[Handle], _: usize) {
        self.put(&[0, 0]);
    }

    #[cfg(feature = "host")]
    fn password(&self, op: Op, handles: &[Handle], left: usize) -> &[u8] {
        let session = handles
            .len()
            .checked_sub(left)
            .and_then(|at| handles.get(at));
        let entity = op.auths().checked_sub(left).and_then(|at| handles.get(at));
        match (session, entity) {
            (Some(session), Some(entity)) if *session == Handle::PW => self.passwords.of(*entity),
            _ => &[],
        }
    }

    /// Overwrites the last command, which may have had a password in it. One that waits for another is left alone.
    #[cfg(feature = "host")]
    pub(super) fn wipe_command(&mut self) {
        if self.waiting == 0 && !self.passwords.is_empty() {
            zeroize::Zeroize::zeroize(&mut self.command);
        }
    }

    /// Appends bytes to the command.
    #[inline(never)]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let free = self.command.get_mut(usize::from(self.written)..);
        match free.and_then(|free| free.get_mut(..bytes.len())) {
            Some(space) => {
                for (to, from) in space.iter_mut().zip(bytes) {
                    *to = *from;
                }
                self.written += bytes.len() as u16;
            }
            None => self.fail(TpmError::Encode(EncodeError::Overflow)),
        }
    }

    pub(super) fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(super) fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// A `TPM2B`.
    pub(super) fn put_tpm2b(&mut self, bytes: &[u8]) {
        self.put_tpm2b_parts(&[bytes]);
    }

    /// A `TPM2B` of parts that lie apart. One longer than its length can say is longer than the buffer, too.
    #[inline(never)]
    pub(super) fn put_tpm2b_parts(&mut self, parts: &[&[u8]]) {
        self.put_u16(parts.iter().map(|part| part.len()).sum::<usize>() as u16);
        for part in parts {
            self.put(part);
        }
    }

    /// Ends the command with its length; the command, and the buffer for the response.
    pub(super) fn buffers(&mut self) -> (&[u8], &mut [u8; RESPONSE_MAX]) {
        // The length goes after the tag.
        let (start, end) = (self.waiting, self.written);
        self.written = start + 2;
        self.put_u32((end - start).into());
        self.written = end;
        let command = self.command.get(usize::from(start)..usize::from(end));
        let command = command.unwrap_or_default();
        (command, &mut self.response)
    }

    /// Keeps the command, which others are going to make room for; what
    /// [`resume`](Self::resume) takes. `None` when one is kept already.
    pub(super) fn suspend(&mut self) -> Option<(Op, u16)> {
        if self.waiting != 0 {
            return None;
        }
        self.waiting = self.written;
        Some((self.op, self.written))
    }

    /// Makes the kept command the present one again.
    pub(super) const fn resume(&mut self, (op, written): (Op, u16)) {
        self.op = op;
        self.waiting = 0;
        self.written = written;
    }

    /// Checks the frame of the response of `len` bytes that was received; its code.
    pub(super) fn response_code(&mut self, len: usize) -> Result<TpmRc, TpmError> {
        // Never longer than the buffer.
        self.received = len as u16;
        self.rewind();
        let (tag, size, rc) = (self.u16(), self.u32(), TpmRc(self.u32()));
        if self.error.take().is_some() || size as usize != len {
            return Err(Malformed::Size.into());
        }
        let is_as_it_should = if rc.is_success() {
            tag == self.op.tag()
        } else {
            // A TPM 2.0 answers so only to a command whose tag was damaged on the way, a TPM 1.2 always.
            if tag == RSP_COMMAND && rc == TpmRc::BAD_TAG && len == HEADER {
                return Err(TpmError::Family);
            }
            tag == Op::NO_SESSIONS && len == HEADER
        };
        if is_as_it_should {
            Ok(rc)
        } else {
            Err(Malformed::Tag.into())
        }
    }

    fn rewind(&mut self) {
        self.next = 0;
        self.end = self.received;
    }

    /// Reads a success down to its parameters; the handle, if the command returns one. May be called again
    /// for a caller that had to let go of what it borrowed.
    #[inline(never)]
    pub(super) fn open(&mut self) -> Handle {
        self.rewind();
        // Judged before.
        self.bytes(HEADER);
        let handle = if self.op.returns_a_handle() {
            self.u32()
        } else {
            0
        };
        let auths = self.op.auths();
        if auths > 0 {
            let size = self.u32();
            let params = self.bytes(size as usize);
            for _ in 0..auths {
                // nonceTPM, attributes, HMAC: nothing here is keyed, so there is nothing to verify.
                self.tpm2b(MAX_DIGEST);
                self.bytes(1);
                self.tpm2b(MAX_DIGEST);
            }
            if self.next != self.end {
                self.fail(TpmError::Malformed(Malformed::Trailing));
            }
            if self.is_whole() {
                self.next = params.start;
                self.end = params.start + params.len;
            }
        }
        Handle(handle)
    }

    /// Takes `n` bytes.
    #[inline(never)]
    pub(super) fn bytes(&mut self, n: usize) -> Part {
        if n > self.left() {
            self.fail(TpmError::Malformed(Malformed::Truncated));
            return Part::default();
        }
        let start = self.next;
        let len = n as u16;
        self.next += len;
        Part { start, len }
    }

    /// An integer of `n` bytes, at most 4.
    #[inline(never)]
    fn number(&mut self, n: usize) -> u32 {
        let part = self.bytes(n);
        let bytes = self.part(part).iter();
        bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.number(1) as u8
    }

    pub(super) fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.number(4)
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// The content of a `TPM2B` of at most `max` bytes.
    #[inline(never)]
    pub(super) fn tpm2b(&mut self, max: usize) -> Part {
        let len = usize::from(self.u16());
        if len > max {
            self.fail(TpmError::Malformed(Malformed::TooLong));
        }
        self.bytes(len)
    }

    /// Takes a `TPMT_TK_x`: tag, hierarchy, digest.
    pub(super) fn ticket(&mut self) {
        self.bytes(2 + 4);
        self.tpm2b(MAX_DIGEST);
    }

    /// Enters a `TPM2B` whose content is a structure: what follows is read from it. What
    /// [`leave`](Self::leave) takes.
    pub(super) fn enter(&mut self) -> u16 {
        let outside = self.end;
        let len = self.u16();
        let content = self.bytes(usize::from(len));
        // After a failure nothing is left on either side.
        self.end = self.next;
        self.next -= content.len;
        outside
    }

    /// Leaves it, when all of it was read.
    pub(super) fn leave(&mut self, outside: u16) {
        if self.next != self.end {
            self.fail(TpmError::Malformed(Malformed::Trailing));
        } else if self.is_whole() {
            self.end = outside;
        }
    }

    /// Number of bytes left to be read.
    fn left(&self) -> usize {
        usize::from(self.end - self.next)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Part {
        self.bytes(self.left())
    }

    /// The bytes of a part of the present response.
    #[inline(never)]
    pub(super) fn part(&self, part: Part) -> &[u8] {
        let start = usize::from(part.start);
        self.response
            .get(start..start + part.len())
            .unwrap_or_default()
    }

    /// Overwrites the response, which held a secret.
    pub(super) fn wipe_response(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Op = Op::new(0x100, super::super::DurationClass::Medium);

    fn with_response(bytes: &[u8]) -> Exchange {
        let mut x = Exchange::new();
        x.begin(READ, &[]);
        for (to, from) in x.response.iter_mut().zip(bytes) {
            *to = *from;
        }
        x.received = bytes.len() as u16;
        x.rewind();
        x
    }

    #[test]
    fn the_first_failure_sticks_and_later_fields_are_empty() {
        let mut x = with_response(&[0, 9, 1, 2, 3, 4, 5, 6]);
        assert_eq!(x.tpm2b(8).len(), 0);
        assert!(!x.is_whole());
        assert_eq!((x.u32(), x.u64()), (0, 0));
        x.demand(false);
        assert_eq!(x.finish(), Err(TpmError::Malformed(Malformed::TooLong)));
    }

    #[test]
    fn fields_are_read_in_order_and_to_the_end() {
        let bytes = [1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 2, 8, 9, 7];
        let mut x = with_response(&bytes);
        assert_eq!((x.u8(), x.u16(), x.u32()), (1, 2, 3));
        assert_eq!(x.u64(), 4 << 32 | 5);
        let part = x.tpm2b(2);
        assert_eq!(x.part(part), [8, 9]);
        assert!(x.is_whole());
        assert_eq!(x.finish(), Err(TpmError::Malformed(Malformed::Trailing)));
        let mut x = with_response(&bytes);
        let part = x.bytes(20);
        assert_eq!(x.part(part), bytes);
        assert_eq!(x.finish(), Ok(()));
        let mut x = with_response(&bytes);
        assert_eq!(x.bytes(21).len(), 0);
        assert_eq!(x.finish(), Err(TpmError::Malformed(Malformed::Truncated)));
    }

    #[test]
    fn a_command_that_does_not_fit_fails_at_its_end() {
        let mut x = Exchange::new();
        x.begin(READ, &[]);
        x.put(&[0; COMMAND_MAX - HEADER]);
        assert_eq!(x.buffers().0.len(), COMMAND_MAX);
        x.put(&[0]);
        assert_eq!(x.finish(), Err(TpmError::Encode(EncodeError::Overflow)));
        x.begin(READ, &[]);
        x.put_tpm2b(&[0; 0x1_0000]);
        assert_eq!(x.finish(), Err(TpmError::Encode(EncodeError::Overflow)));
    }

    #[test]
    fn a_kept_command_is_left_as_it_was() {
        let mut x = Exchange::new();
        x.begin(READ, &[Handle(7)]);
        let first = x.buffers().0.to_vec();
        let kept = x.suspend();
        x.begin(READ, &[Handle(8), Handle(9)]);
        assert_eq!(x.buffers().0.len(), HEADER + 2 * HANDLE);
        assert!(x.suspend().is_none(), "one waits already");
        if let Some(kept) = kept {
            x.resume(kept);
        }
        assert_eq!(x.buffers().0, first);
    }
}
