//! The beginning of a session: a secret that only the owner of a key can open, and the keys that follow from it
//! (`[TPM2.0 1.85 Part 1]` 16.6.12, annexes B.10.2 and C.6.3).

use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::public::{Parameters, Public, Unique};
use zeroize::Zeroize;

use super::{Keys, Secure, State};
use crate::crypto::ecdh::{Ecdh, MAX_FIELD};
use crate::crypto::hash::{Digest, Hash, kdfa, kdfe};
use crate::crypto::oaep;
use crate::entropy::Drbg;
use crate::tpm::exchange::{HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST, NONCE};
use crate::tpm::op::Op;
use crate::tpm::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const START_AUTH_SESSION: Op = Op::new(0x176, DurationClass::Crypto).returning_a_handle();

/// Longest content of a `TPM2B_ENCRYPTED_SECRET` here: an RSA-2048 block.
const MAX_SECRET: usize = oaep::MODULUS;
const _: () = assert!(2 * (2 + MAX_FIELD) <= MAX_SECRET);
const _: () = assert!(
    HEADER + 2 * HANDLE + (2 + NONCE) + (2 + MAX_SECRET) + 1 + 6 + 2 <= COMMAND_MAX - MAKING_ROOM
);

/// `TPM_SE_HMAC`.
const HMAC: u8 = 0;
/// What the salt is for, in the derivation from a shared point; for RSA with its final zero.
const SECRET: &[u8] = b"SECRET\0";
/// Scalars that may be out of range before the generator counts as broken; of 2^32 one is.
const SCALARS: u8 = 8;

/// A salt, and what it is sent as.
struct Salt {
    secret: Digest,
    encrypted: heapless::Vec<u8, MAX_SECRET>,
}

