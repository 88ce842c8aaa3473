//! What the verifier asks of Google: of a stand-in for the token endpoint, the metadata server, the keys and Compute Engine,
//! which is strict, and out of order whenever it is told to be.

mod api;
mod login;
mod trouble;

use std::sync::Arc;

use assay_host_verifier::cloud::gcp::{
    Credentials, Found, Instance, InstanceQuestion, Place, Settings,
};
use assay_host_verifier::cloud::{CallError, CallErrorKind};
use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{Outbound, Outside as _};
use assay_host_verifier::server::World;

use self::api::Api;
use crate::aws::world;
use crate::upstream::Upstream;

/// A verifier that asks the stand-in as the service account of a key file.
pub(crate) struct Verifier {
    pub(crate) settings: Settings,
    pub(crate) world: World,
    pub(crate) key_file: std::path::PathBuf,
    dir: tempfile::TempDir,
}

impl Verifier {
    pub(crate) fn of(api: &Api) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.json");
        std::fs::write(&file, api.key_file()).unwrap();
        let client = Client::new(&Outbound {
            allow_loopback: true,
            ..Outbound::default()
        });
        Self {
            settings: Settings {
                credentials: Credentials::File(file.clone()),
                keys_url: format!("{}/oauth2/v3/certs", api.url()),
                compute: api.url(),
                token_url: None,
                roots: Some(api.upstream.authority.clone()),
                ..Settings::default()
            },
            world: world(client),
            key_file: file,
            dir,
        }
    }

    async fn ask(&self, name: &str) -> Result<Option<Instance>, CallError> {
        let question = InstanceQuestion {
            settings: Arc::new(self.settings.clone()),
            place: Place::new("my-project-prod", "us-central1-a", name).unwrap(),
            metadata: vec!["rack".to_owned()],
        };
        let known = self.world.answer(Arc::new(question)).await?;
        let found: Found = serde_json::from_slice(&known).unwrap();
        Ok(found.instance)
    }
}

#[tokio::test]
async fn an_instance_is_asked_for_with_a_token_for_the_key_file() {
    let api = Api::start().await;
    let verifier = Verifier::of(&api);
    let instance = verifier.ask("node-7").await.unwrap().unwrap();
    assert_eq!(instance.id, "2589221140676718026");
    assert_eq!(instance.machine_type, "e2-standard-2");
    assert_eq!(
        instance.nics[0].network,
        "projects/host-project/global/networks/vpc-prod"
    );
    assert_eq!(instance.metadata.len(), 1, "secrets of others are not kept");
    // Another instance costs one call more, and no token; the same one costs none.
    assert!(verifier.ask("node-8").await.unwrap().is_some());
    assert!(verifier.ask("node-7").await.unwrap().is_some());
    assert_eq!(
        (api.calls("POST /token"), api.calls("GET /compute")),
        (1, 2)
    );
}

/// By an implementation that is not ours.
#[tokio::test]
async fn openssl_verifies_what_asks_for_the_token() {
    use base64::Engine as _;
    let api = Api::start().await;
    let verifier = Verifier::of(&api);
    verifier.ask("node-7").await.unwrap();
    let request = api
        .upstream
        .requests()
        .into_iter()
        .find(|r| r.starts_with("POST /token"));
    let assertion = request
        .unwrap()
        .split_once("&assertion=")
        .unwrap()
        .1
        .to_owned();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |text: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .unwrap()
    };
    let path = |name: &str| verifier.dir.path().join(name);
    std::fs::write(path("signed"), signed).unwrap();
    std::fs::write(path("signature"), decode(signature)).unwrap();
    std::fs::write(path("public.pem"), api.public_pem()).unwrap();
    let output = std::process::Command::new("openssl")
        .args([
            "dgst",
            "-sha256",
            "-verify",
            "public.pem",
            "-signature",
            "signature",
            "signed",
        ])
        .current_dir(verifier.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let claims = signed.split_once('.').unwrap().1;
    let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).unwrap();
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/compute.readonly"
    );
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 300);
}

#[tokio::test]
async fn without_a_key_file_the_machines_own_account_asks() {
    let api = Api::start().await;
    let metadata = Upstream::plain(Arc::new(api::metadata)).await;
    let mut verifier = Verifier::of(&api);
    let link_local = std::net::IpAddr::from([169, 254, 169, 254]);
    let loopback = std::net::IpAddr::from([127, 0, 0, 1]);
    let client = Client::new(&Outbound {
        allow_loopback: true,
        ..Outbound::default()
    });
    verifier.world = world(client.with_stand_ins([(link_local, loopback)]));
    let endpoint = format!("http://169.254.169.254:{}", metadata.port);
    verifier.settings.credentials = Credentials::Metadata(endpoint);
    assert!(verifier.ask("node-7").await.unwrap().is_some());
    let asked = metadata.requests();
    let head = "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1";
    assert!(asked[0].starts_with(head), "{asked:?}");
    assert_eq!(api.calls("POST /token"), 0);
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_is_said_so_without_what_is_in_it() {
    let api = Api::start().await;
    let good = api.key_file();
    let mut other: serde_json::Value = serde_json::from_str(&good).unwrap();
    other["private_key"] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into();
    let changed = |name: &str, value: &str| {
        let mut file: serde_json::Value = serde_json::from_str(&good).unwrap();
        file[name] = value.into();
        file.to_string()
    };
    for (text, why) in [
        ("c4n4ry".to_owned(), "no service account's key in JSON"),
        (
            changed("type", "authorized_user"),
            "type is not service_account",
        ),
        (
            changed("token_uri", "http://127.0.0.1/token"),
            "token_uri is no https URL",
        ),
        (other.to_string(), "private_key is no RSA key"),
        (
            changed("private_key", "c4n4ry"),
            "private_key is no RSA key",
        ),
        ("x".repeat(17 * 1024), "too long"),
    ] {
        let verifier = Verifier::of(&api);
        std::fs::write(&verifier.key_file, text).unwrap();
        let error = verifier.ask("node-7").await.unwrap_err();
        assert!(
            matches!(error.kind, CallErrorKind::Credentials(_)),
            "{error}"
        );
        let told = format!("{error} {error:?}");
        assert!(told.contains(why) && !told.contains("c4n4ry"), "{told}");
    }
    let verifier = Verifier::of(&api);
    std::fs::remove_file(&verifier.key_file).unwrap();
    let error = verifier.ask("node-7").await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(api.upstream.requests().is_empty());
}
