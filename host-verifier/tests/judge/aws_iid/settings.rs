//! What a policy may say, and what it is told about what it may not.

use assay_host_verifier::attestor::aws_iid::Config;
use serde_json::{Value, json};

use super::{ACCOUNT, ORGANIZATION};

fn rules(config: Value) -> Result<(), String> {
    let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let rules = config.rules();
    rules.map(drop).map_err(|error| {
        assert!(error.hint.is_some(), "{error}");
        error.to_string()
    })
}

#[test]
fn all_settings_together_are_good_ones() {
    rules(json!({})).unwrap();
    rules(json!({
        "awsAccountsAllowed": [ACCOUNT, "012345678901"],
        "allowOwnAccount": true,
        "assumeOrgRoleArns": [ORGANIZATION],
        "useAccountList": true,
        "eksClusterNames": ["web-cluster", "data-service-cluster"],
        "allowedRegions": ["us-east-1", "us-west-2", "eu-west-1"],
        "allowedInstanceTypes": ["t3.medium", "m5.large"],
        "allowedAmiIds": ["ami-0123456789abcdef0"],
        "allowedVpcIds": ["vpc-12345678"],
        "allowedSubnetIds": ["subnet-12345678"],
        "requiredSecurityGroups": ["sg-spire-nodes"],
        "instanceTagRequirements": {"Environment": ["production", "staging"], "SPIREManaged": ["true"]},
        "maxInstanceAge": "720h",
        "allowPending": true,
        "skipBlockDevice": false,
        "disableInstanceProfileSelectors": false,
        "localOnly": false,
        "accountIdsForLocalValidation": [],
        "describeVolumes": true,
        "describeImage": true,
        "legacySignatures": false,
        "tofu": true,
    }))
    .unwrap();
}

#[test]
fn what_lets_nobody_in_or_is_no_name_is_refused_by_its_field() {
    for (settings, field) in [
        (
            json!({"awsAccountsAllowed": ["11112222333"]}),
            "awsAccountsAllowed[0]",
        ),
        (
            json!({"awsAccountsAllowed": [ACCOUNT, "1111-2222-3333"]}),
            "awsAccountsAllowed[1]",
        ),
        (json!({"allowOwnAccount": false}), "awsAccountsAllowed"),
        (
            json!({"assumeOrgRoleArns": ["DefaktoServer"]}),
            "assumeOrgRoleArns[0]",
        ),
        (
            json!({"assumeOrgRoleArns": ["arn:aws:iam::<management_account>:role/List"]}),
            "assumeOrgRoleArns[0]",
        ),
        (json!({"eksClusterNames": []}), "eksClusterNames"),
        (json!({"eksClusterNames": ["a/b"]}), "eksClusterNames[0]"),
        (json!({"allowedRegions": []}), "allowedRegions"),
        (
            json!({"allowedRegions": ["eu-west-1a"]}),
            "allowedRegions[0]",
        ),
        (
            json!({"allowedInstanceTypes": ["m5"]}),
            "allowedInstanceTypes[0]",
        ),
        (json!({"allowedAmiIds": ["ami-x"]}), "allowedAmiIds[0]"),
        (
            json!({"allowedVpcIds": ["subnet-12345678"]}),
            "allowedVpcIds[0]",
        ),
        (
            json!({"allowedSubnetIds": ["vpc-12345678"]}),
            "allowedSubnetIds[0]",
        ),
        (
            json!({"requiredSecurityGroups": []}),
            "requiredSecurityGroups",
        ),
        (
            json!({"requiredSecurityGroups": [""]}),
            "requiredSecurityGroups[0]",
        ),
        (
            json!({"instanceTagRequirements": {}}),
            "instanceTagRequirements",
        ),
        (
            json!({"instanceTagRequirements": {"Team": []}}),
            "instanceTagRequirements.Team",
        ),
        (json!({"maxInstanceAge": "soon"}), "maxInstanceAge"),
        (json!({"maxInstanceAge": "0s"}), "maxInstanceAge"),
        (json!({"localOnly": true}), "awsAccountsAllowed"),
        (
            json!({"localOnly": true, "awsAccountsAllowed": [ACCOUNT], "allowOwnAccount": true}),
            "allowOwnAccount",
        ),
        (
            json!({"localOnly": true, "awsAccountsAllowed": [ACCOUNT], "allowedVpcIds": ["vpc-12345678"]}),
            "allowedVpcIds",
        ),
        (
            json!({"localOnly": true, "awsAccountsAllowed": [ACCOUNT], "eksClusterNames": ["a"]}),
            "eksClusterNames",
        ),
        (
            json!({"localOnly": true, "awsAccountsAllowed": [ACCOUNT], "assumeOrgRoleArns": [ORGANIZATION]}),
            "assumeOrgRoleArns",
        ),
        (
            json!({"awsAccountsAllowed": [ACCOUNT], "accountIdsForLocalValidation": ["222222222222"]}),
            "accountIdsForLocalValidation",
        ),
        (
            json!({"awsAccountsAllowed": [ACCOUNT], "accountIdsForLocalValidation": [ACCOUNT], "instanceTagRequirements": {"a": ["b"]}}),
            "instanceTagRequirements",
        ),
    ] {
        let error = rules(settings.clone()).unwrap_err();
        assert!(
            error.starts_with(&format!("{field}: ")),
            "{settings}: {error}"
        );
    }
}

