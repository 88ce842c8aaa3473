//! Messages of the agent's log. They are constants: what differs is in fields.

/// A login begins; `attestors` is what is offered.
pub const SENDING_LOGIN: &str = "Sending Login";
/// A session was granted.
pub const CONNECTED: &str = "Connected to server";
/// The session goes on.
pub const RENEWED: &str = "Session renewed";
/// A login failed; another comes after a wait.
pub const LOGIN_FAILED: &str = "Login failed";
/// A renewal failed; another comes after a wait, or a login.
pub const RENEWAL_FAILED: &str = "Renewal failed";
/// A method was offered by the configuration and left out of the login.
pub const METHOD_LEFT_OUT: &str = "Method left out";
/// The session is over, and there is no other yet.
pub const SESSION_OVER: &str = "Session is over";
/// The bundle changed.
pub const BUNDLE_UPDATED: &str = "Bundle updated";
/// The bundle could not be had; the last one stays.
pub const BUNDLE_FAILED: &str = "Bundle not updated";
/// Files were written.
pub const FILES_WRITTEN: &str = "Files written";
/// Files could not be written; those of before stay.
pub const FILES_FAILED: &str = "Files not written";
/// A listener is open.
pub const LISTENING: &str = "Listening";
/// A workload got an answer over the Workload API.
pub const WORKLOAD_SERVED: &str = "Workload served";
/// A workload was refused.
pub const WORKLOAD_REFUSED: &str = "Workload refused";
/// The agent ends.
pub const STOPPING: &str = "Stopping";

/// Fields whose text is JSON already, because the logging library has no lists.
pub const JSON_FIELDS: &[&str] = &["attestors", "files"];
