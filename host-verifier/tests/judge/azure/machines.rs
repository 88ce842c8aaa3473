//! What the resource manager says of machines: how they are found, and the lists that want to know.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use assay_host_verifier::cloud::azure::{
    Access, Credentials, Environment, FindMachine, Found, Guid, Machine, Proof, ResourceId,
    ScaleSetName, Settings, Wanted,
};
use assay_host_verifier::cloud::{CallError, CallErrorKind, Clouds, Question as _};
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::outside::{ErrorKind, Response};
use serde_json::{Value, json};

use super::arm::{
    ARM, Arm, VM_ID, failure, instance_of_a_scale_set, machine_in_the_cloud,
    machine_with_addresses, network, secret,
};
use super::entra::{Entra, KEYS, PRINCIPAL, SUBSCRIPTION, TENANT, but, claims, machine};
use super::world::AzureWorld;
use crate::issuers::judge;

pub(crate) fn guid(text: &str) -> Guid {
    Guid::parse(text).unwrap()
}

/// The service's settings, with an application of the tenant.
pub(crate) fn settings(secret: PathBuf) -> Settings {
    let credentials = Credentials {
        environment: Environment::Public,
        client_id: Some(guid("7d5a0f0a-2b7e-4f4b-a3e0-0d6a0d8f6f11")),
        proof: Proof::Secret(secret),
    };
    Settings {
        tenants: BTreeMap::from([(guid(TENANT), Arc::new(credentials))]),
        ..Settings::default()
    }
}

pub(crate) fn world(arm: &Arm) -> AzureWorld {
    let arm = arm.clone();
    AzureWorld::default()
        .key(KEYS, &Entra::own().jwk())
        .page(move |request| arm.answer(request))
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn access() -> (tempfile::TempDir, Access) {
    let dir = tempfile::tempdir().unwrap();
    let access = settings(secret(dir.path()))
        .access(&guid(TENANT), Environment::Public)
        .unwrap();
    (dir, access)
}

fn by_id(hint: Option<&str>) -> Wanted {
    Wanted::ById {
        subscription: guid(SUBSCRIPTION),
        vm_id: guid(VM_ID),
        untrusted_scale_set: hint.map(|name| ScaleSetName::parse(name).unwrap()),
    }
}

fn find(arm: &Arm, wanted: Wanted) -> Result<(Option<Machine>, Duration), CallError> {
    let (_dir, access) = access();
    let world = world(arm);
    let question = FindMachine {
        access,
        wanted,
        addresses: false,
    };
    let answer = now(question.ask(&world))?;
    let found = Found::read(&Arc::new(answer.body)).unwrap();
    assert_eq!(found.asked, ARM);
    Ok((found.machine, answer.kept))
}

#[test]
fn a_machine_is_found_by_its_vm_id() {
    let arm = machine_in_the_cloud();
    let (found, kept) = find(&arm, by_id(None)).unwrap();
    let found = found.unwrap();
    assert_eq!(found.id, machine("spire-agent-7"));
    assert_eq!(found.vm_id, Some(guid(VM_ID)));
    assert_eq!(
        (found.location.as_str(), found.size.as_str()),
        ("eastus", "Standard_D2s_v3")
    );
    assert_eq!(found.principals, [guid(PRINCIPAL)]);
    let groups: Vec<_> = found
        .security_groups()
        .iter()
        .map(|id| id.name().to_owned())
        .collect();
    assert_eq!(groups, ["nsg-nic", "nsg-spire-nodes"]);
    let subnets = found.subnets();
    let subnets: Vec<_> = subnets
        .iter()
        .map(|id| (id.outer_name(), id.name()))
        .collect();
    assert_eq!(subnets, [("vnet-prod", "subnet-k8s-prod")]);
    assert_eq!(kept, Duration::from_secs(180));
    let queries = arm.queries();
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0]["subscriptions"], json!([SUBSCRIPTION]));
    let query = queries[0]["query"].as_str().unwrap();
    assert!(
        query.contains(&format!("tolower(tostring(properties.vmId)) == '{VM_ID}'")),
        "{query}"
    );
}

