//! What a login may not contradict. One pure function, which both stores call inside their atomic step.

use assay_common::policy::AttestorKind;

use super::{Ban, NodeRecord, NodeUpdate};
use crate::attestor::BootState;

/// A login that contradicts what is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The identity belongs to another node. Taking it over needs an operator.
    #[error(
        "{spiffe_id} belongs to node {holder}; evict that node to give its identity to another"
    )]
    IdentityTaken {
        /// The identity.
        spiffe_id: String,
        /// The node that holds it.
        holder: String,
    },
    /// The AK is known under another EK: one of the two EKs is not in the TPM that holds the AK.
    #[error("the AK is bound to the TPM with EK {holder}")]
    KeyTaken {
        /// Hash of the EK that holds it.
        holder: String,
    },
    /// An operator has banned the node.
    #[error("node {ek_hash} is banned since {since}: {reason}")]
    Banned {
        /// The node.
        ek_hash: String,
        /// When.
        since: jiff::Timestamp,
        /// Why, in the operator's words.
        reason: String,
    },
    /// The instance is bound to another key (`tofu`).
    #[error(
        "the instance that {method} names is bound to the key that it logged in with first, at {since}, as node {node} (tofu), and this is another key"
    )]
    BoundElsewhere {
        /// The method.
        method: AttestorKind,
        /// The node that the instance is.
        node: String,
        /// Since when.
        since: jiff::Timestamp,
    },
    /// The instance is bound to the key that the login names (`tofu`), and nothing shows that the login holds it.
    #[error(
        "the instance that {method} names is bound to its SVID's key, which did not sign this login: who shows it may have a copy of another login; an agent that cannot sign needs an update"
    )]
    KeyNotShown {
        /// The method.
        method: AttestorKind,
    },
    /// The TPM and the microcontroller of this login are not the pair that they, or one of them, were before (`mcu_key`).
    #[error(
        "node {node} has been a pair of one of these two, the TPM and the microcontroller, with another since {since}; evict it if a board was repaired"
    )]
    OtherPair {
        /// The node whose half one of the two is.
        node: String,
        /// Since when.
        since: jiff::Timestamp,
    },
    /// The TPM's counters ran backwards: a replayed or cloned TPM state, or a TPM that was cleared.
    #[error(
        "the TPM's {counter} went back from {before} to {now}; if the TPM was cleared, evict the node"
    )]
    WentBack {
        /// `resetCount`, `restartCount` or `clock`.
        counter: &'static str,
        /// As stored.
        before: u64,
        /// As proven now.
        now: u64,
    },
}

impl From<Ban> for Conflict {
    fn from(ban: Ban) -> Self {
        Self::Banned {
            ek_hash: ban.ek_hash,
            since: ban.banned_at,
            reason: ban.reason,
        }
    }
}

/// Checks a login against the nodes it touches: the one with its EK, the one with its AK, and the one with its
/// identity, as far as they exist.
///
/// Counters are judged by the attestor, under the policy's rules, against the record as it stood then. Here they are
/// looked at when the record has changed since, because another login of the node came in between.
///
/// # Errors
///
/// [`Conflict`].
pub fn check<'a>(
    update: &NodeUpdate,
    known: impl IntoIterator<Item = &'a NodeRecord>,
) -> Result<(), Conflict> {
    for node in known {
        if node.ek_hash == update.ek_hash {
            if let (Some(before), Some(now)) = (&node.boot, &update.boot)
                && update.judged_against.as_ref() != Some(before)
            {
                check_boot(before, now)?;
            }
            continue;
        }
        if node.ak_name == update.ak_name {
            return Err(Conflict::KeyTaken {
                holder: node.ek_hash.clone(),
            });
        }
        if node.spiffe_id == update.spiffe_id {
            return Err(Conflict::IdentityTaken {
                spiffe_id: node.spiffe_id.clone(),
                holder: node.ek_hash.clone(),
            });
        }
    }
    Ok(())
}

