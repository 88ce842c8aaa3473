//! `azure_imds`: documents as Azure signs them, made by openssl, and each of them that is wrong in one thing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::source::SourceRule;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, ErrandContext, Facts, Fault, Judged, LoginContext, azure_imds,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::cloud::Clouds;
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::outside::{ErrorKind, Response};
use assay_host_verifier::x509::files::CertificateSource;
use assay_host_verifier::x509::{Certificate, decode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::arm::{
    Arm, VM_ID, instance_of_a_scale_set, lasting_secret, machine_in_the_cloud,
    machine_with_addresses,
};
use super::entra::{SUBSCRIPTION, TENANT, machine};
use super::machines::settings;
use super::world::AzureWorld;
use crate::cms::build::Message;
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
fn a_machines_document_passes_and_asks_nobody() {
    let case = Case::default();
    let claims = case.judge(&payload(&signed_by("leaf"), json!({}))).unwrap();
    assert_eq!(
        attributes(&claims),
        [
            ("azure_imds.tenant.id", TENANT),
            ("azure_imds.subscription.id", SUBSCRIPTION),
            ("azure_imds.vm.id", VM_ID),
        ]
    );
    assert_eq!(
        claims.facts.identity,
        Some(format!("{SUBSCRIPTION}/{VM_ID}"))
    );
    assert!(case.world.asked().is_empty());
    assert!(case.attestor().is_fresh());
}

#[test]
fn a_nonce_that_is_wrong_absent_or_of_another_login_is_refused() {
    let case = Case::default();
    let other = document(&Transcript::new())["nonce"].clone();
    let own = document(&login())["nonce"].as_str().unwrap().to_owned();
    for nonce in [
        other,
        json!(""),
        json!("20261122-195534"),
        json!(own[..31]),
        json!(format!("{own}0")),
        json!(own.to_uppercase()),
    ] {
        let error = case.refused(&saying("nonce", nonce), "nonce");
        assert_eq!(error.fault, Fault::Refused);
    }
    case.refused(&saying("nonce", Value::Null), "document-malformed");
}

#[test]
fn a_document_counts_in_its_window() {
    let payload = payload(&signed_by("leaf"), json!({}));
    let at = |seconds: i64| Case {
        at: now() + SignedDuration::from_secs(seconds),
        ..Case::default()
    };
    for inside in [-305, 0, 6 * 3600 + 300] {
        at(inside).judge(&payload).unwrap();
    }
    for outside in [-306, 6 * 3600 + 301] {
        at(outside).refused(&payload, "document-time");
    }
    let backwards = json!({"createdOn": stamp(now() + SignedDuration::from_secs(60)), "expiresOn": stamp(now())});
    Case::default().refused(&saying("timeStamp", backwards), "document-time");
    Case::default().refused(
        &saying(
            "timeStamp",
            json!({"createdOn": "now", "expiresOn": "then"}),
        ),
        "document-malformed",
    );
}

#[test]
fn a_document_without_a_subscription_or_of_anothers_is_refused() {
    let case = Case::default();
    case.refused(
        &saying("subscriptionId", Value::Null),
        "document-subscription",
    );
    case.refused(
        &saying("subscriptionId", json!("")),
        "document-subscription",
    );
    case.refused(
        &saying("subscriptionId", json!("all")),
        "document-malformed",
    );
    case.refused(
        &saying("subscriptionId", json!(TENANT)),
        "subscription-not-allowed",
    );
    case.refused(&saying("vmId", Value::Null), "document-malformed");
    case.refused(&saying("vmId", json!("x")), "document-malformed");
    let mut listed = config();
    listed["subscriptionIds"] = json!([TENANT]);
    let case = Case {
        config: listed,
        ..Case::default()
    };
    case.refused(
        &payload(&signed_by("leaf"), json!({})),
        "subscription-not-allowed",
    );
}

#[test]
fn signers_of_other_names_are_refused() {
    for name in ["fake", "evil", "wildcard", "gov"] {
        Case::default().refused(&payload(&signed_by(name), json!({})), "signer-name");
    }
    let mut gov = config();
    gov["azureEnvironment"] = "AzureGovernmentCloud".into();
    let case = Case {
        config: gov,
        ..Case::default()
    };
    case.judge(&payload(&signed_by("gov"), json!({}))).unwrap();
    case.refused(&payload(&signed_by("leaf"), json!({})), "signer-name");
}

/// As Microsoft's own sample is: RSA with 1024 bits and MD5.
#[test]
fn weak_signatures_are_refused() {
    let content = document(&login()).to_string();
    let small = Azure::own().sign("small", content.as_bytes(), "sha256");
    Case::default().refused(&payload(&small, json!({})), "cms-signature");
    for digest in ["md5", "sha1"] {
        let weak = Azure::own().sign("leaf", content.as_bytes(), digest);
        Case::default().refused(&payload(&weak, json!({})), "cms-algorithm");
    }
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let mut signed = signed_by("leaf");
    let nonce = document(&login())["nonce"]
        .as_str()
        .unwrap()
        .as_bytes()
        .to_vec();
    let at = signed
        .windows(nonce.len())
        .position(|part| part == nonce)
        .unwrap();
    signed[at] ^= 1;
    Case::default().refused(&payload(&signed, json!({})), "cms-signature");
}

/// SPIRE before 1.15.1: the chain was built for the first certificate, and the signature checked with another.
#[test]
fn a47_a_signer_that_stands_behind_azures_certificate_is_not_azures() {
    let azure = Azure::own();
    let content = document(&login()).to_string();
    let (leaf, stranger) = (azure.certificate("leaf"), azure.certificate("strange"));
    let mut message = Message::azure(content.as_bytes(), &leaf);
    message.certificates = vec![leaf.der().to_vec(), stranger.der().to_vec()];
    let signed = message.sign(&azure.pki("strange"), "strange", &stranger);
    let case = Case {
        fetch: false,
        ..Case::default()
    };
    case.refused(&payload(&signed, json!({})), "unknown-issuer");
    // And one that calls itself by the name of Azure's.
    let signed = message.sign(&azure.pki("strange"), "strange", &leaf);
    case.refused(&payload(&signed, json!({})), "cms-signature");
}

#[test]
fn chains_lead_to_a_root_through_authorities() {
    let case = |intermediates| Case {
        intermediates,
        fetch: false,
        ..Case::default()
    };
    case(&["issuing"]).refused(&payload(&signed_by("strange"), json!({})), "unknown-issuer");
    let below = payload(&signed_by("below-plain"), json!({}));
    let error = case(&["plain"]).judge(&below).unwrap_err();
    assert_eq!(error.fault, Fault::Refused, "{error}");
    assert!(!error.check.contains("unknown"), "{error}");
    let error = case(&["issuing"])
        .judge(&payload(&signed_by("client"), json!({})))
        .unwrap_err();
    assert!(error.check.contains("usage"), "{error}");
    // An agent's own certificates are as good as any, and no better.
    let sent = |name: &str| json!({"certificates": [STANDARD.encode(Azure::own().certificate(name).der())]});
    case(&[])
        .judge(&payload(&signed_by("leaf"), sent("issuing")))
        .unwrap();
    case(&[]).refused(
        &payload(&signed_by("strange"), sent("stranger")),
        "unknown-issuer",
    );
}

/// A certificate that was judged good is not read again. Its time, its chain and its signatures are judged as ever.
#[test]
fn a_signer_that_is_known_is_judged_each_time() {
    let azure = Azure::own();
    let leaf = azure.certificate("leaf");
    let today = Case::default();
    let attestor = today.attestor();
    for _ in 0..2 {
        let good = payload(&signed_by("leaf"), json!({}));
        today.judge_by(&*attestor, &good).unwrap();
    }
    let content = document(&login()).to_string();
    let message = Message::azure(content.as_bytes(), &leaf);
    let forged = message.sign(&azure.pki("strange"), "strange", &leaf);
    let told = today.judge_by(&*attestor, &payload(&forged, json!({})));
    assert_eq!(told.unwrap_err().check, "cms-signature");

    let before = Timestamp::from_second(leaf.not_before().0 - 1).unwrap();
    let mut content = document(&login());
    content["timeStamp"] = json!({"createdOn": stamp(before), "expiresOn": stamp(before)});
    let signed = azure.sign("leaf", content.to_string().as_bytes(), "sha256");
    let early = Case {
        at: before,
        ..Case::default()
    };
    let told = early.judge_by(&*attestor, &payload(&signed, json!({})));
    assert_eq!(told.unwrap_err().check, "not-yet-valid");
}

fn published(name: &'static str, pem: bool) -> AzureWorld {
    AzureWorld::default().page(move |request| {
        let azure = Azure::own();
        let body = match pem {
            true => azure.pem(name).into_bytes(),
            false => azure.certificate(name).der().to_vec(),
        };
        (request.url == FETCHED).then(|| Ok(Response::new(200, body)))
    })
}

#[test]
fn a_missing_intermediate_is_fetched_from_microsoft_and_nobody_else() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    for pem in [false, true] {
        let case = Case {
            intermediates: &[],
            world: published("issuing", pem),
            ..Case::default()
        };
        case.judge(&leaf).unwrap();
        assert_eq!(case.world.asked(), [FETCHED]);
    }
    let case = Case {
        intermediates: &[],
        world: published("issuing", false),
        ..Case::default()
    };
    case.refused(
        &payload(&signed_by("elsewhere"), json!({})),
        "unknown-issuer",
    );
    assert!(case.world.asked().is_empty());
    let case = Case {
        intermediates: &[],
        world: published("issuing", false),
        fetch: false,
        ..Case::default()
    };
    case.refused(&leaf, "unknown-issuer");
    assert!(case.world.asked().is_empty());
}

