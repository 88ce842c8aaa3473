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
/// Bytes of one authorization: a session with a nonce and the longest HMAC.
pub(super) const AUTH: usize = HANDLE + 2 + NONCE + 1 + 2 + 48;

/// Longest nonce, HMAC or digest: SHA-512.
pub(super) const MAX_DIGEST: usize = 64;
/// Longest Name: algorithm and SHA-512 digest.
pub(super) const MAX_NAME: usize = 2 + MAX_DIGEST;

/// Bytes of our nonces: what `TPM2_StartAuthSession` takes at least (`[TPM2.0 1.85 Part 3]` 11.1).
pub(super) const NONCE: usize = 16;

/// A session that guards a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub(super) handle: Handle,
    /// Bytes of its HMAC.
    pub(super) hmac: usize,
}

/// What is known about the frames of the command at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) op: Op,
    /// Handles besides those of sessions.
    #[cfg(feature = "secure-bus")]
    pub(super) entities: u8,
    /// What the first of the authorizations is for; [`NOTHING`](Self::NOTHING) when there is none.
    #[cfg(feature = "secure-bus")]
    pub(super) authorized: Handle,
    /// Authorizations in the command, and so in its response.
    auths: u8,
    /// The first of them is a session that proves who answers.
    #[cfg(feature = "secure-bus")]
    pub(super) is_guarded: bool,
}

impl Frame {
    /// PCR 0, which a command of one PCR's has, too, and whose authorization is empty all the same.
    #[cfg(feature = "secure-bus")]
    const NOTHING: Handle = Handle(0);

    const fn tag(self) -> u16 {
        Op::tag(self.auths > 0)
    }
}

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

/// What a session says of a response.
pub(super) struct Acknowledgement {
    #[cfg_attr(not(feature = "secure-bus"), expect(dead_code, reason = "read past"))]
    pub(super) nonce: Part,
    #[cfg_attr(not(feature = "secure-bus"), expect(dead_code, reason = "read past"))]
    pub(super) attributes: u8,
    #[cfg_attr(not(feature = "secure-bus"), expect(dead_code, reason = "read past"))]
    pub(super) hmac: Part,
}

