//! A resource manager of ours, with Entra beside it, as their documents describe them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use assay_host_verifier::outside::{ErrorKind, Request, Response};
use serde_json::{Value, json};

use super::entra::{PRINCIPAL, SUBSCRIPTION, machine};

pub(crate) const VM_ID: &str = "f904ece8-c6c1-4b5c-881f-309b50f25e56";
pub(crate) const ARM: &str = "https://management.azure.com";
const SECRET: &str = "s3cr~t/+= &";
const TOKEN: &str = "eyJ0eXAiOiJKV1QifQ.e30.c2ln";

/// The resource ID of something in the network of the tests.
pub(crate) fn network(rest: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-net/providers/Microsoft.Network/{rest}"
    )
}

fn nic(name: &str) -> String {
    network(&format!("networkInterfaces/{name}"))
}

/// A machine with an interface in a subnet, as the compute and network APIs show them.
pub(crate) fn machine_in_the_cloud() -> Arm {
    let id = machine("spire-agent-7");
    Arm::default()
        .row("virtualmachines", &id)
        .resource(&id, json!({
            "id": id, "name": "spire-agent-7", "location": "eastus", "type": "Microsoft.Compute/virtualMachines",
            "tags": {"Environment": "production", "Team": "platform"},
            "identity": {"type": "SystemAssigned", "principalId": PRINCIPAL, "tenantId": "x"},
            "properties": {
                "vmId": VM_ID.to_uppercase(), "provisioningState": "Succeeded",
                "hardwareProfile": {"vmSize": "Standard_D2s_v3"},
                "networkProfile": {"networkInterfaces": [{"id": nic("spire-agent-7-nic"), "properties": {"primary": true}}]},
            },
        }))
        .resource(&nic("spire-agent-7-nic"), json!({
            "id": nic("spire-agent-7-nic"), "name": "spire-agent-7-nic",
            "properties": {
                "networkSecurityGroup": {"id": network("networkSecurityGroups/nsg-nic")},
                "ipConfigurations": [
                    {"name": "ipconfig1", "properties": {"subnet": {"id": network("virtualNetworks/vnet-prod/subnets/subnet-k8s-prod")}}},
                    {"name": "ipconfig2", "properties": {"subnet": {"id": network("virtualNetworks/vnet-prod/subnets/subnet-k8s-prod")}}},
                ],
            },
        }))
        .resource(&network("virtualNetworks/vnet-prod/subnets/subnet-k8s-prod"), json!({
            "name": "subnet-k8s-prod",
            "properties": {"networkSecurityGroup": {"id": network("networkSecurityGroups/nsg-spire-nodes")}},
        }))
}

/// An instance of a scale set with uniform orchestration, on the second page of its list.
pub(crate) fn instance_of_a_scale_set() -> Arm {
    let set = machine("x").replace("virtualMachines/x", "virtualMachineScaleSets/pool");
    let instance = format!("{set}/virtualMachines/3");
    let interface = format!("{instance}/networkInterfaces/nic");
    let entry = |number: u32, vm_id: &str| {
        json!({
            "id": format!("{set}/virtualMachines/{number}"), "name": format!("pool_{number}"), "instanceId": number.to_string(),
            "location": "westus2", "sku": {"name": "Standard_B2s", "tier": "Standard"},
            "properties": {
                "vmId": vm_id,
                "networkProfile": {"networkInterfaces": [{"id": interface}]},
            },
        })
    };
    let list = format!("{set}/virtualMachines");
    let next = format!("{ARM}{list}?api-version=2024-07-01&$skiptoken=2");
    Arm::default()
        .row("virtualmachinescalesets", &set)
        .resource(&list, json!({"value": [entry(1, SUBSCRIPTION)], "nextLink": next}))
        .resource(&format!("{list}?skip"), json!({"value": [entry(3, VM_ID)]}))
        .resource(&instance, entry(3, VM_ID))
        .resource(&interface, json!({
            "properties": {"ipConfigurations": [
                {"properties": {"subnet": {"id": network("virtualNetworks/vnet-prod/subnets/plain")}}},
            ]},
        }))
        .resource(&network("virtualNetworks/vnet-prod/subnets/plain"), json!({"properties": {}}))
}

