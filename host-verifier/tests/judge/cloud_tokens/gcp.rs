//! `gcp_iit`: a token of the metadata server, and what a policy may ask of the instance that it names.

use std::sync::Mutex;

use assay_common::login::{Direction, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Claims, Fault, registry};
use assay_host_verifier::cloud::{CallError, CallErrorKind, Cloud, Key as Name, Known, Question};
use assay_host_verifier::outside::{
    Error, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::signer::Key;
use super::{Bench, Case, but, check, claimed, token, world};
use crate::issuers::{World, attestor};
use crate::jwt::signer::NOW;

const KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
const ACCOUNT: &str = "spire-agent@my-project-prod.iam.gserviceaccount.com";

pub(crate) struct Gcp;

impl Bench for Gcp {
    const KIND: AttestorKind = AttestorKind::GCP_IIT;

    fn config() -> Value {
        json!({"allowedProjectIDs": ["my-project-staging", "my-project-prod"]})
    }

    fn source() -> &'static str {
        KEYS
    }

    fn claims() -> Value {
        json!({
            "iss": "https://accounts.google.com",
            "aud": "urn:assay:example.org:server",
            "azp": "107517467455664443766",
            "sub": "107517467455664443766",
            "email": ACCOUNT,
            "email_verified": true,
            "iat": NOW - 10,
            "exp": NOW + 3590,
            "google": {"compute_engine": {
                "project_id": "my-project-prod",
                "project_number": 739419398126_u64,
                "zone": "us-central1-a",
                "instance_id": "2589221140676718026",
                "instance_name": "node-7",
                "instance_creation_timestamp": 1_616_000_000,
                "instance_confidentiality": 1,
                "license_id": ["1000204"],
            }},
        })
    }

    fn payload(token: &str) -> Vec<u8> {
        json!({"token": token}).to_string().into_bytes()
    }
}

mod negatives {
    crate::cloud_tokens::negatives::negatives!(super::Gcp);
}

/// The claims with another member of `google.compute_engine`; `null` takes it away.
fn engine(name: &str, value: Value) -> Value {
    let mut claims = Gcp::claims();
    let engine = claims["google"]["compute_engine"].as_object_mut().unwrap();
    match value {
        Value::Null => drop(engine.remove(name)),
        value => drop(engine.insert(name.to_owned(), value)),
    }
    claims
}

fn settings(more: Value) -> Value {
    let mut config = Gcp::config();
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    config
}

/// Judged with more settings.
fn with(more: Value, claims: &Value) -> Result<Claims, AttestError> {
    let payload = Gcp::payload(&Key::rsa().token("k1", claims));
    Case::with(Gcp::KIND, settings(more)).judge(&world::<Gcp>(), &payload)
}

fn said(claims: &Claims) -> Vec<String> {
    let attributes = claims.attributes.iter();
    attributes
        .map(|a| format!("{}={}", a.name, a.value))
        .collect()
}

#[test]
fn attributes_are_named_as_the_documents_of_the_method_name_them() {
    let claims = claimed::<Gcp>(&Gcp::claims()).unwrap();
    assert_eq!(
        said(&claims),
        [
            "gcp_iit.project_id=my-project-prod",
            "gcp_iit.project_number=739419398126",
            "gcp_iit.zone=us-central1-a",
            "gcp_iit.instance_id=2589221140676718026",
            "gcp_iit.instance_name=node-7",
            "gcp_iit.instance_creation_timestamp=1616000000",
            &format!("gcp_iit.service_account.email={ACCOUNT}"),
            "gcp_iit.service_account.id=107517467455664443766",
        ]
    );
    let identity = claims.facts.identity.as_deref();
    assert_eq!(
        identity,
        Some("projects/739419398126/instances/2589221140676718026")
    );
}

#[test]
fn google_has_two_names_and_no_third() {
    let short = but::<Gcp>("iss", "accounts.google.com".into());
    assert!(claimed::<Gcp>(&short).is_ok());
    for other in [
        "https://accounts.google.com/",
        "http://accounts.google.com",
        "google.com",
        "https://securetoken.google.com/my-project-prod",
        "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c",
    ] {
        let payload = Gcp::payload(&Key::rsa().token("k1", &but::<Gcp>("iss", other.into())));
        let told = check(Case::of::<Gcp>().judge(&NoOutside, &payload));
        assert_eq!(told, "token-issuer", "{other}");
    }
}

