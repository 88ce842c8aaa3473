//! Settings that are elsewhere here, or are none.

use crate::attestor::elsewhere::Elsewhere;

/// SPIRE's names and those of configurations written for it, in their spelling and in ours.
pub(super) const ELSEWHERE: Elsewhere = &[
    (
        &["account_ids_for_verification", "accountIdsForVerification"],
        "list the accounts in `awsAccountsAllowed`; SPIRE's `account_ids_for_local_validation` is `accountIdsForLocalValidation`",
    ),
    (
        &[
            "access_key_id",
            "accessKeyId",
            "secret_access_key",
            "secretAccessKey",
        ],
        "the verifier's credentials are the operator's and stand in assayd.yaml, below `clouds.aws.credentials`",
    ),
    (
        &["assume_role_arn", "assumeRoleArn"],
        "whom the verifier is to AWS stands in assayd.yaml: `clouds.aws.assumeRole`",
    ),
    (
        &["assume_role", "assumeRole", "roleName"],
        "the role that is assumed in the nodes' accounts stands in assayd.yaml: `clouds.aws.role`",
    ),
    (
        &["region"],
        "instances are asked for in their own region; where STS is asked stands in assayd.yaml (`clouds.aws.region`), and which regions are let in in `allowedRegions`",
    ),
    (&["partition"], "it follows from the region of the instance"),
    (
        &["ca_bundle_path", "caBundlePath"],
        "the authorities of AWS's endpoints stand in assayd.yaml: `clouds.aws.caCerts`",
    ),
    (
        &["account_list_file", "accountListFile"],
        "the file is the operator's: `clouds.aws.accountListFile` in assayd.yaml, and `useAccountList: true` here",
    ),
    (
        &["verify_organization", "verifyOrganization"],
        "list the roles in `assumeOrgRoleArns`, whole: arn:aws:iam::<management account>:role/<name>",
    ),
    (
        &[
            "validate_eks_cluster_membership",
            "validateEksClusterMembership",
        ],
        "list the clusters in `eksClusterNames`",
    ),
    (
        &[
            "http_timeout",
            "httpTimeout",
            "max_retries",
            "maxRetries",
            "retry_delay",
            "retryDelay",
        ],
        "calls are retried with growing pauses until the login's time for them, 20 s, is over",
    ),
    (
        &[
            "connection_pool_size",
            "connectionPoolSize",
            "max_idle_connections",
            "maxIdleConnections",
            "idle_connection_timeout",
            "idleConnectionTimeout",
        ],
        "connections are shared by all policies and need no settings",
    ),
    (
        &[
            "cache_instance_metadata",
            "cacheInstanceMetadata",
            "metadata_cache_ttl",
            "metadataCacheTtl",
        ],
        "AWS's answers are always kept for a while, how long stands in assayd.yaml: `clouds.aws.cacheTtl`",
    ),
    (
        &["agent_path_template", "agentPathTemplate"],
        "the path of a node's SPIFFE ID is `pathTemplate` of the section SVIDIssuancePolicy",
    ),
    (&["allowed_regions"], "write `allowedRegions`"),
    (&["allowed_instance_types"], "write `allowedInstanceTypes`"),
    (&["allowed_ami_ids"], "write `allowedAmiIds`"),
    (&["allowed_vpc_ids"], "write `allowedVpcIds`"),
    (&["allowed_subnet_ids"], "write `allowedSubnetIds`"),
    (
        &["required_security_groups"],
        "write `requiredSecurityGroups`",
    ),
    (
        &["instance_tag_requirements"],
        "write `instanceTagRequirements`",
    ),
    (&["skip_block_device"], "write `skipBlockDevice`"),
    (&["local_only"], "write `localOnly`"),
    (
        &["disable_instance_profile_selectors"],
        "write `disableInstanceProfileSelectors`",
    ),
    (
        &["account_ids_for_local_validation"],
        "write `accountIdsForLocalValidation`",
    ),
    (
        &[
            "use_imdsv2",
            "useImdsv2",
            "ec2_metadata_endpoint",
            "ec2MetadataEndpoint",
        ],
        "it is the agent's setting; see \"Agent configuration\" in docs/methods/aws_iid.md",
    ),
    (
        &["skip_verification", "skipVerification"],
        "there is no way to skip the verification of a signature",
    ),
];
