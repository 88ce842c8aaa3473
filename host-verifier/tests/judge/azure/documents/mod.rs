//! `azure_imds`: documents as Azure signs them, made by openssl, and each of them that is wrong in one thing.

mod chains;
mod machine;
mod signed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, ErrandContext, Facts, Judged, LoginContext, azure_imds,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::cloud::Clouds;
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::x509::files::CertificateSource;
use assay_host_verifier::x509::{Certificate, decode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::arm::{VM_ID, lasting_secret};
use super::entra::{SUBSCRIPTION, TENANT, machine};
use super::machines::settings;
use super::world::AzureWorld;
use crate::pki::{CA, Pki};

/// Where Microsoft publishes the intermediate of these tests.
const AIA: &str = "http://www.microsoft.com/pkiops/certs/issuing.crt";
const FETCHED: &str = "https://www.microsoft.com/pkiops/certs/issuing.crt";

/// The extensions of a signer of Azure.
fn signer(names: &str, usage: &str, url: &str) -> String {
    format!(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
         extendedKeyUsage={usage}\nsubjectAltName={names}\nauthorityInfoAccess=caIssuers;URI:{url}"
    )
}

const NAMES: &str = "DNS:westeurope.metadata.azure.com,DNS:metadata.azure.com";
const USAGE: &str = "serverAuth,clientAuth";

/// A root, an intermediate, and those that sign.
pub(crate) struct Azure {
    files: Vec<(String, Vec<u8>)>,
}

impl Azure {
    pub(crate) fn own() -> &'static Self {
        static OWN: OnceLock<Azure> = OnceLock::new();
        OWN.get_or_init(|| {
            let pki = Pki::new();
            pki.root("root", "rsa2048", CA);
            pki.root("stranger", "rsa2048", CA);
            pki.issue_as("issuing", "issuing", "rsa2048", "root", CA, "-sha256");
            let plain = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";
            pki.issue_as("plain", "plain", "rsa2048", "root", plain, "-sha256");
            let leaves = [
                ("leaf", "issuing", signer(NAMES, USAGE, AIA)),
                ("strange", "stranger", signer(NAMES, USAGE, AIA)),
                ("below-plain", "plain", signer(NAMES, USAGE, AIA)),
                ("client", "issuing", signer(NAMES, "clientAuth", AIA)),
                (
                    "fake",
                    "issuing",
                    signer("DNS:fakemetadata.azure.com", USAGE, AIA),
                ),
                (
                    "evil",
                    "issuing",
                    signer("DNS:metadata.azure.com.evil.tld", USAGE, AIA),
                ),
                (
                    "wildcard",
                    "issuing",
                    signer("DNS:*.metadata.azure.com", USAGE, AIA),
                ),
                (
                    "gov",
                    "issuing",
                    signer("DNS:usgovvirginia.metadata.azure.us", USAGE, AIA),
                ),
                (
                    "elsewhere",
                    "issuing",
                    signer(NAMES, USAGE, "http://evil.example/pkiops/certs/issuing.crt"),
                ),
            ];
            let mut names: Vec<&str> = vec!["root", "stranger", "issuing", "plain"];
            for (name, issuer, extensions) in &leaves {
                pki.issue_as(name, name, "rsa2048", issuer, extensions, "-sha256");
                names.push(name);
            }
            pki.issue_as(
                "small",
                "small",
                "rsa1024",
                "issuing",
                &signer(NAMES, USAGE, AIA),
                "-sha256",
            );
            names.push("small");
            let files = names
                .iter()
                .flat_map(|name| ["crt", "key"].map(|kind| format!("{name}.{kind}")));
            Azure {
                files: files
                    .map(|name| (name.clone(), std::fs::read(pki.path(&name)).unwrap()))
                    .collect(),
            }
        })
    }

    fn file(&self, name: &str) -> &[u8] {
        let (_, bytes) = self.files.iter().find(|(known, _)| known == name).unwrap();
        bytes
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        decode::certificate(self.file(&format!("{name}.crt"))).unwrap()
    }

    pub(crate) fn pem(&self, name: &str) -> String {
        String::from_utf8(self.file(&format!("{name}.crt")).to_vec()).unwrap()
    }

    fn pki(&self, name: &str) -> Pki {
        let pki = Pki::new();
        for kind in ["crt", "key"] {
            let file = format!("{name}.{kind}");
            pki.write(&file, self.file(&file));
        }
        pki
    }

    /// A document signed by openssl as Azure signs: no attributes, and the signature's algorithm in both places of the digest's.
    ///
    /// What was signed before is not signed again: these signatures have no randomness.
    pub(crate) fn sign(&self, name: &str, content: &[u8], digest: &str) -> Vec<u8> {
        type Known = BTreeMap<(String, Vec<u8>, String), Vec<u8>>;
        static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
        let key = (name.to_owned(), content.to_vec(), digest.to_owned());
        let known = KNOWN.lock().unwrap().get(&key).cloned();
        let signed = known.unwrap_or_else(|| self.sign_anew(name, content, digest));
        KNOWN.lock().unwrap().insert(key, signed.clone());
        signed
    }

    fn sign_anew(&self, name: &str, content: &[u8], digest: &str) -> Vec<u8> {
        let pki = self.pki(name);
        pki.write("document", content);
        pki.openssl(&format!(
            "cms -sign -binary -noattr -nodetach -md {digest} -outform DER -signer {name}.crt -inkey {name}.key \
             -in document -out signed"
        ));
        let mut signed = std::fs::read(pki.path("signed")).unwrap();
        let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
        let with_rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
        let mut replaced = 0;
        for at in 0..signed.len() - sha256.len() {
            if signed[at..at + sha256.len()] == sha256 {
                signed[at..at + sha256.len()].copy_from_slice(&with_rsa);
                replaced += 1;
            }
        }
        assert_eq!(replaced, if digest == "sha256" { 2 } else { 0 });
        signed
    }
}