#[test]
fn what_is_fetched_instead_of_the_intermediate_vouches_for_nobody() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    let case = Case {
        intermediates: &[],
        world: published("stranger", false),
        ..Case::default()
    };
    case.refused(&leaf, "unknown-issuer");
    type Answer = fn() -> Result<Response, ErrorKind>;
    let answers: [(Answer, Fault); 7] = [
        (|| Ok(Response::new(302, Vec::new())), Fault::Unavailable),
        (|| Ok(Response::new(404, Vec::new())), Fault::Unavailable),
        (|| Ok(Response::new(500, Vec::new())), Fault::Unavailable),
        (
            || Ok(Response::new(200, b"<html>".to_vec())),
            Fault::Unavailable,
        ),
        (
            || Ok(Response::new(200, vec![0x30; 100_000])),
            Fault::Unavailable,
        ),
        (|| Err(ErrorKind::Deadline), Fault::Unavailable),
        (|| Err(ErrorKind::Malformed), Fault::Unavailable),
    ];
    for (answer, fault) in answers {
        let world = AzureWorld::default().page(move |_| Some(answer()));
        let case = Case {
            intermediates: &[],
            world,
            ..Case::default()
        };
        let error = case.refused(&leaf, "intermediate");
        assert_eq!(error.fault, fault, "{error}");
    }
}

