//! What the resource manager says of the machine of a document.

use std::path::Path;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::source::SourceRule;
use assay_host_verifier::document::Files;
use serde_json::json;

use super::super::arm::{
    Arm, instance_of_a_scale_set, machine_in_the_cloud, machine_with_addresses,
};
use super::super::entra::TENANT;
use super::super::world::AzureWorld;
use super::{Case, asking, attributes, config, payload, saying, signed_by};

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
