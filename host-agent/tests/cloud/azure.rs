//! `azure_imds` and `azure_msi` on a virtual machine of Azure.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use assay_cloud_standins::azure::{Authority, Azure, Machine};
use assay_cloud_standins::server::Reply;
use assay_common::policy::AttestorKind;
use assay_host_agent::finding::Level;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{claims, fails, method, nonce, proven};
use assay_host_agent::method::Method;

const AUDIENCE: &str = "api://3f9c1b7e-0c6e-4d0e-9d55-1f2c6f1a7b01/defakto-server";

fn start(machine: Machine) -> (Arc<Authority>, Azure) {
    let authority = Arc::new(Authority::new().unwrap());
    let azure = Azure::start(machine, authority.clone(), Azure::signer().unwrap()).unwrap();
    (authority, azure)
}

fn on(azure: &Azure, kind: AttestorKind, mut config: Value) -> Box<dyn Method> {
    config["metadataEndpoint"] = azure.server().url().into();
    method(kind, config)
}

fn imds(azure: &Azure, config: Value) -> Box<dyn Method> {
    on(azure, AttestorKind::AZURE_IMDS, config)
}

fn msi(azure: &Azure, config: Value) -> Box<dyn Method> {
    on(azure, AttestorKind::AZURE_MSI, config)
}