#[test]
fn a_machine_that_is_not_there_is_an_answer_that_is_not_kept_long() {
    for arm in [
        Arm::default(),
        // Resource Graph runs behind: the machine is gone.
        machine_in_the_cloud().without(&machine("spire-agent-7")),
        // Or another one has its name.
        machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
            vm["properties"]["vmId"] = SUBSCRIPTION.into();
        }),
    ] {
        let (found, kept) = find(&arm, by_id(None)).unwrap();
        assert_eq!(found, None);
        assert!(kept <= Duration::from_secs(10), "{kept:?}");
    }
}

#[test]
fn a_machine_without_a_security_group_is_one() {
    let nic = network("networkInterfaces/spire-agent-7-nic");
    let subnet = network("virtualNetworks/vnet-prod/subnets/subnet-k8s-prod");
    let arm = machine_in_the_cloud()
        .changed(&nic, |nic| {
            nic["properties"]["networkSecurityGroup"] = Value::Null
        })
        .changed(&subnet, |subnet| subnet["properties"] = json!({}));
    let found = find(&arm, by_id(None)).unwrap().0.unwrap();
    assert!(found.security_groups().is_empty());
    assert_eq!(found.subnets().len(), 1);
}

#[test]
fn a_member_of_a_flexible_scale_set_is_a_machine_of_its_own() {
    let set = machine("x").replace("virtualMachines/x", "virtualMachineScaleSets/flex");
    let arm = machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
        vm["properties"]["virtualMachineScaleSet"] = json!({"id": set});
    });
    // Whatever the agent says.
    for hint in [None, Some("flex"), Some("other")] {
        let found = find(&arm, by_id(hint)).unwrap().0.unwrap();
        assert_eq!(found.scale_set.as_deref(), Some("flex"));
    }
}

#[test]
fn an_instance_of_a_uniform_scale_set_is_found_where_the_agent_says() {
    let arm = instance_of_a_scale_set();
    assert_eq!(find(&arm, by_id(None)).unwrap().0, None);
    assert_eq!(
        find(&arm, by_id(Some("pool")))
            .unwrap()
            .0
            .unwrap()
            .scale_set
            .as_deref(),
        Some("pool")
    );
    let found = find(&arm, by_id(Some("POOL"))).unwrap().0.unwrap();
    assert_eq!(found.vm_id, Some(guid(VM_ID)));
    assert_eq!(found.name, "pool_3");
    assert_eq!(found.size, "Standard_B2s");
    assert_eq!(found.subnets().len(), 1);
    // What the agent says is no more than where to look.
    let set = machine("x").replace("virtualMachines/x", "virtualMachineScaleSets/pool");
    let other = arm.changed(&format!("{set}/virtualMachines?skip"), |page| {
        page["value"][0]["properties"]["vmId"] = PRINCIPAL.into();
    });
    assert_eq!(find(&other, by_id(Some("pool"))).unwrap().0, None);
}

#[test]
fn a_name_that_is_no_scale_sets_never_reaches_a_query() {
    for wrong in [
        "",
        "a'b",
        "a b",
        "-a",
        "a.",
        "a-",
        "a|b",
        "pool' or true //",
        &"x".repeat(65),
        "ä",
    ] {
        assert_eq!(ScaleSetName::parse(wrong), None, "{wrong}");
    }
    for right in ["a", "pool", "Pool-1_x.y_", "0"] {
        assert!(ScaleSetName::parse(right).is_some(), "{right}");
    }
}

/// The token goes along with every request, so the next page is the same server's or nobody's.
#[test]
fn the_next_page_is_the_same_servers() {
    let set = machine("x").replace("virtualMachines/x", "virtualMachineScaleSets/pool");
    let list = format!("{set}/virtualMachines");
    for (next, why) in [
        (
            format!("https://evil.example{list}?api-version=2024-07-01"),
            "its next page is somebody else's",
        ),
        (
            format!("http://management.azure.com{list}"),
            "its next page is somebody else's",
        ),
        (
            format!("https://management.azure.com:8443{list}"),
            "its next page is somebody else's",
        ),
        (
            format!("https://management.azure.com.evil.example{list}"),
            "its next page is somebody else's",
        ),
        ("next".to_owned(), "its next page is somebody else's"),
        (
            format!("{ARM}{list}?api-version=2024-07-01"),
            "its pages go round in a circle",
        ),
    ] {
        let arm =
            instance_of_a_scale_set().changed(&list, |page| page["nextLink"] = next.clone().into());
        let error = find(&arm, by_id(Some("pool"))).unwrap_err();
        assert_eq!(error.kind, CallErrorKind::Content(why), "{next}");
    }
}