/// When the documents are judged: the certificates are some hours old.
pub(crate) fn now() -> Timestamp {
    let from = Azure::own().certificate("leaf").not_before().0;
    Timestamp::from_second(from + 7200).unwrap()
}

pub(crate) fn login() -> Transcript {
    Transcript::new().then(Direction::Agent, b"a hello")
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%m/%d/%y %H:%M:%S -0000").to_string()
}

/// What the document of this login says.
pub(crate) fn document(login: &Transcript) -> Value {
    let nonce = azure_imds::nonce(&proof_nonce(AttestorKind::AZURE_IMDS, login));
    json!({
        "licenseType": "", "nonce": nonce,
        "plan": {"name": "", "product": "", "publisher": ""},
        "sku": "20_04-lts", "subscriptionId": SUBSCRIPTION,
        "timeStamp": {
            "createdOn": stamp(now() - SignedDuration::from_secs(5)),
            "expiresOn": stamp(now() + SignedDuration::from_hours(6)),
        },
        "vmId": VM_ID,
    })
}

pub(crate) fn payload(signed: &[u8], more: Value) -> Vec<u8> {
    let mut payload = json!({
        "document": {"encoding": "pkcs7", "signature": STANDARD.encode(signed)},
        "metadata": {"agentDomain": "example.onmicrosoft.com", "vmssName": null},
    });
    let more = more.as_object().unwrap().clone();
    payload.as_object_mut().unwrap().extend(more);
    payload.to_string().into_bytes()
}

