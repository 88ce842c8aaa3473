//! A node attestor of SPIRE's: the entries of a policy that ask for the same, and what the service needs for them.

use super::Import;
use super::files::Part;
use super::hcl::Value;
use super::out::Node;
use super::server::lists_of;
use super::settings::{Settings, node_of, texts};

/// An entry of a policy.
#[derive(Debug, Clone)]
pub(super) struct Method {
    /// `type:`.
    pub(super) kind: &'static str,
    /// `config:`.
    pub(super) config: Node,
    /// The path that SPIRE gives agents of this method.
    pub(super) template: Option<&'static str>,
}

/// A setting there, and its name here.
type Pair = (&'static str, &'static str);

pub(super) fn entries(
    name: &str,
    data: &mut Settings,
    service: &mut Node,
    part: &Part,
    import: &mut Import,
) -> Vec<Method> {
    match name {
        "aws_iid" => vec![aws(data, service, import)],
        "gcp_iit" => vec![gcp(data, service, import)],
        "azure_msi" => vec![azure(data, service, import)],
        "k8s_psat" => kubernetes(data, part, import).into_iter().collect(),
        "tpm" => tpm(data, import),
        _ => Vec::new(),
    }
}

fn same(pairs: &[Pair], data: &mut Settings, config: &mut Node, import: &mut Import) {
    for (key, own) in pairs {
        if let Some(value) = data.take(key, own, import) {
            let node = match &value {
                Value::Object(_) => lists_of(&value),
                other => node_of(other),
            };
            config.put(&[own], node);
        }
    }
}

fn aws(data: &mut Settings, service: &mut Node, import: &mut Import) -> Method {
    let mut config = Node::map();
    if data.has("account_ids_for_verification") {
        // Whoever lists accounts means these and no other: ours lets in the service's own too, unless told otherwise.
        let pair = [("account_ids_for_verification", "awsAccountsAllowed")];
        same(&pair, data, &mut config, import);
        config.put(&["allowOwnAccount"], Node::Plain("false".to_owned()));
    }
    same(
        &[
            ("instance_tag_requirements", "instanceTagRequirements"),
            ("allowed_regions", "allowedRegions"),
            ("allowed_instance_types", "allowedInstanceTypes"),
            ("allowed_vpc_ids", "allowedVpcIds"),
            ("allowed_subnet_ids", "allowedSubnetIds"),
            ("required_security_groups", "requiredSecurityGroups"),
            ("allowed_ami_ids", "allowedAmiIds"),
            ("skip_block_device", "skipBlockDevice"),
            ("local_only", "localOnly"),
            (
                "disable_instance_profile_selectors",
                "disableInstanceProfileSelectors",
            ),
            (
                "account_ids_for_local_validation",
                "accountIdsForLocalValidation",
            ),
        ],
        data,
        &mut config,
        import,
    );
    if let Some(mut block) = data.block("validate_eks_cluster_membership") {
        same(
            &[("eks_cluster_names", "eksClusterNames")],
            &mut block,
            &mut config,
            import,
        );
        block.finish(import);
    }
    for (key, own) in [
        ("region", "region"),
        ("assume_role_arn", "assumeRole"),
        ("assume_role", "role"),
        ("ca_bundle_path", "caCerts"),
        ("metadata_cache_ttl", "cacheTtl"),
    ] {
        data.carry(key, &["clouds", "aws", own], service, import);
    }
    let of_environment = data.peek("access_key_id") == Some("${AWS_ACCESS_KEY_ID}")
        && data.peek("secret_access_key") == Some("${AWS_SECRET_ACCESS_KEY}");
    if of_environment {
        let to = "clouds.aws.credentials.environment";
        data.take("access_key_id", to, import);
        data.take("secret_access_key", to, import);
        let path = ["clouds", "aws", "credentials", "environment"];
        service.put(&path, Node::map());
    }
    Method {
        kind: "aws_iid",
        config,
        template: Some(
            "/spire/agent/aws_iid/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}/{{aws_iid.ec2.instance.id}}",
        ),
    }
}

