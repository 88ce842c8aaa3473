//! What SPIRE documents, plugin by plugin.

use std::path::Path;

use serde_json::json;

use super::{agent, all_is_known, carried, checked, config, document, left, notes, server};

const TENANT: &str = "9e85e111-1103-48fc-a933-9533fe47de05";
const OTHER: &str = "dd14e835-679a-4703-b4de-8f00a20c732e";
const SUBSCRIPTION: &str = "d5b40d61-272e-48da-beb9-05f295c42bd6";
const OTHERS_SUBSCRIPTION: &str = "8a7e1c5b-6c0a-4f7d-9a51-0f8b7c2d3e44";
const APP: &str = "12345678-1234-1234-1234-123456789012";

#[test]
fn tenants_of_azure_msi_keep_their_audiences_and_credentials() {
    let imported = server(&format!(
        "NodeAttestor \"azure_msi\" {{ plugin_data {{ tenants = {{\n\
         \"{TENANT}\" = {{ resource_id = \"http://example.org/app/\", app_id = \"{APP}\", app_secret = \"s3cret\", subscription_id = \"{SUBSCRIPTION}\" }}\n\
         \"{OTHER}\" : {{ use_msi = true, subscription_id = \"{OTHERS_SUBSCRIPTION}\" }}\n}} }} }}"
    ));
    all_is_known(&imported);
    assert!(!imported.to_string().contains("s3cret"));
    let policy = config(&imported);
    assert_eq!(
        policy["tenants"],
        json!([
            {"tenantID": TENANT, "audience": "http://example.org/app/", "subscriptionIDs": [SUBSCRIPTION]},
            {"tenantID": OTHER, "audience": "https://management.azure.com/", "subscriptionIDs": [OTHERS_SUBSCRIPTION]},
        ])
    );
    assert!(policy["subscriptionIds"].is_null());
    assert_eq!(policy["tofu"], true);
    let service = document(&imported, "assayd.yaml");
    assert_eq!(
        service["clouds"]["azure"]["tenants"],
        json!([
            {"tenantID": TENANT, "clientID": APP, "clientSecretFile": format!("azure-secret-{TENANT}")},
            {"tenantID": OTHER, "managedIdentity": true},
        ])
    );
    let path = "/spire/agent/azure_msi/{{azure_msi.tenant.id}}/{{azure_msi.identity.principal_id}}";
    assert_eq!(service["session"]["pathTemplate"], path);
    let of = |key: &str| format!("NodeAttestor \"azure_msi\".tenants.{TENANT}{key}");
    assert_eq!(carried(&imported, &of("")), "tenants[0].tenantID");
    assert_eq!(carried(&imported, &of(".resource_id")), "audience");
    assert!(carried(&imported, &of(".app_id")).contains("clientID"));
    assert!(left(&imported, &of(".app_secret")).contains("clientSecretFile"));
    assert!(notes(&imported).contains("act in Azure as the node"));
}

#[test]
fn a_tenant_of_azure_msi_of_which_nobody_is_named_lets_nobody_in() {
    let imported = server(&format!(
        "NodeAttestor \"azure_msi\" {{ plugin_data {{ tenants = {{ \"{TENANT}\" = {{}}, \"example.org\" = {{ resource_id = \"a\" }} }} }} }}"
    ));
    all_is_known(&imported);
    let tenants = &config(&imported)["tenants"];
    assert_eq!(tenants.as_array().unwrap().len(), 1);
    assert_eq!(
        tenants[0]["principalID"],
        "00000000-0000-0000-0000-000000000000"
    );
    assert!(notes(&imported).contains("nobody is let in"));
    let stranger = "NodeAttestor \"azure_msi\".tenants.example.org";
    assert!(left(&imported, stranger).contains("GUID"));
    assert!(left(&imported, &format!("{stranger}.resource_id")).contains("GUID"));
    // Without a tenant there is no policy, and every setting is listed.
    let imported = server(
        "NodeAttestor \"azure_msi\" { plugin_data { tenants = {}, locations = [\"East US\"] } }",
    );
    assert!(left(&imported, "NodeAttestor \"azure_msi\".locations").contains("no policy"));
    let names = imported["documents"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["assayd.yaml"]);
}