#[test]
fn an_answer_about_something_else_is_none() {
    let other = machine("other");
    for arm in [
        machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
            vm["id"] = other.clone().into()
        }),
        machine_in_the_cloud().row("virtualmachines", &other),
        Arm::default().row(
            "virtualmachines",
            &machine("x").replace(SUBSCRIPTION, TENANT),
        ),
        Arm::default().row("virtualmachines", &network("networkInterfaces/a")),
        Arm::default().row("virtualmachines", "spire-agent-7"),
        machine_in_the_cloud().without(&network("networkInterfaces/spire-agent-7-nic")),
        machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
            vm["properties"]["networkProfile"]["networkInterfaces"][0]["id"] =
                "https://evil.example/".into();
        }),
        machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
            vm["tags"] = (0..51)
                .map(|n| (n.to_string(), json!("")))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }),
        machine_in_the_cloud()
            .changed(&machine("spire-agent-7"), |vm| vm["properties"] = json!([])),
    ] {
        let error = find(&arm, by_id(None)).unwrap_err();
        assert!(matches!(error.kind, CallErrorKind::Content(_)), "{error}");
        assert_eq!(error.fault(), Fault::Unavailable);
    }
}

#[test]
fn what_goes_wrong_there_is_told_apart() {
    let after = |seconds| Some(Duration::from_secs(seconds));
    type Case = (
        Box<dyn Fn() -> Result<Response, ErrorKind> + Send + Sync>,
        CallErrorKind,
        &'static str,
    );
    let cases: [Case; 12] = [
        (
            Box::new(|| Ok(failure(401, "ExpiredAuthenticationToken"))),
            CallErrorKind::Denied,
            "ExpiredAuthenticationToken",
        ),
        (
            Box::new(|| Ok(failure(403, "AuthorizationFailed"))),
            CallErrorKind::Denied,
            "AuthorizationFailed",
        ),
        (
            Box::new(|| Ok(failure(400, "<b>\u{1b}[1m"))),
            CallErrorKind::Refused,
            "b1m",
        ),
        (
            Box::new(move || {
                Ok(Response {
                    retry_after: after(7),
                    ..failure(429, "RateLimiting")
                })
            }),
            CallErrorKind::Throttled {
                retry_after: after(7),
            },
            "RateLimiting",
        ),
        (
            Box::new(move || {
                Ok(Response {
                    retry_after: after(2),
                    ..failure(503, "ServerBusy")
                })
            }),
            CallErrorKind::Throttled {
                retry_after: after(2),
            },
            "ServerBusy",
        ),
        (
            Box::new(|| Ok(failure(500, "InternalServerError"))),
            CallErrorKind::Failed,
            "InternalServerError",
        ),
        (
            Box::new(|| Ok(Response::new(502, b"<html>".to_vec()))),
            CallErrorKind::Failed,
            "",
        ),
        (
            Box::new(|| Ok(Response::new(302, Vec::new()))),
            CallErrorKind::Outside(ErrorKind::Redirect(302)),
            "",
        ),
        (
            Box::new(|| Err(ErrorKind::Deadline)),
            CallErrorKind::Outside(ErrorKind::Deadline),
            "",
        ),
        (
            Box::new(|| Err(ErrorKind::Malformed)),
            CallErrorKind::Outside(ErrorKind::Malformed),
            "",
        ),
        (
            Box::new(|| Ok(Response::new(200, vec![b' '; 5 << 20]))),
            CallErrorKind::Outside(ErrorKind::TooLarge),
            "",
        ),
        (
            Box::new(|| Ok(Response::new(200, b"{\"data\": [".to_vec()))),
            CallErrorKind::Content("it is not of the form that this operation has"),
            "",
        ),
    ];
    for (answer, kind, code) in cases {
        let arm = machine_in_the_cloud().wrong("ResourceGraph", answer);
        let error = find(&arm, by_id(None)).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code), "{error}");
        assert_eq!(error.operation, "ResourceGraph.Resources");
    }
}

