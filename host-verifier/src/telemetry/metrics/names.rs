//! Names of metrics, with what each counts. Alerts, dashboards and tests read this table.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes both ways.
    Gauge,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name, without the suffixes of a histogram.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The help text.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($konst:ident = $name:literal, $kind:ident, $help:literal;)*) => {
        $(#[doc = $help] pub const $konst: &str = $name;)*

        /// Every metric.
        pub const ALL: &[Metric] = &[$(Metric { name: $name, kind: Kind::$kind, help: $help }),*];
    };
}

metrics! {
    SPIRL_PROOF = "spirl_attestation_signer_proof_total", Counter,
        "Proofs judged, one per login and method. attestor_type is the method, outcome success or failed.";
    SPIRE_NODE_FAILURE = "spire_server_node_attestor_failure_total", Counter,
        "Logins in which a method's proof failed. attestor_type is tpm for all TPM methods, the method for others.";
    SPIRE_NODE_DURATION = "spire_server_node_attestor_duration_seconds", Histogram,
        "Time that the verifier itself spent on a login, without waiting for the node.";
    SPIRE_WORKLOAD_FAILURE = "spire_server_workload_attestor_failure_total", Counter,
        "Always 0: workloads are attested by agents, not here.";
    PROOF_FAILURES = "assay_proof_failures_total", Counter,
        "Failed proofs by method and reason: malformed, refused, misconfigured, unavailable, internal or unanswered.";
    LOGINS = "assay_logins_total", Counter,
        "Logins that ended, by outcome (granted, denied, abandoned) and code, the category of a refusal.";
    LOGIN_DURATION = "assay_login_duration_seconds", Histogram,
        "Time from a node's hello to the decision, with what the node took.";
    LOGINS_IN_FLIGHT = "assay_logins_in_flight", Gauge,
        "Logins whose challenge is out.";
    LINKS = "assay_links_total", Counter,
        "Links that were opened, by kind.";
    LINKS_OPEN = "assay_links_open", Gauge,
        "Links that are open, by kind.";
    SESSIONS = "assay_sessions_total", Counter,
        "Changes of sessions: granted, renewed, revoked by name over the API; beside: granted to a node without a TPM that has a young one, as its restart or a copy of its key would. A ban ends sessions that are not counted.";
    SVIDS = "assay_svids_total", Counter,
        "SVIDs, by kind (x509, jwt), occasion (login, renewal, session: asked for by a session's holder) and outcome.";
    AUDIT_RECORDS = "assay_audit_records_total", Counter,
        "Audit records, by outcome: success when on the disk, failed when not.";
    AUDIT_APPEND = "assay_audit_append_duration_seconds", Histogram,
        "Time until an audit record is on the disk.";
    STORE_CALLS = "assay_store_calls_total", Counter,
        "Calls of the store, by operation and outcome.";
    STORE_DURATION = "assay_store_call_duration_seconds", Histogram,
        "Time of a call of the store, by operation.";
    CONFIG_GENERATION = "assay_config_generation", Gauge,
        "Version of the configuration that is served.";
    CONFIG_ERRORS = "assay_config_errors_total", Counter,
        "Configurations that were refused or could not be loaded.";
    AUTHORITY_ROTATION = "assay_authority_rotation_timestamp_seconds", Gauge,
        "When another should take over from the authority that signs, by authority: x509 and jwt at five sixths of its life, upstream one ca.ttl before its end.";
    AUTHORITY_EXPIRY = "assay_authority_expiry_timestamp_seconds", Gauge,
        "When the authority that signs ends, by authority (x509, jwt, upstream). Not there until there is one.";
    TLS_EXPIRY = "assay_tls_certificate_expiry_timestamp_seconds", Gauge,
        "When the certificate of the HTTPS listener ends. Not there without one.";
    AWS_CERTIFICATE_EXPIRY = "assay_aws_certificate_expiry_timestamp_seconds", Gauge,
        "When the first certificate ends of those in clouds.aws.certificates that policies of aws_iid go by. Not there without one.";
    HTTP_REQUESTS = "assay_http_requests_total", Counter,
        "HTTP requests answered, by route (the template, or other) and class of the status.";
    HTTP_DURATION = "assay_http_request_duration_seconds", Histogram,
        "Time until an HTTP request was answered.";
    RATE_LIMITED = "assay_rate_limited_total", Counter,
        "Requests turned away early, by limit.";
    COMPONENT_STATE = "assay_component_state", Gauge,
        "State of a part of the service, as /ready names it: 0 ok, 1 degraded, 2 failing.";
    CLOUD_CALLS = "assay_cloud_calls_total", Counter,
        "Calls of clouds' APIs, each attempt, by cloud and outcome: answered, throttled, denied or failed.";
    CLOUD_ANSWERS = "assay_cloud_answers_total", Counter,
        "Questions to clouds, by cloud and source: kept (the answer was known) or asked (somebody had to wait for it).";
    BUILD_INFO = "assay_build_info", Gauge,
        "Always 1; the label version is this program's.";
    PROCESS_START = "process_start_time_seconds", Gauge,
        "When the process started.";
}
