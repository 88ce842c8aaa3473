//! moto: another implementation of these services, made from AWS's own service models, over TLS as the real ones are.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_host_verifier::cloud::aws::answers::InstanceState;
use assay_host_verifier::cloud::aws::{CredentialSource, RoleArn, Settings};
use assay_host_verifier::outside::Outbound;
use assay_host_verifier::outside::client::Client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;

use super::{Verifier, place, script, tool};

/// What moto's own account is.
const OWN: &str = "123456789012";
/// Another account.
const OTHER: &str = "222222222222";

struct Moto {
    url: String,
    authority: Arc<str>,
    /// What was made in it.
    made: Value,
    _dir: tempfile::TempDir,
    child: Child,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// A server with instances, roles, an organisation and a cluster in it.
    fn start() -> Self {
        (0..5)
            .find_map(|_| Self::attempt())
            .expect("moto does not start")
    }

    fn attempt() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of another name than the server's: OpenSSL takes the certificate for its own authority otherwise.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "the test's authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        std::fs::write(at("cert.pem"), leaf.pem()).unwrap();
        std::fs::write(at("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(at("ca.pem"), authority.pem()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = std::fs::File::create(at("log")).unwrap();
        let mut child = Command::new(tool("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s"])
            .arg("-c")
            .arg(at("cert.pem"))
            .arg("-k")
            .arg(at("key.pem"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if child.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(60) {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = format!("https://127.0.0.1:{port}");
        let mut moto = Self {
            url,
            authority: authority.pem().into(),
            made: Value::Null,
            _dir: dir,
            child,
        };
        let output = Command::new(tool("python"))
            .arg(script("moto_fills.py"))
            .args([&moto.url, moto._dir.path().join("ca.pem").to_str().unwrap()])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "moto_fills.py has failed");
        moto.made = serde_json::from_slice(&output.stdout).unwrap();
        Some(moto)
    }

    /// One that waits for as long as a busy machine needs: moto takes seconds for its larger answers.
    fn verifier(&self, change: impl FnOnce(&mut Settings)) -> Verifier {
        let key = (super::KEY_ID, super::SECRET);
        let mut verifier = Verifier::at(&self.url, &self.authority, key, change);
        let client = Client::new(&Outbound {
            allow_loopback: true,
            ..Outbound::default()
        });
        verifier.world = super::within(client, Duration::from_secs(30));
        verifier
    }

    fn made(&self, name: &str) -> &str {
        self.made[name].as_str().unwrap()
    }
}

#[tokio::test]
async fn another_implementation_of_the_services_is_understood() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    let verifier = moto.verifier(|_| ());
    let (aws, world) = (&verifier.aws, &verifier.world);

    let caller = aws.caller(world).await.unwrap();
    assert_eq!(caller.account, OWN);

    // In another account, through the role there.
    let other = place(OTHER, "eu-west-1");
    let id = moto.made("instance");
    let found = aws.instance(world, &other, id).await.unwrap().unwrap();
    assert_eq!(
        (found.id.as_str(), found.state),
        (id, InstanceState::Running)
    );
    assert_eq!(found.instance_type, "m5.large");
    assert_eq!(found.image_id, moto.made("image"));
    assert_eq!(found.vpc_id.as_deref(), Some(moto.made("vpc")));
    assert_eq!(found.subnet_id.as_deref(), Some(moto.made("subnet")));
    let groups: Vec<_> = found
        .security_groups
        .iter()
        .map(|g| (g.id.as_str(), g.name.as_str()))
        .collect();
    assert_eq!(groups, [(moto.made("group"), "sg-spire-nodes")]);
    assert_eq!(found.tags["Environment"], "production");
    assert_eq!(found.tags["Odd"], "a & <b> \"\u{e9}\" ");
    assert_eq!(found.root_device_type.as_deref(), Some("ebs"));
    let nic = found.primary_interface().unwrap();
    let apart = found
        .root_attached
        .unwrap()
        .duration_since(nic.attached.unwrap());
    assert!(
        apart.abs() <= jiff::SignedDuration::from_secs(60),
        "{apart}"
    );
    assert!(found.launched.is_some() && found.private_ip.is_some());

    // Nowhere else.
    for elsewhere in [place(OWN, "eu-west-1"), place(OTHER, "us-east-1")] {
        assert_eq!(aws.instance(world, &elsewhere, id).await.unwrap(), None);
    }
    let stopped = aws
        .instance(world, &other, moto.made("stopped"))
        .await
        .unwrap();
    assert_eq!(stopped.unwrap().state, InstanceState::Stopped);

    let profile = found.instance_profile.as_deref().unwrap();
    let roles = aws.roles(world, &other, profile).await.unwrap().unwrap();
    let role = format!("arn:aws:iam::{OTHER}:role/service/web");
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), [role]);
    let gone = format!("arn:aws:iam::{OTHER}:instance-profile/gone");
    assert_eq!(aws.roles(world, &other, &gone).await.unwrap(), None);

    let volumes = aws.volumes(world, &other, &found.volumes).await.unwrap();
    assert_eq!(volumes.encrypted.len(), 1);
    assert!(!volumes.encrypted[&found.volumes[0]]);
    assert!(
        aws.image(world, &other, &found.image_id)
            .await
            .unwrap()
            .created
            .is_some()
    );
    let none = aws
        .image(world, &other, "ami-0123456789abcdef0")
        .await
        .unwrap();
    assert_eq!(none.created, None);

    let lists = format!("arn:aws:iam::{OWN}:role/DefaktoServerOrgAccountsList");
    let lists = RoleArn::parse(&lists).unwrap();
    let member = moto.made("member");
    assert!(
        aws.in_organization(world, Some(&lists), member)
            .await
            .unwrap()
    );
    let closed = aws
        .in_organization(world, Some(&lists), moto.made("closed"))
        .await;
    assert!(!closed.unwrap());
    assert!(
        !aws.in_organization(world, Some(&lists), OTHER)
            .await
            .unwrap()
    );

    let nodes = aws.cluster_nodes(world, &other, "prod").await.unwrap();
    let expected: Vec<_> = moto.made["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap())
        .collect();
    assert_eq!(expected.len(), 2);
    for node in &expected {
        assert!(nodes.instances.contains(*node), "{node}");
        assert!(aws.in_cluster(world, &other, "prod", node).await.unwrap());
    }
    assert_eq!(nodes.instances.len(), 2);
    assert!(!aws.in_cluster(world, &other, "prod", id).await.unwrap());
    // A cluster that is not there is the stand-in's to play: moto has an internal error then.

    // A web identity, which moto takes as it is.
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "e30.e30.e30").unwrap();
    let verifier = moto.verifier(|settings| {
        let role = RoleArn::parse(&format!("arn:aws:iam::{OTHER}:role/Irsa")).unwrap();
        settings.credentials = CredentialSource::WebIdentity { role, token_file };
    });
    let caller = verifier.aws.caller(&verifier.world).await.unwrap();
    assert!(
        caller.arn.contains(":assumed-role/Irsa/assayd"),
        "{}",
        caller.arn
    );
}