pub(crate) fn config() -> Value {
    json!({"tenants": [{"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION]}]})
}

fn asking() -> Value {
    json!({"tenants": [{"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION], "useComputeAPI": true}]})
}

/// The service's settings: the root, and these intermediates.
pub(crate) fn provided(intermediates: &[&str]) -> Provided {
    let azure = Azure::own();
    let mut clouds = Clouds::default();
    clouds.azure = settings(lasting_secret());
    clouds.azure.roots = vec![CertificateSource(azure.pem("root"))];
    let pems = intermediates
        .iter()
        .map(|name| CertificateSource(azure.pem(name)));
    clouds.azure.intermediates = pems.collect();
    Provided {
        clouds: Arc::new(clouds),
        ..Provided::default()
    }
}

/// A judgement of one payload.
struct Case {
    config: Value,
    intermediates: &'static [&'static str],
    world: AzureWorld,
    at: Timestamp,
    fetch: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            config: config(),
            intermediates: &["issuing"],
            world: AzureWorld::default(),
            at: now(),
            fetch: true,
        }
    }
}

impl Case {
    fn attestor(&self) -> Arc<dyn Attestor> {
        let mut provided = provided(self.intermediates);
        let mut clouds = (*provided.clouds).clone();
        clouds.azure.fetch_intermediates = self.fetch;
        provided.clouds = Arc::new(clouds);
        let config = deserialize_config(AttestorKind::AZURE_IMDS, self.config.clone()).unwrap();
        let files = Files::beside(Path::new("/nonexistent")).provided_by(&provided);
        config.build_in(files).unwrap()
    }

    fn judge(&self, payload: &[u8]) -> Result<Claims, AttestError> {
        self.judge_by(&*self.attestor(), payload)
    }

    /// By one that may have judged before.
    fn judge_by(&self, attestor: &dyn Attestor, payload: &[u8]) -> Result<Claims, AttestError> {
        let transcript = login();
        let cx = LoginContext {
            now: self.at,
            transcript: &transcript,
            request: &[],
            blobs: &Blobs::default(),
            facts: &Facts::default(),
            last_boot: None,
            keys: &LoginKeys::new([0; 32]),
        };
        match attestor.judge(&cx, payload)? {
            Judged::Proven(claims) => Ok(*claims),
            Judged::Challenge(other) => panic!("{other:?}"),
            Judged::Errand(errand) => {
                let errand_cx = ErrandContext {
                    now: self.at,
                    login_id: "login".to_owned(),
                    cluster: "cluster".to_owned(),
                    trust_domain: "example.org".to_owned(),
                    policy: "policy".to_owned(),
                    proven: Vec::new(),
                    proof_nonce: [0; 32],
                };
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let answer = runtime.block_on(errand.run(&self.world, &errand_cx))?;
                errand.judge(&cx, &answer)
            }
        }
    }

    #[track_caller]
    fn refused(&self, payload: &[u8], check: &str) -> AttestError {
        let error = self.judge(payload).unwrap_err();
        assert_eq!(error.check, check, "{error}");
        error
    }
}

fn signed_by(name: &str) -> Vec<u8> {
    let content = document(&login()).to_string();
    Azure::own().sign(name, content.as_bytes(), "sha256")
}

fn saying(name: &str, value: Value) -> Vec<u8> {
    let mut content = document(&login());
    match value {
        Value::Null => drop(content.as_object_mut().unwrap().remove(name)),
        value => content[name] = value,
    }
    payload(
        &Azure::own().sign("leaf", content.to_string().as_bytes(), "sha256"),
        json!({}),
    )
}

fn attributes(claims: &Claims) -> Vec<(&str, &str)> {
    let all = claims.attributes.iter();
    all.map(|one| (&*one.name, one.value.as_str())).collect()
}

#[test]
fn settings_that_would_let_in_any_machine_of_azures_are_refused() {
    let tenants = |tenants: Value| json!({"tenants": tenants});
    const OTHER: &str = "11111111-2222-4333-8444-555555555555";
    let mut lists = config();
    lists["vmSizes"] = json!(["a"]);
    let mut tags = config();
    tags["attributeVMTagKeys"] = json!(["Team"]);
    for (settings, field) in [
        (tenants(json!([])), "tenants"),
        (
            tenants(json!([{"tenantID": TENANT}])),
            "tenants[0].subscriptionIDs",
        ),
        (
            tenants(json!([{"tenantID": TENANT, "subscriptionIDs": []}])),
            "tenants[0].subscriptionIDs",
        ),
        (
            tenants(json!([
                {"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION]},
                {"tenantID": OTHER, "useComputeAPI": true},
            ])),
            "tenants[1].subscriptionIDs",
        ),
        (
            tenants(json!([
                {"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION]},
                {"tenantID": OTHER, "subscriptionIDs": [SUBSCRIPTION]},
            ])),
            "tenants[1].subscriptionIDs",
        ),
        (lists, "tenants[0].useComputeAPI"),
        (tags, "tenants[0].useComputeAPI"),
    ] {
        let config = deserialize_config(AttestorKind::AZURE_IMDS, settings).unwrap();
        let error = config.build(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
    let config = tenants(json!([{"tenantID": TENANT, "useComputeAPI": true}]));
    deserialize_config(AttestorKind::AZURE_IMDS, config)
        .unwrap()
        .build(Path::new("/nonexistent"))
        .unwrap();
    assert!(machine("a").contains(SUBSCRIPTION));
}
