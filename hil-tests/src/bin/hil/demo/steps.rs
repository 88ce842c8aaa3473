//! A login cut into steps: how long each took, and what it took on the bus.

use std::time::Duration;

use assay_hil_tests::qemu::CommandEvent;
use assay_hil_tests::scenario::live::Seen;

/// One step of a login as the demo tells it.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) ms: f64,
    /// `None` on a board whose TPM is not on SPI.
    pub(super) spi_bytes: Option<u64>,
}

/// The login cut into steps by the frames that end them; SPI bytes by the TPM commands that belong to each.
pub(super) fn steps(frames: &[Seen], commands: Option<&[CommandEvent]>) -> Vec<Step> {
    let bounds = [
        (
            "boot",
            "start-up, TPM start, guarded session, measurement: until the hello",
            "hello",
            1,
        ),
        (
            "challenge",
            "the verifier asks, signed by the pinned key",
            "challenge",
            1,
        ),
        (
            "identity",
            "EK certificate, AK, SVID key: until the first proofs",
            "proofs",
            1,
        ),
        (
            "credential",
            "the verifier judges the EK and makes a credential",
            "challenge",
            2,
        ),
        (
            "proof",
            "credential activation, PCRs, quote: until the second proofs",
            "proofs",
            2,
        ),
        (
            "grant",
            "the verifier decides, stores and seals the session",
            "granted",
            1,
        ),
    ];
    let mut steps = Vec::new();
    let mut before = Duration::ZERO;
    for (name, what, frame, nth) in bounds {
        let Some(seen) = frames
            .iter()
            .filter(|seen| seen.name() == frame)
            .nth(nth - 1)
        else {
            break;
        };
        let spi_bytes = commands.map(|commands| {
            let own = commands.iter().filter(|c| step_of(commands, c) == name);
            own.map(|c| c.bytes).sum()
        });
        let ms = seen.at.saturating_sub(before).as_secs_f64() * 1e3;
        steps.push(Step {
            name,
            what,
            ms,
            spi_bytes,
        });
        before = seen.at;
    }
    steps
}

/// Which step a TPM command belongs to. The start ends with the last of what it may draw and extend, and the proof begins with the
/// policy's session: the one that is started last before its secret is asked for, since another guards the bus from the start on.
fn step_of(commands: &[CommandEvent], command: &CommandEvent) -> &'static str {
    let last = |names: &[&str], before: u32| {
        let those = commands.iter().filter(|c| c.n < before);
        let mut those = those.rev().filter(|c| names.contains(&c.name.as_str()));
        those.next().map(|c| c.n)
    };
    let secret = commands.iter().find(|c| c.name == "PolicySecret");
    let secret = secret.map_or(u32::MAX, |c| c.n);
    let proof = last(&["StartAuthSession"], secret).unwrap_or(u32::MAX);
    let boot = last(&["GetRandom", "PCR_Extend"], proof);
    if boot.is_some_and(|boot| command.n <= boot) {
        "boot"
    } else if command.n < proof {
        "identity"
    } else {
        "proof"
    }
}

#[cfg(test)]
mod tests {
    use assay_hil_tests::qemu::CommandEvent;

    use super::step_of;

    /// The commands of a login, and how many of them come before the hello, and before the policy's session.
    const LOGINS: [(&str, usize, usize); 2] = [
        (
            "Startup GetCapability CreatePrimary GetRandom StartAuthSession GetRandom ReadClock PCR_Read PCR_Extend \
             PCR_Extend ReadPublic CreatePrimary NV_Read Sign Certify StartAuthSession PolicySecret ActivateCredential \
             PCR_Read Quote",
            10,
            15,
        ),
        (
            "Startup GetCapability ReadClock PCR_Extend GetRandom GetCapability CreatePrimary NV_Read Sign Certify \
             StartAuthSession PolicySecret ActivateCredential PCR_Read Quote",
            5,
            10,
        ),
    ];

    #[test]
    fn a_login_is_cut_where_the_board_waits_for_the_verifier_with_and_without_a_guarded_bus() {
        for (names, boot, identity) in LOGINS {
            let commands: Vec<_> = (1..)
                .zip(names.split_whitespace())
                .map(|(n, name)| CommandEvent {
                    n,
                    name: name.to_owned(),
                    ..CommandEvent::default()
                })
                .collect();
            let steps: Vec<_> = commands.iter().map(|c| step_of(&commands, c)).collect();
            let wanted = (0..commands.len()).map(|at| match at {
                at if at < boot => "boot",
                at if at < identity => "identity",
                _ => "proof",
            });
            assert_eq!(steps, wanted.collect::<Vec<_>>());
        }
    }
}
