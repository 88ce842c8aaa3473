//! Node attestors' settings, the server's and the agent's.

use super::{Known, Reason};

const NO_RETRIES: Reason = (
    "calls to a cloud share one deadline of 20 s, within which they are repeated with growing pauses where that may help",
    "",
);
const POOL: Reason = (
    "connections to clouds are not kept; how many calls are under way at once is bounded, for each account and region",
    "",
);
const CLOUD_CACHE: Reason = (
    "what clouds say is always kept for a while",
    "how long: clouds.aws.cacheTtl, clouds.azure.cacheTtl, clouds.gcp.cacheTtl",
);
const TPM_CACHE: Reason = (
    "a quote is of one login, by its nonce: kept, it would say what the node booted once",
    "",
);
const ONE_TPM: Reason = (
    "a TPM does one command after the other: there is nothing to do in parallel",
    "",
);
const BATCH: Reason = (
    "PCRs are always read eight at a time, which is what one command takes",
    "",
);
const PASSWORD: Reason = (
    "a password stands in a file of its own",
    "devidPasswordFile, ownerPasswordFile, endorsementPasswordFile",
);
const OTHER_ADDRESS: Reason = (
    "the address that a login comes from is not compared with the certificate",
    "",
);
const AS_OFTEN: Reason = (
    "neither SPIRE's method nor this one has a first use to hold on to: a node is let in as often as it proves itself",
    "",
);
/// Of the halves of credentials that came alone.
const HALF: Reason = (
    "the other half is missing: an application's ID and its secret count together",
    "clouds.azure.tenants: [{tenantID, clientID, clientSecretFile}]",
);