#[test]
fn tenants_of_azure_imds_are_carried_over() {
    let imported = server(&format!(
        "NodeAttestor \"azure_imds\" {{ plugin_data {{\n\
         allowed_metadata_domains = [\"metadata.azure.us\"]\n trust_bundle_path = \"/etc/spire/azure.pem\"\n\
         agent_path_template = \"/{{{{ .PluginName }}}}/{{{{ .TenantID }}}}/{{{{ .VMID }}}}\"\n tenants = {{\n\
         \"{TENANT}\" = {{ secret_auth = {{ app_id = \"{APP}\", app_secret = \"s3cret\" }}, restrict_to_subscriptions = [\"{SUBSCRIPTION}\"], allowed_vm_tags = [\"environment\", \"team\"] }}\n\
         \"staging.onmicrosoft.com\" = {{ token_auth = {{ app_id = \"{APP}\", token_path = \"/var/lib/spire/token\" }}, auth_type = \"token\", restrict_to_subscriptions = [\"e2f3g4h5-6789-0123-4567-890123456789\"], allowed_vm_tags = [\"environment\"] }}\n\
         }} }} }}"
    ));
    all_is_known(&imported);
    assert!(!imported.to_string().contains("s3cret"));
    let stand_in = "00000000-0000-0000-0000-000000000002";
    let policy = config(&imported);
    assert_eq!(
        policy["tenants"],
        json!([
            {"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION], "useComputeAPI": true},
            {"tenantID": stand_in, "subscriptionIDs": ["00000000-0000-0000-0000-000000000001"], "useComputeAPI": true},
        ])
    );
    assert_eq!(policy["azureEnvironment"], "AzureGovernmentCloud");
    assert_eq!(policy["attributeVMTagKeys"], json!(["environment", "team"]));
    assert_eq!(policy["tofu"], true);
    let service = document(&imported, "assayd.yaml");
    let azure = &service["clouds"]["azure"];
    assert_eq!(azure["roots"], json!(["/etc/spire/azure.pem"]));
    assert_eq!(
        azure["tenants"],
        json!([
            {"tenantID": TENANT, "environment": "AzureGovernmentCloud", "clientID": APP, "clientSecretFile": format!("azure-secret-{TENANT}")},
            {"tenantID": stand_in, "environment": "AzureGovernmentCloud", "clientID": APP, "federatedTokenFile": "/var/lib/spire/token"},
        ])
    );
    let path = "/spire/agent/azure_imds/{{azure_imds.tenant.id}}/{{azure_imds.vm.id}}";
    assert_eq!(service["session"]["pathTemplate"], path);
    let notes = notes(&imported);
    assert!(
        notes.contains("stands for the tenant staging.onmicrosoft.com"),
        "{notes}"
    );
    // What is no subscription is left out, and the tenant lets in nobody rather than anybody.
    assert!(notes.contains("e2f3g4h5-6789"), "{notes}");
    assert!(notes.contains("nobody is let in"), "{notes}");
}

#[test]
fn an_agent_in_azure_is_carried_over() {
    let imported = agent(
        "NodeAttestor \"azure_imds\" { plugin_data { tenant_domain = \"example.onmicrosoft.com\" } }",
    );
    let own = &document(&imported, "agent.yaml")["agent"];
    assert_eq!(
        own["auth"]["attestors"],
        json!([{"type": "azure_imds", "config": {"agentDomain": "example.onmicrosoft.com"}}])
    );
    // A key in memory would be another one at the next login, and the node is bound to its first.
    assert_eq!(own["keyFile"], "/opt/spire/svid.key");
    assert_eq!(own["provisioningRecord"], "record.bin");
    let imported = agent("NodeAttestor \"azure_msi\" { plugin_data {} }");
    let own = &document(&imported, "agent.yaml")["agent"];
    let audience = &own["auth"]["attestors"][0]["config"]["audience"];
    assert_eq!(audience, "https://management.azure.com/");
    assert!(notes(&imported).contains("act in Azure as the node"));
}

#[test]
fn first_use_is_said_where_a_method_has_it_and_where_not() {
    for (plugin, settings, is_bound) in [
        ("aws_iid", "", true),
        ("gcp_iit", "projectid_allow_list = [\"p\"]", true),
        ("aws_iid", "tofu = false", false),
    ] {
        let imported = server(&format!(
            "NodeAttestor \"{plugin}\" {{ plugin_data {{ {settings} }} }}"
        ));
        let tofu = &config(&imported)["tofu"];
        assert_eq!(*tofu == json!(true), is_bound, "{plugin}");
        let note = format!("{plugin}: SPIRE lets each node in by this method once");
        assert_eq!(notes(&imported).contains(&note), is_bound, "{plugin}");
    }
    let imported = server(
        "NodeAttestor \"http_challenge\" { plugin_data { allowed_dns_patterns = [\"p1\\\\.example\\\\.com\"], required_port = 80, tofu = false } }",
    );
    all_is_known(&imported);
    let policy = config(&imported);
    assert_eq!(
        policy,
        json!({"allowedHostnames": ["p1.example.com"], "allowedPorts": [80]})
    );
    let why = left(&imported, "NodeAttestor \"http_challenge\".tofu");
    assert!(why.contains("made for one login"), "{why}");
    let imported = server(
        "NodeAttestor \"k8s_psat\" { plugin_data { tofu = true, clusters = { \"east\" = { service_account_allow_list = [\"spire:agent\"] } } } }",
    );
    let why = left(&imported, "NodeAttestor \"k8s_psat\".tofu");
    assert!(why.contains("as often as it proves itself"), "{why}");
}

#[test]
fn accounts_that_are_validated_locally_pass_the_check() {
    let local = "account_ids_for_local_validation = [\"111122223333\"]";
    let imported = server(&format!(
        "NodeAttestor \"aws_iid\" {{ plugin_data {{ {local} }} }}"
    ));
    let policy = config(&imported);
    assert_eq!(
        policy["accountIdsForLocalValidation"],
        json!(["111122223333"])
    );
    assert_eq!(policy["awsAccountsAllowed"], json!(["111122223333"]));
    assert!(notes(&imported).contains("nobody is asked whose they are"));
    // What AWS must be asked for goes before: more is asked, and never less.
    for other in [
        "instance_tag_requirements = { \"Team\" = [\"a\"] }",
        "allowed_vpc_ids = [\"vpc-12345678\"]",
        "allowed_subnet_ids = [\"subnet-12345678\"]",
        "required_security_groups = [\"sg-nodes\"]",
        "validate_eks_cluster_membership = { eks_cluster_names = [\"east\"] }",
    ] {
        let imported = server(&format!(
            "NodeAttestor \"aws_iid\" {{ plugin_data {{\n{local}\n{other}\nlocal_only = true\n}} }}"
        ));
        let policy = config(&imported);
        assert!(
            policy.get("accountIdsForLocalValidation").is_none(),
            "{other}"
        );
        assert!(policy.get("localOnly").is_none(), "{other}");
        assert_eq!(policy["awsAccountsAllowed"], json!(["111122223333"]));
        let why = left(
            &imported,
            "NodeAttestor \"aws_iid\".account_ids_for_local_validation",
        );
        assert!(why.contains("needs its answer"), "{why}");
        left(&imported, "NodeAttestor \"aws_iid\".local_only");
    }
    let imported = server("NodeAttestor \"aws_iid\" { plugin_data { local_only = true } }");
    assert!(left(&imported, "NodeAttestor \"aws_iid\".local_only").contains("listed"));
}

#[test]
fn an_organization_is_named_by_the_role_that_may_list_it() {
    let imported = server(
        "NodeAttestor \"aws_iid\" { plugin_data { access_key_id = \"AKIDEXAMPLE00000000\", secret_access_key = \"s3cret\", assume_role = \"spire\"\n\
         verify_organization = { management_account_id = \"111122223333\", assume_org_role = \"lists\", management_account_region = \"us-west-2\", org_account_map_ttl = \"10m\" } } }",
    );
    all_is_known(&imported);
    assert!(!imported.to_string().contains("s3cret"));
    assert_eq!(
        config(&imported)["assumeOrgRoleArns"],
        json!(["arn:aws:iam::111122223333:role/lists"])
    );
    let aws = &document(&imported, "assayd.yaml")["clouds"]["aws"];
    assert_eq!(aws["role"], "spire");
    assert_eq!(aws["cacheTtl"], "10m");
    assert_eq!(
        aws["credentials"],
        json!({"accessKey": {"id": "AKIDEXAMPLE00000000", "secretFile": "aws-secret"}})
    );
}

#[test]
fn clusters_of_kubernetes_are_carried_over() {
    let imported = server(
        "NodeAttestor \"k8s_psat\" { plugin_data { clusters = {\n\
         \"east\" = { service_account_allow_list = [\"production:spire-agent\"], allowed_node_label_keys = [\"zone\"], use_pod_uid_for_agent_id = true }\n\
         \"west\" = { service_account_allow_list = [\"production:spire-agent\"], audience = [] }\n } } }",
    );
    all_is_known(&imported);
    let clusters = &config(&imported)["clusters"];
    assert_eq!(clusters["east"]["audience"], json!(["spire-server"]));
    assert_eq!(clusters["east"]["allowedNodeLabelKeys"], json!(["zone"]));
    assert_eq!(clusters["east"]["usePodUidForAgentId"], true);
    assert_eq!(clusters["west"]["audience"], json!([]));
    assert_eq!(
        clusters["west"]["serviceAccountAllowList"],
        json!(["production:spire-agent"])
    );
    let imported = agent("NodeAttestor \"k8s_psat\" { plugin_data { cluster = \"east\" } }");
    assert_eq!(
        document(&imported, "agent.yaml")["agent"]["auth"]["attestors"][0]["config"],
        json!({"cluster": "east", "tokenPath": "/var/run/secrets/tokens/spire-agent"})
    );
}

#[test]
fn keys_and_tokens_are_carried_over() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEAWPAsKJ/qMYUIBeH7BLMRCE/bkUvMHX+7OZhANk45S";
    let imported = server(&format!(
        "NodeAttestor \"sshpop\" {{ plugin_data {{ cert_authorities = [\"{key}\"], canonical_domain = \"example.org\", verify_client_ip = true }} }}"
    ));
    all_is_known(&imported);
    assert_eq!(
        config(&imported),
        json!({"certAuthorities": [key], "canonicalDomain": "example.org"})
    );
    let imported = server("NodeAttestor \"join_token\" { plugin_data {} }");
    assert!(notes(&imported).contains("assay join-token create"));
    let template = &document(&imported, "assayd.yaml")["session"]["pathTemplate"];
    assert_eq!(template, "/spire/agent/join_token/{{join_token.id}}");
    let imported = agent(
        "NodeAttestor \"x509pop\" { plugin_data { private_key_path = \"k.pem\", certificate_path = \"c.pem\" } }\n\
         NodeAttestor \"sshpop\" { plugin_data {} }\nNodeAttestor \"join_token\" { plugin_data {} }\n\
         NodeAttestor \"http_challenge\" { plugin_data { port = 8080, advertised_port = \"80\" } }\n\
         NodeAttestor \"tpm_devid\" { plugin_data { tpm_device_path = \"/dev/tpmrm0\", devid_cert_path = \"c\", devid_pub_path = \"p\", devid_priv_path = \"q\", devid_password = \"s3cret\" } }\n\
         KeyManager \"disk\" { plugin_data { directory = \"/var/keys\" } }",
    );
    all_is_known(&imported);
    assert!(!imported.to_string().contains("s3cret"));
    let own = &document(&imported, "agent.yaml")["agent"];
    assert_eq!(
        own["auth"]["attestors"],
        json!([
            {"type": "x509pop", "config": {"privateKeyPath": "k.pem", "certificatePath": "c.pem"}},
            {"type": "ssh_pop", "config": {"hostKeyPath": "/etc/ssh/ssh_host_rsa_key"}},
            {"type": "join_token", "config": {"joinTokenFile": "join-token"}},
            {"type": "http_dns", "config": {"port": 8080, "advertisedPort": 80}},
            {"type": "tpm_devid", "config": {"devidCertPath": "c", "devidPubPath": "p", "devidPrivPath": "q"}},
        ])
    );
    assert_eq!(own["tpm"]["tcti"], "device:/dev/tpmrm0");
    assert_eq!(own["keyFile"], "/var/keys/svid.key");
    assert_eq!(
        carried(&imported, "KeyManager \"disk\".directory"),
        "agent.keyFile"
    );
}

