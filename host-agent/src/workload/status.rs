//! How a call ends: a gRPC status.

/// Codes of gRPC that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Code {
    Ok = 0,
    InvalidArgument = 3,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Unavailable = 14,
}

/// A status that is not `OK`. What it says goes to the workload: never anything about another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Status {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// `grpc-message`: percent-encoded (gRPC over HTTP2, "Status-Message").
    pub(super) fn encoded(&self) -> String {
        let mut text = String::new();
        for byte in self.message.bytes() {
            match byte {
                b' '..=b'$' | b'&'..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Status};

    #[test]
    fn a_message_cannot_break_out_of_its_header() {
        let status = Status::new(Code::Unavailable, "50 % at\r\nx: ä");
        assert_eq!(status.encoded(), "50 %25 at%0D%0Ax: %C3%A4");
    }
}
