//! Values that have other limits here, and what stands beside the node attestors.

use serde_json::{Value, json};

use super::{agent, all_is_known, carried, checked, document, left, notes, server};

/// The service's document of a server with these settings.
fn service(settings: &str) -> (Value, Value) {
    let imported = checked(&format!(
        "server {{\n trust_domain = \"example.org\"\n data_dir = \"data\"\n{settings}\n}}\n"
    ));
    (document(&imported, "assayd.yaml"), imported)
}

#[test]
fn lifetimes_beyond_our_limits_become_the_limits() {
    for (settings, own, said) in [
        (
            "ca_ttl = \"168h\"\ndefault_x509_svid_ttl = \"4h\"\ndefault_jwt_svid_ttl = \"5m\"",
            json!({"ca": {"ttl": "168h"}, "svid": {"x509Ttl": "4h", "jwtTtl": "5m"}}),
            &[][..],
        ),
        (
            "default_x509_svid_ttl = \"24h\"",
            json!({"svid": {"x509Ttl": "4h"}}),
            &["svid.x509Ttl: 24h there, 4h here, the most that it may be"],
        ),
        (
            "ca_ttl = \"2h\"\ndefault_svid_ttl = \"1h\"",
            json!({"ca": {"ttl": "2h"}, "svid": {"x509Ttl": "20m"}}),
            &["svid.x509Ttl: 1h there, 20m here"],
        ),
        (
            "ca_ttl = \"87600h\"\ndefault_x509_svid_ttl = \"2160h\"\ndefault_jwt_svid_ttl = \"8h\"",
            json!({"ca": {"ttl": "43920h"}, "svid": {"x509Ttl": "720h", "jwtTtl": "1h"}}),
            &[
                "ca.ttl: 87600h there, 43920h here",
                "svid.x509Ttl: 2160h there, 720h here",
                "svid.jwtTtl: 8h there, 1h here",
            ],
        ),
        (
            "ca_ttl = \"30m\"\ndefault_x509_svid_ttl = \"10s\"\ndefault_jwt_svid_ttl = \"1s\"",
            json!({"ca": {"ttl": "1h"}, "svid": {"x509Ttl": "1m", "jwtTtl": "10s"}}),
            &["the least that it may be"],
        ),
    ] {
        let (document, imported) = service(settings);
        for part in ["ca", "svid"] {
            assert_eq!(document.get(part), own.get(part), "{settings}");
        }
        let notes = notes(&imported);
        for said in said {
            assert!(notes.contains(said), "{settings}: {notes}");
        }
        assert_eq!(
            said.is_empty(),
            !notes.contains(" there, "),
            "{settings}: {notes}"
        );
    }
    let (document, imported) = service("ca_ttl = \"soon\"");
    assert!(document.get("ca").is_none());
    assert!(left(&imported, "server.ca_ttl").contains("no span of time"));
}

#[test]
fn names_and_keys_of_authorities_are_those_that_there_are() {
    let (document, imported) = service(
        "ca_key_type = \"rsa-4096\"\njwt_key_type = \"ec-p256\"\njwt_issuer = \"oidc.example.org\"\n\
         ca_subject = { country = [\"usa\"], organization = [\"A\", \"B\"], common_name = \"\" }",
    );
    all_is_known(&imported);
    assert_eq!(
        document["ca"],
        json!({"keyType": "rsa-4096", "jwtKeyType": "ec-p256", "subject": {"organization": "A"}})
    );
    assert!(notes(&imported).contains("ca.subject.organization is the first of several"));
    left(&imported, "server.ca_subject.country");
    left(&imported, "server.ca_subject.common_name");
    assert!(left(&imported, "server.jwt_issuer").contains("https"));
    let (document, _) = service("ca_key_type = \"ec-p384\"");
    assert_eq!(
        document["ca"],
        json!({"keyType": "ec-p384", "jwtKeyType": "ec-p384"})
    );
    let (_, imported) = service("ca_key_type = \"dsa\"");
    assert!(left(&imported, "server.ca_key_type").contains("ec-p256"));
}

#[test]
fn what_spire_documents_of_its_server_is_known() {
    let (_, imported) = service(
        "log_format = \"json\"\nlog_source_location = true\naudit_log_enabled = true\nadmin_ids = [\"spiffe://example.org/a\"]\nagent_ttl = \"1h\"\n\
         federation { bundle_endpoint { port = 8443 } }\nratelimit { attestation = true }\nprofiling_enabled = false\ndisable_jwt_svids = false\n\
         prune_attested_nodes_expired_for = \"1h\"",
    );
    all_is_known(&imported);
}

