//! One public key: a JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), or a PEM text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::error::shown;
use super::json::{self, Json, Object};
use crate::crypto::{
    Curve, EcPublicKey, MIN_RSA_BITS, PublicKey, RsaPublicKey, has_roca_fingerprint, sha256,
};
use crate::x509::spki;

/// Longest JWK, bytes: RSA of 8192 bits with a few certificates.
pub const MAX_JWK: usize = 16 * 1024;
/// Largest RSA modulus of an issuer's key, bits.
pub const MAX_RSA_BITS: usize = 8192;

/// Members of private RSA, EC and OKP keys, and of symmetric ones: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1.
/// `priv` is that of the keys of draft-ietf-cose-dilithium.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// Why something is not a key that can verify tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// Not one JSON object, or too long.
    #[error("{0}")]
    Form(String),
    /// A member is absent or of another form.
    #[error("{name} is {problem}")]
    Member {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It holds a secret.
    #[error("the key is not public: it has the member {0:?}")]
    Private(&'static str),
    /// A type or curve that no accepted algorithm uses.
    #[error("keys of type {} are not used", shown(.0))]
    Unsupported(String),
    /// For encryption, or for operations that do not include verification.
    #[error("the key is not for verification of signatures: {0}")]
    Use(String),
    /// Too small.
    #[error("an RSA key of {0} bits, at least {MIN_RSA_BITS} wanted")]
    Small(usize),
    /// The numbers are no key.
    #[error("{0}")]
    Numbers(String),
    /// Made by a generator whose keys can be factored (CVE-2017-15361).
    #[error("the key has the fingerprint of CVE-2017-15361 and can be factored")]
    Roca,
}

impl JwkError {
    /// Whether it is a key of a kind that is not used here, which a set may hold beside those that are.
    #[must_use]
    pub const fn is_of_another_kind(&self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::Use(_))
    }

    /// Whether it shows a secret.
    #[must_use]
    pub const fn shows_a_secret(&self) -> bool {
        matches!(self, Self::Private(_))
    }
}

/// The key itself.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::jwt) enum Material {
    Rsa(RsaPublicKey),
    Ec(EcPublicKey),
    Ed25519([u8; 32]),
}

/// A public key that may verify tokens: of a type that is used, of a sane size, with no secret in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk {
    pub(super) material: Material,
    /// `kid`.
    pub(super) id: Option<String>,
    /// `alg`, not necessarily one that is accepted.
    pub(super) algorithm: Option<String>,
    /// SHA-256 of the key as [`Jwk::to_json`] writes it.
    pub(super) digest: [u8; 32],
}

impl core::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Jwk")
            .field("type", &self.kind())
            .field("kid", &self.id)
            .field("alg", &self.algorithm)
            .finish()
    }
}