/// A person can get a token for any audience.
#[test]
fn a_persons_token_is_refused() {
    let mut claims = but::<Gcp>("google", Value::Null);
    claims["azp"] = "32555940559.apps.googleusercontent.com".into();
    claims["email"] = "somebody@gmail.com".into();
    assert_eq!(check(claimed::<Gcp>(&claims)), "token-google");
    // Nor with a claim of an instance, which Google would not put in.
    let azp = but::<Gcp>("azp", "32555940559.apps.googleusercontent.com".into());
    assert_eq!(check(claimed::<Gcp>(&azp)), "token-google");
    assert_eq!(
        check(claimed::<Gcp>(&but::<Gcp>("azp", Value::Null))),
        "token-google"
    );
    assert_eq!(
        check(claimed::<Gcp>(&but::<Gcp>("sub", Value::Null))),
        "token-google"
    );
    // Where tokens without an instance count, it is still no service account's.
    claims["azp"] = claims["sub"].clone();
    let told = check(with(json!({"allowNonComputeTokens": true}), &claims));
    assert_eq!(told, "token-compute-engine");
}

#[test]
fn a_token_without_an_instance_is_refused() {
    for google in [Value::Null, json!({}), json!({"other": {}})] {
        let told = check(claimed::<Gcp>(&but::<Gcp>("google", google)));
        assert_eq!(told, "token-compute-engine");
    }
    for google in [
        json!("x"),
        json!({"compute_engine": "x"}),
        json!({"compute_engine": {}}),
    ] {
        let told = check(claimed::<Gcp>(&but::<Gcp>("google", google)));
        assert_eq!(told, "token-google");
    }
    // The same name elsewhere is not it.
    let mut claims = but::<Gcp>("google", Value::Null);
    claims["compute_engine"] = Gcp::claims()["google"]["compute_engine"].clone();
    assert_eq!(check(claimed::<Gcp>(&claims)), "token-compute-engine");
}

#[test]
fn an_instances_names_are_google_s() {
    for (name, wrong) in [
        ("project_id", json!("my-project-prod/zones/z/instances/x?")),
        ("project_id", json!("..")),
        ("project_id", json!(7)),
        ("project_id", Value::Null),
        ("zone", json!("us-central1-a/../b")),
        ("zone", json!("")),
        ("zone", Value::Null),
        ("instance_name", json!("Node")),
        ("instance_name", Value::Null),
        ("instance_id", json!(2_589_221_140_676_718_026_u64)),
        ("instance_id", json!("25892211x")),
        ("instance_id", Value::Null),
        ("project_number", json!("739419398126")),
        ("project_number", json!(-1)),
        ("project_number", Value::Null),
        ("instance_creation_timestamp", json!("1616000000")),
    ] {
        let told = check(claimed::<Gcp>(&engine(name, wrong.clone())));
        assert_eq!(told, "token-google", "{name}: {wrong}");
    }
    assert!(claimed::<Gcp>(&engine("instance_creation_timestamp", Value::Null)).is_ok());
}

#[test]
fn projects_accounts_and_zones_are_restricted() {
    let claims = Gcp::claims();
    for (more, told) in [
        (json!({"allowedProjectIDs": "my-project-prod"}), None),
        (
            json!({"allowedProjectIDs": ["my-project-pro"]}),
            Some("project-not-allowed"),
        ),
        (json!({"serviceAccountWhitelist": [ACCOUNT]}), None),
        (
            json!({"serviceAccountWhitelist": ["x@my-project-prod.iam.gserviceaccount.com"]}),
            Some("service-account-not-allowed"),
        ),
        (
            json!({"zoneWhitelist": ["us-central1-b", "us-central1-a"]}),
            None,
        ),
        (
            json!({"zoneWhitelist": ["us-central1-b"]}),
            Some("zone-not-allowed"),
        ),
    ] {
        let judged = with(more.clone(), &claims).err().map(|error| error.check);
        assert_eq!(judged, told, "{more}");
    }
    let error = claimed::<Gcp>(&engine("project_id", json!("another-project"))).unwrap_err();
    assert_eq!(
        error.detail,
        "identity token project ID \"another-project\" is not in the allow list"
    );
    // An address that Google has not verified is anybody's.
    for unverified in [json!(false), Value::Null] {
        let claims = but::<Gcp>("email_verified", unverified);
        let told = check(with(json!({"serviceAccountWhitelist": [ACCOUNT]}), &claims));
        assert_eq!(told, "service-account-not-allowed");
        let proven = claimed::<Gcp>(&claims).unwrap();
        assert!(!said(&proven).iter().any(|one| one.contains("email")));
    }
}

