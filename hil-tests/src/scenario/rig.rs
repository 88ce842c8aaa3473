//! Scenarios that run wherever a whole board is: in QEMU and on a bench. A [`Rig`] is the place, [`ALL`] are the
//! scenarios.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::live::{Live, VerifierEvent};

/// A board with a TPM and a verifier.
pub trait Rig {
    /// Waits for the end of the next login.
    ///
    /// # Errors
    ///
    /// When none ends within `limit`.
    fn login(&mut self, limit: Duration) -> Result<VerifierEvent>;

    /// Resets the microcontroller.
    ///
    /// # Errors
    ///
    /// When that cannot be done.
    fn reset(&mut self) -> Result<()>;

    /// Whether the TPM stays as it is then, or its reset line is tied to the microcontroller's.
    fn tpm_survives_reset(&self) -> bool;

    /// Takes the verifier away, resets the microcontroller, and brings the verifier back once the board has said
    /// hello [`HELLOS_IN_VAIN`] times.
    ///
    /// # Errors
    ///
    /// When the board does not go on saying hello, or the verifier does not come back.
    fn absent_verifier(&mut self) -> Result<()>;
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
];

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

impl Rig for Live {
    fn login(&mut self, limit: Duration) -> Result<VerifierEvent> {
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
}