impl Jwk {
    /// Reads one JWK and checks what can be checked of a key alone.
    ///
    /// # Errors
    ///
    /// [`JwkError`]; a secret in the key is told before anything else is.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwkError> {
        if bytes.len() > MAX_JWK {
            return Err(JwkError::Form(format!("more than {MAX_JWK} bytes")));
        }
        let object = json::object(bytes).map_err(|error| JwkError::Form(error.to_string()))?;
        Self::from_object(&object)
    }

    pub(super) fn from_object(object: &Object<'_>) -> Result<Self, JwkError> {
        let members = Members(object);
        if let Some(secret) = PRIVATE.iter().find(|name| object.contains_key(name)) {
            return Err(JwkError::Private(secret));
        }
        let kind = members.text("kty")?.ok_or_else(|| absent("kty"))?;
        if kind == "oct" {
            return Err(JwkError::Private("k"));
        }
        if let Some(wanted) = members.text("use")?.filter(|wanted| *wanted != "sig") {
            return Err(JwkError::Use(format!("use is {}", shown(wanted))));
        }
        members.operations()?;
        Ok(Self::new(
            members.material(kind)?,
            members.name("kid")?,
            members.name("alg")?,
        ))
    }

    fn new(material: Material, id: Option<String>, algorithm: Option<String>) -> Self {
        let mut key = Self {
            material,
            id,
            algorithm,
            digest: [0; 32],
        };
        key.digest = sha256(&[&key.to_json()]);
        key
    }

    /// Reads one PEM text: a `PUBLIC KEY` and nothing else.
    ///
    /// # Errors
    ///
    /// [`JwkError`]: another label, such as that of a private key; more than one text; an unusable key.
    pub fn from_pem(pem: &str) -> Result<Self, JwkError> {
        let der = public_key_pem(pem)?;
        let material = match spki_key(&der)? {
            PublicKey::Rsa(rsa) => rsa_material(rsa)?,
            PublicKey::Ed25519(bytes) => Material::Ed25519(bytes),
            key @ PublicKey::Ec(_) => ec_material(key)?,
        };
        Ok(Self::new(material, None, None))
    }

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The type and curve in words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match &self.material {
            Material::Rsa(_) => "RSA",
            Material::Ec(_) => "of a NIST curve",
            Material::Ed25519(_) => "Ed25519",
        }
    }

    /// The key as a JWK again, with the members that were read and no others: what a set's certificates and private
    /// members are left out of. [`Jwk::parse`] reads it back to an equal key.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.material {
            Material::Rsa(rsa) => {
                let exponent = rsa.exponent().to_be_bytes();
                let exponent = crate::crypto::encode::trim_leading_zeros(&exponent);
                json!({"kty": "RSA", "n": text(rsa.modulus()), "e": text(exponent)})
            }
            Material::Ec(ec) => {
                let curve = match ec.curve() {
                    Curve::P256 => "P-256",
                    Curve::P384 => "P-384",
                    Curve::P521 => "P-521",
                };
                json!({"kty": "EC", "crv": curve, "x": text(ec.x()), "y": text(ec.y())})
            }
            Material::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(key)}),
        };
        if let Some(object) = jwk.as_object_mut() {
            let named = [("kid", &self.id), ("alg", &self.algorithm)];
            for (name, value) in named {
                if let Some(value) = value {
                    object.insert(name.to_owned(), value.clone().into());
                }
            }
        }
        jwk.to_string().into_bytes()
    }

    /// The RFC 7638 thumbprint with SHA-256, in base64url: a name of the key for logs.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let bare = Self::new(self.material.clone(), None, None);
        // The required members in lexicographic order without blanks, which is how the library writes an object.
        URL_SAFE_NO_PAD.encode(bare.digest)
    }
}

/// The members of a JWK.
struct Members<'a>(&'a Object<'a>);

