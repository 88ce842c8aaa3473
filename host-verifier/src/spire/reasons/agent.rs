//! The agent's own settings, and its plugins but for node attestors.

use super::server::{LOG, LOG_FORM, PROFILING};
use super::{Known, Reason};

const SOCKET: Reason = (
    "the Workload API is served where it is also said to whom: SPIRE's registration entries are not in this file",
    "agent.workloadApi: {socket: PATH, workloads: [{name, selectors: {uid}}]}",
);
const TRUST: Reason = (
    "the verifier is known by its key and by its web server's certificate",
    "agent.provisioningRecord or agent.server.verifierKey (`assay provision record`), agent.server.ca",
);
const WORKLOADS: Reason = (
    "Assay attests nodes; workloads are the affair of whatever runs beside them",
    "",
);
const WORKLOAD_API: Reason = (
    "the agent's socket gives what agent.workloadApi says to whom it says it, and nothing else",
    "agent.workloadApi",
);

/// By block.
pub(super) const KNOWN: &[Known] = &[
    (
        "agent",
        &[
            ("log_level", LOG),
            ("log_file", LOG),
            ("log_format", LOG_FORM),
            ("log_source_location", LOG_FORM),
            ("profiling_enabled", PROFILING),
            ("profiling_freq", PROFILING),
            ("profiling_names", PROFILING),
            ("profiling_port", PROFILING),
            ("socket_path", SOCKET),
            ("admin_socket_path", WORKLOAD_API),
            ("allow_unauthenticated_verifiers", WORKLOAD_API),
            ("allowed_foreign_jwt_claims", WORKLOAD_API),
            ("authorized_delegates", WORKLOAD_API),
            ("sds", WORKLOAD_API),
            ("workload_x509_svid_key_type", WORKLOAD_API),
            ("x509_svid_cache_max_size", WORKLOAD_API),
            ("jwt_svid_cache_max_size", WORKLOAD_API),
            (
                "availability_target",
                (
                    "a session is renewed when half of it is over",
                    "session.ttl of assayd.yaml",
                ),
            ),
            (
                "retry_bootstrap",
                ("a login that fails is always tried again", ""),
            ),
            (
                "rebootstrap_mode",
                (
                    "the verifier's key is pinned and is not asked for anew",
                    "agent.provisioningRecord",
                ),
            ),
            (
                "data_dir",
                (
                    "the agent keeps nothing but what it hands on (its SVID, bundles and key) and, where it is named, the key itself",
                    "agent.output.directory, agent.keyFile",
                ),
            ),
            ("trust_bundle_path", TRUST),
            ("trust_bundle_url", TRUST),
            ("trust_bundle_unix_socket", TRUST),
            ("trust_bundle_format", TRUST),
            (
                "insecure_bootstrap",
                (
                    "there is no insecure start: the verifier's key is always given",
                    "agent.provisioningRecord or agent.server.verifierKey",
                ),
            ),
            (
                "join_token",
                (
                    "it is SPIRE's token, and a join token stands in a file of its own",
                    "agent.auth.attestors: [{type: join_token, config: {joinTokenFile: FILE}}], with a token of `assay join-token create`",
                ),
            ),
            (
                "server_port",
                (
                    "it belongs to a server that is not named",
                    "agent.server.addresses: [https://HOST:PORT]",
                ),
            ),
        ],
    ),
    ("WorkloadAttestor", &[("", WORKLOADS)]),
    (
        "SVIDStore",
        &[(
            "",
            (
                "SVIDs are handed on as files and over the Workload API",
                "agent.output, agent.workloadApi",
            ),
        )],
    ),
];
