//! What can be typed on the link, one request a line.

use assay_common::tpm::pcr::PcrIndex;
use embassy_time::Duration;

/// What the TPM is to do.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Find it.
    Probe,
    /// `TPM2_Startup(CLEAR)`.
    Startup,
    /// `TPM2_SelfTest` of everything.
    SelfTest,
    /// 32 random bytes.
    Random,
    /// A PCR of the SHA-256 bank.
    Pcr(PcrIndex),
}

impl Work {
    /// How it is called, in requests and in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Startup => "startup",
            Self::SelfTest => "selftest",
            Self::Random => "random",
            Self::Pcr(_) => "pcr",
        }
    }
}

/// Work, and how long somebody waits for it.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) work: Work,
    /// `None`: as long as the driver does.
    pub(crate) patience: Option<Duration>,
}

impl Request {
    /// Reads `[within MICROSECONDS] WORK`; `None` for anything else.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let mut word = words.next()?;
        let mut patience = None;
        if word == "within" {
            let us: u32 = words.next()?.parse().ok()?;
            patience = Some(Duration::from_micros(us.into()));
            word = words.next()?;
        }
        let work = match word {
            "probe" => Work::Probe,
            "startup" => Work::Startup,
            "selftest" => Work::SelfTest,
            "random" => Work::Random,
            "pcr" => Work::Pcr(PcrIndex::new(words.next()?.parse().ok()?)?),
            _ => return None,
        };
        match words.next() {
            Some(_) => None,
            None => Some(Self { work, patience }),
        }
    }
}