#[test]
fn an_account_is_written_in_quotes() {
    let error = rules(json!({"awsAccountsAllowed": [111122223333_u64]})).unwrap_err();
    assert!(error.contains("in quotes"), "{error}");
}

/// Every setting that seed configurations have for SPIRE's method of this name: what is not taken is refused with the name
/// that it has here, or with the reason.
#[test]
fn names_of_other_configurations_are_refused_with_what_stands_for_them() {
    for (name, instead) in [
        ("access_key_id", "clouds.aws.credentials"),
        ("secret_access_key", "clouds.aws.credentials"),
        ("accessKeyId", "clouds.aws.credentials"),
        ("assume_role_arn", "clouds.aws.assumeRole"),
        ("assume_role", "clouds.aws.role"),
        ("region", "clouds.aws.region"),
        ("partition", "region of the instance"),
        ("account_ids_for_verification", "awsAccountsAllowed"),
        (
            "account_ids_for_local_validation",
            "accountIdsForLocalValidation",
        ),
        ("account_list_file", "clouds.aws.accountListFile"),
        ("verify_organization", "assumeOrgRoleArns"),
        ("validate_eks_cluster_membership", "eksClusterNames"),
        ("instance_tag_requirements", "`instanceTagRequirements`"),
        ("allowed_regions", "`allowedRegions`"),
        ("allowed_instance_types", "`allowedInstanceTypes`"),
        ("allowed_vpc_ids", "`allowedVpcIds`"),
        ("allowed_subnet_ids", "`allowedSubnetIds`"),
        ("required_security_groups", "`requiredSecurityGroups`"),
        ("allowed_ami_ids", "`allowedAmiIds`"),
        ("skip_block_device", "`skipBlockDevice`"),
        ("local_only", "`localOnly`"),
        (
            "disable_instance_profile_selectors",
            "`disableInstanceProfileSelectors`",
        ),
        ("ca_bundle_path", "clouds.aws.caCerts"),
        ("caBundlePath", "clouds.aws.caCerts"),
        ("http_timeout", "20 s"),
        ("max_retries", "20 s"),
        ("retry_delay", "20 s"),
        ("connection_pool_size", "shared by all policies"),
        ("max_idle_connections", "shared by all policies"),
        ("idle_connection_timeout", "shared by all policies"),
        ("cache_instance_metadata", "clouds.aws.cacheTtl"),
        ("metadata_cache_ttl", "clouds.aws.cacheTtl"),
        ("agent_path_template", "pathTemplate"),
        ("use_imdsv2", "agent's setting"),
        ("ec2_metadata_endpoint", "agent's setting"),
        ("skip_verification", "no way to skip"),
    ] {
        let error = rules(json!({name: true})).unwrap_err();
        let said = format!("`{name}` is no setting here: ");
        assert!(error.contains(&said) && error.contains(instead), "{error}");
    }
    let unknown = rules(json!({"allowedRegion": ["eu-west-1"]})).unwrap_err();
    assert!(
        unknown.contains("unknown field `allowedRegion`"),
        "{unknown}"
    );
}
