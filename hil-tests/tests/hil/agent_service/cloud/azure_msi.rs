//! A virtual machine of Azure that logs in by the token of its managed identity.

use std::sync::Arc;

use assay_cloud_standins::azure::{Authority, Azure, Machine};
use assay_cloud_standins::issuer::Issuer;
use serde_json::{Value, json};

use super::super::site::Site;
use super::{attestor, attributes, logs_in, more, policy, refused, told};

#[test]
fn a_managed_identity_logs_in_by_its_token() {
    let signer = Azure::signer().unwrap();
    let issuer = Issuer::start(vec![signer.jwk()]).unwrap();
    let url = format!("{}/{}", issuer.server().url(), Machine::default().tenant);
    let machine = Machine {
        issuer: Some(url.clone()),
        ..Machine::default()
    };
    let principal = machine.principal.clone().unwrap();
    let config = json!({
        "tenants": [{"tenantID": machine.tenant, "principalID": principal, "issuerURL": url}],
    });
    let clouds = json!({"azure": {"tokenIssuers": [url], "caCerts": issuer.authority()}});
    let template = "/azure/{{azure_msi.tenant.id}}/{{azure_msi.identity.principal_id}}";
    let site = Site::set_up_with(&policy("azure_msi", &config), &more(template, &clouds));
    let authority = Arc::new(Authority::new().unwrap());
    let azure = Azure::start(machine.clone(), authority, signer).unwrap();
    let offers = |more: Value| attestor("azure_msi", &azure.server().url(), &more);
    let assayd = site.start(&[]);
    let id = format!("spiffe://example.org/azure/{}/{principal}", machine.tenant);
    logs_in(
        &site,
        &assayd,
        &offers(json!({"tenantId": machine.tenant})),
        "azure_msi",
        &id,
    );
    attributes(
        &assayd,
        &[
            "azure_msi.tenant.id",
            "azure_msi.identity.principal_id",
            &principal,
        ],
    );
    refused(
        &site,
        &assayd,
        &offers(json!({"audience": "https://management.azure.com/"})),
        "token-audience",
    );
    let nobody = json!({"audience": "api://a", "clientId": "00000000-2222-3333-4444-555555555555"});
    told(
        &site,
        &offers(nobody),
        "Identity not found",
        "az vm identity assign",
    );
}
