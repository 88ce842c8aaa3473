//! What the verifier asks of AWS: of moto, which knows AWS's own service models, and of a stand-in that is strict, and out of order
//! whenever it is told to be.

mod api;
mod counting;
mod credentials;
mod membership;
mod moto;
mod signatures;
mod trouble;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::SystemClock;
use assay_host_verifier::cloud::aws::{Aws, CredentialSource, Place, Service, Settings};
use assay_host_verifier::cloud::{Clouds, NoCounts, Times};
use assay_host_verifier::outside::Outbound;
use assay_host_verifier::outside::client::Client;
use assay_host_verifier::server::World;
use assay_host_verifier::store::MemoryStore;

use api::{Api, KEY_ID, SECRET};

/// A verifier that asks one endpoint for everything.
pub(crate) struct Verifier {
    pub(crate) aws: Aws,
    pub(crate) world: World,
    _dir: tempfile::TempDir,
}

impl Verifier {
    /// With the stand-in's own key in a file.
    pub(crate) fn of(api: &Api) -> Self {
        Self::with(api, |_| ())
    }

    pub(crate) fn with(api: &Api, change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(
            &api.url(),
            &api.upstream.authority,
            (KEY_ID, SECRET),
            change,
        )
    }

    pub(crate) fn at(
        url: &str,
        authority: &Arc<str>,
        (id, secret): (&str, &str),
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let mut settings = Settings::default();
        settings.credentials = CredentialSource::Static {
            access_key_id: id.to_owned(),
            secret_access_key_file: file,
        };
        settings.roots = Some(authority.clone());
        let endpoints = Service::ALL.map(|service| (service, url.to_owned()));
        settings.endpoints = endpoints.into();
        change(&mut settings);
        let client = Client::new(&Outbound {
            allow_loopback: true,
            ..Outbound::default()
        });
        Self {
            aws: aws(settings),
            world: world(client),
            _dir: dir,
        }
    }
}

pub(crate) fn aws(settings: Settings) -> Aws {
    let mut clouds = Clouds::default();
    clouds.aws = settings;
    Aws::new(Arc::new(clouds))
}

/// Pauses and memories are short: no test waits for them.
pub(crate) fn world(client: Client) -> World {
    within(client, Duration::from_secs(4))
}

fn within(client: Client, deadline: Duration) -> World {
    let clock = Arc::new(SystemClock::new());
    let times = Times {
        deadline,
        pause: Duration::from_millis(5),
        failure: Duration::ZERO,
    };
    World::new(
        Arc::new(client),
        Arc::new(MemoryStore::new()),
        clock.clone(),
    )
    .with_answers(clock, Arc::new(NoCounts), times)
}

pub(crate) fn place(account: &str, region: &str) -> Place {
    Place::new(account, region).unwrap()
}

/// A program of moto's environment.
pub(crate) fn tool(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/moto/bin");
    let path = root.join(name);
    assert!(
        path.exists(),
        "{} is missing: `./x setup` makes it from {}",
        path.display(),
        "host-verifier/tests/outside/aws/requirements.txt"
    );
    path
}

/// This folder, where Python finds its scripts.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/outside/aws")
        .join(name)
}
