//! AWS' Security Token Service in one region, with `GetWebIdentityToken` and `AssumeRoleWithWebIdentity`; and the issuer of its
//! tokens, which is the account's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::ec2::Role;
use super::server::{Certified, Reply, Request, Server, form};
use super::sigv4;
use super::token::{Algorithm, Signer, now};

/// What the account is like.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its number.
    pub id: String,
    /// The region.
    pub region: String,
    /// Its organization.
    pub organization: String,
    /// The role that may ask, with its credentials.
    pub role: Role,
    /// The instance that the role's credentials were delivered to.
    pub instance: Option<String>,
    /// Whether outbound web identity federation is switched on.
    pub federates: bool,
    /// How long the role's session goes on, seconds.
    pub session_left: i64,
    /// Whether the role may ask for tokens.
    pub allows: bool,
    /// The token of a web identity that may become the role.
    pub web_identity: Option<String>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            id: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            organization: "o-exampleorgid".to_owned(),
            role: Role::default(),
            instance: Some("i-0abcdef1234567890".to_owned()),
            federates: true,
            session_left: 3600,
            allows: true,
            web_identity: None,
        }
    }
}

struct State {
    account: Account,
    /// Both kinds of keys; both are published.
    signers: [Signer; 2],
    /// The issuer's URL, once it is known.
    issuer: String,
}

/// The service and the issuer.
#[derive(Debug)]
pub struct Sts {
    server: Server,
    authority: String,
    state: Arc<Mutex<State>>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sts {
    /// The service for this account, over TLS, by an authority of its own.
    ///
    /// # Errors
    ///
    /// No port, no key, no certificate.
    pub fn start(account: Account) -> Result<Self> {
        let certified = Certified::new()?;
        let state = State {
            account,
            signers: [
                Signer::generate(Algorithm::RS256, "RSA_1")?,
                Signer::generate(Algorithm::ES384, "EC_1")?,
            ],
            issuer: String::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let serving = state.clone();
        let server =
            Server::start_tls(&certified, move |request| locked(&serving).answer(request))?;
        locked(&state).issuer = server.url();
        Ok(Self {
            server,
            authority: certified.authority,
            state,
        })
    }

    /// The web server; its URL is the service's and the issuer's.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Changes the account.
    pub fn change(&self, change: impl FnOnce(&mut Account)) {
        change(&mut locked(&self.state).account);
    }

    /// The issuer's keys, as it publishes them.
    #[must_use]
    pub fn keys(&self) -> Value {
        locked(&self.state).keys()
    }

    /// Signs claims as the account's issuer does, whatever they are.
    ///
    /// # Errors
    ///
    /// The library does not sign.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let state = locked(&self.state);
        let [signer, _] = &state.signers;
        signer.sign(claims)
    }
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    \
         <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  <RequestId>c6104cbe</RequestId>\n</ErrorResponse>\n"
    );
    Reply::of(status, body).with("content-type", "text/xml")
}

impl State {
    fn keys(&self) -> Value {
        let keys: Vec<_> = self.signers.iter().map(Signer::jwk).collect();
        json!({"keys": keys})
    }

    fn answer(&self, request: &Request) -> Reply {
        match (request.method.as_str(), request.path()) {
            ("GET", "/.well-known/openid-configuration") => {
                let body = json!({
                    "issuer": self.issuer,
                    "jwks_uri": format!("{}/.well-known/jwks.json", self.issuer),
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256", "ES384"],
                });
                Reply::json(200, &body)
            }
            ("GET", "/.well-known/jwks.json") => Reply::json(200, &self.keys()),
            ("POST", "/") => self.ask(request),
            _ => refused(404, "InvalidAction", "no such path"),
        }
    }

    fn ask(&self, request: &Request) -> Reply {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let fields = form(&text);
        let field = |name: &str| {
            fields
                .iter()
                .find(|(one, _)| one == name)
                .map(|(_, v)| v.as_str())
        };
        if field("Version") != Some("2011-06-15") {
            return refused(
                400,
                "InvalidAction",
                "Could not find operation for this version",
            );
        }
        match field("Action") {
            Some("AssumeRoleWithWebIdentity") => self.assume(&field),
            Some("GetWebIdentityToken") => {
                let role = &self.account.role;
                let secret_of = |key: &str| {
                    let known = key == role.access_key_id;
                    known.then(|| {
                        (
                            role.secret_access_key.clone(),
                            Some(role.session_token.clone()),
                        )
                    })
                };
                let place = Some((self.account.region.as_str(), "sts"));
                match sigv4::verify(request, place, now(), secret_of) {
                    Err(code) => refused(403, code, "The request is not signed as it has to be"),
                    Ok(_) => self.token(&fields, &field),
                }
            }
            _ => refused(400, "InvalidAction", "Could not find operation"),
        }
    }