#[test]
fn stores_are_told_as_they_are() {
    let imported = server(
        "DataStore \"sql\" { plugin_data { database_type = \"sqlite3\", connection_string = \"/opt/spire/data.sqlite3\", max_open_conns = 4, disable_migration = true } }",
    );
    all_is_known(&imported);
    assert!(
        document(&imported, "assayd.yaml")
            .get("datastore")
            .is_none()
    );
    let to = carried(&imported, "DataStore \"sql\".database_type");
    assert!(to.contains("assay.sqlite of dataDir"), "{to}");
    let why = left(&imported, "DataStore \"sql\".connection_string");
    assert!(
        why.contains("SPIRE's") && why.contains("sqlite: {path"),
        "{why}"
    );
    let imported = server(
        "DataStore \"sql\" { plugin_data { database_type = \"postgres\", connection_string = \"dbname=spire user=spire host=db sslmode=verify-full sslrootcert=ca.pem password=s3cret\", max_open_conns = 20, max_idle_conns = 5, conn_max_lifetime = \"5m\", ro_connection_string = \"dbname=a\" } }",
    );
    all_is_known(&imported);
    assert!(!imported.to_string().contains("s3cret"));
    let postgres = &document(&imported, "assayd.yaml")["datastore"]["postgres"];
    assert_eq!(postgres["maxConnections"], 20);
    let notes = notes(&imported);
    assert!(notes.contains("SPIRE's own database"), "{notes}");
    assert!(notes.contains("sslrootcert"), "{notes}");
    for (settings, key, word) in [
        (
            "database_type = \"mysql\"\nroot_ca_path = \"a\"",
            "root_ca_path",
            "MySQL",
        ),
        (
            "database_type = \"postgres\"\nconnection_string = \"host=db user=a dbname=b\"\nmax_open_conns = 5000",
            "max_open_conns",
            "1 to 1000",
        ),
    ] {
        let imported = server(&format!(
            "DataStore \"sql\" {{ plugin_data {{ {settings} }} }}"
        ));
        all_is_known(&imported);
        let why = left(&imported, &format!("DataStore \"sql\".{key}"));
        assert!(why.contains(word), "{why}");
    }
    let imported = server(
        "DataStore \"sql\" { plugin_data { database_type \"aws_postgres\" { region = \"us-east-2\" } } }",
    );
    all_is_known(&imported);
}

#[test]
fn listeners_are_addresses_wherever_they_are_said() {
    let imported = checked(
        "server { trust_domain = \"example.org\" }\ntelemetry { Prometheus { host = \"::1\", port = 9988 } DogStatsd = [{ address = \"a\" }] }\n\
         health_checks { listener_enabled = true, bind_address = \"node.example.org\", bind_port = \"80\" }\n",
    );
    all_is_known(&imported);
    let listeners = &document(&imported, "assayd.yaml")["listeners"];
    assert_eq!(listeners["metrics"]["address"], "[::1]:9988");
    assert!(listeners.get("health").is_none());
    assert!(left(&imported, "health_checks.bind_address").contains("no address"));
    // An agent's metrics are for those on its machine.
    let imported = checked(
        "agent { trust_domain = \"example.org\" }\nplugins { NodeAttestor \"join_token\" { plugin_data {} } }\ntelemetry { Prometheus { host = \"0.0.0.0\", port = 9988 } }\n",
    );
    let own = &document(&imported, "agent.yaml")["agent"];
    assert_eq!(own["metrics"]["address"], "127.0.0.1:9988");
    assert!(notes(&imported).contains("on the loopback here"));
}

#[test]
fn what_an_agent_cannot_take_is_left_out() {
    let imported = agent(
        "NodeAttestor \"aws_iid\" { plugin_data { timeout = \"10m\", max_retries = 50, retry_delay = \"2s\", ec2_metadata_endpoint = \"http://169.254.169.254/latest\" } }",
    );
    all_is_known(&imported);
    let offer = &document(&imported, "agent.yaml")["agent"]["auth"]["attestors"][0];
    assert_eq!(
        offer["config"],
        json!({"timeout": "2m", "retryDelay": "2s"})
    );
    assert!(notes(&imported).contains("timeout: 10m there, 2m here"));
    left(&imported, "NodeAttestor \"aws_iid\".max_retries");
    left(&imported, "NodeAttestor \"aws_iid\".ec2_metadata_endpoint");
    let imported = agent(
        "NodeAttestor \"gcp_iit\" { plugin_data { identity_token_host = \"metadata.google.internal\", service_account = \"default\" } }",
    );
    let offer = &document(&imported, "agent.yaml")["agent"]["auth"]["attestors"][0];
    assert_eq!(
        offer["config"],
        json!({"serviceAccount": "default", "metadataEndpoint": "http://metadata.google.internal"})
    );
}
