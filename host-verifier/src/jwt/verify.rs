//! Verifying: the signature, with a key that fits the algorithm.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};

use super::algorithm::{Algorithm, Primitive};
use super::error::{JwtError, Part};
use super::json::Object;
use super::key::{Jwk, Material};
use super::set::fits;
use super::token::{Unverified, object};
use crate::crypto::encode::trim_leading_zeros;
use crate::outside::KeySource;

/// Prepared keys that one [`Prepared`] holds at most.
const MOST: usize = 64;

/// A key prepared for one algorithm: what depends on the key alone was checked and computed.
#[derive(Debug)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    /// Prepares a key. The algorithm comes from a token, and so it must be that of the key: its type, its curve, and its
    /// `alg` if it has one. An RSA key never verifies a MAC or an ECDSA signature.
    ///
    /// # Errors
    ///
    /// [`JwtError::KeyType`], [`JwtError::KeyAlgorithm`], [`JwtError::Key`].
    pub fn new(key: &Jwk, algorithm: Algorithm) -> Result<Self, JwtError> {
        if !fits(key, algorithm) {
            return Err(JwtError::KeyType {
                algorithm,
                key: key.kind(),
            });
        }
        if let Some(own) = &key.algorithm
            && !is_called(algorithm, own)
        {
            return Err(JwtError::KeyAlgorithm {
                algorithm,
                key: own.clone(),
            });
        }
        let parsed = match (&key.material, algorithm.primitive()) {
            (Material::Rsa(rsa), Primitive::Rsa(parameters)) => {
                let exponent = rsa.exponent().to_be_bytes();
                RsaPublicKeyComponents {
                    n: rsa.modulus(),
                    e: trim_leading_zeros(&exponent),
                }
                .to_parsed_public_key(parameters)
            }
            (Material::Ec(ec), Primitive::Ec(_, ecdsa)) => ParsedPublicKey::new(ecdsa, ec.point()),
            (Material::Ed25519(key), Primitive::Ed25519) => ParsedPublicKey::new(&ED25519, key),
            _ => return Err(JwtError::Key(algorithm)),
        };
        let parsed = parsed.map_err(|_| JwtError::Key(algorithm))?;
        Ok(Self { algorithm, parsed })
    }
}

/// RFC 9864 gives `EdDSA` with Ed25519 a name of its own, which keys may bear.
fn is_called(algorithm: Algorithm, name: &str) -> bool {
    algorithm.name() == name || (algorithm == Algorithm::EdDsa && name == "Ed25519")
}

/// What a token says, after its signature was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<'t> {
    pub(super) typ: Option<&'t str>,
    pub(super) claims: Cow<'t, Object<'t>>,
}

/// Checks the signature, and only then gives out the claims, which were read before or are read now.
///
/// # Errors
///
/// [`JwtError::KeyType`] when the key was prepared for another algorithm; [`JwtError::Signature`]; the form of the claims.
pub fn verify<'t>(token: &'t Unverified<'_>, key: &VerifyingKey) -> Result<Verified<'t>, JwtError> {
    if token.header.algorithm != key.algorithm {
        return Err(JwtError::KeyAlgorithm {
            algorithm: token.header.algorithm,
            key: key.algorithm.name().to_owned(),
        });
    }
    key.parsed
        .verify_sig(token.signed, &token.signature)
        .map_err(|_| JwtError::Signature)?;
    Ok(Verified {
        typ: token.header.typ.as_deref(),
        claims: match token.claims.get().get() {
            Some(claims) => Cow::Borrowed(claims),
            None => {
                let bytes = token.claims.get().backing_cart();
                Cow::Owned(object(bytes, Part::Claims)?)
            }
        },
    })
}

/// Keys that were prepared before, by what they were made of and the algorithm: a key is read and its point or modulus checked
/// once, not at each login. Bounded; when it is full, it starts anew. They are few, an issuer's own, so they are looked through:
/// that takes less than a digest of what is looked for.
#[derive(Debug, Default)]
pub struct Prepared(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    of: Of<Box<[u8]>>,
    algorithm: Algorithm,
    key: Arc<VerifyingKey>,
}