fn world(arm: &Arm) -> AzureWorld {
    let arm = arm.clone();
    AzureWorld::default().page(move |request| arm.answer(request))
}

#[test]
fn the_resource_manager_says_what_machine_it_is() {
    let mut config = asking();
    config["attributeVMTagKeys"] = json!(["environment", "Owner"]);
    config["vmNamePatterns"] = json!(["spire-agent-*"]);
    config["requiredNsgNames"] = json!(["nsg-spire-nodes"]);
    let case = Case {
        config,
        world: world(&machine_in_the_cloud()),
        ..Case::default()
    };
    let claims = case.judge(&payload(&signed_by("leaf"), json!({}))).unwrap();
    assert_eq!(
        attributes(&claims)[3..],
        [
            ("azure_imds.vm.name", "spire-agent-7"),
            ("azure_imds.vm.size", "Standard_D2s_v3"),
            ("azure_imds.location", "eastus"),
            ("azure_imds.resource_group", "rg-spire-prod"),
            ("azure_imds.network_security_group", "nsg-nic"),
            ("azure_imds.network_security_group", "nsg-spire-nodes"),
            ("azure_imds.virtual_network", "vnet-prod"),
            ("azure_imds.virtual_network_subnet", "subnet-k8s-prod"),
            ("azure_imds.vm.tag.environment", "production"),
        ]
    );
}