fn gcp(data: &mut Settings, service: &mut Node, import: &mut Import) -> Method {
    /// Those for which Compute Engine is asked.
    const OF_INSTANCE: [Pair; 7] = [
        ("instance_label_whitelist", "instanceLabelWhitelist"),
        ("machine_type_whitelist", "machineTypeWhitelist"),
        ("network_whitelist", "networkWhitelist"),
        ("subnetwork_whitelist", "subnetworkWhitelist"),
        ("allowed_label_keys", "attributeLabelKeys"),
        ("allowed_metadata_keys", "attributeMetadataKeys"),
        ("max_metadata_value_size", "maxMetadataValueSize"),
    ];
    let mut config = Node::map();
    same(
        &[
            ("projectid_whitelist", "allowedProjectIDs"),
            ("projectid_allow_list", "allowedProjectIDs"),
            ("audience", "audience"),
            ("service_account_whitelist", "serviceAccountWhitelist"),
            ("zone_whitelist", "zoneWhitelist"),
            ("token_lifetime", "tokenLifetime"),
            ("use_instance_metadata", "useInstanceMetadata"),
        ],
        data,
        &mut config,
        import,
    );
    if OF_INSTANCE.iter().any(|(key, _)| data.has(key)) {
        config.put(&["useInstanceMetadata"], Node::Plain("true".to_owned()));
    }
    same(&OF_INSTANCE, data, &mut config, import);
    for (key, own) in [
        ("credentials_file", "credentialsFile"),
        ("service_account_file", "credentialsFile"),
        ("ca_bundle_path", "caCerts"),
    ] {
        data.carry(key, &["clouds", "gcp", own], service, import);
    }
    Method {
        kind: "gcp_iit",
        config,
        template: Some("/spire/agent/gcp_iit/{{gcp_iit.project_id}}/{{gcp_iit.instance_id}}"),
    }
}

fn azure(data: &mut Settings, service: &mut Node, import: &mut Import) -> Method {
    let mut config = Node::map();
    let mut tenant = Node::map();
    let mut access = Node::map();
    if let Some(value) = data.take("tenant_id", "tenants[0].tenantID", import) {
        tenant.put(&["tenantID"], node_of(&value));
        access.put(&["tenantID"], node_of(&value));
    }
    data.carry("audience", &["audience"], &mut tenant, import);
    if let Some(environment) = data.peek("azure_environment") {
        access.put(&["environment"], Node::Text(environment.to_owned()));
    }
    config.put(&["tenants"], Node::List(vec![tenant]));
    same(
        &[
            ("subscription_ids", "subscriptionIds"),
            ("resource_groups", "resourceGroups"),
            ("vm_name_patterns", "vmNamePatterns"),
            ("required_nsg_names", "requiredNsgNames"),
            ("vnet_names", "vnetNames"),
            ("subnet_names", "subnetNames"),
            ("vm_sizes", "vmSizes"),
            ("locations", "locations"),
            ("azure_environment", "azureEnvironment"),
        ],
        data,
        &mut config,
        import,
    );
    data.carry("client_id", &["clientID"], &mut access, import);
    match data.has("client_secret") {
        true => {
            let secret = "azure-client-secret";
            access.put(&["clientSecretFile"], Node::Text(secret.to_owned()));
            let reason = "a secret stands in a file of its own";
            let instead =
                "write it into the file that clouds.azure.tenants[0].clientSecretFile names";
            data.leave("client_secret", reason, instead, import);
        }
        // As the comment beside SPIRE's settings has it.
        false => access.put(&["managedIdentity"], Node::Plain("true".to_owned())),
    }
    service.put(&["clouds", "azure", "tenants"], Node::List(vec![access]));
    Method {
        kind: "azure_msi",
        config,
        template: Some(
            "/spire/agent/azure_msi/{{azure_msi.tenant.id}}/{{azure_msi.identity.principal_id}}",
        ),
    }
}