impl Members<'_> {
    fn text(&self, name: &'static str) -> Result<Option<&str>, JwkError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, other.kind())),
        }
    }

    /// `kid` or `alg`: bounded, since tokens are compared with it.
    fn name(&self, name: &'static str) -> Result<Option<String>, JwkError> {
        match self.text(name)? {
            Some(text) if text.is_empty() || text.len() > 256 => {
                Err(wrong(name, "not of 1 to 256 bytes"))
            }
            text => Ok(text.map(ToOwned::to_owned)),
        }
    }

    /// `key_ops`, where it is there, must allow verification.
    fn operations(&self) -> Result<(), JwkError> {
        match self.0.get("key_ops") {
            None => Ok(()),
            Some(Json::List(operations)) => {
                match operations.iter().any(|name| name.text() == Some("verify")) {
                    true => Ok(()),
                    false => Err(JwkError::Use("key_ops has no \"verify\"".to_owned())),
                }
            }
            Some(other) => Err(wrong("key_ops", other.kind())),
        }
    }

    fn number(&self, name: &'static str) -> Result<Vec<u8>, JwkError> {
        let text = self.text(name)?.ok_or_else(|| absent(name))?;
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(wrong(name, "no base64url without padding")),
        }
    }

    fn material(&self, kind: &str) -> Result<Material, JwkError> {
        match kind {
            "RSA" => {
                let exponent = self.number("e")?;
                let mut wide = [0; 8];
                let start = wide.len().checked_sub(exponent.len());
                let slot = start.and_then(|start| wide.get_mut(start..));
                slot.ok_or_else(|| wrong("e", "longer than 8 bytes"))?
                    .copy_from_slice(&exponent);
                let exponent = u64::from_be_bytes(wide);
                let rsa = RsaPublicKey::up_to(MAX_RSA_BITS, &self.number("n")?, exponent);
                rsa_material(rsa.map_err(|error| JwkError::Numbers(error.to_string()))?)
            }
            "EC" => {
                let curve = match self.text("crv")?.ok_or_else(|| absent("crv"))? {
                    "P-256" => Curve::P256,
                    "P-384" => Curve::P384,
                    "P-521" => Curve::P521,
                    other => return Err(JwkError::Unsupported(other.to_owned())),
                };
                let (x, y) = (self.number("x")?, self.number("y")?);
                // RFC 7518 section 6.2.1.2: the full length of a coordinate.
                if [&x, &y].iter().any(|c| c.len() != curve.field_len()) {
                    return Err(wrong("x or y", "not of the curve's length"));
                }
                let key = EcPublicKey::new(curve, &x, &y);
                let key = key.map_err(|error| JwkError::Numbers(error.to_string()))?;
                ec_material(PublicKey::Ec(key))
            }
            "OKP" => match self.text("crv")?.ok_or_else(|| absent("crv"))? {
                "Ed25519" => {
                    let key = self.number("x")?.try_into();
                    key.map(Material::Ed25519)
                        .map_err(|_| wrong("x", "not of 32 bytes"))
                }
                other => Err(JwkError::Unsupported(other.to_owned())),
            },
            other => Err(JwkError::Unsupported(other.to_owned())),
        }
    }
}

fn absent(name: &'static str) -> JwkError {
    wrong(name, "absent")
}

fn wrong(name: &'static str, problem: &str) -> JwkError {
    JwkError::Member {
        name,
        problem: problem.to_owned(),
    }
}

fn rsa_material(rsa: RsaPublicKey) -> Result<Material, JwkError> {
    if rsa.bits() < MIN_RSA_BITS {
        return Err(JwkError::Small(rsa.bits()));
    }
    match has_roca_fingerprint(&rsa) {
        true => Err(JwkError::Roca),
        false => Ok(Material::Rsa(rsa)),
    }
}

/// The point must lie on the curve.
fn ec_material(key: PublicKey) -> Result<Material, JwkError> {
    key.check()
        .map_err(|error| JwkError::Numbers(error.to_string()))?;
    match key {
        PublicKey::Ec(ec) => Ok(Material::Ec(ec)),
        PublicKey::Rsa(rsa) => rsa_material(rsa),
        PublicKey::Ed25519(bytes) => Ok(Material::Ed25519(bytes)),
    }
}

fn spki_key(der: &[u8]) -> Result<PublicKey, JwkError> {
    spki::from_der(der).map_err(|error| JwkError::Numbers(error.to_string()))
}

/// The DER in one PEM text (RFC 7468) with the label `PUBLIC KEY`.
fn public_key_pem(pem: &str) -> Result<Vec<u8>, JwkError> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    const END: &str = "-----END PUBLIC KEY-----";
    if pem.len() > MAX_JWK {
        return Err(JwkError::Form(format!("more than {MAX_JWK} bytes")));
    }
    if pem.contains("PRIVATE KEY-----") {
        return Err(JwkError::Private("PRIVATE KEY"));
    }
    let form = |why: &str| JwkError::Form(why.to_owned());
    let body = pem
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or_else(|| form("not one PEM text with the label PUBLIC KEY"))?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD
        .decode(body)
        .map_err(|_| form("what is between the PEM labels is no base64"))
}
