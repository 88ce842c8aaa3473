//! What a verifier and an agent on this machine need to know, so that a stand-in's instance can log in: one method, all in files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::api::{self, Api, Known};
use super::azure::{self, Azure, Machine};
use super::ec2::{self, Ec2, Instance, Mode};
use super::google::{self, Google};
use super::issuer::Issuer;
use super::sts::{Account, Sts};

/// The methods that there are instances for.
pub const METHODS: [&str; 5] = ["aws_iid", "aws_token", "azure_imds", "azure_msi", "gcp_iit"];

/// A cloud around one instance. It ends with this.
pub struct Lab {
    /// How the policy names its nodes: `session.pathTemplate`.
    pub template: &'static str,
    /// The verifier's `clouds`.
    pub clouds: Value,
    /// The method's `config` in the policy.
    pub policy: Value,
    /// The agent's `attestors`.
    pub attestors: Value,
    /// The keys of tokens, for `assay evidence verify --keys`; those of documents are files of `clouds`.
    pub keys: Option<Value>,
    _running: Box<dyn core::any::Any>,
}

impl core::fmt::Debug for Lab {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lab")
            .field("attestors", &self.attestors)
            .finish_non_exhaustive()
    }
}

impl Lab {
    /// Starts the cloud of a method, one of [`METHODS`], whose files are in this folder.
    ///
    /// # Errors
    ///
    /// Another method; no port, no `openssl`, no place in the folder.
    pub fn start(method: &str, mode: Mode, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let folder = folder.canonicalize()?;
        match method {
            "aws_iid" => aws_iid(mode, &folder),
            "aws_token" => aws_token(mode, &folder),
            "azure_imds" | "azure_msi" => azure(method, &folder),
            "gcp_iit" => gcp_iit(),
            _ => anyhow::bail!("{method}: the methods are {}", METHODS.join(", ")),
        }
    }

    /// Writes `policy.yaml`, `clouds.yaml` (for the end of `assayd.yaml`), `keys.json` where there is one, and `attestors.json` as the
    /// last. All of it is YAML.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn write(&self, method: &str, folder: &Path) -> Result<()> {
        let policy = json!({"section": "AgentAttestation", "schema": "v1", "spec": {"policies": [
            {"name": "instances", "requiredAttestors": [{"type": method, "config": self.policy}]},
        ]}});
        let clouds = format!(
            "session: {{pathTemplate: '{}'}}\nclouds: {:#}\noutbound: {{allowLoopback: true}}\n",
            self.template, self.clouds
        );
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            // Whoever waits for a file finds the whole of it.
            let part = folder.join(format!("{name}.part"));
            fs::write(&part, text)
                .and_then(|()| fs::rename(&part, &path))
                .with_context(|| path.display().to_string())
        };
        write("policy.yaml", format!("{policy:#}\n"))?;
        write("clouds.yaml", clouds)?;
        if let Some(keys) = &self.keys {
            write("keys.json", format!("{keys:#}\n"))?;
        }
        write("attestors.json", format!("{}\n", self.attestors))
    }
}

fn aws_iid(mode: Mode, folder: &Path) -> Result<Lab> {
    let authority = ec2::Authority::within(folder)?;
    let instance = Instance::default();
    let (page, ca, secret) = (
        folder.join("regions-certs.md"),
        folder.join("aws.pem"),
        folder.join("aws.secret"),
    );
    let api = Api::start(Known::default())?;
    fs::write(&page, authority.page(&instance.region)?)?;
    fs::write(&ca, api.authority())?;
    fs::write(&secret, api::SECRET)?;
    let url = api.server().url();
    let clouds = json!({"aws": {
        "region": instance.region,
        "credentials": {"accessKey": {"id": api::KEY_ID, "secretFile": secret}},
        "endpoints": {"sts": url, "ec2": url, "iam": url},
        "caCerts": ca,
        "certificates": [page],
    }});
    let service = Ec2::start(mode, instance, &authority)?;
    let config = json!({"metadataEndpoint": service.server().url()});
    Ok(Lab {
        template: "/aws/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}/{{aws_iid.ec2.instance.id}}",
        clouds,
        policy: json!({"instanceTagRequirements": {"Environment": ["production"]}, "tofu": true}),
        attestors: json!([{"type": "aws_iid", "config": config}]),
        keys: None,
        _running: Box::new((service, api, authority)),
    })
}