#[test]
fn without_a_token_nobody_is_asked() {
    type Case = (
        Box<dyn Fn() -> Result<Response, ErrorKind> + Send + Sync>,
        CallErrorKind,
    );
    let cases: [Case; 5] = [
        (
            Box::new(|| {
                let body = json!({"error": "invalid_client", "error_codes": [7_000_215]});
                Ok(Response::new(401, body.to_string().into_bytes()))
            }),
            CallErrorKind::Denied,
        ),
        (
            Box::new(|| Ok(Response::new(429, Vec::new()))),
            CallErrorKind::Throttled { retry_after: None },
        ),
        (
            Box::new(|| Ok(Response::new(500, Vec::new()))),
            CallErrorKind::Failed,
        ),
        (
            Box::new(|| {
                Ok(Response::new(
                    200,
                    br#"{"token_type":"Bearer","expires_in":3599,"access_token":"a\r\nb"}"#
                        .to_vec(),
                ))
            }),
            CallErrorKind::Content("the token is none that can be sent"),
        ),
        (
            Box::new(|| {
                Ok(Response::new(
                    200,
                    br#"{"token_type":"Bearer","expires_in":1,"access_token":"a"}"#.to_vec(),
                ))
            }),
            CallErrorKind::Content("the token is over"),
        ),
    ];
    for (answer, kind) in cases {
        let arm = machine_in_the_cloud().wrong("/oauth2/", answer);
        let error = find(&arm, by_id(None)).unwrap_err();
        assert_eq!(
            (error.kind, error.operation),
            (kind, "oauth2/v2.0/token"),
            "{error}"
        );
        assert!(arm.queries().is_empty());
    }
    // None that the operator gave, and a file that is not there.
    let (dir, mut access) = access();
    std::fs::remove_file(dir.path().join("azure.secret")).unwrap();
    for _ in 0..2 {
        let question = FindMachine {
            access: access.clone(),
            wanted: by_id(None),
            addresses: false,
        };
        let error = now(question.ask(&world(&machine_in_the_cloud()))).unwrap_err();
        assert!(
            matches!(error.kind, CallErrorKind::Credentials(_)),
            "{error}"
        );
        assert_eq!(error.fault(), Fault::Misconfigured);
        access.credentials = None;
    }
}

#[test]
fn questions_differ_by_everything_that_their_answers_depend_on() {
    let (_dir, access) = access();
    let key = |access: &Access, wanted: Wanted| {
        FindMachine {
            access: access.clone(),
            wanted,
            addresses: false,
        }
        .key()
    };
    let one = key(&access, by_id(None));
    assert_eq!(one, key(&access, by_id(None)));
    let mut others = vec![key(&access, by_id(Some("pool")))];
    others.push(key(
        &access,
        Wanted::ByResource(ResourceId::parse(&machine("a")).unwrap()),
    ));
    others.push(key(
        &Access {
            tenant: guid(SUBSCRIPTION),
            ..access.clone()
        },
        by_id(None),
    ));
    others.push(key(
        &Access {
            resource_manager: "https://a.example".to_owned(),
            ..access.clone()
        },
        by_id(None),
    ));
    for (subscription, vm_id) in [(TENANT, VM_ID), (SUBSCRIPTION, TENANT)] {
        let wanted = Wanted::ById {
            subscription: guid(subscription),
            vm_id: guid(vm_id),
            untrusted_scale_set: None,
        };
        others.push(key(&access, wanted));
    }
    let with_addresses = FindMachine {
        access: access.clone(),
        wanted: by_id(None),
        addresses: true,
    };
    others.push(with_addresses.key());
    for other in others {
        assert_ne!(one, other);
    }
    let shouted = ResourceId::parse(&machine("a").to_uppercase()).unwrap();
    let plain = ResourceId::parse(&machine("a")).unwrap();
    assert_eq!(
        key(&access, Wanted::ByResource(shouted)),
        key(&access, Wanted::ByResource(plain))
    );
}

