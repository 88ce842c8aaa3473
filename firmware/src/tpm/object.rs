//! Chapters 12 and 24: keys, and the activation of a credential by two of them.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::credential::{MAX_ENCRYPTED_SECRET, MAX_ID_OBJECT};
use assay_common::tpm::handle::{Handle, HandleKind};

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST, MAX_NAME};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Malformed, PolicySession, Tpm, TpmError, TpmTransport};

const CREATE_PRIMARY: Op = Op::new(0x131, DurationClass::KeyGeneration)
    .authorized(1)
    .returning_a_handle();
/// The same command where no prime is searched for.
const CREATE_ECC_PRIMARY: Op = Op::new(0x131, DurationClass::Crypto)
    .authorized(1)
    .returning_a_handle();
const READ_PUBLIC: Op = Op::new(0x173, DurationClass::Medium).audited();
const ACTIVATE_CREDENTIAL: Op = Op::new(0x147, DurationClass::Crypto)
    .authorized(2)
    .hiding_its_response();

/// Longest `TPMT_PUBLIC` that a key is created from: RSA-2048 with a full `unique`, and room for a
/// SHA-512 policy.
pub(crate) const MAX_TEMPLATE: usize = 448;

const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + 2 + 2) + (2 + MAX_TEMPLATE) + 2 + 4
        <= COMMAND_MAX - MAKING_ROOM
);
const _: () = assert!(
    HEADER + 2 * HANDLE + AUTH_AREA + 2 * AUTH + (2 + MAX_ID_OBJECT) + (2 + MAX_ENCRYPTED_SECRET)
        <= COMMAND_MAX - MAKING_ROOM
);

/// A key that was just created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created<'a> {
    /// Its handle; ours to flush.
    pub handle: Handle,
    /// `TPMT_PUBLIC` as received, without length.
    pub public: &'a [u8],
    /// Its Name as the TPM computed it.
    pub name: &'a [u8],
}

/// What `TPM2_ReadPublic` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable<'a> {
    /// `TPMT_PUBLIC` as received, without length.
    pub public: &'a [u8],
    /// Name.
    pub name: &'a [u8],
    /// Qualified Name, which includes where the key hangs.
    pub qualified_name: &'a [u8],
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_CreatePrimary` (24.1) with empty authorizations: the key that the seed of `hierarchy` and
    /// the template give, the same one each time.
    ///
    /// `template` is a `TPMT_PUBLIC` of at most 448 bytes, in any number of parts; the first has the type, which
    /// decides how long the TPM may take.
    ///
    /// # Errors
    /// [`TpmError::Slots`] when three objects of ours are loaded; [`TpmError::Rc`] with parameter 2 when
    /// the TPM can't make such a key.
    pub fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &[&[u8]],
    ) -> Result<Created<'_>, TpmError> {
        // The type comes first: `TPM_ALG_ECC` is 0x0023, and no other type ends like it.
        let op = match template {
            [[_, 0x23, ..], ..] => CREATE_ECC_PRIMARY,
            _ => CREATE_PRIMARY,
        };
        let x = self.begin_loading(op, &[hierarchy, Handle::PW], HandleKind::TRANSIENT);
        // inSensitive: 4 bytes, no password, no data.
        x.put(&[0, 4, 0, 0, 0, 0]);
        x.put_tpm2b_parts(template);
        // outsideInfo and creationPCR: none.
        x.put(&[0; 2 + 4]);
        let handle = self.run();
        let x = &mut self.exchange;
        let public = x.tpm2b(usize::MAX);
        // creationData, creationHash, creationTicket: of no use to anybody here, but must be whole.
        x.tpm2b(usize::MAX);
        x.tpm2b(MAX_DIGEST);
        x.ticket();
        let name = x.tpm2b(MAX_NAME);
        self.finish_loading(handle, HandleKind::TRANSIENT)?;
        self.learn(handle, name);
        Ok(Created {
            handle,
            public: self.exchange.part(public),
            name: self.exchange.part(name),
        })
    }

    /// `TPM2_ReadPublic` (12.4).
    ///
    /// # Errors
    /// [`TpmError::Lost`] when there is no such object.
    pub fn read_public(&mut self, object: Handle) -> Result<Readable<'_>, TpmError> {
        self.read_public_by(READ_PUBLIC, object)
    }

    /// The same without the session, whose HMAC would be over the Name that is asked for: so that a command can go through the
    /// session whose object nobody here has made.
    #[cfg(all(feature = "host", feature = "secure-bus"))]
    pub(super) fn read_public_unguarded(
        &mut self,
        object: Handle,
    ) -> Result<Readable<'_>, TpmError> {
        const UNGUARDED: Op = Op::new(0x173, DurationClass::Medium);
        self.read_public_by(UNGUARDED, object)
    }

    fn read_public_by(&mut self, op: Op, object: Handle) -> Result<Readable<'_>, TpmError> {
        self.begin(op, &[object]);
        self.run();
        let x = &mut self.exchange;
        let public = x.tpm2b(usize::MAX);
        let name = x.tpm2b(MAX_NAME);
        let qualified_name = x.tpm2b(MAX_NAME);
        self.finish()?;
        self.learn(object, name);
        Ok(Readable {
            public: self.exchange.part(public),
            name: self.exchange.part(name),
            qualified_name: self.exchange.part(qualified_name),
        })
    }

    /// `TPM2_ActivateCredential` (12.5): what the verifier sealed to (`key`, Name of `activate`).
    ///
    /// `activate` is authorized by an empty password, `key` by `session`, which ends with success.
    /// After an error the session is still there, and the caller's to flush. `credential_blob` and
    /// `encrypted_secret` are the contents of a `TPM2B_ID_OBJECT` and a `TPM2B_ENCRYPTED_SECRET`.
    ///
    /// # Errors
    /// [`TpmError::Rc`] with base `INTEGRITY`, parameter 1, when the credential was made for another
    /// pair of keys.
    pub fn activate_credential(
        &mut self,
        activate: Handle,
        key: Handle,
        session: &PolicySession,
        credential_blob: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<&[u8], TpmError> {
        let session = session.handle();
        let handles = [activate, key, Handle::PW, session];
        let x = self.begin(ACTIVATE_CREDENTIAL, &handles);
        x.put_tpm2b(credential_blob);
        x.put_tpm2b(encrypted_secret);
        self.run();
        let x = &mut self.exchange;
        if x.is_whole() {
            self.live.remove(session);
        }
        let secret = x.tpm2b(MAX_DIGEST);
        self.finish()?;
        Ok(self.exchange.part(secret))
    }
}

/// The parts of a `TPMT_PUBLIC` that say how a key is authorized and named. They come first, so this
/// works for every type of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicHead<'a> {
    pub(crate) name_alg: AlgId,
    pub(crate) auth_policy: &'a [u8],
}

impl<'a> PublicHead<'a> {
    pub(crate) fn read(public: &'a [u8]) -> Result<Self, TpmError> {
        // Type, name algorithm, attributes, and the policy as a `TPM2B`.
        let [_, _, a0, a1, _, _, _, _, p0, p1, rest @ ..] = public else {
            return Err(Malformed::Truncated.into());
        };
        let len = usize::from(u16::from_be_bytes([*p0, *p1]));
        if len > MAX_DIGEST {
            return Err(Malformed::TooLong.into());
        }
        Ok(Self {
            name_alg: AlgId(u16::from_be_bytes([*a0, *a1])),
            auth_policy: rest.get(..len).ok_or(Malformed::Truncated)?,
        })
    }
}
