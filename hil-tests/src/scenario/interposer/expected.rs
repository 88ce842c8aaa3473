//! The outcome that each attack must have.

use assay_common::protocol::{DenyCode, TroubleCode};
use assay_spi_tpm::interposer::{Mode, Stage};

use super::verdict::{Bus, Verdict};
use crate::manufacture::EkKind;

/// What an attack must come to.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The attack's name.
    pub mode: &'static str,
    /// On a plain bus, with an EK of P-256; so in what follows.
    pub plain: Verdict,
    /// On one that sessions guard.
    pub protected: Verdict,
    /// Why it does no harm, where the table alone does not say it.
    pub why: &'static str,
}

impl Row {
    /// The row of an attack; `None` for one that was forgotten.
    #[must_use]
    pub fn of(mode: &Mode) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.mode == mode.name)
    }

    /// The outcome on a bus to a TPM with an EK of this kind.
    #[must_use]
    pub fn outcome(&self, bus: Bus, kind: EkKind) -> Verdict {
        let mut exceptions = EXCEPTIONS.iter();
        let own = exceptions.find(|one| (one.mode, one.bus, one.kind) == (self.mode, bus, kind));
        match (own, bus) {
            (Some(own), _) => own.outcome,
            (None, Bus::Plain) => self.plain,
            (None, Bus::Protected) => self.protected,
        }
    }
}

/// An attack that comes to something else where the EK is of another kind than P-256.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// The attack's name.
    pub mode: &'static str,
    /// On which bus.
    pub bus: Bus,
    /// The kind of EK.
    pub kind: EkKind,
    /// What it comes to.
    pub outcome: Verdict,
    /// Why.
    pub why: &'static str,
}

/// All of them.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    mode: "swap-ek",
    bus: Bus::Plain,
    kind: EkKind::Rsa2048,
    outcome: Verdict::Node(TroubleCode::TPM_FAILURE_MODE),
    why: "libtpms answers ActivateCredential with TPM_RC_FAILURE where an RSA secret is encrypted to another key; it is in no failure mode: TPM2_GetTestResult then says that nothing failed, so the detail is 0",
}];

const fn row(mode: &'static str, plain: Verdict, protected: Verdict, why: &'static str) -> Row {
    Row {
        mode,
        plain,
        protected,
        why,
    }
}

const HARMLESS: Verdict = Verdict::Harmless;
const FALLS: Verdict = Verdict::Fell;
const ABSENT: Verdict = Verdict::Absent;
const REFUSED: Verdict = Verdict::Verifier(DenyCode::REFUSED);
const LOGIN: Verdict = Verdict::Verifier(DenyCode::LOGIN_REQUIRED);
const EXPIRED: Verdict = Verdict::Verifier(DenyCode::EXPIRED);
const RESPONSE: Verdict = Verdict::Node(TroubleCode::TPM_RESPONSE);
const COMMAND: Verdict = Verdict::Node(TroubleCode::TPM_COMMAND);
const RESET: Verdict = Verdict::Node(TroubleCode::TPM_RESET);
const UNSTABLE: Verdict = Verdict::Node(TroubleCode::PCR_UNSTABLE);
const UNSUPPORTED: Verdict = Verdict::Node(TroubleCode::TPM_UNSUPPORTED);
const FORGED: Verdict = Verdict::Node(TroubleCode::TPM_FORGED);
const REPLACED: Verdict = Verdict::Node(TroubleCode::TPM_REPLACED);
const BUSY: Verdict = Verdict::Node(TroubleCode::TPM_BUSY);

const LISTENED: &str = "nothing of this is secret";