#[test]
fn a_machines_addresses_are_asked_for_where_the_policy_looks_at_them() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    let case = |rule: &str, arm: &Arm| {
        let mut config = asking();
        config["sourceAddress"] = rule.into();
        Case {
            config,
            world: world(arm),
            ..Case::default()
        }
    };
    let arm = machine_with_addresses();
    for (rule, expected, known) in [
        ("ignore", SourceRule::Ignore, &[][..]),
        (
            "warn",
            SourceRule::Warn,
            &["10.0.0.7", "10.0.0.8", "203.0.113.9"],
        ),
        (
            "require",
            SourceRule::Require,
            &["10.0.0.7", "10.0.0.8", "203.0.113.9"],
        ),
    ] {
        let case = case(rule, &arm);
        assert_eq!(case.attestor().source_rule(), expected);
        let claims = case.judge(&leaf).unwrap();
        let found: Vec<_> = claims
            .facts
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, known, "{rule}");
    }
    // A machine without any comes from nowhere; that is the login's to say.
    let none = case("require", &machine_in_the_cloud());
    assert!(none.judge(&leaf).unwrap().facts.addresses.is_empty());
    // Nobody is asked without `useComputeAPI`.
    let mut alone = config();
    alone["sourceAddress"] = "warn".into();
    let alone = deserialize_config(AttestorKind::AZURE_IMDS, alone).unwrap();
    let error = alone.build_in(Files::beside(Path::new("/nonexistent")));
    assert_eq!(error.unwrap_err().field, "tenants[0].useComputeAPI");
}

#[test]
fn a_machine_that_azure_does_not_know_or_the_lists_keep_out_is_refused() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    let none = Case {
        config: asking(),
        world: world(&Arm::default()),
        ..Case::default()
    };
    none.refused(&leaf, "vm-not-found");
    for (list, value, check) in [
        (
            "resourceGroups",
            json!(["rg-other"]),
            "resource-group-not-allowed",
        ),
        ("vmNamePatterns", json!(["k8s-*"]), "vm-name-not-allowed"),
        ("vmSizes", json!(["Standard_B2s"]), "vm-size-not-allowed"),
        ("locations", json!(["West Europe"]), "location-not-allowed"),
        ("vnetNames", json!(["vnet-other"]), "vnet-not-allowed"),
        ("subnetNames", json!(["other"]), "subnet-not-allowed"),
        ("requiredNsgNames", json!(["nsg-other"]), "nsg-missing"),
    ] {
        let mut config = asking();
        config[list] = value;
        let case = Case {
            config,
            world: world(&machine_in_the_cloud()),
            ..Case::default()
        };
        case.refused(&leaf, check);
    }
}

/// The agent's word for its scale set is where to look, and no more.
#[test]
fn an_instance_of_a_scale_set_is_found_by_the_agents_hint() {
    let case = || Case {
        config: asking(),
        world: world(&instance_of_a_scale_set()),
        ..Case::default()
    };
    let hint = |name: &str| payload(&signed_by("leaf"), json!({"metadata": {"vmssName": name}}));
    let claims = case().judge(&hint("pool")).unwrap();
    assert!(attributes(&claims).contains(&("azure_imds.vmss.name", "pool")));
    case().refused(&payload(&signed_by("leaf"), json!({})), "vm-not-found");
    case().refused(&hint("x' or true //"), "vmss-name");
}

/// Nobody is asked for the sake of a document that does not count.
#[test]
fn a_refused_document_asks_nobody() {
    for (payload, check) in [
        (payload(&signed_by("fake"), json!({})), "signer-name"),
        (saying("nonce", json!("0")), "nonce"),
        (
            saying("subscriptionId", json!(TENANT)),
            "subscription-not-allowed",
        ),
        (
            payload(&signed_by("elsewhere"), json!({})),
            "unknown-issuer",
        ),
    ] {
        let case = Case {
            config: asking(),
            intermediates: &[],
            world: world(&machine_in_the_cloud()),
            ..Case::default()
        };
        case.refused(&payload, check);
        assert!(case.world.asked().is_empty(), "{check}");
    }
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
