//! Random numbers nobody on the bus can foresee: HMAC_DRBG over SHA-256 (SP 800-90A section 10.1.2).
//!
//! A board has few sources and none is good alone, so whatever there is goes in, and what comes out is as good as the best
//! of it:
//!
//! | input | when | who cannot foresee it |
//! |---|---|---|
//! | secret of the device, from its provisioning record | once, at the first login | whoever cannot read this device's flash |
//! | noise of the board ([`Platform::noise`](crate::platform::Platform::noise)) | before every login | anybody, if the board has a source |
//! | number of the boot ([`Platform::boots`](crate::platform::Platform::boots)) and time | before every login | nobody; they keep one boot from repeating another |
//! | `TPM2_GetRandom` in clear | before every session | whoever does not own the bus |
//! | `TPM2_GetRandom` in a session | once it stands | anybody but the TPM, if the session's own secret was good |
//!
//! Before the first session stands the strength is that of the first two rows. A board with neither has a session that is
//! worth nothing against whoever answers for the TPM from power-on: they know every input, and so the session's salt.

mod drbg;

pub use self::drbg::Drbg;
