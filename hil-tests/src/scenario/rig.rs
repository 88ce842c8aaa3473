//! Scenarios that run wherever there is a node: in one process, in QEMU and on a bench. A [`Rig`] is the place, [`ALL`]
//! are the scenarios.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use assay_common::protocol::DenyCode;
use serde_json::Value;

use super::live::{Live, VerifierEvent};

/// What the verifier decides by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// An `AgentAttestation` document; `None` for the rig's own, which accepts its TPM.
    pub policy: Option<&'a str>,
    /// How long a session lasts; `None` for an hour.
    pub session: Option<Duration>,
}

/// A board with a TPM and a verifier.
pub trait Rig {
    /// Waits for the end of the next login, or of the next renewal of a session.
    ///
    /// # Errors
    ///
    /// When none ends within `limit`.
    fn next_end(&mut self, limit: Duration) -> Result<VerifierEvent>;

    /// Waits for the end of the next login.
    ///
    /// # Errors
    ///
    /// When none ends within `limit`, or a session is renewed before.
    fn login(&mut self, limit: Duration) -> Result<VerifierEvent> {
        let end = self.next_end(limit)?;
        ensure!(!end.is_renewed(), "a session was renewed: {end:?}");
        Ok(end)
    }

    /// Resets the microcontroller.
    ///
    /// # Errors
    ///
    /// When that cannot be done.
    fn reset(&mut self) -> Result<()>;

    /// Whether the TPM stays as it is then, or its reset line is tied to the microcontroller's.
    fn tpm_survives_reset(&self) -> bool;

    /// The shortest session that the verifier grants.
    fn shortest_session(&self) -> Duration {
        SHORTEST_SESSION
    }

    /// Takes the verifier away, resets the microcontroller, and brings the verifier back once the board has said
    /// hello [`HELLOS_IN_VAIN`] times.
    ///
    /// # Errors
    ///
    /// When the board does not go on saying hello, or the verifier does not come back.
    fn absent_verifier(&mut self) -> Result<()>;

    /// Restarts the verifier, on the same data, with other terms. The board is left alone.
    ///
    /// # Errors
    ///
    /// When the verifier does not come back.
    fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()>;
}

/// One scenario. It begins with a board that was just reset.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// A sentence that says what must hold.
    pub name: &'static str,
    run: fn(&mut dyn Rig) -> Result<()>,
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// What did not hold.
    pub fn run(&self, rig: &mut dyn Rig) -> Result<()> {
        (self.run)(rig).with_context(|| format!("scenario: {}", self.name))
    }
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "a board logs in after power-on",
        run: cold_login,
    },
    Scenario {
        name: "a board that is reset logs in again as the same node, and the TPM's reset count tells the truth",
        run: after_reset,
    },
    Scenario {
        name: "a board waits for a verifier that was away",
        run: after_absence,
    },
    Scenario {
        name: "a board is denied for a PCR that is not the policy's, and logs in when the policy is mended",
        run: another_pcr,
    },
    Scenario {
        name: "a board whose TPM is of another maker than the policy's is denied",
        run: another_maker,
    },
    Scenario {
        name: "a board renews its session in one round trip, and logs in at once when it cannot be renewed any more",
        run: renewal,
    },
];

/// The shortest session that `assayd` grants; a node comes back after half of it.
pub(crate) const SHORTEST_SESSION: Duration = Duration::from_secs(60);
/// How often a board must ask a line on which nobody answers.
pub const HELLOS_IN_VAIN: usize = 2;
/// RSA primaries of slow chips take tens of seconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

fn granted(rig: &mut dyn Rig) -> Result<VerifierEvent> {
    let end = rig.login(LIMIT)?;
    ensure!(
        end.is_granted(),
        "denied ({}): {}",
        end.code.as_deref().unwrap_or("?"),
        end.detail
    );
    Ok(end)
}

fn cold_login(rig: &mut dyn Rig) -> Result<()> {
    let end = granted(rig)?;
    let attributes = end.attributes.context("no attributes")?;
    ensure!(
        attributes.contains_key("tpm_ek.public_hash"),
        "no EK hash among {attributes:?}"
    );
    ensure!(
        end.spiffe_id.is_some() && end.session.is_some(),
        "no identity or no session"
    );
    Ok(())
}

fn after_reset(rig: &mut dyn Rig) -> Result<()> {
    rig.reset()?;
    let first = granted(rig)?;
    rig.reset()?;
    let second = granted(rig)?;
    ensure!(
        first.spiffe_id == second.spiffe_id,
        "{:?} became {:?}",
        first.spiffe_id,
        second.spiffe_id
    );
    ensure!(
        first.session != second.session,
        "a session was granted twice"
    );
    let count = |end: &VerifierEvent| {
        end.attributes
            .as_ref()
            .and_then(|map| map.get("tpm_quote.reset_count").cloned())
    };
    let survived = count(&first) == count(&second);
    ensure!(
        survived == rig.tpm_survives_reset(),
        "TPM reset count {:?} became {:?}: is its reset line wired as described?",
        count(&first),
        count(&second)
    );
    Ok(())
}

fn after_absence(rig: &mut dyn Rig) -> Result<()> {
    rig.absent_verifier()?;
    granted(rig).map(|_| ())
}

/// Refused after a check, and told no more than that.
fn refused(rig: &mut dyn Rig, because: &str) -> Result<()> {
    let end = rig.login(LIMIT)?;
    ensure!(!end.is_granted(), "granted in spite of the policy: {end:?}");
    ensure!(
        end.code.as_deref() == Some(DenyCode::REFUSED.name().unwrap_or_default()),
        "denied, but as {:?}: {}",
        end.code,
        end.detail
    );
    ensure!(
        end.detail.contains(because),
        "denied, but not for `{because}`: {}",
        end.detail
    );
    Ok(())
}