fn aws_token(mode: Mode, folder: &Path) -> Result<Lab> {
    let sts = Sts::start(Account::default())?;
    let ca = folder.join("sts.pem");
    fs::write(&ca, sts.authority())?;
    let authority = ec2::Authority::within(folder)?;
    let service = Ec2::start(mode, Instance::default(), &authority)?;
    let url = sts.server().url();
    let config = json!({
        "metadataEndpoint": service.server().url(),
        "credentials": "instance",
        "stsEndpoint": url,
        "stsCa": ca,
    });
    Ok(Lab {
        template: "/aws/{{aws_token.account.id}}/{{aws_token.ec2.instance.id}}",
        clouds: json!({"aws": {"tokenIssuers": [url], "caCerts": ca}}),
        policy: json!({"issuerURLs": [url], "requireEc2SourceInstance": true, "tofu": true}),
        attestors: json!([{"type": "aws_token", "config": config}]),
        keys: Some(sts.keys()),
        _running: Box::new((service, sts, authority)),
    })
}

fn azure(method: &str, folder: &Path) -> Result<Lab> {
    let signer = Azure::signer()?;
    let issuer = Issuer::start(vec![signer.jwk()])?;
    let tenant = Machine::default().tenant;
    let url = format!("{}/{tenant}", issuer.server().url());
    let machine = Machine {
        issuer: Some(url.clone()),
        ..Machine::default()
    };
    let authority = Arc::new(azure::Authority::within(folder)?);
    let service = Azure::start(machine.clone(), authority.clone(), signer.clone())?;
    let endpoint = service.server().url();
    let (principal, subscription) = (machine.principal, machine.subscription);
    if method == "azure_msi" {
        return Ok(Lab {
            template: "/azure/{{azure_msi.tenant.id}}/{{azure_msi.identity.principal_id}}",
            clouds: json!({"azure": {"tokenIssuers": [url], "caCerts": issuer.authority()}}),
            policy: json!({
                "tenants": [{"tenantID": tenant, "principalID": principal, "issuerURL": url}],
                "tofu": true,
            }),
            attestors: json!([{"type": "azure_msi", "config": {
                "metadataEndpoint": endpoint, "tenantId": tenant,
            }}]),
            keys: Some(json!({"keys": [signer.jwk()]})),
            _running: Box::new((service, issuer, authority)),
        });
    }
    let (root, intermediate) = (folder.join("root.pem"), folder.join("intermediate.pem"));
    fs::copy(authority.file("root.pem"), &root)?;
    fs::copy(authority.file("intermediate.pem"), &intermediate)?;
    Ok(Lab {
        template: "/azure/{{azure_imds.tenant.id}}/{{azure_imds.subscription.id}}/{{azure_imds.vm.id}}",
        clouds: json!({"azure": {
            "roots": [root], "intermediates": [intermediate], "fetchIntermediates": false,
        }}),
        policy: json!({"tenants": [{"tenantID": tenant, "subscriptionIDs": [subscription]}]}),
        attestors: json!([{"type": "azure_imds", "config": {"metadataEndpoint": endpoint}}]),
        keys: None,
        _running: Box::new((service, issuer, authority)),
    })
}

fn gcp_iit() -> Result<Lab> {
    let instance = google::Instance::default();
    let project = instance.project.clone();
    let service = Google::start(instance)?;
    let keys = vec![service.signer().jwk()];
    let issuer = Issuer::start(keys.clone())?;
    Ok(Lab {
        template: "/gcp/{{gcp_iit.project_id}}/{{gcp_iit.zone}}/{{gcp_iit.instance_id}}",
        clouds: json!({"gcp": {"keysURL": issuer.keys_url(), "caCerts": issuer.authority()}}),
        policy: json!({"allowedProjectIDs": [project], "tofu": true}),
        attestors: json!([{"type": "gcp_iit", "config": {
            "metadataEndpoint": service.server().url(),
        }}]),
        keys: Some(json!({"keys": keys})),
        _running: Box::new((service, issuer)),
    })
}