    fn token<'a>(
        &self,
        fields: &[(String, String)],
        field: &impl Fn(&str) -> Option<&'a str>,
    ) -> Reply {
        let account = &self.account;
        if !account.allows {
            let message = format!(
                "User: arn:aws:sts::{}:assumed-role/{}/i is not authorized to perform: sts:GetWebIdentityToken",
                account.id, account.role.name
            );
            return refused(403, "AccessDenied", &message);
        }
        if !account.federates {
            let code = "OutboundWebIdentityFederationDisabledException";
            return refused(
                403,
                code,
                "The outbound web identity federation feature is not enabled",
            );
        }
        let seconds = field("DurationSeconds").map_or(Some(300), |text| text.parse::<i64>().ok());
        let Some(seconds) = seconds.filter(|seconds| (60..=3600).contains(seconds)) else {
            return refused(400, "ValidationError", "DurationSeconds is out of range");
        };
        if seconds > account.session_left {
            let code = "SessionDurationEscalationException";
            return refused(403, code, "The token would outlive the session");
        }
        let [rsa, ec] = &self.signers;
        let signer = match field("SigningAlgorithm") {
            Some("RS256") => rsa,
            Some("ES384") => ec,
            _ => return refused(400, "ValidationError", "SigningAlgorithm is not one"),
        };
        let listed = |name: &str| -> Vec<&str> {
            let numbered = |number: usize| format!("{name}.member.{number}");
            (1..=10)
                .map_while(|number| field(&numbered(number)))
                .collect()
        };
        let audiences = listed("Audience");
        if audiences.is_empty() {
            return refused(400, "ValidationError", "Audience is missing");
        }
        let mut tags = Map::new();
        for number in 1..=50 {
            let part = |part: &str| field(&format!("Tags.member.{number}.{part}"));
            if let (Some(key), Some(value)) = (part("Key"), part("Value")) {
                tags.insert(key.to_owned(), value.into());
            }
        }
        let known = [
            "Audience.",
            "Tags.",
            "Action",
            "Version",
            "SigningAlgorithm",
            "DurationSeconds",
        ];
        if fields
            .iter()
            .any(|(name, _)| !known.iter().any(|one| name.starts_with(one)))
        {
            return refused(400, "ValidationError", "a parameter is not known");
        }
        let claims = self.claims(&audiences, seconds, tags);
        match signer.sign(&claims) {
            Ok(token) => Reply::of(
                200,
                format!(
                    "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
                     <GetWebIdentityTokenResult>\n    <Expiration>{}</Expiration>\n    \
                     <WebIdentityToken>{token}</WebIdentityToken>\n  </GetWebIdentityTokenResult>\n  \
                     <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>\n</GetWebIdentityTokenResponse>\n",
                    jiff::Timestamp::from_second(now() + seconds).unwrap_or_default()
                ),
            )
            .with("content-type", "text/xml"),
            Err(error) => refused(500, "InternalFailure", &error.to_string()),
        }
    }

    fn claims(&self, audiences: &[&str], seconds: i64, tags: Map<String, Value>) -> Value {
        let account = &self.account;
        let principal = format!("arn:aws:iam::{}:role/{}", account.id, account.role.name);
        let mut sts = json!({
            "aws_account": account.id,
            "source_region": account.region,
            "org_id": account.organization,
            "ou_path": [format!("{}/r-ab12/ou-ab12-11111111/", account.organization)],
            "principal_id": principal,
            "principal_tags": {"Environment": "production"},
            "request_tags": tags,
            "original_session_exp": jiff::Timestamp::from_second(now() + account.session_left)
                .unwrap_or_default().to_string(),
        });
        if let (Some(instance), Some(sts)) = (&account.instance, sts.as_object_mut()) {
            let arn = format!(
                "arn:aws:ec2:{}:{}:instance/{instance}",
                account.region, account.id
            );
            sts.insert("ec2_source_instance_arn".to_owned(), arn.into());
            sts.insert("ec2_role_delivery".to_owned(), "2.0".into());
        }
        let audience = match audiences {
            [one] => json!(one),
            several => json!(several),
        };
        json!({
            "aud": audience,
            "iss": self.issuer,
            "sub": principal,
            "iat": now(),
            "exp": now() + seconds,
            "jti": hex::encode(now().to_be_bytes()),
            "https://sts.amazonaws.com/": sts,
        })
    }

    fn assume<'a>(&self, field: &impl Fn(&str) -> Option<&'a str>) -> Reply {
        let account = &self.account;
        let role = &account.role;
        let arn = format!("arn:aws:iam::{}:role/{}", account.id, role.name);
        let known = account.web_identity.as_deref();
        if known.is_none() || field("WebIdentityToken") != known {
            return refused(
                400,
                "InvalidIdentityToken",
                "No OpenIDConnect provider found in your account",
            );
        }
        if field("RoleArn") != Some(arn.as_str()) || field("RoleSessionName").is_none() {
            let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
            return refused(403, "AccessDenied", message);
        }
        let body = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
             <AssumeRoleWithWebIdentityResult>\n    <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      \
             <SecretAccessKey>{}</SecretAccessKey>\n      <SessionToken>{}</SessionToken>\n    </Credentials>\n  \
             </AssumeRoleWithWebIdentityResult>\n</AssumeRoleWithWebIdentityResponse>\n",
            role.access_key_id, role.secret_access_key, role.session_token
        );
        Reply::of(200, body).with("content-type", "text/xml")
    }
}