fn another_pcr(rig: &mut dyn Rig) -> Result<()> {
    rig.reset()?;
    let attributes = granted(rig)?.attributes.context("no attributes")?;
    let ek = attributes.get("tpm_ek.public_hash").and_then(Value::as_str);
    // Known by its EK, so that the PCR is all that is wrong. No hash is all ones.
    let policy = format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bare_metal\n      requiredAttestors:\n        \
         - type: tpm_ek\n          config:\n            require: hash\n            allowedHashes: [\"{}\"]\n        \
         - type: tpm_quote\n          config:\n            pcrs:\n              0: \"{}\"\n",
        ek.context("no EK hash")?,
        "ff".repeat(32)
    );
    rig.decide_by(&Terms {
        policy: Some(&policy),
        session: None,
    })?;
    rig.reset()?;
    refused(rig, "pcr")?;
    rig.decide_by(&Terms::default())?;
    // It would come back by itself when the wait that the denial asked for is over; nobody has that long here.
    rig.reset()?;
    granted(rig).map(|_| ())
}

fn another_maker(rig: &mut dyn Rig) -> Result<()> {
    let mut policy = String::from(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bare_metal\n      requiredAttestors:\n        \
         - type: tpm_ek\n          config:\n            require: certificate\n            manufacturerCAs:\n              - |\n",
    );
    for line in STRANGER.lines() {
        policy.push_str("                ");
        policy.push_str(line);
        policy.push('\n');
    }
    rig.decide_by(&Terms {
        policy: Some(&policy),
        session: None,
    })?;
    rig.reset()?;
    refused(rig, "issuer")?;
    rig.decide_by(&Terms::default())
}

fn renewal(rig: &mut dyn Rig) -> Result<()> {
    let session = Some(rig.shortest_session());
    rig.decide_by(&Terms {
        policy: None,
        session,
    })?;
    rig.reset()?;
    let first = granted(rig)?;
    let id = |event: &VerifierEvent| {
        let session = event.session.as_ref();
        session.and_then(|session| session.get("id").cloned())
    };
    let renewed = rig.next_end(LIMIT)?;
    ensure!(
        renewed.is_renewed() && id(&renewed) == id(&first) && renewed.spiffe_id == first.spiffe_id,
        "{first:?} was followed by {renewed:?}"
    );

    // Another policy, which lets the same node in: its session was granted under terms that are no more.
    let attributes = first.attributes.clone().context("no attributes")?;
    let ek = attributes.get("tpm_ek.public_hash").and_then(Value::as_str);
    let policy = format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: by_hash\n      requiredAttestors:\n        \
         - type: tpm_ek\n          config:\n            require: hash\n            allowedHashes: [\"{}\"]\n",
        ek.context("no EK hash")?,
    );
    rig.decide_by(&Terms {
        policy: Some(&policy),
        session,
    })?;
    let refused = rig.next_end(LIMIT)?;
    ensure!(
        refused.code.as_deref() == DenyCode::LOGIN_REQUIRED.name(),
        "{renewed:?} was followed by {refused:?}"
    );
    let second = granted(rig)?;
    ensure!(
        second.policy.as_deref() == Some("by_hash") && id(&second) != id(&first),
        "{first:?} was followed by {second:?}"
    );
    ensure!(
        second.spiffe_id == first.spiffe_id,
        "{first:?} was followed by {second:?}"
    );
    rig.decide_by(&Terms::default())
}

/// A CA of nobody's: its key was thrown away when it was made.
const STRANGER: &str = "\
-----BEGIN CERTIFICATE-----
MIIBwDCCAWegAwIBAgIUO/lnXBcXARqbHqrITYHXthU8xv0wCgYIKoZIzj0EAwIw
LTErMCkGA1UEAwwiQSBtYWtlciB3aG9zZSBUUE1zIG5vYm9keSBoZXJlIGhhczAg
Fw0yNjExMjIwNTQ2MTJaGA8yMTI2MTAyOTA1NDYxMlowLTErMCkGA1UEAwwiQSBt
YWtlciB3aG9zZSBUUE1zIG5vYm9keSBoZXJlIGhhczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABNqVJOmo9KJvt0zJcAZ/rMqQd6y1HgIIBXdQxg+L1wlv2CYNhKKB
iQc2S3ej4gO2MoDA1NLt0HLVLmya9jAxsPSjYzBhMB0GA1UdDgQWBBSqNVetMSNL
nCZ/E/qgMCbQGfcqYDAfBgNVHSMEGDAWgBSqNVetMSNLnCZ/E/qgMCbQGfcqYDAP
BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQDAgNHADBE
AiAyyXsbw6mfNkcZS1ig9LCq+M2fqUpj+S2nuGLCEicIMgIgK0O81HFVfoLU4Uka
z8PoM6/RMCox6bwbH4DfMNAjoZc=
-----END CERTIFICATE-----
";

impl Rig for Live {
    fn next_end(&mut self, limit: Duration) -> Result<VerifierEvent> {
        self.finish(limit, &mut |_| {})
    }

    fn reset(&mut self) -> Result<()> {
        Ok(self.qemu.reset()?)
    }

    fn tpm_survives_reset(&self) -> bool {
        // QEMU's own TPM device is reset with its machine; the overlay's and the bridge's are powered apart.
        self.qemu.events().is_some()
    }

    fn absent_verifier(&mut self) -> Result<()> {
        Self::absent_verifier(self, HELLOS_IN_VAIN, LIMIT)
    }

    fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()> {
        Self::decide_by(self, terms)
    }
}
