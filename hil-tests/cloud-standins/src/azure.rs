//! Azure's instance metadata service: attested documents and tokens of managed identities.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::openssl;
use super::server::{Reply, Request, Server};
use super::token::{Algorithm, Signer, now};

/// SHA-256's name in DER, and the one that Azure writes in its place: SHA-256 with RSA. They are equally long.
const SHA256: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA256_WITH_RSA: [u8; 9] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B];

/// A virtual machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its tenant.
    pub tenant: String,
    /// Who signs tokens; `None` for Entra's own.
    pub issuer: Option<String>,
    /// Its subscription.
    pub subscription: String,
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub group: String,
    /// Its scale set, or an empty text.
    pub scale_set: String,
    /// The principal of its system-assigned identity, if it has one.
    pub principal: Option<String>,
    /// The client ID and the principal of its user-assigned identity, if it has one.
    pub user_assigned: Option<(String, String)>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            tenant: "3f9c1b7e-0c6e-4d0e-9d55-1f2c6f1a7b01".to_owned(),
            issuer: None,
            subscription: "8d2b7f60-5b0e-4f2a-8a3c-0d9e6b7c4a02".to_owned(),
            id: "f904ece8-c6c1-4b5c-881f-309b50f25e56".to_owned(),
            name: "node-7".to_owned(),
            group: "lab".to_owned(),
            scale_set: String::new(),
            principal: Some("5a0c7d1e-2222-4333-8444-abcdefabcd03".to_owned()),
            user_assigned: None,
        }
    }
}

impl Machine {
    /// The attested document with a nonce.
    #[must_use]
    pub fn document(&self, nonce: &str) -> String {
        let stamp = |seconds: i64| {
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
            time.strftime("%m/%d/%y %H:%M:%S -0000").to_string()
        };
        // A cloud's clock is never ahead of everybody's.
        let created = now() - 1;
        json!({
            "licenseType": "",
            "nonce": nonce,
            "plan": {"name": "", "product": "", "publisher": ""},
            "sku": "22_04-lts-gen2",
            "subscriptionId": self.subscription,
            "timeStamp": {"createdOn": stamp(created), "expiresOn": stamp(created + 6 * 3600)},
            "vmId": self.id,
        })
        .to_string()
    }

    /// The claims of a token for an audience, as Entra's first version of them has them.
    #[must_use]
    pub fn claims(&self, audience: &str, principal: &str, resource: &str) -> Value {
        let entra = || format!("https://sts.windows.net/{}/", self.tenant);
        json!({
            "aud": audience,
            "iss": self.issuer.clone().unwrap_or_else(entra),
            "iat": now() - 300,
            "nbf": now() - 300,
            "exp": now() + 86_400,
            "appid": "0e1f2a3b-0000-4000-8000-00000000aa04",
            "appidacr": "2",
            "idp": format!("https://sts.windows.net/{}/", self.tenant),
            "idtyp": "app",
            "oid": principal,
            "sub": principal,
            "tid": self.tenant,
            "uti": "uti-of-a-token",
            "ver": "1.0",
            "xms_mirid": resource,
        })
    }

    fn resource(&self) -> String {
        format!(
            "/subscriptions/{}/resourcegroups/{}/providers/Microsoft.Compute/virtualMachines/{}",
            self.subscription, self.group, self.name
        )
    }
}

/// Who signs attested documents: a root, an intermediate, and a leaf for `*.metadata.azure.com`.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

const LEAF: &str = "subjectAltName=DNS:eastus.metadata.azure.com,DNS:metadata.azure.com\n\
    extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
    basicConstraints=critical,CA:FALSE\n\
    authorityInfoAccess=caIssuers;URI:http://www.microsoft.com/pkiops/certs/assay-intermediate.crt\n";
const INTERMEDIATE: &str =
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n";

impl Authority {
    /// An authority with keys of its own.
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
    pub fn within(folder: &std::path::Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let run = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            openssl(folder.path(), &words)
        };
        fs::write(folder.path().join("leaf.ext"), LEAF)?;
        fs::write(folder.path().join("intermediate.ext"), INTERMEDIATE)?;
        run(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -sha256 -subj /CN=root -keyout root.key -out root.pem \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        )?;
        for (name, subject, by) in [
            ("intermediate", "/CN=intermediate", "root"),
            ("leaf", "/CN=metadata.azure.com", "intermediate"),
        ] {
            run(&format!(
                "req -new -newkey rsa:2048 -nodes -sha256 -subj {subject} -keyout {name}.key -out {name}.csr"
            ))?;
            run(&format!(
                "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 30 -sha256 \
                 -extfile {name}.ext -out {name}.pem"
            ))?;
        }
        Ok(Self { folder })
    }

    /// A file of this authority's in PEM: `root.pem`, `intermediate.pem`, `leaf.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A document in a CMS structure of Azure's form: DER, no signed attributes, the leaf alone, and the signature's algorithm
    /// where the digest's belongs.
    ///
    /// # Errors
    ///
    /// `openssl` does not sign.
    pub fn sign(&self, document: &str) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("document"), document)?;
        let own = |name: &str| self.file(name).display().to_string();
        let (certificate, key) = (own("leaf.pem"), own("leaf.key"));
        let mut der = openssl(
            folder.path(),
            &[
                "cms",
                "-sign",
                "-binary",
                "-noattr",
                "-nodetach",
                "-md",
                "sha256",
                "-outform",
                "DER",
                "-in",
                "document",
                "-signer",
                &certificate,
                "-inkey",
                &key,
            ],
        )?;
        let places: Vec<usize> = der
            .windows(SHA256.len())
            .enumerate()
            .filter_map(|(place, bytes)| (bytes == SHA256).then_some(place))
            .collect();
        if places.len() != 2 {
            return Err(anyhow!(
                "{} digests in the structure, and not 2",
                places.len()
            ));
        }
        for place in places {
            if let Some(bytes) = der.get_mut(place..place + SHA256.len()) {
                bytes.copy_from_slice(&SHA256_WITH_RSA);
            }
        }
        Ok(der)
    }
}

