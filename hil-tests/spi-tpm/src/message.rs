//! The few facts about TPM messages that the model needs: header fields and error responses.
//!
//! Deliberately apart from the project's own codec: the model is a second opinion, so it must not
//! share a mistake with the code under test.

/// TPM_ST_NO_SESSIONS.
pub const TAG_NO_SESSIONS: u16 = 0x8001;
/// TPM_ST_SESSIONS.
pub const TAG_SESSIONS: u16 = 0x8002;

/// Big-endian u16 at `at`, `None` past the end.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(field.try_into().ok()?))
}

/// Big-endian u32 at `at`, `None` past the end.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(field.try_into().ok()?))
}

/// Overwrites the big-endian u32 at `at`; nothing happens past the end.
pub fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(field) = at.checked_add(4).and_then(|end| bytes.get_mut(at..end)) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Tag of a command or response.
#[must_use]
pub fn tag(message: &[u8]) -> Option<u16> {
    u16_at(message, 0)
}

/// Length that the header announces, bytes.
#[must_use]
pub fn announced_size(message: &[u8]) -> Option<u32> {
    u32_at(message, 2)
}

/// Command code of a command, response code of a response.
#[must_use]
pub fn code(message: &[u8]) -> Option<u32> {
    u32_at(message, 6)
}

/// An error response: 10 bytes, tag 8001. `[TPM2.0 1.83 Part 1] 18.5`
#[must_use]
pub fn error_response(rc: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(10);
    out.extend_from_slice(&TAG_NO_SESSIONS.to_be_bytes());
    out.extend_from_slice(&10u32.to_be_bytes());
    out.extend_from_slice(&rc.to_be_bytes());
    out
}

/// A command without sessions around `parameters` (handles first, if any).
#[must_use]
pub fn plain_command(code: u32, parameters: &[u8]) -> Vec<u8> {
    let size = u32::try_from(parameters.len().saturating_add(10)).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(parameters.len().saturating_add(10));
    out.extend_from_slice(&TAG_NO_SESSIONS.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(parameters);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_response_is_the_bare_header() {
        assert_eq!(error_response(0x101), [0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 1]);
    }

    #[test]
    fn fields_past_the_end_are_none() {
        assert_eq!(u32_at(&[1, 2, 3], 0), None);
        assert_eq!(u16_at(&[1, 2, 3], 2), None);
        assert_eq!(u16_at(&[1, 2, 3], usize::MAX), None);
    }
}