#[test]
fn several_methods_keep_their_paths() {
    let both = "NodeAttestor \"gcp_iit\" { plugin_data { projectid_allow_list = [\"p\", \"q\"] } }\n\
                NodeAttestor \"aws_iid\" { plugin_data { agent_path_template = \"/aws/{{ .InstanceID }}\" } }";
    let imported = server(both);
    assert!(document(&imported, "assayd.yaml").get("session").is_none());
    assert_eq!(
        document(&imported, "issuance.yaml")["spec"],
        json!({
            "policy": {"pathTemplate": "/spire/agent/aws/{{aws_iid.ec2.instance.id}}"},
            "policyOverrides": [{
                "when": {"gcp_iit.project_id": ["p", "q"]},
                "policy": {"pathTemplate": "/spire/agent/gcp_iit/{{gcp_iit.project_id}}/{{gcp_iit.instance_id}}"},
            }],
        })
    );
    assert!(
        !notes(&imported).contains("issuance.yaml"),
        "{}",
        notes(&imported)
    );
    // Two that nothing tells apart: one has its path, the other is left to a person.
    let imported = server(&format!(
        "{both}\nNodeAttestor \"join_token\" {{ plugin_data {{}} }}"
    ));
    let issuance = document(&imported, "issuance.yaml");
    let overrides = issuance["spec"]["policyOverrides"].as_array().unwrap();
    assert_eq!(overrides.len(), 1);
    let notes = notes(&imported);
    assert!(
        notes.contains("nodes that log in by join_token get no path"),
        "{notes}"
    );
}