/// What it knows, and what goes wrong there.
#[derive(Default, Clone)]
pub(crate) struct Arm {
    resources: BTreeMap<String, Value>,
    rows: Vec<(&'static str, String)>,
    wrong: Option<(&'static str, Wrong)>,
    queries: Arc<Mutex<Vec<Value>>>,
}

type Wrong = Arc<dyn Fn() -> Result<Response, ErrorKind> + Send + Sync>;

impl Arm {
    pub(crate) fn resource(mut self, id: &str, value: Value) -> Self {
        self.resources.insert(id.to_lowercase(), value);
        self
    }

    /// What Resource Graph finds of a type.
    pub(crate) fn row(mut self, kind: &'static str, id: &str) -> Self {
        self.rows.push((kind, id.to_owned()));
        self
    }

    pub(crate) fn without(mut self, id: &str) -> Self {
        self.resources.remove(&id.to_lowercase());
        self
    }

    pub(crate) fn changed(mut self, id: &str, change: impl Fn(&mut Value)) -> Self {
        change(self.resources.get_mut(&id.to_lowercase()).unwrap());
        self
    }

    /// Whatever has this in its URL goes wrong.
    pub(crate) fn wrong(
        mut self,
        at: &'static str,
        answer: impl Fn() -> Result<Response, ErrorKind> + Send + Sync + 'static,
    ) -> Self {
        self.wrong = Some((at, Arc::new(answer)));
        self
    }

    pub(crate) fn queries(&self) -> Vec<Value> {
        self.queries.lock().unwrap().clone()
    }

    /// Its answer; `None`: it is not for it.
    pub(crate) fn answer(&self, request: &Request) -> Option<Result<Response, ErrorKind>> {
        if let Some((at, wrong)) = &self.wrong
            && request.url.contains(at)
        {
            return Some(wrong());
        }
        if request.url.contains("/oauth2/v2.0/token") {
            return Some(Ok(token(request)));
        }
        let below = request.url.strip_prefix(ARM)?;
        let bearer = request
            .headers
            .iter()
            .find(|header| header.name == "authorization");
        if bearer.map(|header| header.value.as_str()) != Some(&format!("Bearer {TOKEN}")) {
            return Some(Ok(failure(401, "InvalidAuthenticationToken")));
        }
        let (path, query) = below.split_once('?').unwrap();
        assert!(query.starts_with("api-version=20"), "{query}");
        if path == "/providers/Microsoft.ResourceGraph/resources" {
            return Some(Ok(
                self.graph(&serde_json::from_slice(&request.body).unwrap())
            ));
        }
        let mut key = path.to_lowercase();
        if query.contains("$skiptoken") {
            key += "?skip";
        }
        Some(Ok(match self.resources.get(&key) {
            Some(value) => {
                let mut value = value.clone();
                if !query.ends_with("&$expand=ipConfigurations/publicIPAddress") {
                    hide_public(&mut value);
                }
                Response::new(200, value.to_string().into_bytes())
            }
            None => failure(404, "ResourceNotFound"),
        }))
    }

    fn graph(&self, query: &Value) -> Response {
        self.queries.lock().unwrap().push(query.clone());
        let text = query["query"].as_str().unwrap().to_owned();
        let named = |kind: &str| text.contains(&format!("'microsoft.compute/{kind}'"));
        let rows = self.rows.iter().filter(|(kind, _)| named(kind));
        let data: Vec<_> = rows.map(|(_, id)| json!({"id": id})).collect();
        let count = data.len();
        let body = json!({
            "totalRecords": count, "count": count, "data": data, "facets": [], "resultTruncated": "false",
        });
        Response::new(200, body.to_string().into_bytes())
    }
}

/// Public addresses are resources of their own: who does not ask for them sees that there is one.
fn hide_public(interface: &mut Value) {
    let all = interface.pointer_mut("/properties/ipConfigurations");
    for one in all.and_then(Value::as_array_mut).into_iter().flatten() {
        let public = one.pointer_mut("/properties/publicIPAddress");
        if let Some(public) = public.and_then(Value::as_object_mut) {
            public.remove("properties");
        }
    }
}

/// The same machine, with three addresses.
pub(crate) fn machine_with_addresses() -> Arm {
    let public = json!({
        "id": network("publicIPAddresses/agent"), "properties": {"ipAddress": "203.0.113.9"},
    });
    machine_in_the_cloud().changed(&nic("spire-agent-7-nic"), move |nic| {
        let all = &mut nic["properties"]["ipConfigurations"];
        all[0]["properties"]["privateIPAddress"] = "10.0.0.8".into();
        all[1]["properties"]["primary"] = true.into();
        all[1]["properties"]["privateIPAddress"] = "10.0.0.7".into();
        all[1]["properties"]["publicIPAddress"] = public.clone();
    })
}

/// Entra's answer to an application with the right secret.
fn token(request: &Request) -> Response {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let secret = "&client_secret=s3cr~t%2F%2B%3D%20%26";
    let scope = "scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
    if !body.contains("grant_type=client_credentials")
        || !body.contains(scope)
        || !body.contains(secret)
    {
        let body = json!({"error": "invalid_client", "error_codes": [7_000_215], "error_description": "AADSTS7000215: no"});
        return Response::new(401, body.to_string().into_bytes());
    }
    let body = json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN});
    Response::new(200, body.to_string().into_bytes())
}

pub(crate) fn failure(status: u16, code: &str) -> Response {
    let body = json!({"error": {"code": code, "message": "<script>\u{1b}[31m no"}});
    Response::new(status, body.to_string().into_bytes())
}

/// The application's secret, in a file.
pub(crate) fn secret(dir: &std::path::Path) -> std::path::PathBuf {
    let file = dir.join("azure.secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    file
}

/// The same, for as long as the tests run.
pub(crate) fn lasting_secret() -> std::path::PathBuf {
    static FILE: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    let made = FILE.get_or_init(|| {
        let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("azure");
        std::fs::create_dir_all(&dir).unwrap();
        secret(&dir)
    });
    made.clone()
}
