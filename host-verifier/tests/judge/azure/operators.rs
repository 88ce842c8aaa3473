//! What the operator of the service says of Azure, and a policy cannot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::ConfigError;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::cloud::azure::{Credentials, Environment, Proof};
use assay_host_verifier::cloud::{Clouds, TokenIssuers};
use assay_host_verifier::document::{Files, Provided};
use serde_json::{Value, json};

use super::entra::{PRINCIPAL, SUBSCRIPTION, TENANT};
use super::machines::guid;

/// What a policy is told by a service with these settings.
fn told(kind: AttestorKind, config: Value, clouds: Clouds) -> Result<(), ConfigError> {
    let provided = Provided {
        clouds: Arc::new(clouds),
        ..Provided::default()
    };
    let config = deserialize_config(kind, config).unwrap();
    let files = Files::beside(Path::new("/nonexistent")).provided_by(&provided);
    config.build_in(files).map(drop)
}

/// A service with credentials for the tenant in one of the Azures.
fn in_environment(environment: Environment) -> Clouds {
    let mut clouds = Clouds::default();
    let credentials = Credentials {
        environment,
        client_id: None,
        proof: Proof::ManagedIdentity,
    };
    clouds.azure.tenants = BTreeMap::from([(guid(TENANT), Arc::new(credentials))]);
    clouds
}

#[test]
fn a_policy_does_not_choose_which_azure_a_tenants_credentials_are_shown_to() {
    let policies = [
        (
            AttestorKind::AZURE_MSI,
            json!({"tenants": [{"tenantID": TENANT, "principalID": PRINCIPAL}]}),
        ),
        (
            AttestorKind::AZURE_IMDS,
            json!({"tenants": [{"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION], "useComputeAPI": true}]}),
        ),
    ];
    for (kind, config) in policies {
        let with = |environment: &str| {
            let mut config = config.clone();
            config["azureEnvironment"] = environment.into();
            config
        };
        let china = in_environment(Environment::China);
        assert_eq!(told(kind, with("AzureChinaCloud"), china.clone()), Ok(()));
        for other in ["AzurePublicCloud", "AzureGovernmentCloud"] {
            let error = told(kind, with(other), china.clone()).unwrap_err();
            assert_eq!(error.field, "azureEnvironment", "{kind}");
            let hint = error.hint.unwrap();
            assert!(hint.contains("azureEnvironment: AzureChinaCloud"), "{hint}");
            assert!(hint.contains("clouds.azure.tenants"), "{hint}");
        }
        let public = in_environment(Environment::Public);
        assert_eq!(told(kind, config.clone(), public), Ok(()), "the default");
    }
}

#[test]
fn a_policy_names_no_issuer_that_is_neither_entras_nor_the_operators() {
    let named = |issuer: &str, environment: &str| {
        json!({
            "tenants": [{"tenantID": TENANT, "principalID": PRINCIPAL, "issuerURL": issuer}],
            "azureEnvironment": environment,
        })
    };
    let msi = |issuer: &str, environment: &str, clouds: Clouds| {
        told(AttestorKind::AZURE_MSI, named(issuer, environment), clouds)
    };
    let public = "AzurePublicCloud";
    for own in [
        format!("https://sts.windows.net/{TENANT}/"),
        format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
    ] {
        assert_eq!(msi(&own, public, Clouds::default()), Ok(()), "{own}");
    }
    let other = "https://entra.example.org/t";
    for theirs in [
        other.to_owned(),
        // Another tenant's, another Azure's, and one that is Entra's but for a slash.
        format!("https://sts.windows.net/{SUBSCRIPTION}/"),
        format!("https://login.microsoftonline.us/{TENANT}/v2.0"),
        format!("https://sts.windows.net/{TENANT}"),
    ] {
        let error = msi(&theirs, public, Clouds::default()).unwrap_err();
        assert_eq!(error.field, "tenants[0].issuerURL", "{theirs}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("clouds.azure.tokenIssuers"), "{hint}");
    }
    let mut listing = Clouds::default();
    listing.azure.token_issuers = TokenIssuers::Listed([other.to_owned()].into());
    assert_eq!(msi(other, public, listing.clone()), Ok(()));
    assert!(msi("https://entra.example.org/u", public, listing).is_err());
}

/// Who vouches for an issuer's web server, and that it may be a private one, is the operator's to say too.
#[test]
fn a_policy_has_no_authorities_of_its_own() {
    for field in ["caCerts", "allowPrivateAddresses"] {
        let mut config = json!({"tenants": [{"tenantID": TENANT, "principalID": PRINCIPAL}]});
        config[field] = true.into();
        let error = deserialize_config(AttestorKind::AZURE_MSI, config).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}
