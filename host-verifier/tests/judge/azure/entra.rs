//! An issuer of tokens as Entra is one.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::{Value, json};

use crate::jwt::signer::{NOW, b64};

pub(crate) const TENANT: &str = "0c7d2b1a-0000-4abc-8def-0123456789ab";
pub(crate) const PRINCIPAL: &str = "0e1a6a9d-5ba3-4a3a-9cc5-2b1c9f8f7a10";
pub(crate) const SUBSCRIPTION: &str = "87654321-4321-4321-4321-210987654321";
pub(crate) const AUDIENCE: &str = "api://0c7d2b1a-0000-4abc-8def-0123456789ab/defakto-server";
pub(crate) const KID: &str = "kWbkha6qs8wsTnBwiNYOhHbnAw0";
/// Where the keys of a tenant's tokens of version 1 are found.
pub(crate) const KEYS: &str = "https://login.microsoftonline.com/0c7d2b1a-0000-4abc-8def-0123456789ab/.well-known/openid-configuration";
/// And of version 2.
pub(crate) const KEYS_V2: &str = "https://login.microsoftonline.com/0c7d2b1a-0000-4abc-8def-0123456789ab/v2.0/.well-known/openid-configuration";

/// A key of the issuer, or of somebody else.
pub(crate) struct Entra(&'static KeyPair);

impl Entra {
    pub(crate) fn own() -> Self {
        static KEY: OnceLock<KeyPair> = OnceLock::new();
        Self(KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn somebody_elses() -> Self {
        static KEY: OnceLock<KeyPair> = OnceLock::new();
        Self(KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// As Entra publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.0.public_key();
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            b64(&bytes[zeros..])
        };
        json!({
            "kty": "RSA", "use": "sig", "kid": KID, "x5t": KID,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
            "issuer": "https://sts.windows.net/0c7d2b1a-0000-4abc-8def-0123456789ab/",
        })
    }

    /// The public key in DER, for who takes it for a secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.0.public_key().as_der().unwrap().as_ref().to_vec()
    }

    /// Signs two texts, whatever they are.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", b64(signature))
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "x5t": KID, "kid": KID});
        self.sign(&header.to_string(), &claims.to_string())
    }
}

/// The resource ID of a virtual machine.
pub(crate) fn machine(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-spire-prod/providers/Microsoft.Compute/virtualMachines/{name}"
    )
}

/// The claims of a system-assigned identity's token of version 1.
pub(crate) fn claims() -> Value {
    json!({
        "aud": AUDIENCE,
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 86_390,
        "aio": "k2BgYPjPf2u1mm3OQxsOAwA=",
        "appid": "7d5a0f0a-2b7e-4f4b-a3e0-0d6a0d8f6f11",
        "appidacr": "2", "idp": format!("https://sts.windows.net/{TENANT}/"), "idtyp": "app",
        "oid": PRINCIPAL, "sub": PRINCIPAL, "tid": TENANT,
        "uti": "Yg1v6kX0Zk6nVb1kqB8AAA", "ver": "1.0",
        "xms_mirid": machine("spire-agent-7"),
    })
}

/// The same in version 2, whose audience is the application's ID.
pub(crate) fn claims_v2() -> Value {
    let mut claims = claims();
    claims["iss"] = format!("https://login.microsoftonline.com/{TENANT}/v2.0").into();
    claims["aud"] = "fb60f99c-7a34-4190-8149-302f77469936".into();
    claims["ver"] = "2.0".into();
    claims["azp"] = claims["appid"].take();
    claims.as_object_mut().unwrap().remove("appid");
    claims
}

/// The claims with one changed; `null`: without it.
pub(crate) fn but(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    match value.into() {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}
