//! The agent's bytes, read once.

use assay_common::method::mcu_key::{KEY_LEN, McuKeyPayload, SIGNATURE_LEN};

use super::verify::KeyError;

/// A key and a signature; not verified.
#[derive(Clone, Copy, Debug)]
pub struct Untrusted {
    /// An uncompressed SEC1 point, not known to be on the curve.
    pub public: [u8; KEY_LEN],
    /// r and s.
    pub signature: [u8; SIGNATURE_LEN],
}

/// Reads a [`McuKeyPayload`] whose fields have exactly their lengths; nothing may follow it.
///
/// # Errors
///
/// [`KeyError::Payload`].
pub fn parse(payload: &[u8]) -> Result<Untrusted, KeyError> {
    let Ok((wire, [])) = postcard::take_from_bytes::<McuKeyPayload<'_>>(payload) else {
        return Err(KeyError::Payload);
    };
    Ok(Untrusted {
        public: wire.public.try_into().map_err(|_| KeyError::Payload)?,
        signature: wire.signature.try_into().map_err(|_| KeyError::Payload)?,
    })
}