/// `azure_msi` with these lists, over this resource manager.
fn listed(lists: Value, arm: &Arm, claims: &Value) -> Result<Claims, AttestError> {
    let dir = tempfile::tempdir().unwrap();
    let mut clouds = Clouds::default();
    clouds.azure = settings(secret(dir.path()));
    let provided = Provided {
        clouds: Arc::new(clouds),
        ..Provided::default()
    };
    let mut config = json!({"tenants": [{"tenantID": TENANT, "principalID": PRINCIPAL}]});
    config
        .as_object_mut()
        .unwrap()
        .extend(lists.as_object().unwrap().clone());
    let config = deserialize_config(AttestorKind::AZURE_MSI, config).unwrap();
    let files = Files::beside(Path::new("/nonexistent")).provided_by(&provided);
    let attestor = config.build_in(files).unwrap();
    let payload = json!({"token": Entra::own().token(claims)}).to_string();
    judge(&*attestor, &world(arm), payload.as_bytes()).result
}

#[test]
fn each_list_lets_in_what_it_names_and_nothing_else() {
    let arm = machine_in_the_cloud();
    for (list, lets_in, keeps_out, check) in [
        (
            "vmSizes",
            json!(["Standard_B2s", "standard_d2s_V3"]),
            json!(["Standard_D2s"]),
            "vm-size-not-allowed",
        ),
        (
            "locations",
            json!(["West US 2", "East US"]),
            json!(["East US 2"]),
            "location-not-allowed",
        ),
        (
            "vnetNames",
            json!(["VNET-prod"]),
            json!(["vnet-staging"]),
            "vnet-not-allowed",
        ),
        (
            "subnetNames",
            json!(["subnet-k8s-prod"]),
            json!(["subnet-k8s"]),
            "subnet-not-allowed",
        ),
        (
            "requiredNsgNames",
            json!(["nsg-spire-nodes"]),
            json!(["nsg-other"]),
            "nsg-missing",
        ),
        (
            "requiredNsgNames",
            json!(["nsg-NIC", "nsg-spire-nodes"]),
            json!(["nsg-nic", "nsg-other"]),
            "nsg-missing",
        ),
    ] {
        listed(json!({list: lets_in}), &arm, &claims()).unwrap();
        let error = listed(json!({list: keeps_out}), &arm, &claims()).unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
    }
}

/// A machine with a second leg outside is outside.
#[test]
fn the_addresses_of_a_tokens_machine_are_asked_for_where_the_policy_looks_at_them() {
    let arm = machine_with_addresses();
    for (rule, known) in [("ignore", 0), ("warn", 3), ("require", 3)] {
        let claims = listed(json!({"sourceAddress": rule}), &arm, &claims()).unwrap();
        assert_eq!(claims.facts.addresses.len(), known, "{rule}");
    }
    // It is asked for the sake of the addresses alone.
    let gone = Arm::default();
    listed(json!({"sourceAddress": "ignore"}), &gone, &claims()).unwrap();
    let error = listed(json!({"sourceAddress": "warn"}), &gone, &claims()).unwrap_err();
    assert_eq!(error.check, "vm-not-found");
}

/// One interface has more addresses than are looked at: the primary ones are among those that are.
#[test]
fn of_many_addresses_the_primary_ones_are_known() {
    let arm =
        machine_with_addresses().changed(&network("networkInterfaces/spire-agent-7-nic"), |nic| {
            let all = nic["properties"]["ipConfigurations"]
                .as_array_mut()
                .unwrap();
            let more = (0..=255u8)
                .map(|n| json!({"properties": {"privateIPAddress": format!("10.1.0.{n}")}}));
            all.splice(0..0, more);
        });
    let claims = listed(json!({"sourceAddress": "warn"}), &arm, &claims()).unwrap();
    assert_eq!(claims.facts.addresses.len(), 32);
    for own in ["10.0.0.7", "203.0.113.9"] {
        assert!(
            claims.facts.addresses.contains(&own.parse().unwrap()),
            "{own}"
        );
    }
}

