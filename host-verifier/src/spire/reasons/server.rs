//! The service's own settings, and its plugins but for node attestors.

use super::{Known, Reason};

const CLOUD_CACHE: Reason = (
    "what clouds say is always kept for a while",
    "how long: clouds.aws.cacheTtl, clouds.azure.cacheTtl, clouds.gcp.cacheTtl",
);
const POOL: Reason = (
    "connections to clouds are not kept; how many calls are under way at once is bounded, for each account and region",
    "",
);
const NO_RESULT_CACHE: Reason = (
    "a proof that is kept is no fresh proof: what is kept is what clouds and issuers say, never that a node was let in",
    "",
);
const TPM_CACHE: Reason = (
    "a quote is of one login, by its nonce: kept, it would say what the node booted once",
    "",
);
/// Of a key service, whatever its settings.
pub(super) const KEYS_ELSEWHERE: Reason = (
    "authorities' keys are in files or in memory: this key service is not asked",
    "keyManager: {disk: {keysPath: DIRECTORY}} or keyManager: memory",
);
const AUTHORITY_ELSEWHERE: Reason = (
    "this authority service is not asked",
    "upstreamAuthority: {disk: {certFilePath, keyFilePath}}, with an intermediate that it has signed",
);
const LOCAL_SOCKET: Reason = (
    "operators use HTTPS (listeners.api) or the commands beside the store; there is no such socket",
    "",
);
pub(super) const LOG: Reason = (
    "how much is logged is the environment's to say",
    "ASSAY_LOG",
);
pub(super) const LOG_FORM: Reason = ("the log is JSON lines on standard error", "");
pub(super) const PROFILING: Reason = (
    "there is no port for profiles",
    "listeners.metrics has durations of logins and queries",
);
const FIPS: Reason = (
    "which algorithms count is fixed: RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519, SHA-256 and longer; nothing weaker can be switched on here",
    "",
);
const TABLES: Reason = ("Assay makes and changes its own tables when it starts", "");
const POSTGRES: Reason = (
    "only SQLite and PostgreSQL are stores here, and the connection string must name host, user and dbname",
    "datastore: {postgres: {url: postgres://USER@HOST/DATABASE}}",
);
const MYSQL: Reason = (
    "it is for MySQL, which is no store here",
    "datastore: {postgres: {url: postgres://USER@HOST/DATABASE?sslrootcert=FILE}}",
);
const METRICS: Reason = (
    "metrics are a page for Prometheus and are sent to nobody",
    "listeners.metrics of assayd.yaml; agent.metrics of agents",
);
const UNUSED_CONNECTIONS: Reason = (
    "idle connections are kept as the driver sees fit",
    "datastore.postgres.maxConnections",
);
const CONNECTIONS: Reason = (
    "it belongs to a database that is not named here",
    "datastore.postgres.maxConnections",
);
const LIFETIME: Reason = ("connections are renewed as the driver sees fit", "");
const NO_LISTENER: Reason = ("the listener is not enabled", "listeners.health");
const PATHS: Reason = ("the paths are fixed: /live and /ready", "");
const PRUNED: Reason = (
    "a node is there until an operator evicts it, since a ban and a first key (`tofu`) hold for as long",
    "assay node evict",
);

/// By block.
pub(super) const KNOWN: &[Known] = &[
    (
        "server",
        &[
            ("socket_path", LOCAL_SOCKET),
            ("admin_socket_path", LOCAL_SOCKET),
            ("registration_uds_path", LOCAL_SOCKET),
            ("log_level", LOG),
            ("log_file", LOG),
            ("log_format", LOG_FORM),
            ("log_source_location", LOG_FORM),
            ("profiling_enabled", PROFILING),
            ("profiling_freq", PROFILING),
            ("profiling_names", PROFILING),
            ("profiling_port", PROFILING),
            (
                "agent_ttl",
                (
                    "a session lasts as long as `session.ttl` and `session.reattestAfter` say",
                    "session: {ttl: 1h, reattestAfter: 24h}",
                ),
            ),
            (
                "admin_ids",
                (
                    "who may do what is said by names in clients' certificates, each with its role",
                    "api: {clients: [{spiffeId: SPIFFE_ID, role: admin}]}, and listeners.api.tls.clientCAs",
                ),
            ),
            (
                "federation",
                (
                    "other trust domains' bundles are not fetched or served",
                    "listeners.api serves the own one at /v1/bundle",
                ),
            ),
            (
                "ratelimit",
                (
                    "limits count all requests of one address",
                    "limits: {api: {requestsPerSecond}, loginsInFlight}",
                ),
            ),
            (
                "disable_jwt_svids",
                (
                    "a node gets a JWT-SVID only where it asks for one",
                    "svid.jwtTtl",
                ),
            ),
            (
                "upstream_bundle",
                ("the authority above is always in the bundle", ""),
            ),
            ("prune_attested_nodes_expired_for", PRUNED),
            ("prune_tofu_nodes", PRUNED),
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
                "audit_log_enabled",
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
                (
                    "it is no list of countries with two capital letters each",
                    "ca.subject.country",
                ),
            ),
        ],
    ),
    (
        "health_checks",
        &[
            ("live_path", PATHS),
            ("ready_path", PATHS),
            ("bind_address", NO_LISTENER),
            ("bind_port", NO_LISTENER),
        ],
    ),
    ("telemetry", &[("", METRICS)]),
    (
        "DataStore \"sql\"",
        &[
            ("database_type", POSTGRES),
            ("connection_string", POSTGRES),
            (
                "ro_connection_string",
                ("all queries go to one database", "datastore.postgres.url"),
            ),
            ("root_ca_path", MYSQL),
            ("client_cert_path", MYSQL),
            ("client_key_path", MYSQL),
            ("disable_migration", TABLES),
            ("max_open_connections", CONNECTIONS),
            ("max_open_conns", CONNECTIONS),
            ("max_idle_connections", UNUSED_CONNECTIONS),
            ("max_idle_conns", UNUSED_CONNECTIONS),
            ("connection_max_lifetime", LIFETIME),
            ("conn_max_lifetime", LIFETIME),
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
        "DataStore \"sql\".database_type",
        &[(
            "",
            (
                "a database is not logged in to as a cloud's principal",
                "datastore: {postgres: {url: postgres://USER@HOST/DATABASE, passwordFile: FILE}}",
            ),
        )],
    ),
    ("DataStore", &[("", POSTGRES)]),
    (
        "KeyManager \"disk\"",
        &[(
            "keys_path",
            (
                "SPIRE keeps its keys in one file, of a form of its own; Assay makes its own keys",
                "keyManager: {disk: {keysPath: DIRECTORY}}; left out, it is svid-keys in dataDir",
            ),
        )],
    ),
    ("KeyManager \"memory\"", &[]),
    ("KeyManager", &[("", KEYS_ELSEWHERE)]),
    ("UpstreamAuthority \"disk\"", &[]),
    ("UpstreamAuthority", &[("", AUTHORITY_ELSEWHERE)]),
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
        "BundlePublisher",
        &[(
            "",
            (
                "the bundle is served over HTTPS",
                "listeners.api serves /v1/bundle",
            ),
        )],
    ),
    (
        "CredentialComposer",
        &[(
            "",
            (
                "what stands in an SVID is fixed, but for its path and lifetime",
                "session.pathTemplate, svid",
            ),
        )],
    ),
];
