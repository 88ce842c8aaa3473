//! EC2's instance metadata service: version 2 only, unless told otherwise, with identity documents that a key of its own
//! signs in AWS' structure.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

use super::server::{Reply, Request, Server};
use super::{in_lines, openssl};

/// What the service is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Version 2; what has no token is refused.
    V2,
    /// As [`Self::V2`], and whoever asks is one hop too far away: the answer with the token never comes.
    OneHopTooFar,
    /// Version 1 alone, as of an imitation.
    V1,
    /// Switched off.
    Off,
}

/// The credentials of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// The key's name.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: String,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            name: "node".to_owned(),
            access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: "IQoJb3JpZ2luX2VjEXAMPLE/+=token".to_owned(),
        }
    }
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its name.
    pub id: String,
    /// Its image.
    pub image: String,
    /// Its role, if it has one.
    pub role: Option<Role>,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            id: "i-0abcdef1234567890".to_owned(),
            image: "ami-0123456789abcdef0".to_owned(),
            role: Some(Role::default()),
        }
    }
}

impl Instance {
    /// Its identity document, as AWS lays one out.
    #[must_use]
    pub fn document(&self) -> String {
        let pending = jiff::Timestamp::now().as_second() - 60;
        let pending = jiff::Timestamp::from_second(pending).unwrap_or_default();
        format!(
            "{{\n  \"accountId\" : \"{}\",\n  \"architecture\" : \"x86_64\",\n  \"availabilityZone\" : \"{}a\",\n  \
             \"billingProducts\" : null,\n  \"devpayProductCodes\" : null,\n  \"marketplaceProductCodes\" : null,\n  \
             \"imageId\" : \"{}\",\n  \"instanceId\" : \"{}\",\n  \"instanceType\" : \"m5.large\",\n  \
             \"kernelId\" : null,\n  \"pendingTime\" : \"{pending}\",\n  \"privateIp\" : \"10.0.0.7\",\n  \
             \"ramdiskId\" : null,\n  \"region\" : \"{}\",\n  \"version\" : \"2017-09-30\"\n}}",
            self.account, self.region, self.image, self.id, self.region
        )
    }
}

/// Who signs identity documents in a region.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// An authority with keys of its own: RSA of 2048 bits, and of 1024.
    ///
    /// # Errors
    ///
    /// `openssl` is not there.
    pub fn new() -> Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// The same, with its files in a folder of its own below this one.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn within(folder: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        for (bits, name) in [("2048", "2048"), ("1024", "1024")] {
            let subject = "/C=US/ST=Washington State/L=Seattle/O=Amazon Web Services LLC";
            let (key, algorithm) = (format!("{name}.key"), format!("rsa:{bits}"));
            let certificate = format!("{name}.pem");
            openssl(
                folder.path(),
                &[
                    "req",
                    "-x509",
                    "-newkey",
                    &algorithm,
                    "-nodes",
                    "-days",
                    "65000",
                    "-sha256",
                    "-subj",
                    subject,
                    "-keyout",
                    &key,
                    "-out",
                    &certificate,
                ],
            )?;
        }
        Ok(Self { folder })
    }

    /// The certificate of the larger key, PEM.
    ///
    /// # Errors
    ///
    /// It was taken away.
    pub fn certificate(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("2048.pem"))?)
    }

    /// The same on a page like the one that AWS publishes.
    ///
    /// # Errors
    ///
    /// As [`Self::certificate`].
    pub fn page(&self, region: &str) -> Result<String> {
        Ok(format!(
            "# Certificates\n\n## Somewhere — {region}\n\n------\n#### [ RSA-2048 ]\n\n```\n{}```\n\n------\n",
            self.certificate()?
        ))
    }

    /// A document in a CMS structure of AWS' form: BER with indefinite lengths, a constructed text, no certificates.
    ///
    /// # Errors
    ///
    /// `openssl` does not sign.
    pub fn rsa2048(&self, document: &str) -> Result<Vec<u8>> {
        let folder = self.folder.path();
        written(folder, document)?;
        openssl(
            folder,
            &[
                "cms",
                "-sign",
                "-binary",
                "-nodetach",
                "-nocerts",
                "-nosmimecap",
                "-md",
                "sha256",
                "-stream",
                "-outform",
                "DER",
                "-in",
                DOCUMENT,
                "-signer",
                "2048.pem",
                "-inkey",
                "2048.key",
            ],
        )
    }

    /// The bare signature of the smaller key.
    ///
    /// # Errors
    ///
    /// As [`Self::rsa2048`].
    pub fn signature(&self, document: &str) -> Result<Vec<u8>> {
        let folder = self.folder.path();
        written(folder, document)?;
        openssl(folder, &["dgst", "-sha256", "-sign", "1024.key", DOCUMENT])
    }
}

