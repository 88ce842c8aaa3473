//! How long a node waits.

/// How long the agent waits, and for what. All in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// First pause between repeated hellos, and between repetitions of a renewal; it doubles up to eight times itself. A host
    /// that opens the port late, or an emulator that throws away what nobody read, gets the next one.
    pub hello_repeat_ms: u32,
    /// How long an answer may take once the login is under way. Messages that are not the answer do not change it.
    pub answer_ms: u32,
    /// First wait after a failed attempt.
    pub backoff_min_ms: u32,
    /// Longest wait after a failed attempt.
    pub backoff_max_ms: u32,
    /// How long hellos and renewals are repeated before the attempt counts as failed.
    pub hello_limit_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            hello_repeat_ms: 500,
            answer_ms: 30_000,
            backoff_min_ms: 1_000,
            backoff_max_ms: 60_000,
            hello_limit_ms: 60_000,
        }
    }
}