#[test]
fn a_template_that_computes_is_left_to_a_person() {
    let imported = server(
        "NodeAttestor \"aws_iid\" { plugin_data { agent_path_template = \"/{{ .Tags.a | upper }}\" } }",
    );
    let why = left(&imported, "NodeAttestor \"aws_iid\".agent_path_template");
    assert!(why.contains("session.pathTemplate"), "{why}");
    let template = &document(&imported, "assayd.yaml")["session"]["pathTemplate"];
    assert!(
        template
            .as_str()
            .unwrap()
            .starts_with("/spire/agent/aws_iid/")
    );
}

#[test]
fn a_plugin_that_is_switched_off_is_not_carried_over() {
    let imported = checked(
        "server { trust_domain = \"example.org\" }\nplugins {\n\
         NodeAttestor \"aws_iid\" { enabled = false, plugin_data { region = \"eu-west-1\" } }\n\
         NodeAttestor \"join_token\" { enabled = true, plugin_data {} }\n\
         KeyManager \"memory\" { enabled = false }\n\
         NodeAttestor \"own\" { plugin_cmd = \"/opt/own\", plugin_checksum = \"00\", plugin_data { x = 1 } }\n}\n",
    );
    let why = left(&imported, "NodeAttestor \"aws_iid\".enabled");
    assert!(why.contains("switched off"), "{why}");
    carried(&imported, "NodeAttestor \"join_token\".enabled");
    let service = document(&imported, "assayd.yaml");
    assert!(service.get("clouds").is_none() && service.get("keyManager").is_none());
    let why = left(&imported, "NodeAttestor \"own\".plugin_cmd");
    assert!(why.contains("no program is loaded"), "{why}");
    let why = left(&imported, "NodeAttestor \"own\".x");
    assert!(why.contains("no counterpart"), "{why}");
}