struct State {
    machine: Machine,
    authority: Arc<Authority>,
    signer: Arc<Signer>,
    /// How many more documents have an earlier nonce.
    stale: usize,
}

/// The service of one virtual machine.
#[derive(Debug)]
pub struct Azure {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Azure {
    /// The service of this machine, with documents that the authority signs and tokens that `signer` does.
    ///
    /// # Errors
    ///
    /// No port.
    pub fn start(machine: Machine, authority: Arc<Authority>, signer: Arc<Signer>) -> Result<Self> {
        let state = State {
            machine,
            authority,
            signer,
            stale: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let serving = state.clone();
        let server = Server::start(move |request| {
            let reply = locked(&serving).answer(request);
            reply.with("server", "IMDS/150.870.65.1854")
        })?;
        Ok(Self { server, state })
    }

    /// A key for tokens of managed identities.
    ///
    /// # Errors
    ///
    /// The library makes none.
    pub fn signer() -> Result<Arc<Signer>> {
        let kid = "nOo3ZDrODXEK1jKWhXslHR_KXEg";
        Ok(Arc::new(Signer::generate(Algorithm::RS256, kid)?))
    }

    /// The web server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// So many of the next documents have an earlier nonce, as of a cache.
    pub fn answer_stale(&self, count: usize) {
        locked(&self.state).stale = count;
    }
}

fn refused(status: u16, error: &str, description: &str) -> Reply {
    let body = json!({"error": error, "error_description": description});
    Reply::json(status, &body)
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let flagged = request
            .header("metadata")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if !flagged || request.header("x-forwarded-for").is_some() {
            return refused(400, "Bad request", "Required metadata header not specified");
        }
        if request.method != "GET" {
            return refused(405, "Method not allowed", "GET only");
        }
        let query = request.query();
        let field = |name: &str| {
            query
                .iter()
                .find(|(one, _)| one == name)
                .map(|(_, v)| v.as_str())
        };
        let Some(version) = field("api-version") else {
            return refused(400, "Bad request", "api-version is missing");
        };
        match request.path() {
            "/metadata/attested/document" => self.attested(version, field("nonce")),
            "/metadata/instance" => self.instance(),
            "/metadata/identity/oauth2/token" => {
                let identity = field("client_id").or_else(|| field("object_id"));
                match field("resource") {
                    Some(resource) if !resource.is_empty() => self.token(resource, identity),
                    _ => refused(
                        400,
                        "invalid_resource",
                        "AADSTS50001: The resource is missing",
                    ),
                }
            }
            _ => refused(404, "Not found", "no such path"),
        }
    }

    fn attested(&mut self, version: &str, nonce: Option<&str>) -> Reply {
        let nonce = nonce.unwrap_or_default();
        if nonce.len() > 32 || !nonce.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return refused(400, "Bad request", "nonce is not alphanumeric");
        }
        let earlier = "1234567890";
        let nonce = match self.stale.checked_sub(1) {
            Some(left) => {
                self.stale = left;
                earlier
            }
            None => nonce,
        };
        let mut document = self.machine.document(nonce);
        if version < "2019-04-30" {
            let subscription = format!("\"subscriptionId\":\"{}\",", self.machine.subscription);
            document = document.replace(&subscription, "");
        }
        match self.authority.sign(&document) {
            Ok(der) => Reply::json(
                200,
                &json!({"encoding": "pkcs7", "signature": STANDARD.encode(der)}),
            ),
            Err(error) => refused(500, "Internal error", &error.to_string()),
        }
    }

    fn instance(&self) -> Reply {
        let machine = &self.machine;
        let body = json!({"compute": {
            "location": "eastus",
            "name": machine.name,
            "resourceGroupName": machine.group,
            "subscriptionId": machine.subscription,
            "tags": "",
            "vmId": machine.id,
            "vmScaleSetName": machine.scale_set,
            "vmSize": "Standard_D2s_v5",
        }, "network": {"interface": []}});
        Reply::json(200, &body)
    }

    fn token(&self, resource: &str, identity: Option<&str>) -> Reply {
        let machine = &self.machine;
        let principal = match identity {
            None => machine.principal.clone(),
            Some(wanted) => {
                let user = machine.user_assigned.as_ref();
                user.filter(|(client, principal)| wanted == client || wanted == principal)
                    .map(|(_, principal)| principal.clone())
            }
        };
        let Some(principal) = principal else {
            return refused(400, "invalid_request", "Identity not found");
        };
        let claims = machine.claims(resource, &principal, &machine.resource());
        match self.signer.sign(&claims) {
            Ok(token) => Reply::json(
                200,
                &json!({
                    "access_token": token,
                    "client_id": "0e1f2a3b-0000-4000-8000-00000000aa04",
                    "expires_in": "86399",
                    "expires_on": (now() + 86_399).to_string(),
                    "resource": resource,
                    "token_type": "Bearer",
                }),
            ),
            Err(error) => refused(500, "Internal error", &error.to_string()),
        }
    }
}