/// A command and its response.
// In this order: what is read and written all the time is within reach of the short forms of load and
// store, the buffers are not.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Exchange {
    error: Option<TpmError>,
    pub(super) frame: Frame,
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
            frame: Frame {
                op: Op::NONE,
                #[cfg(feature = "secure-bus")]
                entities: 0,
                #[cfg(feature = "secure-bus")]
                authorized: Frame::NOTHING,
                auths: 0,
                #[cfg(feature = "secure-bus")]
                is_guarded: false,
            },
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
    ///
    /// A `guard` takes the place of the first session, or is the only one; its nonce and its HMAC are written when the
    /// command is whole.
    #[inline(never)]
    pub(super) fn begin(&mut self, op: Op, handles: &[Handle], guard: Option<Guard>) {
        // Said here, since the optimiser does not see through the call that there is none.
        let guard = guard.filter(|_| cfg!(feature = "secure-bus"));
        let (entities, sessions) = handles
            .split_at_checked(handles.len().saturating_sub(op.auths()))
            .unwrap_or_default();
        self.frame = Frame {
            op,
            #[cfg(feature = "secure-bus")]
            entities: entities.len() as u8,
            #[cfg(feature = "secure-bus")]
            authorized: match entities {
                [first, ..] if op.auths() > 0 => *first,
                _ => Frame::NOTHING,
            },
            auths: op.auths().max(usize::from(guard.is_some())) as u8,
            #[cfg(feature = "secure-bus")]
            is_guarded: guard.is_some(),
        };
        self.error = None;
        self.written = self.waiting;
        self.put_u16(self.frame.tag());
        // The length is known at the end.
        self.put_u32(0);
        self.put_u32(op.code());
        for entity in entities {
            self.put_u32(entity.0);
        }
        if self.frame.auths == 0 {
            return;
        }
        // Its length is known at the end, too.
        let area = self.written;
        self.put_u32(0);
        let mut passwords = sessions.iter().zip(entities);
        if let Some(guard) = guard {
            passwords.next();
            self.put_u32(guard.handle.0);
            self.put_tpm2b(&[0; NONCE]);
            self.put(&[op.session_attributes()]);
            const ZEROS: [u8; MAX_DIGEST] = [0; MAX_DIGEST];
            self.put_tpm2b(ZEROS.get(..guard.hmac).unwrap_or_default());
        }
        for (session, entity) in passwords {
            self.put_u32(session.0);
            // Empty nonce, continueSession for the password session only, HMAC or password.
            let is_password = *session == Handle::PW;
            self.put(&[0, 0, u8::from(is_password)]);
            self.put_password(*entity, is_password);
        }
        let end = self.written;
        self.written = area;
        self.put_u32(u32::from(end - area) - AUTH_AREA as u32);
        self.written = end;
    }

    /// Appends the password of `entity`, which is empty for most.
    #[cfg(feature = "host")]
    fn put_password(&mut self, entity: Handle, is_password: bool) {
        let password: &[u8] = if is_password {
            self.passwords.of(entity)
        } else {
            &[]
        };
        let password = zeroize::Zeroizing::new(password.to_vec());
        self.put_tpm2b(&password);
    }

    #[cfg(not(feature = "host"))]
    #[inline(always)]
    fn put_password(&mut self, _: Handle, _: bool) {
        self.put(&[0, 0]);
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
    pub(super) fn suspend(&mut self) -> Option<(Frame, u16)> {
        if self.waiting != 0 {
            return None;
        }
        self.waiting = self.written;
        Some((self.frame, self.written))
    }

    /// Makes the kept command the present one again.
    pub(super) const fn resume(&mut self, (frame, written): (Frame, u16)) {
        self.frame = frame;
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
            tag == self.frame.tag()
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
        let handle = if self.frame.op.returns_a_handle() {
            self.u32()
        } else {
            0
        };
        let auths = self.frame.auths;
        if auths > 0 {
            let size = self.u32();
            let params = self.bytes(size as usize);
            for _ in 0..auths {
                // nonceTPM, attributes, HMAC. That of a guard was verified before; of the others nothing is keyed.
                self.acknowledgement();
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

    /// Takes one acknowledgement of a session: nonceTPM, attributes, HMAC.
    fn acknowledgement(&mut self) -> Acknowledgement {
        Acknowledgement {
            nonce: self.tpm2b(MAX_DIGEST),
            attributes: self.u8(),
            hmac: self.tpm2b(MAX_DIGEST),
        }
    }

    /// The parameters of the response, and what its first session says of them; `None` when it has no such parts. The
    /// response is to be [opened](Self::open) afterwards, as if this had not been.
    #[cfg(feature = "secure-bus")]
    pub(super) fn acknowledged(&mut self) -> Option<(Part, Acknowledgement)> {
        self.rewind();
        self.bytes(HEADER);
        if self.frame.op.returns_a_handle() {
            self.bytes(HANDLE);
        }
        let size = self.u32();
        let params = self.bytes(size as usize);
        let acknowledgement = self.acknowledgement();
        // Nothing else can have failed: the response has just come.
        self.error
            .take()
            .is_none()
            .then_some((params, acknowledgement))
    }

    /// The command at hand.
    #[cfg(feature = "secure-bus")]
    pub(super) fn command(&mut self) -> &mut [u8] {
        let command = self.command.get_mut(..usize::from(self.written));
        let command = command.and_then(|command| command.get_mut(usize::from(self.waiting)..));
        command.unwrap_or_default()
    }

    /// The bytes of a part of the present response, to be written over.
    #[cfg(feature = "secure-bus")]
    pub(super) fn part_mut(&mut self, part: Part) -> &mut [u8] {
        let start = usize::from(part.start);
        self.response
            .get_mut(start..start + part.len())
            .unwrap_or_default()
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

    /// All that is left, which stays to be read.
    pub(super) fn peek(&self) -> Part {
        Part {
            start: self.next,
            len: self.end - self.next,
        }
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
        x.begin(READ, &[], None);
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
        x.begin(READ, &[], None);
        x.put(&[0; COMMAND_MAX - HEADER]);
        assert_eq!(x.buffers().0.len(), COMMAND_MAX);
        x.put(&[0]);
        assert_eq!(x.finish(), Err(TpmError::Encode(EncodeError::Overflow)));
        x.begin(READ, &[], None);
        x.put_tpm2b(&[0; 0x1_0000]);
        assert_eq!(x.finish(), Err(TpmError::Encode(EncodeError::Overflow)));
    }

    #[test]
    fn a_kept_command_is_left_as_it_was() {
        let mut x = Exchange::new();
        x.begin(READ, &[Handle(7)], None);
        let first = x.buffers().0.to_vec();
        let kept = x.suspend();
        x.begin(READ, &[Handle(8), Handle(9)], None);
        assert_eq!(x.buffers().0.len(), HEADER + 2 * HANDLE);
        assert!(x.suspend().is_none(), "one waits already");
        if let Some(kept) = kept {
            x.resume(kept);
        }
        assert_eq!(x.buffers().0, first);
    }
}
