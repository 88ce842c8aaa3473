//! Protocol buffers, as far as the Workload API's messages need them: strings, bytes, maps of them, and `Struct`.

use serde_json::Value;

/// Deepest nesting of claims that is passed on.
const MAX_DEPTH: u8 = 16;

/// A message being written.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Appends a field of bytes or text, also an empty one: that a repeated or a oneof field is there is said by it.
    pub(super) fn bytes(mut self, number: u8, bytes: &[u8]) -> Self {
        self.key(number, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a text, unless it is empty, which is its default.
    pub(super) fn text(self, number: u8, text: &str) -> Self {
        match text.is_empty() {
            true => self,
            false => self.bytes(number, text.as_bytes()),
        }
    }

    /// Appends a message.
    pub(super) fn message(self, number: u8, message: &Self) -> Self {
        self.bytes(number, &message.0)
    }

    /// Appends an entry of a `map<string, bytes>`.
    pub(super) fn entry(self, number: u8, key: &str, value: &[u8]) -> Self {
        let entry = Self::default().bytes(1, key.as_bytes()).bytes(2, value);
        self.message(number, &entry)
    }

    /// A `google.protobuf.Struct`.
    pub(super) fn claims(claims: &serde_json::Map<String, Value>) -> Option<Self> {
        Self::object(claims, MAX_DEPTH)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn object(object: &serde_json::Map<String, Value>, depth: u8) -> Option<Self> {
        let mut message = Self::default();
        for (key, value) in object {
            let value = Self::value(value, depth.checked_sub(1)?)?;
            let field = Self::default().bytes(1, key.as_bytes()).message(2, &value);
            message = message.message(1, &field);
        }
        Some(message)
    }

    /// A `google.protobuf.Value`: a oneof, so its default is written out too.
    fn value(value: &Value, depth: u8) -> Option<Self> {
        let mut message = Self::default();
        Some(match value {
            Value::Null => message.number(1, 0),
            Value::Bool(flag) => message.number(4, u64::from(*flag)),
            Value::Number(number) => {
                message.key(2, 1);
                message.0.extend(number.as_f64()?.to_le_bytes());
                message
            }
            Value::String(text) => message.bytes(3, text.as_bytes()),
            Value::Object(object) => message.message(5, &Self::object(object, depth)?),
            Value::Array(list) => {
                let depth = depth.checked_sub(1)?;
                let values = list.iter().try_fold(Self::default(), |values, value| {
                    Some(values.message(1, &Self::value(value, depth)?))
                });
                message.message(6, &values?)
            }
        })
    }

    fn number(mut self, number: u8, value: u64) -> Self {
        self.key(number, 0);
        self.varint(value);
        self
    }

    fn key(&mut self, number: u8, kind: u8) {
        self.varint(u64::from(number) << 3 | u64::from(kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7F {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Reads the text fields of a message, by their numbers. Fields that are not known are passed over, as the format has it;
/// what is no message is `None`.
pub(super) fn texts(mut bytes: &[u8]) -> Option<Vec<(u64, String)>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let (number, kind) = (key >> 3, key & 7);
        match kind {
            0 => {
                varint(&mut bytes)?;
            }
            1 => bytes = bytes.get(8..)?,
            5 => bytes = bytes.get(4..)?,
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (text, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                if let Ok(text) = core::str::from_utf8(text) {
                    texts.push((number, text.to_owned()));
                } else {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(texts)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Message, texts};

    /// Bytes as `protoc --encode` writes them.
    #[test]
    fn fields_are_written_as_protocol_buffers_are() {
        let message = Message::default()
            .text(1, "ab")
            .text(2, "")
            .entry(3, "k", b"v");
        assert_eq!(
            message.into_bytes(),
            b"\x0a\x02ab\x1a\x06\x0a\x01k\x12\x01v"
        );
        let long = Message::default().bytes(4, &[0; 300]).into_bytes();
        assert_eq!(long.get(..3), Some(&[0x22, 0xAC, 0x02][..]));
    }

    #[test]
    fn claims_become_a_struct() {
        let claims = serde_json::json!({"a": [true, null], "n": 1.5});
        let claims = claims.as_object().and_then(Message::claims);
        let claims = claims.map(Message::into_bytes).unwrap_or_default();
        let expected = b"\x0a\x0f\x0a\x01a\x12\x0a\x32\x08\x0a\x02\x20\x01\x0a\x02\x08\x00\x0a\x0e\x0a\x01n\x12\x09\x11\x00\x00\x00\x00\x00\x00\xf8\x3f";
        assert_eq!(claims, expected);
        let mut deep = serde_json::json!(1);
        for _ in 0..40 {
            deep = serde_json::json!({ "x": deep });
        }
        assert!(
            deep.as_object().and_then(Message::claims).is_none(),
            "no end"
        );
    }

    #[test]
    fn texts_are_read_and_what_is_no_message_is_refused() {
        let whole = b"\x0a\x02ab\x0a\x01c\x12\x01d\x18\x05";
        let read = texts(whole).unwrap_or_default();
        let expected = [(1, "ab"), (1, "c"), (2, "d")];
        let expected = expected.map(|(number, text)| (number, text.to_owned()));
        assert_eq!(read, expected);
        for bad in [
            &b"\x0a"[..],
            b"\x0a\x05ab",
            b"\x0a\x02\xff\xfe",
            b"\x0b",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(texts(bad), None, "{bad:?}");
        }
    }
}
