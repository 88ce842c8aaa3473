//! What was found out about this machine: one thing that was looked at, how it stands, and how to mend it.

use serde::Serialize;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// A login succeeds, and something is not as it should be.
    Warn,
    /// A login fails.
    Fail,
}

impl Level {
    /// The word for a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How it stands.
    pub level: Level,
    /// What was looked at, in one or two words: `tpm`, `x509pop key`.
    pub subject: String,
    /// What was seen. Never a secret.
    pub seen: String,
    /// How to mend it; `None` where nothing is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject: subject.into(),
            seen: seen.into(),
            mend: None,
        }
    }

    /// Not as it should be, though a login succeeds.
    #[must_use]
    pub fn warn(
        subject: impl Into<String>,
        seen: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warn,
            mend: Some(mend.into()),
            ..Self::ok(subject, seen)
        }
    }

    /// A login fails by this.
    #[must_use]
    pub fn fail(
        subject: impl Into<String>,
        seen: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Fail,
            mend: Some(mend.into()),
            ..Self::ok(subject, seen)
        }
    }
}
