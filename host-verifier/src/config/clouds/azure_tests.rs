#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cloud::azure::{Environment, Guid, Proof, Settings};
use crate::config::Config;

const TENANT: &str = "12345678-1234-1234-1234-123456789012";
const CLIENT: &str = "7d5a0f0a-2b7e-4f4b-a3e0-0d6a0d8f6f11";

fn read(azure: &str) -> Result<Settings, String> {
    let indented: String = azure.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("trustDomain: example.org\ndataDir: data\nclouds:\n  azure:\n{indented}");
    let config = Config::parse("assayd.yaml", &text, Path::new("/etc/assay"));
    config
        .map(|config| config.clouds.azure.clone())
        .map_err(|error| format!("{error:#} {error:?}"))
}

/// One tenant, with these fields besides.
fn tenant(fields: &str) -> Result<Settings, String> {
    read(&format!("tenants: [{{tenantID: {TENANT}{fields}}}]"))
}

#[test]
fn all_of_it_is_read() {
    let settings = read(&format!(
        "tenants: [{{tenantID: {TENANT}, environment: AzureChinaCloud, clientID: {CLIENT}, clientSecretFile: azure.secret}}]
tokenIssuers: [\"https://entra.example.org/t\"]
endpoints: {{login: \"https://login.example.org/\", resourceManager: \"https://10.0.0.1:8443\"}}
fetchIntermediates: false
cacheTtl: 5m"
    ))
    .unwrap();
    let tenant = Guid::parse(TENANT).unwrap();
    assert_eq!(settings.tenants[&tenant].environment, Environment::China);
    assert!(settings.token_issuers.allow("https://entra.example.org/t"));
    assert!(!settings.token_issuers.allow("https://entra.example.org/"));
    let endpoints = &settings.endpoints;
    assert_eq!(
        endpoints.login.as_deref(),
        Some("https://login.example.org")
    );
    assert_eq!(
        endpoints.resource_manager.as_deref(),
        Some("https://10.0.0.1:8443")
    );
    assert!(!settings.fetch_intermediates);
    assert_eq!(settings.kept, Duration::from_secs(300));
}

/// Each way for an application to show that it is one, and nothing that is none or several.
#[test]
fn an_application_shows_who_it_is_in_one_way() {
    let path = |name: &str| PathBuf::from("/etc/assay").join(name);
    let client = format!(", clientID: {CLIENT}");
    for (fields, expected, has_client) in [
        (
            format!("{client}, clientSecretFile: s"),
            Proof::Secret(path("s")),
            true,
        ),
        (
            format!("{client}, federatedTokenFile: /run/token"),
            Proof::Assertion("/run/token".into()),
            true,
        ),
        (
            ", managedIdentity: true".to_owned(),
            Proof::ManagedIdentity,
            false,
        ),
        (
            format!("{client}, managedIdentity: true"),
            Proof::ManagedIdentity,
            true,
        ),
    ] {
        let settings = tenant(&fields).unwrap();
        let credentials = settings.tenants.values().next().unwrap();
        assert_eq!(credentials.proof, expected, "{fields}");
        assert_eq!(credentials.client_id.is_some(), has_client, "{fields}");
        assert_eq!(credentials.environment, Environment::Public, "{fields}");
    }
    for (fields, told) in [
        (client.clone(), "has no credentials"),
        (
            format!("{client}, clientSecretFile: s, federatedTokenFile: t"),
            "has several credentials",
        ),
        (
            format!("{client}, clientSecretFile: s, managedIdentity: true"),
            "has several credentials",
        ),
        (
            format!("{client}, federatedTokenFile: \"\""),
            "names no file",
        ),
        (", clientSecretFile: s".to_owned(), "has no `clientID`"),
        (", federatedTokenFile: t".to_owned(), "has no `clientID`"),
    ] {
        let error = tenant(&fields).unwrap_err();
        assert!(error.contains(told), "{fields}: {error}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (text, told) in [
        (
            format!(
                "tenants: [{{tenantID: {TENANT}, managedIdentity: true, environment: AzureGermanCloud}}]"
            ),
            "AzureGermanCloud",
        ),
        (
            format!(
                "tenants: [{{tenantID: {TENANT}, managedIdentity: true}}, {{tenantID: {TENANT}, managedIdentity: true}}]"
            ),
            "is there twice",
        ),
        (
            "tokenIssuers: [\"http://a.example\"]".to_owned(),
            "tokenIssuers[0]",
        ),
        (
            "tokenIssuers: [\"https://a.example/?b\"]".to_owned(),
            "tokenIssuers[0]",
        ),
        (
            "tokenIssuers: [\"https://a.example\", \"https://a.example\"]".to_owned(),
            "tokenIssuers[1]: it is there twice",
        ),
        (
            "endpoints: {login: \"https://a.example/b\"}".to_owned(),
            "is no https origin",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(told), "{text}: {error}");
    }
}

/// A policy that has the tenant elsewhere does not have its credentials shown there.
#[test]
fn a_tenants_credentials_are_for_its_own_azure() {
    let settings = tenant(", managedIdentity: true, environment: AzureGovernmentCloud").unwrap();
    let id = Guid::parse(TENANT).unwrap();
    let access = settings.access(&id, Environment::Government).unwrap();
    assert!(access.credentials.is_some());
    for other in [Environment::Public, Environment::China] {
        let refused = settings.access(&id, other).unwrap_err();
        assert_eq!(
            (refused.asked, refused.own),
            (other, Environment::Government)
        );
    }
    // Of a tenant without credentials nothing can be shown to anybody.
    let stranger = Guid::parse(CLIENT).unwrap();
    let access = settings.access(&stranger, Environment::China).unwrap();
    assert!(access.credentials.is_none());
}
