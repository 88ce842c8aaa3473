//! Chapters 12 and 24: keys, and the activation of a credential by two of them.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::Writer;
use assay_common::tpm::credential::{MAX_ENCRYPTED_SECRET, MAX_ID_OBJECT};
use assay_common::tpm::handle::{Handle, HandleKind};

use super::call::{AUTH, AUTH_AREA, HANDLE, HEADER, Op, end};
use super::fields::Fields;
use super::{COMMAND_MAX, DurationClass, PolicySession, Tpm, TpmError, TpmTransport};

static CREATE_PRIMARY: Op = Op::new(0x131, DurationClass::KeyGeneration)
    .authorized(1)
    .returns_handle();
static READ_PUBLIC: Op = Op::new(0x173, DurationClass::Medium);
static ACTIVATE_CREDENTIAL: Op = Op::new(0x147, DurationClass::Crypto).authorized(2);

/// Longest `TPMT_PUBLIC` that a key is created from: RSA-2048 with a full `unique`, and room for a
/// SHA-512 policy.
pub(crate) const MAX_TEMPLATE: usize = 448;

/// Longest Name: algorithm and SHA-512 digest.
const MAX_NAME: usize = 2 + 64;
/// Longest digest.
const MAX_DIGEST: usize = 64;

const _: () = assert!(
    HEADER + HANDLE + AUTH_AREA + AUTH + (2 + 2 + 2) + (2 + MAX_TEMPLATE) + 2 + 4 <= COMMAND_MAX
);
const _: () = assert!(
    HEADER + 2 * HANDLE + AUTH_AREA + 2 * AUTH + (2 + MAX_ID_OBJECT) + (2 + MAX_ENCRYPTED_SECRET)
        <= COMMAND_MAX
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
    /// `template` writes a `TPMT_PUBLIC` of at most 448 bytes.
    ///
    /// # Errors
    /// [`TpmError::Slots`] when three objects of ours are loaded; [`TpmError::Rc`] with parameter 2 when
    /// the TPM can't make such a key.
    pub fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Created<'_>, TpmError> {
        if !self.live.has_room(HandleKind::TRANSIENT) {
            return Err(self.failed(TpmError::Slots));
        }
        let mut w = self.begin(&CREATE_PRIMARY, &[hierarchy, Handle::PW]);
        // inSensitive: 4 bytes, no password, no data.
        w.put(&[0, 4, 0, 0, 0, 0]);
        let public = w.begin_u16();
        template(&mut w);
        w.end_u16(public);
        // outsideInfo and creationPCR: none.
        w.zeros(2 + 4);
        let command = end(w);
        let mut r = self.run(command);
        let handle = r.handle;
        r.demand(handle.is(HandleKind::TRANSIENT));
        let loaded = r.is_whole();
        let result = created(r).map(drop);
        if loaded {
            // Noted whatever the rest says, so that a malformed answer doesn't leave it loaded.
            self.live.add(handle);
            if result.is_err() {
                let _ = self.flush(handle);
            }
        }
        result?;
        // A borrow that is returned on one path only would be held on all, so read once more.
        created(self.last_reply())
    }

    /// `TPM2_ReadPublic` (12.4).
    ///
    /// # Errors
    /// [`TpmError::Lost`] when there is no such object.
    pub fn read_public(&mut self, object: Handle) -> Result<Readable<'_>, TpmError> {
        let command = end(self.begin(&READ_PUBLIC, &[object]));
        let mut r = self.run(command);
        let readable = Readable {
            public: r.tpm2b(usize::MAX),
            name: r.tpm2b(MAX_NAME),
            qualified_name: r.tpm2b(MAX_NAME),
        };
        r.finish()?;
        Ok(readable)
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
        let mut w = self.begin(&ACTIVATE_CREDENTIAL, &handles);
        w.tpm2b(credential_blob);
        w.tpm2b(encrypted_secret);
        let command = end(w);
        self.run(command).ok()?;
        self.live.remove(session);
        let mut r = self.last_reply();
        let secret = r.tpm2b(MAX_DIGEST);
        r.finish()?;
        Ok(secret)
    }
}

fn created(mut r: Fields<'_>) -> Result<Created<'_>, TpmError> {
    let handle = r.handle;
    let public = r.tpm2b(usize::MAX);
    // creationData, creationHash, creationTicket: of no use to anybody here, but must be whole.
    r.tpm2b(usize::MAX);
    r.tpm2b(MAX_DIGEST);
    ticket(&mut r);
    let name = r.tpm2b(MAX_NAME);
    r.finish()?;
    Ok(Created {
        handle,
        public,
        name,
    })
}

/// Reads over a `TPMT_TK_x`: tag, hierarchy, digest.
pub(super) fn ticket(r: &mut Fields<'_>) {
    r.bytes(2 + 4);
    r.tpm2b(MAX_DIGEST);
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
        let mut r = Fields::new(public);
        r.u16();
        let name_alg = AlgId(r.u16());
        r.u32();
        let auth_policy = r.tpm2b(MAX_DIGEST);
        r.rest();
        r.finish()?;
        Ok(Self {
            name_alg,
            auth_policy,
        })
    }
}
