//! Commands and responses cut into handles, authorizations and parameters, and put together again.
//! `[TPM2.0 1.83 Part 1] 18`
//!
//! Only what somebody on the bus must know to put his own bytes in the right place. What cannot be cut is `None`, and
//! then the attack does not happen.

use crate::command;
use crate::message::{self, TAG_NO_SESSIONS, TAG_SESSIONS, u16_at, u32_at};

/// A command, cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// TPM_CC.
    pub code: u32,
    /// Its handles, four bytes each.
    pub handles: &'a [u8],
    /// Its authorization area without the size; `None` for a command without one.
    pub authorizations: Option<&'a [u8]>,
    /// The rest.
    pub parameters: &'a [u8],
}

/// One entry of a command's authorization area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The session, or TPM_RS_PW.
    pub session: u32,
    /// nonceCaller.
    pub nonce: &'a [u8],
    /// TPMA_SESSION.
    pub attributes: u8,
    /// HMAC or password.
    pub hmac: &'a [u8],
}

/// TPM_RS_PW: a password, no session.
pub const PASSWORD: u32 = 0x4000_0009;
/// TPM_RH_NULL.
pub const NULL: u32 = 0x4000_0007;
/// TPMA_SESSION.encrypt: the first parameter of the response is encrypted.
pub const ENCRYPT: u8 = 1 << 6;
/// TPMA_SESSION.decrypt: the first parameter of the command is encrypted.
pub const DECRYPT: u8 = 1 << 5;

impl<'a> Command<'a> {
    /// Cuts a command.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let code = message::code(bytes)?;
        let handles = command::info(code)?.handles.checked_mul(4)?;
        let body = bytes.get(10..)?;
        let (handles, rest) = body.split_at_checked(handles)?;
        let (authorizations, parameters) = match message::tag(bytes)? {
            TAG_SESSIONS => {
                let size = usize::try_from(u32_at(rest, 0)?).ok()?;
                let (area, parameters) = rest.get(4..)?.split_at_checked(size)?;
                (Some(area), parameters)
            }
            _ => (None, rest),
        };
        Some(Self {
            code,
            handles,
            authorizations,
            parameters,
        })
    }

    /// Its authorizations, one by one.
    #[must_use]
    pub fn sessions(&self) -> Vec<Authorization<'a>> {
        let mut area = self.authorizations.unwrap_or_default();
        let mut found = Vec::new();
        while let Some((one, rest)) = authorization(area) {
            found.push(one);
            area = rest;
        }
        found
    }

    /// Whether a session protects it, rather than a password or nothing.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.sessions().iter().any(|one| one.session != PASSWORD)
    }

    /// The command again, with these authorizations and parameters.
    #[must_use]
    pub fn with(&self, authorizations: Option<&[u8]>, parameters: &[u8]) -> Vec<u8> {
        let mut body = self.handles.to_vec();
        if let Some(area) = authorizations {
            body.extend_from_slice(&length(area).to_be_bytes());
            body.extend_from_slice(area);
        }
        body.extend_from_slice(parameters);
        let mut out = message::plain_command(self.code, &body);
        if authorizations.is_some() {
            set_tag(&mut out, TAG_SESSIONS);
        }
        out
    }

    /// The command with an empty password wherever it needs an authorization, and no session.
    #[must_use]
    pub fn stripped(&self) -> Vec<u8> {
        const EMPTY_PASSWORD: [u8; 9] = [0x40, 0, 0, 9, 0, 0, 1, 0, 0];
        match authorized_handles(self.code) {
            0 => self.with(None, self.parameters),
            needed => self.with(Some(&EMPTY_PASSWORD.repeat(needed)), self.parameters),
        }
    }
}

fn authorization(area: &[u8]) -> Option<(Authorization<'_>, &[u8])> {
    let session = u32_at(area, 0)?;
    let (nonce, rest) = tpm2b(area.get(4..)?)?;
    let (attributes, rest) = rest.split_first()?;
    let (hmac, rest) = tpm2b(rest)?;
    let one = Authorization {
        session,
        nonce,
        attributes: *attributes,
        hmac,
    };
    Some((one, rest))
}

/// How many handles of a command need an authorization. `[TPM2.0 1.83 Part 3]`, of the commands of a login.
#[must_use]
pub const fn authorized_handles(code: u32) -> usize {
    match code {
        // ActivateCredential, Certify.
        0x147 | 0x148 => 2,
        // CreatePrimary, NV_Read, PolicySecret, Quote, Sign, PCR_Extend.
        0x131 | 0x14E | 0x151 | 0x158 | 0x15D | 0x182 => 1,
        _ => 0,
    }
}

/// A response, cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// Its handle, four bytes or none.
    pub handle: &'a [u8],
    /// Its parameters.
    pub parameters: &'a [u8],
    /// Its authorization area; `None` for a response without one.
    pub authorizations: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    /// Cuts the successful response to the command `code`.
    #[must_use]
    pub fn parse(bytes: &'a [u8], code: u32) -> Option<Self> {
        if message::code(bytes)? != 0 {
            return None;
        }
        let handle = if command::info(code)?.returns_handle {
            4
        } else {
            0
        };
        let (handle, rest) = bytes.get(10..)?.split_at_checked(handle)?;
        let (parameters, authorizations) = match message::tag(bytes)? {
            TAG_SESSIONS => {
                let size = usize::try_from(u32_at(rest, 0)?).ok()?;
                let (parameters, area) = rest.get(4..)?.split_at_checked(size)?;
                (parameters, Some(area))
            }
            _ => (rest, None),
        };
        Some(Self {
            handle,
            parameters,
            authorizations,
        })
    }

    /// The response again, with other parameters.
    #[must_use]
    pub fn with(&self, parameters: &[u8]) -> Vec<u8> {
        assemble(self.handle, parameters, self.authorizations)
    }

    /// The response to `command`, with authorizations of the right lengths and nothing in them: what a stranger can say
    /// who does not know the sessions' keys.
    #[must_use]
    pub fn dressed_for(&self, command: &Command<'_>) -> Vec<u8> {
        assemble(self.handle, self.parameters, empty_area(command).as_deref())
    }
}

