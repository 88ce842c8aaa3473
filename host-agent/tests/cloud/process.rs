//! What a platform says by the environment: the agent as a process of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use assay_cloud_standins::azure::{Authority, Azure, Machine};
use assay_cloud_standins::ec2::{self, Ec2, Instance, Mode, Role};
use assay_cloud_standins::google::{self, Google};
use assay_cloud_standins::server::{Reply, Server};
use assay_cloud_standins::sts::{Account, Sts};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A pod's token, which nobody looks into here.
const POD: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwb2QifQ.c2ln";

/// The agent's doctor, with one method and nothing of this test's own environment.
struct Agent {
    folder: TempDir,
}

impl Agent {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What doctor finds of the method: its level, what it sees, and how it is mended.
    fn finds(
        &self,
        kind: &str,
        config: &Value,
        environment: &[(&str, &str)],
    ) -> (String, String, String) {
        let mut config = config.clone();
        let settings = config.as_object_mut().unwrap();
        settings.entry("timeout").or_insert("5s".into());
        settings.entry("maxRetries").or_insert(0.into());
        let key = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let document = json!({"agent": {
            "trustDomain": "example.org",
            "auth": {"clusterId": "lab", "attestors": [{"type": kind, "config": config}]},
            "server": {"addresses": ["https://127.0.0.1:1"], "verifierKey": key},
        }});
        let path = self.put("agent.yaml", &document.to_string());
        let ran = Command::new(env!("CARGO_BIN_EXE_assay-agent"))
            .args(["doctor", "--json", "--config"])
            .arg(path)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let all = format!("{answer}{}", String::from_utf8_lossy(&ran.stderr));
        assert!(!all.contains(&Role::default().secret_access_key), "{all}");
        let mut findings = answer["findings"].as_array().unwrap().iter();
        let found = findings.find(|one| one["subject"].as_str().unwrap().starts_with(kind));
        let found = found.unwrap_or_else(|| panic!("{all}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (text("level"), text("seen"), text("mend"))
    }
}

#[test]
fn a_roles_credentials_come_from_where_the_platform_says() {
    let agent = Agent::new();
    let role = Role::default();
    let account = Account {
        web_identity: Some(POD.to_owned()),
        ..Account::default()
    };
    let sts = Sts::start(account).unwrap();
    let ca = agent.put("sts.pem", sts.authority());
    let config = json!({"stsEndpoint": sts.server().url(), "stsCa": ca});
    let region = ("AWS_REGION", "eu-west-1");
    let token = agent
        .put("pod-token", &format!("{POD}\n"))
        .display()
        .to_string();
    let principal = "a token of arn:aws:iam::123456789012:role/node";

    // Keys of the environment.
    let keys = [
        region,
        ("AWS_ACCESS_KEY_ID", role.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", role.secret_access_key.as_str()),
        ("AWS_SESSION_TOKEN", role.session_token.as_str()),
    ];
    let (level, seen, _) = agent.finds("aws_token", &config, &keys);
    assert!(level == "ok" && seen.starts_with(principal), "{seen}");
    assert!(
        seen.contains("the environment (AWS_ACCESS_KEY_ID)"),
        "{seen}"
    );
    let (level, seen, _) = agent.finds("aws_token", &config, &keys[..2]);
    assert_eq!(
        (level.as_str(), seen.as_str()),
        ("fail", "AWS_SECRET_ACCESS_KEY is not set")
    );
    let (level, _, mend) = agent.finds("aws_token", &config, &keys[..3]);
    assert!(
        level == "fail" && mend.contains("does not know these credentials"),
        "{mend}"
    );

    // A web identity, which STS makes a role's credentials of.
    let identity = [
        region,
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/node"),
    ];
    let (level, seen, _) = agent.finds("aws_token", &config, &identity);
    assert!(level == "ok" && seen.contains("a web identity"), "{seen}");
    let other = [
        identity[0],
        identity[1],
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/other"),
    ];
    let (level, _, mend) = agent.finds("aws_token", &config, &other);
    assert!(level == "fail" && mend.contains("trust policy"), "{mend}");

    // The endpoint for containers, which wants the pod's token.
    let (id, secret, session) = (
        role.access_key_id,
        role.secret_access_key,
        role.session_token,
    );
    let credentials = json!({
        "AccessKeyId": id, "SecretAccessKey": secret, "Token": session,
        "Expiration": "2100-01-01T00:00:00Z",
    });
    let container = Server::start(move |request| match request.header("authorization") {
        Some(POD) if request.target == "/v1/credentials" => Reply::json(200, &credentials),
        _ => Reply::of(401, "no"),
    })
    .unwrap();
    let url = format!("{}/v1/credentials", container.url());
    let pod = [
        region,
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ];
    let (level, seen, _) = agent.finds("aws_token", &config, &pod);
    assert!(
        level == "ok" && seen.contains("the endpoint for containers"),
        "{seen}"
    );
    let (level, seen, _) = agent.finds("aws_token", &config, &pod[..2]);
    assert!(
        level == "fail" && seen.contains("HTTP 401 for the credentials"),
        "{seen}"
    );
    // The token goes to no other host.
    let away = [
        region,
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://192.0.2.1/v1/credentials",
        ),
        pod[2],
    ];
    let (level, seen, _) = agent.finds("aws_token", &config, &away);
    assert!(
        level == "fail" && seen.contains("is no endpoint for containers"),
        "{seen}"
    );
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let agent = Agent::new();
    let google = Google::start(google::Instance::default()).unwrap();
    let proxy = Server::start(|_| Reply::of(502, "a proxy")).unwrap();
    let url = proxy.url();
    let names = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    let environment: Vec<_> = names.iter().map(|name| (*name, url.as_str())).collect();
    let config = json!({"metadataEndpoint": google.server().url()});
    let (level, seen, _) = agent.finds("gcp_iit", &config, &environment);
    assert_eq!(level, "ok", "{seen}");
    assert!(proxy.seen().is_empty());
}

#[test]
fn app_service_has_an_endpoint_of_its_own() {
    let agent = Agent::new();
    let machine = Machine::default();
    let signer = Azure::signer().unwrap();
    let claims = machine.claims("api://a", "principal", "/subscriptions/s/app");
    let token = signer.sign(&claims).unwrap();
    let service = Server::start(move |request| {
        let query = request.query();
        let has = |name: &str, value: &str| query.contains(&(name.to_owned(), value.to_owned()));
        let asked = request.path() == "/msi/token"
            && has("api-version", "2019-08-01")
            && has("resource", "api://a")
            && request.header("x-identity-header") == Some("s3cret");
        match asked {
            true => Reply::json(200, &json!({"access_token": token, "token_type": "Bearer"})),
            false => Reply::json(401, &json!({"error": "unauthorized_client"})),
        }
    })
    .unwrap();
    let endpoint = format!("{}/msi/token", service.url());
    let config = json!({"audience": "api://a"});
    let environment = [
        ("IDENTITY_ENDPOINT", endpoint.as_str()),
        ("IDENTITY_HEADER", "s3cret"),
    ];
    let (level, seen, _) = agent.finds("azure_msi", &config, &environment);
    assert!(
        level == "ok" && seen.contains("principal principal"),
        "{seen}"
    );
    let wrong = [environment[0], ("IDENTITY_HEADER", "other")];
    let (level, _, mend) = agent.finds("azure_msi", &config, &wrong);
    assert!(
        level == "fail" && mend.contains("pass both variables on"),
        "{mend}"
    );
    let arc = [
        ("IDENTITY_ENDPOINT", "https://localhost:1/x"),
        environment[1],
    ];
    let (level, _, mend) = agent.finds("azure_msi", &config, &arc);
    assert!(level == "fail" && mend.contains("Azure Arc"), "{mend}");
    // What the settings name goes before the environment.
    let authority = Authority::new().unwrap().into();
    let azure = Azure::start(machine, authority, signer).unwrap();
    let config = json!({"audience": "api://a", "metadataEndpoint": azure.server().url()});
    let before = service.seen().len();
    let (level, seen, _) = agent.finds("azure_msi", &config, &environment);
    assert_eq!(
        (level.as_str(), service.seen().len()),
        ("ok", before),
        "{seen}"
    );
}

#[test]
fn a_region_that_nobody_names_is_the_instances() {
    let agent = Agent::new();
    let authority = ec2::Authority::new().unwrap();
    let ec2 = Ec2::start(Mode::V2, Instance::default(), &authority).unwrap();
    let sts = Sts::start(Account::default()).unwrap();
    let ca = agent.put("sts.pem", sts.authority());
    let config = json!({
        "stsEndpoint": sts.server().url(), "stsCa": ca, "metadataEndpoint": ec2.server().url(),
    });
    let (level, seen, _) = agent.finds("aws_token", &config, &[]);
    assert!(
        level == "ok" && seen.contains("the instance's role"),
        "{seen}"
    );
    // What names one is believed; this STS is in another.
    let elsewhere = [("AWS_DEFAULT_REGION", "us-east-1")];
    let (level, seen, _) = agent.finds("aws_token", &config, &elsewhere);
    assert!(
        level == "fail" && seen.contains("SignatureDoesNotMatch"),
        "{seen}"
    );
}
