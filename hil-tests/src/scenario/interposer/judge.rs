//! What came of an attack: judged by what node and verifier said, and by what the attacker can make of what he has.

use anyhow::{Result, bail};
use assay_common::protocol::DenyCode;
use assay_firmware::agent::Failure;
use assay_spi_tpm::interposer::measured::is_of_sha384;
use assay_spi_tpm::interposer::parts::Command;
use assay_spi_tpm::interposer::{Goal, Journal, Mode};

use super::eavesdropper::Eavesdropper;
use super::verdict::{Bus, Report, Verdict};
use crate::scenario::local_verifier::Outcome;
use crate::scenario::loopback::Loopback;

/// Whom a session is for, without what differs from login to login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    ek_hash: String,
    ak_name: Vec<u8>,
    spiffe_id: String,
    attributes: Vec<String>,
}

impl Holder {
    /// Whom the verifier's last session is for.
    pub(super) fn of(loopback: &Loopback) -> Option<Self> {
        /// What another power-on changes by itself.
        const COUNTS: [&str; 3] = [
            "tpm_quote.reset_count",
            "tpm_quote.restart_count",
            "tpm_quote.clock_safe",
        ];
        loopback.line.with_peer(|verifier| {
            let session = &verifier.last_granted()?.session;
            let mut nodes = verifier.nodes();
            let node = nodes.find(|node| node.ek_hash == session.ek_hash)?;
            let attributes = session.attributes.iter();
            Some(Self {
                ek_hash: session.ek_hash.clone(),
                ak_name: node.ak_name.clone(),
                spiffe_id: session.spiffe_id.clone(),
                attributes: attributes
                    .filter(|one| !COUNTS.contains(&&*one.name))
                    .map(ToString::to_string)
                    .collect(),
            })
        })
    }
}

/// An attempt that has ended, with everything that tells what came of it.
pub(super) struct Ended<'l> {
    pub(super) loopback: &'l Loopback,
    pub(super) journal: Journal,
    pub(super) ear: Eavesdropper,
    pub(super) result: Result<(), Failure>,
    /// How many outcomes the verifier had when the attack began.
    pub(super) before: usize,
}

impl Ended<'_> {
    pub(super) fn judge(self, mode: &'static Mode, bus: Bus, clean: &Holder) -> Result<Report> {
        let Journal { strikes, deeds, .. } = &self.journal;
        let verifier = self.verifier();
        let gained = self.gained(mode.goal, clean).filter(|_| *strikes > 0);
        // A renewal that is refused is followed by a login, which the refusal shall not be lost behind.
        let refused = match verifier {
            Some((_, Some(code))) => Some(code),
            _ => None,
        };
        let verdict = match (&gained, self.result) {
            _ if *strikes == 0 => Verdict::Absent,
            (Some(_), _) => Verdict::Fell,
            (None, Err(Failure::Denied { code, .. })) => Verdict::Verifier(refused.unwrap_or(code)),
            (None, Ok(())) => refused.map_or(Verdict::Harmless, Verdict::Verifier),
            (None, Err(failure)) => match failure.trouble() {
                Some(trouble) => Verdict::Node(trouble.code),
                None => bail!("a failure without a code: {failure}"),
            },
        };
        Ok(Report {
            mode,
            bus,
            strikes: *strikes,
            deeds: deeds.clone(),
            verdict,
            node_said: match self.result {
                Ok(()) => "session granted".to_owned(),
                Err(failure) => failure.to_string(),
            },
            verifier_said: verifier.map(|(said, _)| said),
            gained,
            recovered: None,
        })
    }

    /// What the attacker has of what he wanted.
    fn gained(&self, goal: Goal, clean: &Holder) -> Option<String> {
        let of = |what: &str| Some(what.to_owned());
        let granted = self.result.is_ok();
        match goal {
            Goal::Secret if self.ear.opens_grant(&self.journal) => of("the session's keys"),
            Goal::Nonce if self.ear.knew_nonce(&self.journal) => {
                of("the node's nonce before it was said")
            }
            Goal::AnySession if granted => of("a session without the node's TPM"),
            Goal::TamperedImage if granted => of("a session for a tampered image"),
            Goal::HiddenSettings if granted => of("a session for a node with its debugger on"),
            Goal::Clear if self.left_its_session() => {
                of("commands in clear that a session guarded")
            }
            Goal::FreeBank if granted && !self.measured_into_sha384() => {
                of("a session for a node that left him a bank")
            }
            _ if granted => match Holder::of(self.loopback) {
                Some(holder) if holder == *clean => None,
                Some(holder) => Some(format!("a session as {}", holder.spiffe_id)),
                None => of("a session that the verifier does not know"),
            },
            _ => None,
        }
    }

    /// Whether the node asked for something without a session that it had asked for through one.
    fn left_its_session(&self) -> bool {
        /// PCR_Read, Quote, ReadClock: of a guarded login each is guarded.
        const GUARDED: [u32; 3] = [0x17E, 0x158, 0x181];
        let is_clear =
            |command: &[u8]| Command::parse(command).is_none_or(|parts| !parts.is_protected());
        let mut exchanges = self.journal.exchanges.iter();
        exchanges.any(|one| GUARDED.contains(&one.code) && is_clear(&one.command))
    }

    fn measured_into_sha384(&self) -> bool {
        let mut exchanges = self.journal.exchanges.iter();
        exchanges.any(|one| is_of_sha384(&one.command))
    }

    /// What the verifier said since the attack began: its first refusal, else its last word.
    fn verifier(&self) -> Option<(String, Option<DenyCode>)> {
        self.loopback.line.with_peer(|verifier| {
            let new = verifier.outcomes.get(self.before..).unwrap_or_default();
            let words = new.iter().filter_map(|outcome| match outcome {
                Outcome::Granted(granted) => {
                    let id = &granted.session.spiffe_id;
                    Some((format!("session for {id}"), None))
                }
                Outcome::Renewed(session) => {
                    Some((format!("session renewed for {}", session.spiffe_id), None))
                }
                Outcome::Denied(denied) => {
                    let text = format!("{}: {}", denied.code, denied.detail);
                    Some((text, Some(denied.code)))
                }
                Outcome::Trouble(_) | Outcome::Panic(_) => None,
            });
            let words: Vec<_> = words.collect();
            let refusal = words.iter().find(|(_, code)| code.is_some());
            refusal.or(words.last()).cloned()
        })
    }
}