/// A successful response to `command` that no TPM gave: with an authorization for each of the command's, as long as the
/// command's own, and zeros for the nonce and the HMAC.
#[must_use]
pub fn made_up(command: &[u8], parameters: &[u8]) -> Vec<u8> {
    let area = Command::parse(command).and_then(|parts| empty_area(&parts));
    assemble(&[], parameters, area.as_deref())
}

fn empty_area(command: &Command<'_>) -> Option<Vec<u8>> {
    command.authorizations?;
    let mut area = Vec::new();
    for one in command.sessions() {
        area.extend_from_slice(&sized(&vec![0; one.nonce.len()]));
        area.push(one.attributes);
        let hmac = if one.session == PASSWORD {
            0
        } else {
            one.hmac.len()
        };
        area.extend_from_slice(&sized(&vec![0; hmac]));
    }
    Some(area)
}

fn assemble(handle: &[u8], parameters: &[u8], authorizations: Option<&[u8]>) -> Vec<u8> {
    let mut body = handle.to_vec();
    if authorizations.is_some() {
        body.extend_from_slice(&length(parameters).to_be_bytes());
    }
    body.extend_from_slice(parameters);
    body.extend_from_slice(authorizations.unwrap_or_default());
    // A response has its code where a command has its own, and 0 is success.
    let mut out = message::plain_command(0, &body);
    if authorizations.is_some() {
        set_tag(&mut out, TAG_SESSIONS);
    } else {
        set_tag(&mut out, TAG_NO_SESSIONS);
    }
    out
}

fn set_tag(message: &mut [u8], tag: u16) {
    if let Some(field) = message.get_mut(..2) {
        field.copy_from_slice(&tag.to_be_bytes());
    }
}

/// A TPM2B: its content and what follows.
#[must_use]
pub fn tpm2b(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = usize::from(u16_at(bytes, 0)?);
    bytes.get(2..)?.split_at_checked(size)
}

/// `content` with its length in front; cut off at 65,535 bytes.
#[must_use]
pub fn sized(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let content = content.get(..usize::from(len)).unwrap_or_default();
    [&len.to_be_bytes()[..], content].concat()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// TPMA_OBJECT in the template of a CreatePrimary: behind inSensitive, the public area's length, type and name algorithm.
#[must_use]
pub fn public_attributes(command: &[u8]) -> Option<u32> {
    let parts = Command::parse(command)?;
    let (_, rest) = tpm2b(parts.parameters)?;
    u32_at(rest, 2 + 2 + 2)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;
    use crate::message::plain_command;

    fn quote(area: &[u8]) -> Vec<u8> {
        let size = length(area).to_be_bytes();
        let body = [&[0x80, 0, 0, 1][..], &size, area, b"rest"].concat();
        let mut command = plain_command(0x158, &body);
        set_tag(&mut command, TAG_SESSIONS);
        command
    }

    #[test]
    fn a_command_is_cut_and_put_together() {
        let area = [&[2, 0, 0, 5, 0, 2, 7, 8, 0x61, 0, 3][..], b"mac"].concat();
        let command = quote(&area);
        let parts = Command::parse(&command).unwrap();
        assert_eq!(parts.handles, [0x80, 0, 0, 1]);
        assert_eq!(parts.parameters, b"rest");
        let one = Authorization {
            session: 0x0200_0005,
            nonce: &[7, 8],
            attributes: 0x61,
            hmac: b"mac",
        };
        assert_eq!(parts.sessions(), [one]);
        assert!(parts.is_protected());
        assert_eq!(parts.with(Some(&area), b"rest"), command);
        let plain = parts.stripped();
        let plain = Command::parse(&plain).unwrap();
        assert!(!plain.is_protected() && plain.sessions().len() == 1);
        assert_eq!(plain.parameters, b"rest");
    }

    #[test]
    fn a_made_up_response_has_the_form_of_a_real_one() {
        let area = [&[2, 0, 0, 5, 0, 2, 7, 8, 0x61, 0, 3][..], b"mac"].concat();
        let made = made_up(&quote(&area), b"said");
        let parts = Response::parse(&made, 0x158).unwrap();
        assert_eq!(parts.parameters, b"said");
        assert_eq!(
            parts.authorizations,
            Some(&[0, 2, 0, 0, 0x61, 0, 3, 0, 0, 0][..])
        );
        assert_eq!(parts.with(b"said"), made);
        // A password has no HMAC in the response.
        let made = made_up(&quote(&[0x40, 0, 0, 9, 0, 0, 1, 0, 0]), b"");
        assert_eq!(made.get(14..), Some(&[0, 0, 1, 0, 0][..]));
        assert_eq!(
            made_up(&plain_command(0x17B, &[0, 8]), &[0, 0]),
            [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn what_is_cut_off_is_not_cut() {
        let area = [0x40, 0, 0, 9, 0, 0, 1, 0, 0];
        let command = quote(&area);
        for cut in 0..command.len() - 4 {
            let parts = Command::parse(command.get(..cut).unwrap());
            assert!(parts.is_none(), "{cut}");
        }
        assert_eq!(
            Response::parse(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1], 0x158),
            None
        );
    }
}