#[test]
fn every_interface_is_where_the_lists_say() {
    let second = network("networkInterfaces/second");
    let subnet = network("virtualNetworks/vnet-other/subnets/subnet-k8s-prod");
    let arm = machine_in_the_cloud()
        .changed(&machine("spire-agent-7"), |vm| {
            let all = vm["properties"]["networkProfile"]["networkInterfaces"].as_array_mut().unwrap();
            all.push(json!({"id": second}));
        })
        .resource(&second, json!({"properties": {"ipConfigurations": [{"properties": {"subnet": {"id": subnet}}}]}}))
        .resource(&subnet, json!({"properties": {}}));
    let error = listed(json!({"vnetNames": ["vnet-prod"]}), &arm, &claims()).unwrap_err();
    assert_eq!(error.check, "vnet-not-allowed");
    listed(
        json!({"vnetNames": ["vnet-prod", "vnet-other"]}),
        &arm,
        &claims(),
    )
    .unwrap();
    // And one that is in none is not in a listed one.
    let none = machine_in_the_cloud().changed(&machine("spire-agent-7"), |vm| {
        vm["properties"]["networkProfile"] = json!({});
    });
    let error = listed(
        json!({"subnetNames": ["subnet-k8s-prod"]}),
        &none,
        &claims(),
    )
    .unwrap_err();
    assert_eq!(error.check, "vnet-not-allowed");
}

/// The name in a token may be another machine's by now.
#[test]
fn a_machine_has_the_identity_that_the_token_is_of() {
    let lists = || json!({"vmSizes": ["Standard_D2s_v3"]});
    let with = |identity: Value| {
        machine_in_the_cloud().changed(&machine("spire-agent-7"), move |vm| {
            vm["identity"] = identity.clone()
        })
    };
    for identity in [
        Value::Null,
        json!({"principalId": SUBSCRIPTION}),
        json!({"type": "None"}),
    ] {
        let error = listed(lists(), &with(identity), &claims()).unwrap_err();
        assert_eq!(error.check, "vm-identity", "{error}");
    }
    let assigned = json!({
        "type": "SystemAssigned, UserAssigned", "principalId": SUBSCRIPTION,
        "userAssignedIdentities": {"/subscriptions/x": {"principalId": PRINCIPAL, "clientId": TENANT}},
    });
    listed(lists(), &with(assigned), &claims()).unwrap();
    let gone = machine_in_the_cloud().without(&machine("spire-agent-7"));
    let error = listed(lists(), &gone, &claims()).unwrap_err();
    assert_eq!((error.fault, error.check), (Fault::Refused, "vm-not-found"));
}

#[test]
fn a_scale_sets_token_is_compared_with_the_scale_sets_plan() {
    let set = machine("x").replace("virtualMachines/x", "virtualMachineScaleSets/pool");
    let subnet = network("virtualNetworks/vnet-prod/subnets/plain");
    let arm = Arm::default()
        .resource(&set, json!({
            "id": set, "name": "pool", "location": "westus2", "sku": {"name": "Standard_B2s", "capacity": 3},
            "identity": {"principalId": PRINCIPAL},
            "properties": {"orchestrationMode": "Uniform", "virtualMachineProfile": {"networkProfile": {
                "networkInterfaceConfigurations": [{"name": "nic", "properties": {
                    "networkSecurityGroup": {"id": network("networkSecurityGroups/nsg-spire-nodes")},
                    "ipConfigurations": [{"properties": {"subnet": {"id": subnet}}}],
                }}],
            }}},
        }))
        .resource(&subnet, json!({"properties": {}}));
    let token = but("xms_mirid", set);
    let lists = json!({
        "vmSizes": ["Standard_B2s"], "locations": ["West US 2"], "requiredNsgNames": ["nsg-spire-nodes"],
        "subnetNames": ["plain"],
    });
    listed(lists, &arm, &token).unwrap();
    let error = listed(json!({"vmSizes": ["Standard_B4ms"]}), &arm, &token).unwrap_err();
    assert_eq!(error.check, "vm-size-not-allowed");
}

/// No machine is let in because nobody could be asked.
#[test]
fn where_azure_gives_no_answer_nobody_is_let_in() {
    let lists = || json!({"vmSizes": ["Standard_D2s_v3"]});
    let denied = machine_in_the_cloud().wrong("virtualMachines", || {
        Ok(failure(403, "AuthorizationFailed"))
    });
    let error = listed(lists(), &denied, &claims()).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Misconfigured, "azure-api")
    );
    let down = machine_in_the_cloud().wrong("virtualMachines", || Err(ErrorKind::Connect));
    let error = listed(lists(), &down, &claims()).unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Unavailable, "azure-api")
    );
}