/// How a session is salted to a key: everything out of its public area.
#[derive(Clone, Copy)]
pub(super) struct SaltKey<'a> {
    hash: Hash,
    /// Bytes of its AES key, which the session takes over.
    cipher_key: usize,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Ecc(Ecdh, [&'a [u8]; 2]),
    Rsa(&'a [u8]),
}

impl<'a> SaltKey<'a> {
    /// Of a key with this public area; `None` for one that nothing here can be salted to.
    fn of(public: &Public<'a>) -> Option<Self> {
        let symmetric = public.parameters.symmetric();
        let cipher_key = match (symmetric.alg, symmetric.key_bits) {
            (AlgId::AES, 128) => 16,
            (AlgId::AES, 256) => 32,
            _ => return None,
        };
        let kind = match (public.parameters, public.unique) {
            (Parameters::Ecc { curve, .. }, Unique::Ecc { x, y }) => {
                let curve = match curve {
                    EccCurve::NIST_P256 => Ecdh::P256,
                    EccCurve::NIST_P384 => Ecdh::P384,
                    _ => return None,
                };
                Kind::Ecc(curve, [x, y])
            }
            (parameters, Unique::Rsa(modulus)) if parameters.rsa_exponent() == Some(65_537) => {
                Kind::Rsa(modulus)
            }
            _ => return None,
        };
        Some(Self {
            hash: Hash::of(public.name_alg)?,
            cipher_key,
            kind,
        })
    }

    #[inline(never)]
    fn salt(&self, drbg: &mut Drbg) -> Option<Salt> {
        match self.kind {
            Kind::Ecc(curve, point) => self.salt_ecc(drbg, curve, point),
            Kind::Rsa(modulus) => self.salt_rsa(drbg, modulus),
        }
    }

    fn salt_ecc(&self, drbg: &mut Drbg, curve: Ecdh, point: [&[u8]; 2]) -> Option<Salt> {
        let mut scalar = [0; MAX_FIELD];
        let scalar = scalar.get_mut(..curve.len())?;
        let mut salt = None;
        for _ in 0..SCALARS {
            drbg.fill(scalar);
            salt = salt_by_scalar(self.hash, curve, scalar, point);
            if salt.is_some() {
                break;
            }
        }
        scalar.zeroize();
        salt
    }

    fn salt_rsa(&self, drbg: &mut Drbg, modulus: &[u8]) -> Option<Salt> {
        let mut secret = Digest::zero(self.hash);
        drbg.fill(secret.as_mut());
        let mut seed = Digest::zero(self.hash);
        drbg.fill(seed.as_mut());
        let mut block = [0; oaep::MODULUS];
        oaep::encrypt(
            self.hash,
            modulus,
            SECRET,
            secret.as_bytes(),
            &seed,
            &mut block,
        )?;
        Some(Salt {
            secret,
            encrypted: heapless::Vec::from_slice(&block).ok()?,
        })
    }
}

/// The salt that this ephemeral scalar gives; `None` when it is out of range or the point is not on the curve.
fn salt_by_scalar(hash: Hash, curve: Ecdh, scalar: &[u8], point: [&[u8]; 2]) -> Option<Salt> {
    let agreed = curve.agree(scalar, point)?;
    let x = agreed.x.get(..curve.len())?;
    let y = agreed.y.get(..curve.len())?;
    let shared = agreed.shared.get(..curve.len())?;
    // The coordinate as long as the field, whatever the TPM sent.
    let [key_x, _] = point;
    let mut theirs = [0; MAX_FIELD];
    let theirs = theirs.get_mut(..curve.len())?;
    let start = theirs.len().checked_sub(key_x.len())?;
    theirs.get_mut(start..)?.copy_from_slice(key_x);
    let label = SECRET.get(..SECRET.len() - 1)?;
    let secret = kdfe(hash, shared, label, [x, theirs]);
    let mut encrypted = heapless::Vec::new();
    for number in [x, y] {
        let len = (number.len() as u16).to_be_bytes();
        encrypted.extend_from_slice(&len).ok()?;
        encrypted.extend_from_slice(number).ok()?;
    }
    Some(Salt { secret, encrypted })
}

/// The session's key: `KDFa(salt, "ATH", nonceTPM, nonceCaller)`.
pub(super) fn session_key(hash: Hash, salt: &Digest, nonces: [&[u8]; 2]) -> Digest {
    let mut key = Digest::zero(hash);
    kdfa(hash, &[salt.as_bytes()], b"ATH", nonces, key.as_mut());
    key
}

impl<T: TpmTransport> Tpm<T> {
    /// Starts the session that guards the bus from here on (`TPM2_StartAuthSession`, 11.1), salted to `key`, whose
    /// `TPMT_PUBLIC` is `public`: whoever answers from here on has its private half. A session before it is over.
    ///
    /// Whether `public` is that of a TPM, and of which, is for the caller to know or for somebody later to find out: with
    /// the public area of an interposer's own key the session is with the interposer. The key may be flushed afterwards;
    /// the session stays.
    ///
    /// The secret of the session is as good as what was [stirred](crate::entropy::Drbg::stir) into the
    /// [generator](Self::drbg). Once it stands, the TPM's own random numbers, which nobody on the bus sees or chooses any
    /// more, go into the generator, too.
    ///
    /// # Errors
    /// [`TpmError::NoSession`] for a key that is not P-256, P-384 or RSA-2048, with SHA-256 or SHA-384 and AES in CFB;
    /// [`TpmError::Forged`] when the other end does not have the key; [`TpmError::Slots`] when three sessions are loaded.
    pub fn protect(&mut self, key: Handle, public: &[u8]) -> Result<(), TpmError> {
        // What is left of one before is of no interest.
        let _ = self.unprotect();
        let area = Public::parse(public).ok();
        let salted = area.as_ref().and_then(SaltKey::of);
        let Some(salted) = salted else {
            return Err(self.failed(TpmError::NoSession));
        };
        let mut random = [0; 32];
        // In clear: good against everybody who does not own the bus, and no loss against those who do.
        self.random(&mut random)?;
        self.drbg.stir(&[&random]);
        let Some(salt) = salted.salt(&mut self.drbg) else {
            return Err(self.failed(TpmError::NoSession));
        };
        self.start_session(key, &salted, &salt)?;
        self.secure.learn_name_of(key, salted.hash.alg(), public);
        // The first guarded command: it shows that the other end has the salt.
        self.random(&mut random)?;
        self.drbg.stir(&[&random]);
        random.zeroize();
        Ok(())
    }

    fn start_session(
        &mut self,
        key: Handle,
        salted: &SaltKey<'_>,
        salt: &Salt,
    ) -> Result<(), TpmError> {
        let mut nonce = [0; NONCE];
        self.drbg.fill(&mut nonce);
        let x = self.begin_loading(
            START_AUTH_SESSION,
            &[key, Handle::NULL],
            HandleKind::HMAC_SESSION,
        );
        x.put_tpm2b(&nonce);
        x.put_tpm2b(&salt.encrypted);
        x.put(&[HMAC]);
        for number in [
            AlgId::AES.0,
            salted.cipher_key as u16 * 8,
            AlgId::CFB.0,
            salted.hash.alg().0,
        ] {
            x.put_u16(number);
        }
        let handle = self.run();
        let nonce_tpm = self.exchange.tpm2b(MAX_DIGEST);
        self.finish_loading(handle, HandleKind::HMAC_SESSION)?;
        let nonce_tpm = self.exchange.part(nonce_tpm);
        let hash = salted.hash;
        self.secure = Secure {
            state: State::Standing,
            handle,
            keys: Keys {
                hash,
                cipher_key: salted.cipher_key,
                session: session_key(hash, &salt.secret, [nonce_tpm, &nonce]),
            },
            // Never longer than a digest.
            nonce_tpm: heapless::Vec::from_slice(nonce_tpm).unwrap_or_default(),
            ..Secure::new()
        };
        Ok(())
    }
}
