//! Whoever publishes the keys of tokens: an OpenID Connect issuer's discovery document and its JWK set, over TLS.

use anyhow::Result;
use serde_json::{Value, json};

use super::server::{Certified, Reply, Server};

/// An issuer.
#[derive(Debug)]
pub struct Issuer {
    server: Server,
    authority: String,
}

/// Where its keys are.
const KEYS: &str = "/keys";
const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Issuer {
    /// Publishes these keys, for an issuer at any path of the server.
    ///
    /// # Errors
    ///
    /// No port, or no certificate.
    pub fn start(keys: Vec<Value>) -> Result<Self> {
        let certified = Certified::new()?;
        let server = Server::start_tls(&certified, move |request| {
            let host = request.header("host").unwrap_or_default();
            match (request.path(), request.path().strip_suffix(DISCOVERY)) {
                (KEYS, _) => Reply::json(200, &json!({"keys": keys})),
                (_, Some(path)) => Reply::json(
                    200,
                    &json!({
                        "issuer": format!("https://{host}{path}"),
                        "jwks_uri": format!("https://{host}{KEYS}"),
                        "id_token_signing_alg_values_supported": ["RS256"],
                    }),
                ),
                _ => Reply::of(404, "not here"),
            }
        })?;
        Ok(Self {
            server,
            authority: certified.authority,
        })
    }

    /// The web server; with a path behind it, its URL is an issuer.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Where the JWK set is.
    #[must_use]
    pub fn keys_url(&self) -> String {
        format!("{}{KEYS}", self.server.url())
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}