/// By block.
pub(super) const KNOWN: &[Known] = &[
    (
        "NodeAttestor \"aws_iid\"",
        &[
            (
                "access_key_id",
                (
                    "the other half is missing: a key's ID and its secret count together",
                    "clouds.aws.credentials: {environment: {}}, or {accessKey: {id, secretFile}}",
                ),
            ),
            (
                "secret_access_key",
                (
                    "the other half is missing, and a secret stands in a file of its own",
                    "clouds.aws.credentials: {environment: {}}, or {accessKey: {id, secretFile}}",
                ),
            ),
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            ("retry_delay", NO_RETRIES),
            ("connection_pool_size", POOL),
            ("max_idle_connections", POOL),
            ("idle_connection_timeout", POOL),
            ("cache_instance_metadata", CLOUD_CACHE),
            ("partition", ("the partition is the region's own", "")),
            (
                "management_account_region",
                ("Organizations is asked where its partition has it", ""),
            ),
            (
                "verify_organization",
                (
                    "an organisation is named by the role that may list its accounts",
                    "assumeOrgRoleArns: [ROLE], or useAccountList with clouds.aws.accountListFile",
                ),
            ),
            (
                "management_account_id",
                (
                    "the role that may list the accounts is missing",
                    "assumeOrgRoleArns: [ROLE]",
                ),
            ),
            (
                "assume_org_role",
                (
                    "the account that the role is of is missing",
                    "assumeOrgRoleArns: [ROLE]",
                ),
            ),
            (
                "use_imdsv2",
                (
                    "IMDSv2 is what the agent speaks",
                    "imdsv1: true for instances that have nothing else",
                ),
            ),
            (
                "skip_verification",
                (
                    "an agent verifies nothing, and the verifier skips nothing",
                    "",
                ),
            ),
            (
                "identity_document_url",
                (
                    "the metadata service is named whole, and what is asked of it is fixed",
                    "metadataEndpoint: http://ADDRESS",
                ),
            ),
            (
                "identity_signature_url",
                (
                    "the metadata service is named whole, and what is asked of it is fixed",
                    "metadataEndpoint: http://ADDRESS",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"gcp_iit\"",
        &[
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            (
                "token_type",
                (
                    "an access token proves nothing of an instance: only an identity token counts",
                    "",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"azure_msi\"",
        &[
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            ("app_id", HALF),
            ("app_secret", HALF),
            (
                "tenants",
                (
                    "it is empty, or no map of tenants, each by its ID",
                    "tenants: [{tenantID, principalID or subscriptionIds, audience}]",
                ),
            ),
            (
                "use_msi",
                (
                    "the machine's own identity is `managedIdentity`",
                    "clouds.azure.tenants: [{tenantID, managedIdentity: true}]",
                ),
            ),
            (
                "use_system_assigned_identity",
                (
                    "the system-assigned identity is what the agent takes unless `clientId` names another",
                    "",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"azure_imds\"",
        &[
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            ("app_id", HALF),
            ("app_secret", HALF),
            (
                "token_path",
                (
                    "the application that the token is for is missing",
                    "clouds.azure.tenants: [{tenantID, clientID, federatedTokenFile}]",
                ),
            ),
            (
                "auth_type",
                (
                    "how the service shows who it is follows from what there is: a secret, a token, or the machine's own identity",
                    "",
                ),
            ),
            (
                "tenants",
                (
                    "it is empty, or no map of tenants, each by its domain",
                    "tenants: [{tenantID, subscriptionIDs, useComputeAPI: true}]",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"k8s_psat\"",
        &[
            (
                "clusters",
                (
                    "it is empty, or no map of clusters, each by its name",
                    "clusters: {NAME: {serviceAccountAllowList: [NAMESPACE:NAME], apiServer, credential}}",
                ),
            ),
            (
                "service_account_allow_list",
                ("it is empty, so nobody could be let in", ""),
            ),
            ("tofu", AS_OFTEN),
        ],
    ),
    (
        "NodeAttestor \"x509pop\"",
        &[
            (
                "mode",
                (
                    "in SPIFFE mode the trust domain's bundle is a file here",
                    "x509pop: {mode: spiffe, trustDomain, caBundle: [FILE]}",
                ),
            ),
            (
                "svid_prefix",
                (
                    "it is for SPIFFE mode, in which the trust domain's bundle is a file here",
                    "x509pop: {mode: spiffe, trustDomain, caBundle: [FILE], spiffePrefix}",
                ),
            ),
            (
                "spiffe_prefix",
                (
                    "it is for SPIFFE mode, in which the trust domain's bundle is a file here",
                    "x509pop: {mode: spiffe, trustDomain, caBundle: [FILE], spiffePrefix}",
                ),
            ),
            ("verify_client_ip", OTHER_ADDRESS),
            ("tofu", AS_OFTEN),
        ],
    ),
    (
        "NodeAttestor \"sshpop\"",
        &[("verify_client_ip", OTHER_ADDRESS), ("tofu", AS_OFTEN)],
    ),
    (
        "NodeAttestor \"tpm_devid\"",
        &[
            ("devid_password", PASSWORD),
            ("owner_hierarchy_password", PASSWORD),
            ("endorsement_hierarchy_password", PASSWORD),
            ("tofu", AS_OFTEN),
        ],
    ),
    (
        "NodeAttestor \"http_challenge\"",
        &[
            (
                "allowed_dns_patterns",
                (
                    "patterns that are no plain name are no list of names",
                    "allowedHostnames: [node-1.example.org, \"*.nodes.example.org\"], where `*` is one label",
                ),
            ),
            (
                "allow_non_root_ports",
                (
                    "which ports may be asked is said by their numbers",
                    "allowedPorts: [80]",
                ),
            ),
            (
                "tofu",
                (
                    "a proof of this method is made for one login, and whoever answers for the name is the node: there is no first use to hold on to",
                    "allowedPorts below 1024, which only root can open; or a second method",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"join_token\"",
        &[("tofu", ("a token is good for one login, here as there", ""))],
    ),
    (
        "NodeAttestor \"tpm\"",
        &[
            (
                "tpm_path",
                (
                    "the verifier needs no TPM; the agent has its own",
                    "agent.tpm: {tcti: \"device:/dev/tpmrm0\"}",
                ),
            ),
            (
                "hash_algorithm",
                (
                    "the policy says which bank is quoted",
                    "tpm_quote: {bank: sha256}",
                ),
            ),
            (
                "pcr_selections",
                (
                    "the policy says which PCRs are quoted",
                    "tpm_quote: {selection: [0, 7]}",
                ),
            ),
            (
                "allowed_ek_certs",
                (
                    "an EK is let in by the hash of its public key, or by its manufacturer",
                    "tpm_ek: {allowedHashes: [HASH]}, with HASH of `assay ek show FILE`; or {manufacturerCAs: [FILE]}",
                ),
            ),
            (
                "require_secure_boot",
                (
                    "Secure Boot's state is measured into PCR 7",
                    "tpm_quote: {pcrs: {\"7\": VALUE}}, with the value that a node has with Secure Boot on",
                ),
            ),
            ("attestation_cache_ttl", TPM_CACHE),
            ("cache_attestation", TPM_CACHE),
            ("cache_ttl", TPM_CACHE),
            ("cache_quotes", TPM_CACHE),
            ("quote_cache_ttl", TPM_CACHE),
            (
                "generate_quote_on_startup",
                ("a quote is made in each login, over its nonce", ""),
            ),
            (
                "owner_auth",
                ("the agent needs no owner's authorisation", ""),
            ),
            ("parallel_pcr_reads", ONE_TPM),
            ("pcr_read_timeout", ONE_TPM),
            ("batch_pcr_operations", BATCH),
            ("max_batch_size", BATCH),
        ],
    ),
    (
        "NodeAttestor \"k8s_sat\"",
        &[(
            "",
            (
                "SPIRE itself has removed this method",
                "docs/methods/k8s_psat.md; docs/methods/k8s_sat.md for clusters without projected tokens",
            ),
        )],
    ),
    (
        "NodeAttestor",
        &[
            (
                "agent_path_template",
                (
                    "it names what no proof says here, or does more than put values in",
                    "session.pathTemplate, with attributes of docs/methods",
                ),
            ),
            (
                "",
                (
                    "this node attestor has no counterpart by this name",
                    "docs/methods/README.md lists the methods",
                ),
            ),
        ],
    ),
];