#[test]
fn tokens_of_services_that_are_no_instances_count_where_the_policy_says_so() {
    let on = json!({"allowNonComputeTokens": true});
    let claims = but::<Gcp>("google", Value::Null);
    let proven = with(on.clone(), &claims).unwrap();
    assert_eq!(
        said(&proven),
        [
            "gcp_iit.project_id=my-project-prod",
            &format!("gcp_iit.service_account.email={ACCOUNT}"),
            "gcp_iit.service_account.id=107517467455664443766",
        ]
    );
    assert_eq!(
        proven.facts.identity.as_deref(),
        Some("serviceAccounts/107517467455664443766")
    );
    for (email, told) in [
        ("a@another.iam.gserviceaccount.com", "project-not-allowed"),
        (
            "739419398126-compute@developer.gserviceaccount.com",
            "token-compute-engine",
        ),
        (
            "a@my-project-prod.iam.gserviceaccount.com.evil.tld",
            "token-compute-engine",
        ),
        ("a@.iam.gserviceaccount.com", "token-compute-engine"),
        (
            "a@b@my-project-prod.iam.gserviceaccount.com",
            "token-compute-engine",
        ),
    ] {
        let mut claims = claims.clone();
        claims["email"] = email.into();
        assert_eq!(check(with(on.clone(), &claims)), told, "{email}");
    }
    let mut unverified = claims;
    unverified["email_verified"] = false.into();
    assert_eq!(check(with(on.clone(), &unverified)), "token-compute-engine");
    // One of an instance is judged as ever.
    assert_eq!(
        check(with(on, &engine("project_id", json!("other")))),
        "project-not-allowed"
    );
}

#[test]
fn a_lifetime_is_the_policys() {
    assert!(with(json!({"tokenLifetime": "3600s"}), &Gcp::claims()).is_ok());
    let told = check(with(json!({"tokenLifetime": "3599s"}), &Gcp::claims()));
    assert_eq!(told, "token-lifetime");
}

#[test]
fn a_token_for_a_login_is_good_for_that_login_only() {
    let mut case = Case::with(Gcp::KIND, settings(json!({"nonceInAudience": true})));
    case.transcript = Transcript::new().then(Direction::Agent, b"hello");
    assert!(case.attestor.is_fresh());
    assert_eq!(
        case.attestor.request(None).unwrap(),
        br#"{"nonceInAudience":true}"#
    );
    let world = world::<Gcp>();
    let judged = |aud: String| {
        let payload = Gcp::payload(&Key::rsa().token("k1", &but::<Gcp>("aud", aud.into())));
        case.judge(&world, &payload)
    };
    let with_nonce = |transcript: &Transcript| {
        let nonce = hex::encode(&proof_nonce(Gcp::KIND, transcript)[..16]);
        format!("urn:assay:example.org:server:{nonce}")
    };
    let own = with_nonce(&case.transcript);
    assert!(judged(own.clone()).is_ok());
    for aud in [
        "urn:assay:example.org:server".to_owned(),
        with_nonce(&Transcript::new()),
        own.to_uppercase(),
        own[..own.len() - 1].to_owned(),
        format!("{own}0"),
    ] {
        assert_eq!(check(judged(aud.clone())), "token-audience", "{aud}");
    }
    assert!(!Case::of::<Gcp>().attestor.is_fresh());
}

/// What Compute Engine says, and who asked it.
#[derive(Debug)]
struct Compute {
    world: World,
    says: Result<Value, CallErrorKind>,
    asked: Mutex<Vec<Name>>,
}