/// What a key was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of<T> {
    /// A JWK in JSON.
    Jwk(T),
    /// An answer from outside, and whose.
    Answer(T, T),
    /// One that was read before, by its digest.
    Read([u8; 32]),
}

impl Of<Box<[u8]>> {
    fn is(&self, other: Of<&[u8]>) -> bool {
        match (self, other) {
            (Of::Jwk(own), Of::Jwk(other)) => **own == *other,
            (Of::Answer(source, own), Of::Answer(other_source, other)) => {
                **own == *other && **source == *other_source
            }
            (Of::Read(own), Of::Read(other)) => *own == other,
            _ => false,
        }
    }
}

impl Of<&[u8]> {
    fn kept(self) -> Of<Box<[u8]>> {
        match self {
            Of::Jwk(bytes) => Of::Jwk(bytes.into()),
            Of::Answer(source, bytes) => Of::Answer(source.into(), bytes.into()),
            Of::Read(digest) => Of::Read(digest),
        }
    }
}

impl Prepared {
    /// The key that these bytes are, a JWK in JSON, prepared for the algorithm.
    ///
    /// # Errors
    ///
    /// [`JwkProblem`]; failures are not remembered.
    pub fn key(&self, jwk: &[u8], algorithm: Algorithm) -> Result<Arc<VerifyingKey>, JwkProblem> {
        self.or_made(Of::Jwk(jwk), algorithm, || {
            let key = Jwk::parse(jwk).map_err(JwkProblem::Jwk)?;
            VerifyingKey::new(&key, algorithm).map_err(JwkProblem::Token)
        })
    }

    /// The same of a key that was read before: it is not written to be read again.
    ///
    /// # Errors
    ///
    /// [`JwkProblem`]; failures are not remembered.
    pub fn known(&self, key: &Jwk, algorithm: Algorithm) -> Result<Arc<VerifyingKey>, JwkProblem> {
        self.or_made(Of::Read(key.digest), algorithm, || {
            VerifyingKey::new(key, algorithm).map_err(JwkProblem::Token)
        })
    }

    /// The key that an answer of this source holds, prepared for the algorithm: `read` finds the JWK in it, and is called for an
    /// answer that is not known. What it gives must depend on the answer and the source alone, for all that use this.
    ///
    /// # Errors
    ///
    /// Those of `read`, and what `wrong` makes of a [`JwkProblem`]; failures are not remembered.
    pub fn answered<'a, E>(
        &self,
        source: &KeySource,
        answer: &'a [u8],
        algorithm: Algorithm,
        read: impl FnOnce(&'a [u8]) -> Result<Cow<'a, str>, E>,
        wrong: impl Fn(JwkProblem) -> E,
    ) -> Result<Arc<VerifyingKey>, E> {
        let of = Of::Answer(source.location.url().as_bytes(), answer);
        self.or_made(of, algorithm, || {
            let jwk = read(answer)?;
            let key = Jwk::parse(jwk.as_bytes()).map_err(|error| wrong(JwkProblem::Jwk(error)))?;
            VerifyingKey::new(&key, algorithm).map_err(|error| wrong(JwkProblem::Token(error)))
        })
    }

    fn or_made<E>(
        &self,
        of: Of<&[u8]>,
        algorithm: Algorithm,
        make: impl FnOnce() -> Result<VerifyingKey, E>,
    ) -> Result<Arc<VerifyingKey>, E> {
        let is_it = |known: &&Entry| known.algorithm == algorithm && known.of.is(of);
        if let Some(known) = self.lock().iter().find(is_it) {
            return Ok(known.key.clone());
        }
        let key = Arc::new(make()?);
        let mut keys = self.lock();
        if keys.len() >= MOST {
            keys.clear();
        }
        keys.push(Entry {
            of: of.kept(),
            algorithm,
            key: key.clone(),
        });
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        // A list of finished entries: whoever panicked left none half made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why bytes are not the key of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkProblem {
    /// They are no usable key at all.
    #[error(transparent)]
    Jwk(super::key::JwkError),
    /// The key does not fit the token.
    #[error(transparent)]
    Token(JwtError),
}
