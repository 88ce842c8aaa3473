//! Why settings of SPIRE's, and of writings about it, are not carried over.

/// For a setting that nobody knows.
pub(super) const UNKNOWN: Reason = (
    "neither SPIRE nor what is written about it has a setting of this name",
    "look it up where it comes from",
);

/// Why, and what to do instead; an empty text where there is nothing to do.
type Reason = (&'static str, &'static str);

/// What is said of settings in blocks whose names begin like this.
type Known = (&'static str, &'static [(&'static str, Reason)]);

const NO_RETRIES: Reason = (
    "calls to a cloud share one deadline of 20 s, within which they are repeated with growing pauses where that may help",
    "",
);
const POOL: Reason = (
    "connections to clouds are not kept; how many calls are under way at once is bounded, for each account and region",
    "",
);
const NO_RESULT_CACHE: Reason = (
    "a proof that is kept is no fresh proof: what is kept is what clouds and issuers say, never that a node was let in",
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
const WORKLOADS: Reason = (
    "Assay attests nodes; workloads are the affair of whatever runs beside them",
    "",
);
const KEYS_ELSEWHERE: Reason = (
    "authorities' keys are in files or in memory: this key service is not asked",
    "keyManager: {disk: {keysPath: DIRECTORY}} or keyManager: memory",
);
const AUTHORITY_ELSEWHERE: Reason = (
    "this authority service is not asked",
    "upstreamAuthority: {disk: {certFilePath, keyFilePath}}, with an intermediate that it has signed",
);
const SECRET: Reason = (
    "a configuration is shown and copied, so no secret stands in it",
    "clouds.aws.credentials: {environment: {}}, or {accessKey: {id, secretFile}}",
);
const LOCAL_SOCKET: Reason = (
    "operators use HTTPS (listeners.api) or the commands beside the store; there is no such socket",
    "",
);
const LOG: Reason = (
    "how much is logged is the environment's to say",
    "ASSAY_LOG",
);
const AGENT_SOCKET: Reason = (
    "the Workload API is served where it is also said to whom: SPIRE's registration entries are not in this file",
    "agent.workloadApi: {socket: PATH, workloads: [{name, selectors: {uid}}]}",
);
const FIPS: Reason = (
    "which algorithms count is fixed: RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519, SHA-256 and longer; nothing weaker can be switched on here",
    "",
);

/// By block; the longest that fits counts.
const KNOWN: &[Known] = &[
    (
        "server",
        &[
            ("socket_path", LOCAL_SOCKET),
            ("log_level", LOG),
            ("log_file", LOG),
            (
                "agent_ttl",
                (
                    "a session lasts as long as `session.ttl` and `session.reattestAfter` say",
                    "session: {ttl: 1h, reattestAfter: 24h}",
                ),
            ),
            ("attestation_caching", NO_RESULT_CACHE),
            ("attestation_cache_ttl", NO_RESULT_CACHE),
            ("attestation_cache_size", NO_RESULT_CACHE),
            (
                "parallel_attestation",
                (
                    "logins are always judged side by side",
                    "limits.loginsInFlight",
                ),
            ),
            (
                "max_parallel_attestations",
                (
                    "what it bounds has another measure here: logins that are begun and not ended",
                    "limits.loginsInFlight",
                ),
            ),
            ("tpm_attestation_cache", TPM_CACHE),
            ("tpm_cache_ttl", TPM_CACHE),
            ("cloud_api_cache", CLOUD_CACHE),
            ("cloud_api_cache_ttl", CLOUD_CACHE),
            (
                "cloud_api_max_concurrent_requests",
                (
                    "five calls at once for each account and region, which is fixed",
                    "",
                ),
            ),
            ("cloud_api_connection_pool_size", POOL),
            ("cloud_api_connection_pool_timeout", POOL),
            (
                "fips_mode",
                (
                    "the library (aws-lc) is not the validated module in this build",
                    "",
                ),
            ),
            ("allowed_signing_algorithms", FIPS),
            ("allowed_hash_algorithms", FIPS),
            ("min_rsa_key_size", FIPS),
            ("min_ec_key_size", FIPS),
            (
                "strict_certificate_validation",
                ("certificates are always checked strictly", ""),
            ),
            ("require_san_validation", ("names are always checked", "")),
            (
                "audit_logging",
                ("the audit trail is always written", "audit"),
            ),
            (
                "audit_log_path",
                (
                    "the audit trail is in `dataDir`",
                    "audit: {maxFileSize, keepFiles}",
                ),
            ),
            (
                "country",
                ("it is a list without an entry", "ca.subject.country"),
            ),
        ],
    ),
    (
        "health_checks",
        &[
            ("live_path", ("the paths are fixed: /live and /ready", "")),
            ("ready_path", ("the paths are fixed: /live and /ready", "")),
            (
                "bind_address",
                ("the listener is not enabled", "listeners.health"),
            ),
            (
                "bind_port",
                ("the listener is not enabled", "listeners.health"),
            ),
        ],
    ),
    (
        "telemetry",
        &[
            (
                "bind_address",
                (
                    "agents have no such listener; the verifier counts their logins",
                    "listeners.metrics of assayd.yaml",
                ),
            ),
            (
                "bind_port",
                (
                    "agents have no such listener; the verifier counts their logins",
                    "listeners.metrics of assayd.yaml",
                ),
            ),
        ],
    ),
    (
        "agent",
        &[
            ("log_level", LOG),
            ("log_file", LOG),
            ("socket_path", AGENT_SOCKET),
            (
                "data_dir",
                (
                    "the agent keeps nothing but what it hands on: its SVID, bundles and key",
                    "agent.output.directory",
                ),
            ),
            (
                "trust_bundle_path",
                (
                    "the verifier is known by its key and by its web server's certificate",
                    "agent.server.verifierKey (`assay provision record`), agent.server.ca",
                ),
            ),
            (
                "trust_bundle_url",
                (
                    "the verifier is known by its key and by its web server's certificate",
                    "agent.server.verifierKey",
                ),
            ),
            (
                "insecure_bootstrap",
                (
                    "there is no insecure start: the verifier's key is always given",
                    "agent.server.verifierKey",
                ),
            ),
            (
                "join_token",
                (
                    "a join token stands in a file of its own",
                    "agent.auth.attestors: [{type: join_token, config: {joinTokenFile: FILE}}]",
                ),
            ),
        ],
    ),
    (
        "NodeAttestor \"aws_iid\"",
        &[
            ("access_key_id", SECRET),
            ("secret_access_key", SECRET),
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            ("retry_delay", NO_RETRIES),
            ("connection_pool_size", POOL),
            ("max_idle_connections", POOL),
            ("idle_connection_timeout", POOL),
            ("cache_instance_metadata", CLOUD_CACHE),
            ("partition", ("the partition is the region's own", "")),
            (
                "agent_path_template",
                (
                    "agents' paths are the service's to name",
                    "session.pathTemplate",
                ),
            ),
            (
                "verify_organization",
                (
                    "an organisation is named by the role that may list its accounts",
                    "awsAccountsAllowed, assumeOrgRoleArns: [ROLE], or useAccountList with clouds.aws.accountListFile",
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
        ],
    ),
    (
        "NodeAttestor \"gcp_iit\"",
        &[
            ("http_timeout", NO_RETRIES),
            ("max_retries", NO_RETRIES),
            (
                "agent_path_template",
                (
                    "agents' paths are the service's to name",
                    "session.pathTemplate",
                ),
            ),
            (
                "identity_token_host",
                (
                    "the metadata server is asked by its address",
                    "metadataEndpoint: http://ADDRESS",
                ),
            ),
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
            (
                "agent_path_template",
                (
                    "agents' paths are the service's to name",
                    "session.pathTemplate",
                ),
            ),
            (
                "tenants",
                (
                    "tenants are a list here",
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
        "NodeAttestor \"k8s_psat\"",
        &[
            (
                "clusters",
                (
                    "each cluster's settings have other names",
                    "clusters: {NAME: {serviceAccountAllowList: [NAMESPACE:NAME], apiServer, credential}}",
                ),
            ),
            (
                "service_account_allow_list",
                ("it is empty, so nobody could be let in", ""),
            ),
        ],
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
            (
                "batch_pcr_operations",
                (
                    "PCRs are always read eight at a time, which is what one command takes",
                    "",
                ),
            ),
            (
                "max_batch_size",
                (
                    "PCRs are always read eight at a time, which is what one command takes",
                    "",
                ),
            ),
        ],
    ),
    (
        "DataStore \"sql\"",
        &[
            (
                "database_type",
                (
                    "only SQLite and PostgreSQL are stores here, and the connection string must name host, user and dbname",
                    "datastore: {postgres: {url: postgres://USER@HOST/DATABASE}}",
                ),
            ),
            (
                "connection_string",
                (
                    "only SQLite and PostgreSQL are stores here, and the connection string must name host, user and dbname",
                    "datastore: {postgres: {url: postgres://USER@HOST/DATABASE}}",
                ),
            ),
            (
                "max_open_connections",
                (
                    "it belongs to a database that is not named here",
                    "datastore.postgres.maxConnections",
                ),
            ),
            (
                "max_idle_connections",
                (
                    "idle connections are kept as the driver sees fit",
                    "datastore.postgres.maxConnections",
                ),
            ),
            (
                "connection_max_lifetime",
                ("connections are renewed as the driver sees fit", ""),
            ),
            (
                "query_timeout",
                (
                    "a query's deadline is that of what it is for",
                    "limits.loginTimeout, limits.api.requestTimeout",
                ),
            ),
            (
                "slow_query_threshold",
                (
                    "slow queries are in the metrics, as a histogram",
                    "listeners.metrics",
                ),
            ),
        ],
    ),
    (
        "KeyManager \"disk\"",
        &[(
            "keys_path",
            (
                "SPIRE keeps its keys in one file, of a form of its own; Assay makes its own keys",
                "keyManager: {disk: {keysPath: DIRECTORY}}",
            ),
        )],
    ),
    ("KeyManager", &[("", KEYS_ELSEWHERE)]),
    ("UpstreamAuthority", &[("", AUTHORITY_ELSEWHERE)]),
    ("WorkloadAttestor", &[("", WORKLOADS)]),
    (
        "Notifier",
        &[(
            "",
            (
                "nobody is notified: the bundle is served over HTTPS",
                "listeners.api serves /v1/bundle",
            ),
        )],
    ),
    (
        "NodeAttestor",
        &[(
            "",
            (
                "this node attestor has no counterpart by this name",
                "docs/methods/README.md lists the methods",
            ),
        )],
    ),
    (
        "BundlePublisher",
        &[(
            "",
            (
                "the bundle is served over HTTPS",
                "listeners.api serves /v1/bundle",
            ),
        )],
    ),
];

/// What is known of a block. A block's inner blocks are the block's own.
fn block(path: &str) -> Option<&'static [(&'static str, Reason)]> {
    let fitting = KNOWN.iter().filter(|(block, _)| path.starts_with(block));
    let longest = fitting.max_by_key(|(block, _)| block.len());
    longest.map(|(_, settings)| *settings)
}

/// What is known of a setting in a block.
pub(super) fn of(path: &str, key: &str) -> Option<Reason> {
    let mut settings = block(path)?.iter();
    let named = settings.find(|(name, _)| *name == key || name.is_empty());
    named.map(|(_, reason)| *reason)
}

/// Whether a block's reason is its own, and not that of the block around it.
pub(super) fn is_named(path: &str, key: &str) -> bool {
    block(path).is_some_and(|settings| settings.iter().any(|(name, _)| *name == key))
}

/// What to do with another file of a manifest.
pub(super) fn of_file(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "rego" => Some(
            "a module: name it in a policy, `rego: {file: FILE}`; `assay policy test` says what it lets in",
        ),
        "yaml" | "yml" => Some("values of a Helm chart: ops/kubernetes has what Assay has"),
        _ => None,
    }
}