#[test]
fn the_document_has_the_logins_nonce_and_is_in_azures_form() {
    let machine = Machine {
        scale_set: "pool".to_owned(),
        ..Machine::default()
    };
    let (authority, azure) = start(machine);
    let payload = proven(&mut *imds(
        &azure,
        json!({"agentDomain": "example.onmicrosoft.com"}),
    ));
    assert_eq!(payload.as_object().unwrap().len(), 2);
    assert_eq!(
        payload["metadata"],
        json!({"agentDomain": "example.onmicrosoft.com", "vmssName": "pool"})
    );
    assert_eq!(payload["document"]["encoding"], "pkcs7");
    let der = STANDARD
        .decode(payload["document"]["signature"].as_str().unwrap())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("der"), der).unwrap();
    let verified = Command::new("openssl")
        .args([
            "smime",
            "-verify",
            "-inform",
            "DER",
            "-in",
            "der",
            "-noverify",
            "-binary",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(document["nonce"], nonce());
    // Chained as Azure's is.
    let chained = Command::new("openssl")
        .args(["verify", "-CAfile"])
        .arg(authority.file("root.pem"))
        .arg("-untrusted")
        .args([
            authority.file("intermediate.pem"),
            authority.file("leaf.pem"),
        ])
        .output()
        .unwrap();
    assert!(chained.status.success(), "{chained:?}");
    // A machine of its own: no hints.
    let (_authority, azure) = start(Machine::default());
    assert_eq!(proven(&mut *imds(&azure, json!({})))["metadata"], json!({}));
}

#[test]
fn intermediates_travel_where_the_settings_name_them() {
    let (authority, azure) = start(Machine::default());
    let config = json!({"intermediates": authority.file("intermediate.pem")});
    let payload = proven(&mut *imds(&azure, config));
    let sent = payload["certificates"].as_array().unwrap();
    assert_eq!(sent.len(), 1);
    let der = STANDARD.decode(sent[0].as_str().unwrap()).unwrap();
    let pem = fs::read_to_string(authority.file("intermediate.pem")).unwrap();
    assert!(pem.replace('\n', "").contains(&STANDARD.encode(der)));
    // What is wrong with the file is said before anybody is asked.
    let before = azure.server().seen().len();
    let absent = imds(&azure, json!({"intermediates": "/nonexistent"})).begin();
    assert!(absent.unwrap_err().what.contains("/nonexistent"));
    assert_eq!(azure.server().seen().len(), before);
}

#[test]
fn a_document_with_another_logins_nonce_is_asked_for_again_and_never_sent() {
    let (_authority, azure) = start(Machine::default());
    azure.answer_stale(2);
    proven(&mut *imds(&azure, json!({})));
    let documents = azure.server().seen();
    let documents = documents
        .iter()
        .filter(|one| one.path().ends_with("/document"));
    assert_eq!(documents.count(), 3);
    azure.answer_stale(usize::MAX);
    fails(
        &mut *imds(&azure, json!({})),
        "has another nonce than was asked for",
        "imitates the service",
    );
}

#[test]
fn a_service_that_is_away_is_waited_for() {
    let (_authority, azure) = start(Machine::default());
    let gone = || Reply::json(410, &json!({"error": "Gone"}));
    // More often than the settings say for anything else.
    azure.server().next([gone(), gone(), gone(), gone()]);
    proven(&mut *imds(&azure, json!({"maxRetries": 0})));
    azure
        .server()
        .next([Reply::json(429, &json!({"error": "Too many requests"}))]);
    fails(
        &mut *imds(&azure, json!({"maxRetries": 0})),
        "HTTP 429",
        "five a second",
    );
    azure.server().next([Reply::json(400, &json!({"error": "Bad request", "error_description": "Required metadata header not specified"}))]);
    fails(
        &mut *imds(&azure, json!({})),
        "Required metadata header",
        "without a proxy",
    );
}

#[test]
fn what_is_no_signed_document_does_not_travel() {
    let (_authority, azure) = start(Machine::default());
    for other in [
        json!({}),
        json!({"encoding": "cms", "signature": "AAAA"}),
        json!({"encoding": "pkcs7", "signature": ""}),
        json!({"encoding": "pkcs7", "signature": "A!"}),
        json!([]),
    ] {
        azure.server().next([Reply::json(200, &other)]);
        fails(
            &mut *imds(&azure, json!({})),
            "is no signed document",
            "in the service's place",
        );
    }
}

#[test]
fn a_managed_identitys_token_is_for_the_verifiers_application() {
    let machine = Machine {
        user_assigned: Some((
            "11111111-2222-3333-4444-555555555555".to_owned(),
            "66666666-7777-8888-9999-000000000000".to_owned(),
        )),
        ..Machine::default()
    };
    let tenant = machine.tenant.clone();
    let principal = machine.principal.clone().unwrap();
    let (_authority, azure) = start(machine);
    let of = |config: Value| {
        let payload = proven(&mut *msi(&azure, config));
        assert_eq!(payload.as_object().unwrap().len(), 1);
        claims(payload["token"].as_str().unwrap())
    };
    let said = of(json!({"tenantId": tenant.to_uppercase()}));
    assert_eq!(
        (&said["aud"], &said["oid"]),
        (&AUDIENCE.into(), &principal.into())
    );
    for config in [
        json!({"audience": "api://a", "clientId": "11111111-2222-3333-4444-555555555555"}),
        json!({"audience": "api://a", "objectId": "66666666-7777-8888-9999-000000000000"}),
    ] {
        let said = of(config);
        assert_eq!(said["aud"], "api://a");
        assert_eq!(said["oid"], "66666666-7777-8888-9999-000000000000");
    }
    let other = json!({"audience": "api://a", "clientId": "00000000-2222-3333-4444-555555555555"});
    fails(
        &mut *msi(&azure, other),
        "Identity not found",
        "az vm identity assign",
    );
}

#[test]
fn refusals_of_the_identity_service_have_their_mends() {
    let (_authority, azure) = start(Machine::default());
    let config = json!({"audience": "api://a"});
    for (error, description, hint) in [
        (
            "invalid_resource",
            "AADSTS500011: The resource principal named api://a was not found",
            "az ad app create",
        ),
        (
            "invalid_request",
            "Multiple user assigned identities exist",
            "by `clientId`",
        ),
    ] {
        let body = json!({"error": error, "error_description": description});
        azure.server().next([Reply::json(400, &body)]);
        fails(&mut *msi(&azure, config.clone()), error, hint);
    }
    azure
        .server()
        .next([Reply::json(200, &json!({"access_token": "hunter2"}))]);
    let error = super::prove(&mut *msi(&azure, config), b"").unwrap_err();
    assert!(
        error.what.contains("no token") && !error.what.contains("hunter2"),
        "{error:?}"
    );
}

#[test]
fn show_asks_nobody_and_doctor_says_which_machine_it_is() {
    let (_authority, azure) = start(Machine::default());
    let (imds, msi) = (
        imds(&azure, json!({})),
        msi(&azure, json!({"audience": "api://a"})),
    );
    let shown = format!("{:?}{:?}", imds.show().unwrap(), msi.show().unwrap());
    assert!(
        shown.contains("attested document") && shown.contains("api://a"),
        "{shown}"
    );
    assert!(azure.server().seen().is_empty());
    let found = [imds.doctor(), msi.doctor()].concat();
    assert!(found.iter().all(|one| one.level == Level::Ok), "{found:?}");
    let machine = Machine::default();
    for told in [&machine.id, &machine.subscription, &machine.tenant] {
        assert!(
            found.iter().any(|one| one.seen.contains(told)),
            "{told}: {found:?}"
        );
    }
}