/// What `openssl` signs is in a file.
const DOCUMENT: &str = "document";

fn written(folder: &Path, document: &str) -> Result<()> {
    fs::write(folder.join(DOCUMENT), document)?;
    Ok(())
}

#[derive(Debug)]
struct State {
    mode: Mode,
    instance: Instance,
    document: String,
    rsa2048: String,
    signature: String,
    /// Tokens that are good, and until when.
    tokens: Vec<(String, i64)>,
}

/// The service of one instance.
#[derive(Debug)]
pub struct Ec2 {
    server: Server,
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ec2 {
    /// The service of this instance, with a document that the authority signs.
    ///
    /// # Errors
    ///
    /// No port, or no signature.
    pub fn start(mode: Mode, instance: Instance, authority: &Authority) -> Result<Self> {
        let document = instance.document();
        let state = State {
            mode,
            rsa2048: in_lines(&authority.rsa2048(&document)?),
            signature: in_lines(&authority.signature(&document)?),
            document,
            instance,
            tokens: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let serving = state.clone();
        let server = Server::start(move |request| {
            let mut state = locked(&serving);
            state.answer(request).with("server", "EC2ws")
        })?;
        Ok(Self { server, state })
    }

    /// The web server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The document as it is served.
    #[must_use]
    pub fn document(&self) -> String {
        locked(&self.state).document.clone()
    }

    /// Every token ends now.
    pub fn end_tokens(&self) {
        locked(&self.state).tokens.clear();
    }

    /// From now on it is like this.
    pub fn become_like(&self, mode: Mode) {
        locked(&self.state).mode = mode;
    }

    /// From now on this is served as the signature, in base64.
    pub fn serve(&self, rsa2048: &[u8]) {
        locked(&self.state).rsa2048 = in_lines(rsa2048);
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        match (self.mode, request.method.as_str()) {
            (Mode::Off, _) => Reply::of(403, "Forbidden"),
            (Mode::V1, "PUT") => Reply::of(404, "Not Found"),
            (_, "PUT") if request.path() == "/latest/api/token" => self.token(request),
            (Mode::V1, "GET") => self.get(request.path()),
            (_, "GET") => match request.header("x-aws-ec2-metadata-token") {
                Some(token) if self.is_good(token) => self.get(request.path()),
                _ => Reply::of(401, "Unauthorized"),
            },
            _ => Reply::of(405, "Method Not Allowed"),
        }
    }

    fn token(&mut self, request: &Request) -> Reply {
        if self.mode == Mode::OneHopTooFar {
            return Reply::Silence;
        }
        if request.header("x-forwarded-for").is_some() {
            return Reply::of(403, "Forbidden");
        }
        let header = "x-aws-ec2-metadata-token-ttl-seconds";
        let seconds = request
            .header(header)
            .and_then(|text| text.parse::<i64>().ok());
        let Some(seconds) = seconds.filter(|seconds| (1..=21_600).contains(seconds)) else {
            return Reply::of(400, "Bad Request");
        };
        let mut bytes = [0; 42];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            return Reply::of(500, "");
        }
        let token = URL_SAFE.encode(bytes);
        let ends = super::token::now() + seconds;
        self.tokens.push((token.clone(), ends));
        Reply::of(200, token).with(header, seconds.to_string())
    }

    fn is_good(&self, token: &str) -> bool {
        let now = super::token::now();
        let mut tokens = self.tokens.iter();
        tokens.any(|(one, ends)| one == token && *ends > now)
    }

    fn get(&self, path: &str) -> Reply {
        let roles = "/latest/meta-data/iam/security-credentials/";
        let instance = &self.instance;
        let body = match path {
            "/latest/dynamic/instance-identity/document" => self.document.clone(),
            "/latest/dynamic/instance-identity/rsa2048" => self.rsa2048.clone(),
            "/latest/dynamic/instance-identity/signature" => self.signature.clone(),
            "/latest/meta-data/instance-id" => instance.id.clone(),
            "/latest/meta-data/placement/region" => instance.region.clone(),
            path => match (&instance.role, path.strip_prefix(roles)) {
                (Some(role), Some("")) => role.name.clone(),
                (Some(role), Some(name)) if *name == role.name => {
                    let ends = super::token::now() + 6 * 3600;
                    let ends = jiff::Timestamp::from_second(ends).unwrap_or_default();
                    let credentials = json!({
                        "Code": "Success",
                        "LastUpdated": jiff::Timestamp::now().to_string(),
                        "Type": "AWS-HMAC",
                        "AccessKeyId": role.access_key_id,
                        "SecretAccessKey": role.secret_access_key,
                        "Token": role.session_token,
                        "Expiration": ends.to_string(),
                    });
                    credentials.to_string()
                }
                _ => return Reply::of(404, "Not Found"),
            },
        };
        Reply::of(200, body)
    }
}
