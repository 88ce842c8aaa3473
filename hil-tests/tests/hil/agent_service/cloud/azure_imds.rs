//! A virtual machine of Azure that logs in by its attested document.

use std::sync::Arc;

use assay_cloud_standins::azure::{Authority, Azure, Machine};
use serde_json::{Value, json};

use super::super::site::Site;
use super::{attestor, attributes, logs_in, more, policy, refused, told};

/// A machine, and a verifier that takes documents of this authority.
fn imds(authority: &Authority, config: &Value) -> (Site, Machine) {
    let machine = Machine::default();
    let clouds = json!({"azure": {
        "roots": [authority.file("root.pem")],
        "intermediates": [authority.file("intermediate.pem")],
        "fetchIntermediates": false,
    }});
    let template =
        "/azure/{{azure_imds.tenant.id}}/{{azure_imds.subscription.id}}/{{azure_imds.vm.id}}";
    let site = Site::set_up_with(&policy("azure_imds", config), &more(template, &clouds));
    (site, machine)
}

fn tenants(machine: &Machine) -> Value {
    json!({"tenants": [{"tenantID": machine.tenant, "subscriptionIDs": [machine.subscription]}]})
}

#[test]
fn a_machine_logs_in_by_its_attested_document() {
    let authority = Arc::new(Authority::new().unwrap());
    let (site, machine) = imds(&authority, &tenants(&Machine::default()));
    let azure = Azure::start(machine.clone(), authority, Azure::signer().unwrap()).unwrap();
    let offers = attestor(
        "azure_imds",
        &azure.server().url(),
        &json!({"retryDelay": "1ms"}),
    );
    let assayd = site.start(&[]);
    let id = format!(
        "spiffe://example.org/azure/{}/{}/{}",
        machine.tenant, machine.subscription, machine.id
    );
    logs_in(&site, &assayd, &offers, "azure_imds", &id);
    attributes(
        &assayd,
        &[
            "azure_imds.tenant.id",
            &machine.tenant,
            "azure_imds.vm.id",
            &machine.id,
        ],
    );
    // An earlier login's document, as of a cache: asked for again, and never sent.
    azure.answer_stale(2);
    logs_in(&site, &assayd, &offers, "azure_imds", &id);
    azure.answer_stale(usize::MAX);
    told(
        &site,
        &offers,
        "has another nonce than was asked for",
        "asks again by itself",
    );
}

#[test]
fn a_document_of_another_authority_or_subscription_lets_nobody_in() {
    let (authority, other) = (
        Authority::new().unwrap(),
        Arc::new(Authority::new().unwrap()),
    );
    let (site, machine) = imds(&authority, &tenants(&Machine::default()));
    let azure = Azure::start(machine, other, Azure::signer().unwrap()).unwrap();
    let offers = attestor("azure_imds", &azure.server().url(), &json!({}));
    let assayd = site.start(&[]);
    // Its names are the same; its keys are not.
    refused(&site, &assayd, &offers, "bad-signature");
    let stranger = Machine {
        subscription: "00000000-5b0e-4f2a-8a3c-0d9e6b7c4a02".to_owned(),
        ..Machine::default()
    };
    let azure = Azure::start(stranger, Arc::new(authority), Azure::signer().unwrap()).unwrap();
    let offers = attestor("azure_imds", &azure.server().url(), &json!({}));
    refused(&site, &assayd, &offers, "subscription-not-allowed");
}