/// The rows, in the order of [`Mode::all`].
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("sniff-start", HARMLESS, HARMLESS, LISTENED),
    row("alter-start", RESPONSE, RESPONSE, ""),
    row("lengths-start", RESPONSE, RESPONSE, ""),
    row("sizes-start", HARMLESS, HARMLESS, "the node takes the smaller of what the TPM says and what it has room for"),
    row("drop-start", RESET, RESET, ""),
    row("replay-start", RESET, RESET, ""),
    row("sniff-random", FALLS, HARMLESS, "what crosses in clear is one input of the generator, and the other is encrypted"),
    row("alter-random", HARMLESS, FORGED, "plain: bytes that nobody knew are bytes that nobody knows"),
    row("lengths-random", RESPONSE, RESPONSE, ""),
    row("drop-random", RESPONSE, RESPONSE, ""),
    row("replay-random", FALLS, FORGED, ""),
    row("forge-random", FALLS, FORGED, ""),
    row("sniff-session", ABSENT, HARMLESS, "the salt is encrypted to the EK, and the session's key is made of it"),
    row("alter-session", ABSENT, FORGED, ""),
    row("alter-salt", ABSENT, COMMAND, ""),
    row("weaken-cipher", ABSENT, COMMAND, ""),
    row("clear-encrypt", ABSENT, FORGED, ""),
    row("downgrade", ABSENT, COMMAND, ""),
    row("forget-session", ABSENT, RESET, ""),
    row("replay-session", ABSENT, RESET, ""),
    row("replay-salt", ABSENT, FORGED, ""),
    row("unsalt", ABSENT, FORGED, ""),
    row("strip-sessions", ABSENT, FORGED, ""),
    row("sniff-extend", HARMLESS, HARMLESS, "measurements are no secret"),
    row("alter-extend", REFUSED, FORGED, ""),
    row("lengths-extend", RESPONSE, FORGED, ""),
    row("drop-extend", FALLS, FORGED, ""),
    row("hide-bank", FALLS, FORGED, ""),
    row("replay-extend", REFUSED, HARMLESS, "protected: the second has a nonce that was used, and the TPM refuses it"),
    row("replay-boot", FALLS, FORGED, ""),
    row("forge-extend", FALLS, FORGED, ""),
    row("make-extend", FALLS, FORGED, ""),
    row("reset-tpm", FALLS, FORGED, ""),
    row("sniff-witness", HARMLESS, HARMLESS, "counts of resets are no secret"),
    row("alter-clock", HARMLESS, FORGED, "plain: a lie that is always the same says nothing of a reset"),
    row("alter-witness", HARMLESS, FORGED, "plain: a lie that is always the same says nothing of a reset"),
    row("drop-witness", COMMAND, COMMAND, ""),
    row("replay-witness", COMMAND, FORGED, ""),
    row("swap-witness", COMMAND, FORGED, ""),
    row("sniff-ek", HARMLESS, HARMLESS, LISTENED),
    row("alter-ek", REFUSED, REPLACED, ""),
    row("alter-ek-template", REFUSED, REPLACED, ""),
    row("lengths-ek", RESPONSE, RESPONSE, ""),
    row("drop-ek", UNSUPPORTED, UNSUPPORTED, ""),
    row("replay-ek", COMMAND, RESET, ""),
    row("swap-ek", COMMAND, REPLACED, ""),
    row("own-ek", REFUSED, REPLACED, ""),
    row("substitute-name", REFUSED, REPLACED, ""),
    row("sniff-ak", HARMLESS, HARMLESS, LISTENED),
    row("alter-ak", REFUSED, FORGED, ""),
    row("weaken-ak", REFUSED, FORGED, ""),
    row("hide-weak-ak", COMMAND, FORGED, ""),
    row("lengths-ak", RESPONSE, FORGED, ""),
    row("drop-ak", UNSUPPORTED, UNSUPPORTED, ""),
    row("replay-ak", COMMAND, FORGED, ""),
    row("swap-ak", COMMAND, FORGED, ""),
    row("sniff-certificate", HARMLESS, HARMLESS, "certificates are public"),
    row("alter-certificate", REFUSED, FORGED, ""),
    row("lengths-certificate", RESPONSE, FORGED, ""),
    row("size-certificate", HARMLESS, FORGED, "plain: a certificate says its own length, and no more is read"),
    row("drop-certificate", REFUSED, REFUSED, ""),
    row("replay-certificate", HARMLESS, FORGED, "plain: it is the same certificate, and its maker's signature is on it"),
    row("swap-certificate", REFUSED, FORGED, ""),
    row("sniff-svid-key", HARMLESS, HARMLESS, "public keys and signatures are public"),
    row("alter-svid-key", REFUSED, FORGED, ""),
    row("alter-request", REFUSED, FORGED, ""),
    row("lengths-svid-key", RESPONSE, FORGED, ""),
    row("drop-svid-key", COMMAND, COMMAND, ""),
    row("replay-svid-key", REFUSED, FORGED, ""),
    row("swap-svid-key", REFUSED, FORGED, ""),
    row("sniff-activate", FALLS, HARMLESS, "protected: the secret is encrypted"),
    row("alter-activate", REFUSED, FORGED, ""),
    row("alter-credential", COMMAND, FORGED, ""),
    row("lengths-activate", RESPONSE, FORGED, ""),
    row("drop-activate", COMMAND, COMMAND, ""),
    row("replay-activate", REFUSED, FORGED, ""),
    row("forge-activate", REFUSED, FORGED, ""),
    row("sniff-pcrs", HARMLESS, HARMLESS, "PCRs are no secret"),
    row("alter-pcrs", UNSTABLE, FORGED, ""),
    row("lengths-pcrs", RESPONSE, FORGED, ""),
    row("drop-pcrs", BUSY, BUSY, ""),
    row("replay-pcrs", HARMLESS, FORGED, "plain: the values are those of now, as the quote shows"),
    row("forge-pcrs", UNSTABLE, FORGED, ""),
    row("sniff-quote", HARMLESS, HARMLESS, "a quote is no secret, and good for one login"),
    row("alter-quote", REFUSED, FORGED, ""),
    row("narrow-quote", UNSTABLE, FORGED, ""),
    row("lengths-quote", RESPONSE, FORGED, ""),
    row("drop-quote", BUSY, BUSY, ""),
    row("stall-quote", EXPIRED, EXPIRED, ""),
    row("replay-quote", REFUSED, FORGED, ""),
    row("swap-quote", UNSTABLE, FORGED, ""),
    row("forge-quote", UNSTABLE, FORGED, ""),
    row("sniff-renewal", HARMLESS, HARMLESS, "a quote is no secret, and good for one renewal"),
    row("alter-renewal", LOGIN, FORGED, ""),
    row("drop-renewal", RESET, RESET, ""),
    row("replay-renewal", LOGIN, FORGED, ""),
    row("swap-renewal", FALLS, REPLACED, ""),
    row("swap-tpm", FALLS, REPLACED, ""),
    row("replay-login", REFUSED, FORGED, ""),
    row("reset-login", RESET, RESET, ""),
    row("bad-lengths", RESPONSE, RESPONSE, ""),
];

/// The attacks of a stage with their rows.
pub fn of_stage(stage: Stage) -> impl Iterator<Item = (&'static Mode, &'static Row)> {
    Mode::all()
        .filter(move |mode| mode.stage == stage)
        .filter_map(|mode| Some((mode, Row::of(mode)?)))
}
