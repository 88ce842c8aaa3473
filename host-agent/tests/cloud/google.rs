//! `gcp_iit` on an instance of Compute Engine.

use assay_cloud_standins::ec2::{Authority, Ec2, Mode};
use assay_cloud_standins::google::{Google, Instance};
use assay_cloud_standins::{azure, ec2};
use assay_common::policy::AttestorKind;
use assay_host_agent::finding::Level;
use serde_json::{Value, json};

use super::{claims, fails, method, nonce, prove, proven};
use assay_host_agent::method::Method;

fn iit(google: &Google, mut config: Value) -> Box<dyn Method> {
    config["metadataEndpoint"] = google.server().url().into();
    method(AttestorKind::GCP_IIT, config)
}

#[test]
fn the_token_is_for_the_trust_domains_verifier_and_says_which_instance_it_is() {
    let google = Google::start(Instance::default()).unwrap();
    let payload = proven(&mut *iit(&google, json!({})));
    assert_eq!(payload.as_object().unwrap().len(), 1);
    let said = claims(payload["token"].as_str().unwrap());
    assert_eq!(said["aud"], "urn:assay:example.org:server");
    assert_eq!(said["google"]["compute_engine"]["instance_name"], "node-7");
    assert!(said["google"]["compute_engine"]["license_id"].is_null());
    let seen = google.server().seen();
    assert_eq!(
        seen[0].path(),
        "/computeMetadata/v1/instance/service-accounts/default/identity"
    );
    // As the settings say.
    let account = Instance::default().account.unwrap();
    let config = json!({"audience": "api://a b?&=/é".replace(' ', "+"), "serviceAccount": account, "licenses": true});
    let payload = proven(&mut *iit(&google, config));
    let said = claims(payload["token"].as_str().unwrap());
    assert_eq!(said["aud"], "api://a+b?&=/é");
    assert!(said["google"]["compute_engine"]["license_id"].is_array());
}

#[test]
fn the_logins_nonce_is_in_the_audience_when_the_verifier_asks_for_it() {
    let google = Google::start(Instance::default()).unwrap();
    let mut iit = iit(&google, json!({}));
    let payload = prove(&mut *iit, br#"{"nonceInAudience":true}"#).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    let said = claims(payload["token"].as_str().unwrap());
    assert_eq!(
        said["aud"],
        format!("urn:assay:example.org:server:{}", nonce())
    );
    let strange = prove(&mut *iit, br#"{"nonceInTags":true}"#).unwrap_err();
    assert_eq!(strange.hint, "upgrade the agent");
}

#[test]
fn an_instance_without_its_service_account_says_so() {
    let instance = Instance {
        account: None,
        ..Instance::default()
    };
    let google = Google::start(instance).unwrap();
    let mut none = iit(&google, json!({}));
    fails(
        &mut *none,
        "the instance has no service account `default`",
        "attach one",
    );
    assert_eq!(none.doctor()[0].level, Level::Fail);
}

#[test]
fn show_asks_nobody_and_doctor_says_whose_token_it_is() {
    let google = Google::start(Instance::default()).unwrap();
    let iit = iit(&google, json!({}));
    let shown = format!("{:?}", iit.show().unwrap());
    assert!(shown.contains("urn:assay:example.org:server"), "{shown}");
    assert!(google.server().seen().is_empty());
    let found = iit.doctor();
    assert_eq!(found[0].level, Level::Ok);
    assert!(
        found[0]
            .seen
            .contains("agent@assay-lab.iam.gserviceaccount.com"),
        "{found:?}"
    );
}

#[test]
fn another_cloud_is_told_by_name() {
    let authority = Authority::new().unwrap();
    let ec2 = Ec2::start(Mode::V2, ec2::Instance::default(), &authority).unwrap();
    let config = json!({"metadataEndpoint": ec2.server().url()});
    let mut on_aws = method(AttestorKind::GCP_IIT, config);
    fails(
        &mut *on_aws,
        "this is AWS and not Google Cloud",
        "`aws_iid` and `aws_token`",
    );
    let authority = azure::Authority::new().unwrap().into();
    let signer = azure::Azure::signer().unwrap();
    let azure = azure::Azure::start(azure::Machine::default(), authority, signer).unwrap();
    let config = json!({"metadataEndpoint": azure.server().url()});
    let mut on_azure = method(AttestorKind::GCP_IIT, config);
    fails(
        &mut *on_azure,
        "this is Azure and not Google Cloud",
        "`azure_imds` and `azure_msi`",
    );
}