/// Counters as [TPM2.0 Part 1] section 36 has them: `resetCount` never falls, a TPM Reset zeroes `restartCount`, and
/// the clock may fall back after an unorderly shutdown, which is a reset. They are the TPM's true ones, whichever AK
/// signed: a [`NodeUpdate`] has no others.
fn check_boot(before: &BootState, now: &BootState) -> Result<(), Conflict> {
    let back = |counter, before: u64, now: u64| {
        Err(Conflict::WentBack {
            counter,
            before,
            now,
        })
    };
    if now.reset_count < before.reset_count {
        return back(
            "resetCount",
            before.reset_count.into(),
            now.reset_count.into(),
        );
    }
    if now.reset_count > before.reset_count {
        return Ok(());
    }
    if now.restart_count < before.restart_count {
        return back(
            "restartCount",
            before.restart_count.into(),
            now.restart_count.into(),
        );
    }
    if now.restart_count == before.restart_count && now.clock < before.clock {
        return back("clock", before.clock, now.clock);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Conflict, check};
    use crate::attestor::BootState;
    use crate::store::{NodeRecord, NodeUpdate};
    use jiff::Timestamp;

    fn boot(reset_count: u32, restart_count: u32, clock: u64) -> BootState {
        BootState {
            clock,
            reset_count,
            restart_count,
            safe: true,
            firmware_version: 1,
        }
    }

    fn node(boot: Option<BootState>) -> NodeRecord {
        NodeRecord {
            ek_hash: "e".to_owned(),
            ak_name: vec![1],
            spiffe_id: "spiffe://d/e".to_owned(),
            cluster: "c".to_owned(),
            boot,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            ban: None,
        }
    }

    fn update(boot: Option<BootState>) -> NodeUpdate {
        NodeUpdate {
            ek_hash: "e".to_owned(),
            ak_name: vec![1],
            spiffe_id: "spiffe://d/e".to_owned(),
            cluster: "c".to_owned(),
            boot,
            judged_against: None,
            seen_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn check_boots(before: BootState, now: BootState) -> Result<(), Conflict> {
        check(&update(Some(now)), [&node(Some(before))])
    }

    #[test]
    fn counters_may_stand_or_rise() {
        for now in [
            boot(5, 2, 100),
            boot(5, 2, 101),
            boot(5, 3, 0),
            boot(6, 0, 0),
        ] {
            assert_eq!(check_boots(boot(5, 2, 100), now), Ok(()), "{now:?}");
        }
    }

    #[test]
    fn counters_that_ran_backwards_are_a_conflict() {
        for (now, counter) in [
            (boot(4, 9, 900), "resetCount"),
            (boot(5, 1, 900), "restartCount"),
            (boot(5, 2, 99), "clock"),
        ] {
            let result = check_boots(boot(5, 2, 100), now);
            assert!(
                matches!(result, Err(Conflict::WentBack { counter: c, .. }) if c == counter),
                "{result:?}"
            );
        }
    }

    #[test]
    fn counters_that_the_policy_has_judged_are_not_judged_again_unless_the_record_changed() {
        let mut now = update(Some(boot(4, 0, 0)));
        now.judged_against = Some(boot(5, 2, 100));
        assert_eq!(check(&now, [&node(Some(boot(5, 2, 100)))]), Ok(()));
        let result = check(&now, [&node(Some(boot(5, 2, 101)))]);
        assert!(
            matches!(result, Err(Conflict::WentBack { .. })),
            "{result:?}"
        );
    }

    #[test]
    fn counts_of_the_same_tpm_are_compared_whichever_ak_signed() {
        let mut now = update(Some(boot(1, 1, 1)));
        now.ak_name = vec![2];
        let result = check(&now, [&node(Some(boot(5, 2, 100)))]);
        assert!(
            matches!(result, Err(Conflict::WentBack { .. })),
            "{result:?}"
        );
    }

    #[test]
    fn another_ek_takes_neither_the_identity_nor_the_ak() {
        let mut other = update(None);
        other.ek_hash = "f".to_owned();
        other.ak_name = vec![2];
        let result = check(&other, [&node(None)]);
        assert!(
            matches!(result, Err(Conflict::IdentityTaken { .. })),
            "{result:?}"
        );
        other.ak_name = vec![1];
        other.spiffe_id = "spiffe://d/f".to_owned();
        let result = check(&other, [&node(None)]);
        assert!(
            matches!(result, Err(Conflict::KeyTaken { .. })),
            "{result:?}"
        );
    }
}