impl Compute {
    fn saying(says: Result<Value, CallErrorKind>) -> Self {
        Self {
            world: world::<Gcp>(),
            says,
            asked: Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl Fetch for Compute {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.world.fetch(request).await
    }
}

#[async_trait::async_trait]
impl Outside for Compute {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.world.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        self.world.take_join_token(digest, now).await
    }

    async fn answer(&self, question: std::sync::Arc<dyn Question>) -> Result<Known, CallError> {
        self.asked.lock().unwrap().push(question.key());
        match &self.says {
            Ok(found) => {
                let body = json!({"instance": found}).to_string().into_bytes();
                Ok(std::sync::Arc::new(Zeroizing::new(body)))
            }
            Err(kind) => Err(CallError::new("https://compute.googleapis.com", "x", *kind)),
        }
    }
}

/// What the API's answer comes to.
pub(crate) fn instance() -> Value {
    json!({
        "id": "2589221140676718026",
        "status": "RUNNING",
        "machineType": "e2-standard-2",
        "nics": [{
            "network": "projects/my-project-prod/global/networks/vpc-prod",
            "subnetwork": "projects/my-project-prod/regions/us-central1/subnetworks/subnet-k8s",
        }],
        "tags": ["spire", "k8s"],
        "labels": {"environment": "prod", "team": "platform", "spire-managed": "true", "secret": "x"},
        "metadata": {"rack": {"text": "7"}, "long": {"long": 1025}, "long-enough": {"text": "x".repeat(129)}},
    })
}

/// The lists of seed 002.
pub(crate) fn lists() -> Value {
    json!({
        "useInstanceMetadata": true,
        "instanceLabelWhitelist": {"environment": ["prod", "staging"], "team": ["platform"], "spire-managed": ["true"]},
        "machineTypeWhitelist": ["n1-standard-2", "e2-standard-2"],
        "networkWhitelist": ["projects/my-project-prod/global/networks/vpc-prod"],
        "subnetworkWhitelist": ["projects/my-project-prod/regions/us-central1/subnetworks/subnet-k8s"],
        "requiredNetworkTags": ["spire"],
        "attributeLabelKeys": ["team"],
        "attributeMetadataKeys": ["rack", "absent"],
    })
}

fn asked(more: Value, compute: &Compute, claims: &Value) -> Result<Claims, AttestError> {
    let payload = Gcp::payload(&Key::rsa().token("k1", claims));
    Case::with(Gcp::KIND, settings(more)).judge(compute, &payload)
}

fn found(instance: Value) -> Result<Claims, AttestError> {
    asked(lists(), &Compute::saying(Ok(instance)), &Gcp::claims())
}

#[test]
fn an_instance_is_asked_for_by_its_own_names() {
    let compute = Compute::saying(Ok(instance()));
    let proven = asked(lists(), &compute, &Gcp::claims()).unwrap();
    let all = said(&proven);
    assert_eq!(
        all[8..],
        [
            "gcp_iit.machine_type=e2-standard-2",
            "gcp_iit.network=projects/my-project-prod/global/networks/vpc-prod",
            "gcp_iit.subnetwork=projects/my-project-prod/regions/us-central1/subnetworks/subnet-k8s",
            "gcp_iit.network_tag=k8s",
            "gcp_iit.network_tag=spire",
            "gcp_iit.label.team=platform",
            "gcp_iit.metadata.rack=7",
        ]
    );
    let asked = compute.asked.into_inner().unwrap();
    assert_eq!(
        asked,
        [Name {
            cloud: Cloud::Gcp,
            lane: "compute/my-project-prod/us-central1-a".to_owned(),
            what: "compute.instances.get https://compute.googleapis.com node-7 absent,rack"
                .to_owned(),
        }]
    );
}

#[test]
fn an_instance_that_the_token_is_not_of_is_refused() {
    let with = |name: &str, value: Value| {
        let mut other = instance();
        other[name] = value;
        check(found(other))
    };
    // A name is given again; the token of the one before lives on for an hour.
    assert_eq!(with("id", json!("2589221140676718027")), "instance-id");
    for status in [
        "TERMINATED",
        "STOPPING",
        "SUSPENDED",
        "STAGING",
        "running",
        "",
    ] {
        assert_eq!(
            with("status", json!(status)),
            "instance-not-running",
            "{status}"
        );
    }
    assert_eq!(check(found(Value::Null)), "instance-not-found");
}

#[test]
fn each_list_of_the_instance_counts() {
    let with = |name: &str, value: Value| {
        let mut other = instance();
        other[name] = value;
        check(found(other))
    };
    let nic = |network: &str, subnetwork: &str| {
        json!({"network": format!("projects/my-project-prod/global/networks/{network}"),
            "subnetwork": format!("projects/my-project-prod/regions/us-central1/subnetworks/{subnetwork}")})
    };
    let own = nic("vpc-prod", "subnet-k8s");
    assert_eq!(
        with(
            "labels",
            json!({"environment": "dev", "team": "platform", "spire-managed": "true"})
        ),
        "label"
    );
    assert_eq!(
        with("labels", json!({"environment": "prod", "team": "platform"})),
        "label"
    );
    assert_eq!(
        with("machineType", json!("n1-standard-4")),
        "machine-type-not-allowed"
    );
    assert_eq!(
        with("nics", json!([nic("other", "subnet-k8s")])),
        "network-not-allowed"
    );
    assert_eq!(
        with("nics", json!([nic("vpc-prod", "other")])),
        "subnetwork-not-allowed"
    );
    // Every interface, not any.
    assert_eq!(
        with("nics", json!([own, nic("other", "subnet-k8s")])),
        "network-not-allowed"
    );
    assert_eq!(with("nics", json!([])), "network-not-allowed");
    assert_eq!(with("tags", json!(["k8s"])), "network-tag");
}

#[test]
fn metadata_that_are_too_long_refuse_the_login() {
    let keys = |keys: Value, size: usize| {
        let more = json!({"useInstanceMetadata": true, "attributeMetadataKeys": keys, "maxMetadataValueSize": size});
        asked(more, &Compute::saying(Ok(instance())), &Gcp::claims())
    };
    assert!(keys(json!(["long-enough"]), 129).is_ok());
    let error = keys(json!(["long-enough"]), 128).unwrap_err();
    assert_eq!(
        error.detail,
        "metadata \"long-enough\" exceeded value limit (129 > 128)"
    );
    let error = keys(json!(["long"]), 1024).unwrap_err();
    assert_eq!(
        error.detail,
        "metadata \"long\" exceeded value limit (1025 > 1024)"
    );
}

/// Before the API is asked, or it would be asked for whoever comes.
#[test]
fn nobody_asks_for_the_instance_of_a_token_that_is_refused() {
    for claims in [
        engine("project_id", json!("another-project")),
        but::<Gcp>("exp", (NOW - 1000).into()),
        but::<Gcp>("aud", "urn:other".into()),
    ] {
        let compute = Compute::saying(Ok(instance()));
        drop(asked(lists(), &compute, &claims).unwrap_err());
        assert!(compute.asked.into_inner().unwrap().is_empty());
    }
    let compute = Compute::saying(Ok(instance()));
    let forged = Gcp::payload(&Key::other().token("k1", &Gcp::claims()));
    let told = Case::with(Gcp::KIND, settings(lists())).judge(&compute, &forged);
    assert_eq!(check(told), "token-signature");
    assert!(compute.asked.into_inner().unwrap().is_empty());
}

#[test]
fn what_the_api_does_not_answer_lets_nobody_in() {
    for (kind, fault) in [
        (
            CallErrorKind::Throttled { retry_after: None },
            Fault::Unavailable,
        ),
        (CallErrorKind::Failed, Fault::Unavailable),
        (CallErrorKind::Deadline, Fault::Unavailable),
        (CallErrorKind::Denied, Fault::Misconfigured),
        (CallErrorKind::Refused, Fault::Misconfigured),
        (CallErrorKind::Content("x"), Fault::Unavailable),
    ] {
        let error = asked(lists(), &Compute::saying(Err(kind)), &Gcp::claims()).unwrap_err();
        assert_eq!((error.fault, error.check), (fault, "instance"), "{kind}");
        let text = "failed to fetch instance metadata: ";
        assert!(error.detail.starts_with(text), "{error}");
    }
}

#[test]
fn settings_that_could_let_nobody_or_anybody_in_are_refused() {
    let field = |more: Value| match registry::deserialize_config(Gcp::KIND, settings(more.clone()))
    {
        Err(_) => "unreadable".to_owned(),
        Ok(_) => match attestor(Gcp::KIND, settings(more)) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.field,
        },
    };
    assert_eq!(field(json!({})), "accepted");
    assert_eq!(field(lists()), "accepted");
    for (more, expected) in [
        (json!({"allowedProjectIDs": []}), "unreadable"),
        (json!({"allowedProjectIDs": null}), "unreadable"),
        (
            json!({"allowedProjectIDs": ["739419398126"]}),
            "allowedProjectIDs[0]",
        ),
        (json!({"audience": []}), "unreadable"),
        (json!({"audience": "x".repeat(257)}), "audience"),
        (
            json!({"serviceAccountWhitelist": ["spire-agent"]}),
            "serviceAccountWhitelist[0]",
        ),
        (
            json!({"zoneWhitelist": ["us-central1"]}),
            "zoneWhitelist[0]",
        ),
        (
            json!({"useInstanceMetadata": true, "networkWhitelist": ["vpc-prod"]}),
            "networkWhitelist[0]",
        ),
        (
            json!({"useInstanceMetadata": true, "subnetworkWhitelist": ["projects/p/global/networks/n"]}),
            "subnetworkWhitelist[0]",
        ),
        (
            json!({"useInstanceMetadata": true, "machineTypeWhitelist": ["zones/z/machineTypes/m"]}),
            "machineTypeWhitelist[0]",
        ),
        (
            json!({"useInstanceMetadata": true, "attributeLabelKeys": ["a b"]}),
            "attributeLabelKeys[0]",
        ),
        (
            json!({"useInstanceMetadata": true, "attributeMetadataKeys": ["a", "a"]}),
            "attributeMetadataKeys[1]",
        ),
        (
            json!({"useInstanceMetadata": true, "maxMetadataValueSize": 1025}),
            "maxMetadataValueSize",
        ),
        (
            json!({"instanceLabelWhitelist": {"a": "b"}}),
            "instanceLabelWhitelist",
        ),
        (
            json!({"machineTypeWhitelist": ["m"]}),
            "machineTypeWhitelist",
        ),
        (json!({"attributeLabelKeys": ["a"]}), "attributeLabelKeys"),
        (json!({"maxMetadataValueSize": 10}), "maxMetadataValueSize"),
        (json!({"allowNonComputeTokens": true}), "accepted"),
        (
            json!({"allowNonComputeTokens": true, "zoneWhitelist": ["us-central1-a"]}),
            "zoneWhitelist",
        ),
        (
            json!({"allowNonComputeTokens": true, "useInstanceMetadata": true}),
            "useInstanceMetadata",
        ),
        (json!({"allowNonComputeTokens": true, "tofu": true}), "tofu"),
        (json!({"tokenLifetime": "2h"}), "tokenLifetime"),
        (json!({"maxTokenAge": "0s"}), "maxTokenAge"),
        (json!({"clockSkew": "61s"}), "clockSkew"),
        (json!({"projectid_whitelist": ["p"]}), "unreadable"),
        (json!({"serviceAccountFile": "/etc/key.json"}), "unreadable"),
        (
            json!({"computeEndpoint": "https://evil.example"}),
            "unreadable",
        ),
    ] {
        assert_eq!(field(more.clone()), expected, "{more}");
    }
    assert!(
        registry::deserialize_config(Gcp::KIND, json!({})).is_err(),
        "a project is required"
    );
}

#[test]
fn the_payload_is_one_member_and_nothing_else() {
    let good = Key::rsa().token("k1", &Gcp::claims());
    assert!(token::<Gcp>(&good).is_ok());
    let case = Case::of::<Gcp>();
    for payload in [
        good.clone(),
        "{}".to_owned(),
        json!({"token": good, "x": 1}).to_string(),
        format!(r#"{{"token":"{good}","token":"{good}"}}"#),
    ] {
        let error = case.judge(&world::<Gcp>(), payload.as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::Malformed);
    }
}