fn kubernetes(data: &mut Settings, part: &Part, import: &mut Import) -> Option<Method> {
    let name = data.take("cluster", "clusters", import);
    let name = name.map_or_else(|| "kubernetes".to_owned(), |value| texts(&value).concat());
    let namespace = part.namespace.as_deref().unwrap_or("spire");
    let to = format!("clusters.{name}.serviceAccountAllowList");
    let accounts = data.take("service_account_allow_list", &to, import)?;
    let accounts = texts(&accounts).into_iter().map(|account| match account.contains(':') {
        true => account,
        false => {
            let account = format!("{namespace}:{account}");
            import.notes.push(format!(
                "{to}: a service account is NAMESPACE:NAME; {account} was taken, look whether that is right"
            ));
            account
        }
    });
    let accounts = Node::List(accounts.map(Node::Text).collect());
    let mut config = Node::map();
    let path = ["clusters", name.as_str()];
    let within = |key| [path[0], path[1], key];
    config.put(&within("serviceAccountAllowList"), accounts);
    if let Some(value) = data.take("audience", &format!("clusters.{name}.audience"), import) {
        config.put(&within("audience"), node_of(&value));
    }
    for (key, own) in [
        ("kube_config_file", "kubeConfigFile"),
        ("allowed_node_label_keys", "allowedNodeLabelKeys"),
        ("allowed_pod_label_keys", "allowedPodLabelKeys"),
    ] {
        data.carry(key, &within(own), &mut config, import);
    }
    let has = |config: &Node, key: &str| config.yaml().contains(key);
    if !has(&config, "kubeConfigFile") {
        let server = "https://kubernetes.default.svc";
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        config.put(&within("apiServer"), Node::Text(server.to_owned()));
        config.put(&within("tokenFile"), Node::Text(token.to_owned()));
        import.notes.push(format!(
            "clusters.{name}: SPIRE asks the cluster that its own pod runs in, and so does this; with `assay config set`, name a `credential` of outbound.credentials in place of tokenFile"
        ));
    }
    Some(Method {
        kind: "k8s_psat",
        config,
        template: Some("/spire/agent/k8s_psat/{{k8s_psat.cluster}}/{{k8s_psat.agent_node_uid}}"),
    })
}

fn tpm(data: &mut Settings, import: &mut Import) -> Vec<Method> {
    let mut quote = Node::map();
    data.carry("hash_algorithm", &["bank"], &mut quote, import);
    let values = data.take("expected_pcr_values", "pcrs", import);
    let valued: Vec<String> = match &values {
        Some(Value::Object(entries)) => entries.iter().map(|entry| entry.names.join(".")).collect(),
        _ => Vec::new(),
    };
    if let Some(Value::Object(entries)) = values {
        let pcrs = entries
            .iter()
            .map(|entry| (entry.names.join("."), node_of(&entry.value)));
        quote.put(&["pcrs"], Node::Map(pcrs.collect()));
    }
    if let Some(mut selection) = data.block("pcr_selections") {
        selection.carry("hash_alg", &["bank"], &mut quote, import);
        if let Some(ids) = selection.take("pcr_ids", "anyValue", import) {
            let others = texts(&ids).into_iter().filter(|id| !valued.contains(id));
            let others: Vec<_> = others.map(Node::Plain).collect();
            if !others.is_empty() {
                quote.put(&["anyValue"], Node::List(others));
                let note = "tpm_quote.anyValue: these PCRs are quoted and may have any value; write the values that you expect into `pcrs`";
                import.notes.push(note.to_owned());
            }
        }
        selection.finish(import);
    }
    // A hash that no key has: nobody is let in until the operator says who.
    let nobody = Node::List(vec![Node::Text("0".repeat(64))]);
    let mut ek = Node::map();
    ek.put(&["allowedHashes"], nobody);
    let note = "tpm_ek.allowedHashes lets nobody in: replace it by the hashes of your nodes' EKs (`assay ek show`), or by `manufacturerCAs`";
    import.notes.push(note.to_owned());
    let mut methods = vec![Method {
        kind: "tpm_ek",
        config: ek,
        template: Some("/spire/agent/tpm/{{tpm_ek.public_hash}}"),
    }];
    if !quote.is_empty() {
        methods.push(Method {
            kind: "tpm_quote",
            config: quote,
            template: None,
        });
    }
    methods
}
