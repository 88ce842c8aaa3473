//! What labels may say. All of it is written here or comes from this program's own tables, so that nothing that a node
//! or a client sends ever becomes a label.

use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;

macro_rules! labels {
    ($($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$doc])* $variant,)*
        }

        impl $type {
            /// Every value.
            pub const ALL: &'static [&'static str] = &[$($text),*];

            /// The label's value.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    )*};
}

labels! {
    /// A call of the store.
    StoreOperation {
        /// A challenge is marked as answered.
        TakeChallenge = "take_challenge",
        /// A login is stored.
        CommitLogin = "commit_login",
        /// A node is looked up, evicted or banned.
        Node = "node",
        /// A session is looked up or revoked.
        Session = "session",
        /// A renewal is stored.
        RenewSession = "renew_session",
        /// What ended is removed.
        Purge = "purge",
        /// A configuration is read or written.
        Config = "config",
        /// A token is looked up, made or removed.
        Token = "token",
        /// An operator's list.
        List = "list",
        /// An authority is published, noted or removed, or all of them are read.
        Authority = "authority",
        /// A key that seals logins between two messages is read, made or removed.
        StateKey = "state_key",
        /// The check behind `/ready`.
        Probe = "probe",
    }

    /// What became of a session.
    SessionChange {
        /// It began.
        Granted = "granted",
        /// Its end was put off.
        Renewed = "renewed",
        /// It was ended.
        Revoked = "revoked",
        /// It began beside a young one of the same node, which has no TPM.
        Beside = "beside",
    }

    /// What a link is.
    LinkKind {
        /// A serial port.
        Serial = "serial",
        /// A Unix socket.
        Unix = "unix",
        /// A TCP connection.
        Tcp = "tcp",
    }

    /// When an SVID is issued.
    Occasion {
        /// With a login.
        Login = "login",
        /// With a renewal.
        Renewal = "renewal",
        /// Between the two, to the holder of a session.
        Session = "session",
    }

    /// Who signs.
    Authority {
        /// X.509-SVIDs.
        X509 = "x509",
        /// JWT-SVIDs.
        Jwt = "jwt",
        /// The certificates of those that sign X.509-SVIDs.
        Upstream = "upstream",
    }

    /// Why something was turned away before it was looked at.
    Limit {
        /// One peer's requests.
        Peer = "peer",
        /// Connections at once.
        Connections = "connections",
        /// Logins at once.
        LoginsInFlight = "logins_in_flight",
        /// Requests at once.
        Requests = "requests",
        /// Bytes of a body.
        Body = "body",
    }
}

impl LinkKind {
    /// By the name of a link's source. It comes from the configuration, and only its scheme is looked at.
    #[must_use]
    pub fn of(source: &str) -> Self {
        match source.split_once(':') {
            Some(("unix", _)) => Self::Unix,
            Some(("tcp", _)) => Self::Tcp,
            _ => Self::Serial,
        }
    }
}

/// What stands for everything that has no label of its own.
pub const OTHER: &str = "other";
/// The reason of a proof that was asked for and never came.
pub const UNANSWERED: &str = "unanswered";

/// Reasons of failed proofs.
pub const REASONS: &[&str] = &[
    "malformed",
    "refused",
    "misconfigured",
    "unavailable",
    "internal",
    UNANSWERED,
];

/// The classes of HTTP statuses.
pub const STATUS_CLASSES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A method's own name.
#[must_use]
pub fn method(kind: AttestorKind) -> &'static str {
    kind.name().unwrap_or(OTHER)
}

/// Every value of [`method`].
pub fn methods() -> impl Iterator<Item = &'static str> {
    let known = AttestorKind::ALL.iter().filter_map(|kind| kind.name());
    known.chain([OTHER])
}

/// What the `spire_server_*` family calls a method: `tpm` for everything that a TPM proves, as in the alerts that are
/// written for SPIRE's plugin of that name, its own name otherwise. One series each, so that a sum counts nothing twice.
#[must_use]
pub fn spire_method(name: &'static str) -> &'static str {
    match name.starts_with("tpm_") {
        true => "tpm",
        false => name,
    }
}

/// Every code of a refusal, and what stands for a later version's.
pub fn codes() -> impl Iterator<Item = &'static str> {
    let known = DenyCode::ALL.iter().filter_map(|code| code.name());
    known.chain([OTHER])
}

/// The class of a status.
#[must_use]
pub const fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
