//! Messages and fields of the log: the only place where they are spelt out, since alerts and searches match them.

/// A hello was read; with `providedMethods`.
pub const LOGIN_STARTED: &str = "Login started with multi-attestation support";
/// A policy is satisfied; with `agentAttestationAttributes`.
pub const AUTHORIZED: &str = "Authorization received and verified";
/// The session is stored and the grant was sent.
pub const CONNECTED: &str = "Connected to agent";
/// A node without a TPM has another live session that its own agent would not have left behind yet.
pub const LIVE_BESIDE: &str = "Another live session of this identity";
/// A session was renewed.
pub const RENEWED: &str = "Session renewed";
/// A renewal was refused; with `code` and `detail`.
pub const RENEWAL_DENIED: &str = "Renewal denied";
/// An answer to a challenge that was answered before; with `untrusted_login_id`, `code` and `detail`.
pub const REPLAYED: &str = "Login answer replayed";
/// A login was refused; with `code`, `detail` and `explanation`.
pub const DENIED: &str = "Login denied";
/// A login ended without a result: the agent began again, reported trouble, or is gone.
pub const ABANDONED: &str = "Login abandoned";
/// A node reports why it cannot log in.
pub const TROUBLE: &str = "Agent reports trouble";
/// A node's firmware stopped.
pub const PANIC: &str = "Agent panicked";
/// A message that is none, or that nobody asked for.
pub const MALFORMED: &str = "Message dropped";
/// A link was opened.
pub const LINK_OPEN: &str = "Link open";
/// A link is gone; with its counters.
pub const LINK_CLOSED: &str = "Link closed";
/// A link cannot be opened; tried again.
pub const LINK_FAILED: &str = "Link cannot be opened";
/// The service is ready.
pub const SERVING: &str = "Serving";
/// The service ends.
pub const STOPPING: &str = "Stopping";
/// The service has ended.
pub const STOPPED: &str = "Stopped";
/// Events were lost because their reader is too slow.
pub const EVENTS_LOST: &str = "Events lost";
/// An issuer's keys could not be fetched; with `error`. Logins go on with those that are known while they may.
pub const KEYS_NOT_FETCHED: &str = "Keys not fetched";
/// A cloud gave no answer, with all retries; with `error`. The same question is not asked again for a few seconds.
pub const CLOUD_CALL_FAILED: &str = "Cloud call failed";
/// A decision could not be recorded, so the login was denied.
pub const AUDIT_FAILED: &str = "Decision not recorded";
/// The audit trail ended in half a record, which nobody was answered on the strength of.
pub const AUDIT_CUT: &str = "Unfinished audit record removed";
/// A file of the audit trail could not be closed, or an old one not removed; records are written as before.
pub const AUDIT_ROTATION_FAILED: &str = "Audit trail not rotated";
/// What a command left to be recorded is no act; it is put aside. With `name` and `reason`.
pub const AUDIT_NOTE_REFUSED: &str = "Audit note refused";
/// What commands left to be recorded could not be; tried again.
pub const AUDIT_NOTES_FAILED: &str = "Audit notes not recorded";
/// A part of the service ended by a fault of the program; the process ends too.
pub const TASK_ENDED: &str = "A task has ended that must not";
/// Old records could not be removed.
pub const PURGE_FAILED: &str = "Old records could not be removed";
/// A port is open; with `listener` and `address`.
pub const LISTENING: &str = "Listening";
/// The API's certificate or client authorities were replaced.
pub const TLS_RELOADED: &str = "Certificate reloaded";
/// The API's certificate has ended: agents refuse to talk to this verifier.
pub const TLS_EXPIRED: &str = "Certificate has expired";
/// A certificate that AWS signs identity documents under ends soon; with `region` and `not_after`.
pub const AWS_CERTIFICATE_ENDS: &str = "Certificate of an AWS region ends soon";
/// The API's certificate was replaced by one that cannot be used; the one before goes on.
pub const TLS_NOT_RELOADED: &str = "Certificate not reloaded";
/// A TLS handshake failed.
pub const TLS_REFUSED: &str = "TLS handshake failed";
/// Connections were closed at once because of a limit.
pub const CONNECTIONS_REFUSED: &str = "Connections refused";
/// A request could not be worked on, for a reason of ours.
pub const API_FAILED: &str = "Request failed";
/// Somebody changed something through the API, or may not; with `principal`, `method`, `path` and `status`.
pub const OPERATOR_REQUEST: &str = "Operator request";
/// What somebody did through the API is not in the audit trail; with `principal`, `action`, `path` and `error`.
pub const ACT_NOT_RECORDED: &str = "Act not recorded";
/// A bearer token that is not known was sent.
pub const CREDENTIAL_REFUSED: &str = "Credential refused";

/// A cluster's configuration is in force; with `version`.
pub const CONFIG_SERVED: &str = "Cluster configuration in force";
/// A cluster was built anew under the version that it has: a file that its documents name has changed; with `version`.
pub const CONFIG_BUILT_ANEW: &str = "Cluster configuration built anew";
/// A cluster is no longer served: its configuration was removed.
pub const CONFIG_REMOVED: &str = "Cluster configuration removed";
/// A cluster's configuration cannot be used here; with the version that is served instead, if any.
pub const CONFIG_REFUSED: &str = "Cluster configuration cannot be used";
/// The store could not be asked for configuration: what was in force stays.
pub const CONFIG_UNREADABLE: &str = "Cluster configuration cannot be read";
/// The store answers again.
pub const CONFIG_READABLE: &str = "Cluster configuration can be read again";
/// An authority of SVIDs was made and is in the bundle.
pub const AUTHORITY_PREPARED: &str = "Authority prepared";
/// An authority signs from now on.
pub const AUTHORITY_ACTIVE: &str = "Authority active";
/// An authority has ended and is no longer in the bundle.
pub const AUTHORITY_REMOVED: &str = "Authority removed";
/// An own authority was not in the store any more and was published again.
pub const AUTHORITY_MISSED: &str = "Authority published again";
/// The store's record of an authority cannot be used.
pub const AUTHORITY_DAMAGED: &str = "Authority's record is damaged";
/// A node that holds a session was issued an SVID; with `session_id` and `kind`.
pub const SVID_ISSUED: &str = "SVID issued";
/// Authorities could not be brought up to date; tried again.
pub const ROTATION_FAILED: &str = "Authorities could not be rotated";
/// The same, and none is left that is valid: logins that name a key are denied as unavailable.
pub const NO_AUTHORITY: &str = "No authority is valid";

/// The keys of login states could not be read or changed; tried again.
pub const STATE_KEYS_FAILED: &str = "Keys of login states could not be brought up to date";
/// The store's record of a key of login states cannot be opened with the challenge key.
pub const STATE_KEY_DAMAGED: &str = "Key of login states is damaged";

/// Fields whose text is JSON already, because the logging library has no lists.
pub const JSON_FIELDS: &[&str] = &[
    "providedMethods",
    "agentAttestationAttributes",
    "explanation",
];