/// Agents with every method between them. The agent's own tests read what comes of them, and build each method.
#[test]
fn an_agent_reads_what_is_imported_for_it() {
    let clouds = "NodeAttestor \"aws_iid\" { plugin_data { timeout = \"1h\", max_retries = 5, retry_delay = \"1s\", ec2_metadata_endpoint = \"http://169.254.169.254\" } }\n\
         NodeAttestor \"gcp_iit\" { plugin_data { identity_token_host = \"metadata.google.internal\", service_account = \"default\" } }\n\
         NodeAttestor \"azure_msi\" { plugin_data { resource_id = \"http://example.org/app/\" } }\n\
         NodeAttestor \"azure_imds\" { plugin_data { tenant_domain = \"example.onmicrosoft.com\" } }\n\
         NodeAttestor \"k8s_psat\" { plugin_data { cluster = \"east\" } }\n";
    let keys = "NodeAttestor \"x509pop\" { plugin_data { private_key_path = \"k.pem\", certificate_path = \"c.pem\" } }\n\
         NodeAttestor \"sshpop\" { plugin_data {} }\n\
         NodeAttestor \"tpm_devid\" { plugin_data { devid_cert_path = \"c\", devid_pub_path = \"p\", devid_priv_path = \"q\" } }\n\
         NodeAttestor \"http_challenge\" { plugin_data { port = 8080, advertised_port = 80 } }\n\
         NodeAttestor \"join_token\" { plugin_data {} }\n\
         NodeAttestor \"tpm\" { plugin_data { tpm_path = \"/dev/tpmrm0\" } }\n";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-agent/testdata");
    for (name, methods) in [("clouds", clouds), ("keys", keys)] {
        let imported = agent(&format!(
            "{methods}KeyManager \"disk\" {{ plugin_data {{ directory = \"/var/keys\" }} }}"
        ));
        let documents = imported["documents"].as_array().unwrap();
        let text = documents[0]["text"].as_str().unwrap();
        let golden = folder.join(format!("imported-from-spire/{name}.yaml"));
        if std::env::var_os("ASSAY_OVERWRITE").is_some() {
            std::fs::write(&golden, text).unwrap();
        }
        let read = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(read, text, "{name}");
    }
}
