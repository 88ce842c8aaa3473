//! Compute Engine's metadata server, as far as identity tokens go.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use super::server::{Reply, Request, Server};
use super::token::{Algorithm, Signer, now};

/// The issuer that tokens name.
pub const ISSUER: &str = "https://accounts.google.com";

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its project.
    pub project: String,
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub name: String,
    /// Its number, as a text.
    pub id: String,
    /// Its service account's address; `None` when it has none.
    pub account: Option<String>,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            project: "assay-lab".to_owned(),
            zone: "europe-west4-a".to_owned(),
            name: "node-7".to_owned(),
            id: "2589221140676718026".to_owned(),
            account: Some("agent@assay-lab.iam.gserviceaccount.com".to_owned()),
        }
    }
}

impl Instance {
    /// The claims of its token for an audience.
    #[must_use]
    pub fn claims(&self, audience: &str, licenses: bool) -> Value {
        let subject = "100200300400500600700";
        let mut engine = json!({
            "project_id": self.project,
            "project_number": 161_958_465_613_u64,
            "zone": self.zone,
            "instance_id": self.id,
            "instance_name": self.name,
            "instance_creation_timestamp": now() - 86_400,
        });
        if licenses && let Some(engine) = engine.as_object_mut() {
            engine.insert("license_id".to_owned(), json!(["1000205"]));
        }
        json!({
            "aud": audience,
            "azp": subject,
            "email": self.account,
            "email_verified": true,
            "exp": now() + 3600,
            "google": {"compute_engine": engine},
            "iat": now(),
            "iss": ISSUER,
            "sub": subject,
        })
    }
}

/// The server of one instance, and the key of its tokens.
#[derive(Debug)]
pub struct Google {
    server: Server,
    signer: Arc<Signer>,
}

impl Google {
    /// The server of this instance.
    ///
    /// # Errors
    ///
    /// No port, or no key.
    pub fn start(instance: Instance) -> Result<Self> {
        let kid = "6a8ba5652a7044121d4fedac8f14d14c54e4895b";
        let signer = Arc::new(Signer::generate(Algorithm::RS256, kid)?);
        let signing = signer.clone();
        let server = Server::start(move |request| {
            answer(&instance, &signing, request).with("server", "Metadata Server for VM")
        })?;
        Ok(Self { server, signer })
    }

    /// The web server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The key that signs, for whoever publishes or forges.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }
}

fn answer(instance: &Instance, signer: &Signer, request: &Request) -> Reply {
    let flavored = |reply: Reply| reply.with("metadata-flavor", "Google");
    if request.header("metadata-flavor") != Some("Google") {
        return flavored(Reply::of(403, "Missing Metadata-Flavor:Google header."));
    }
    if request.header("x-forwarded-for").is_some() {
        return flavored(Reply::of(403, "X-Forwarded-For is not allowed."));
    }
    flavored(identity(instance, signer, request))
}

fn identity(instance: &Instance, signer: &Signer, request: &Request) -> Reply {
    let below = "/computeMetadata/v1/instance/service-accounts/";
    let Some(rest) = request.path().strip_prefix(below) else {
        return Reply::of(404, "not found");
    };
    let account = rest.strip_suffix("/identity");
    let own = instance.account.as_deref();
    let known = account
        .is_some_and(|account| own.is_some_and(|own| account == "default" || account == own));
    if !known || request.method != "GET" {
        return Reply::of(404, "not found");
    }
    let query = request.query();
    let field = |name: &str| {
        query
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, v)| v.as_str())
    };
    let Some(audience) = field("audience").filter(|audience| !audience.is_empty()) else {
        return Reply::of(400, "non-empty audience parameter required");
    };
    let mut claims = instance.claims(audience, field("licenses") == Some("TRUE"));
    if field("format") != Some("full")
        && let Some(claims) = claims.as_object_mut()
    {
        claims.remove("google");
    }
    match signer.sign(&claims) {
        Ok(token) => Reply::of(200, token),
        Err(error) => Reply::of(500, error.to_string()),
    }
}
