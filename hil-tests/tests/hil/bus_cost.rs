//! What a board's flows take on the bus, in virtual time, beside what wolfTPM was measured to take for the same commands.

use std::time::Duration;

use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::measure::flows::{Flow, Flows};
use assay_hil_tests::measure::{floor, wolftpm};
use assay_hil_tests::qemu::CommandEvent;
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Loopback, Sessions, policy, verifier_with};
use assay_host_verifier::login::ChallengeKey;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::stats::CommandRecord;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, SpiTpm};

use super::loopback::tpm;

const SESSION: Duration = Duration::from_secs(3_600);
const IMAGE: Measurable<'static> = Measurable {
    name: "agent",
    version: "1.0.0",
    bytes: b"the agent",
};

fn event(record: &CommandRecord) -> CommandEvent {
    CommandEvent {
        name: record.name(),
        command_len: record.command_len as u64,
        response_len: record.response_len as u64,
        bytes: record.bytes,
        ..CommandEvent::default()
    }
}

/// A login with an SVID key and one renewal, of a node that measures itself.
fn commands(is_guarded: bool) -> Vec<CommandEvent> {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let yaml = policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
    let key = ChallengeKey::generate().unwrap();
    let verifier = verifier_with(&yaml, key, SESSION, Sessions::Renewal).unwrap();
    let config = Config {
        burst: Some(floor::PIECE.to_string().parse().unwrap()),
        wait: Some("0".parse().unwrap()),
        busy_polls: Some(0),
        ..Config::chip(Personality::SLB9672)
    };
    let model = SpiTpm::new(SwtpmBackend::new(process), config);
    let mut loopback = Loopback::with_verifier(model, verifier).unwrap();
    if !is_guarded {
        loopback.leave_unguarded();
    }
    let mut node = loopback
        .measuring_node(MeasuredBoot::new(IMAGE, Some(1)))
        .unwrap();
    // At once: the software TPM's clock is real, and a quote is refused whose clock stood still in between.
    node.attempt().unwrap();
    node.attempt().unwrap();
    loopback.line.with_peer(|verifier| {
        let outcomes = verifier.outcomes.as_slice();
        assert!(matches!(
            outcomes,
            [Outcome::Granted(_), Outcome::Renewed(_)]
        ));
    });
    let stats = loopback.tpm.with(|model| model.stats().snapshot());
    stats.commands.iter().map(event).collect()
}

fn flows(is_guarded: bool) -> Flows {
    let commands = commands(is_guarded);
    let mut flows = Flows::of(&commands).unwrap();
    wolftpm::compare(&mut flows, is_guarded);
    flows
}

fn each(flows: &Flows) -> [(&'static str, &Flow); 3] {
    [
        ("cold login", &flows.cold_login),
        ("renewal", &flows.renewal),
        ("warm quote", &flows.warm_quote),
    ]
}

fn is_at_or_below_wolftpm(flows: &Flows) {
    for (name, flow) in each(flows) {
        let theirs = flow.wolftpm.as_ref();
        let theirs = theirs.unwrap_or_else(|| panic!("{name}: {:#?}", flow.commands));
        assert!(
            flow.spi_bytes <= theirs.spi_bytes,
            "{name}: {} bytes, by wolfTPM {}",
            flow.spi_bytes,
            theirs.spi_bytes
        );
    }
}

#[test]
fn the_plain_flows_take_no_more_bytes_than_wolftpm() {
    is_at_or_below_wolftpm(&flows(false));
}

#[test]
fn the_guarded_flows_take_no_more_bytes_than_wolftpm_and_the_login_none_more_than_with_less_guarded()
 {
    let flows = flows(true);
    is_at_or_below_wolftpm(&flows);
    assert!(flows.cold_login.spi_bytes <= wolftpm::SECURE_LOGIN.as_published);
}

#[test]
fn wolftpm_was_measured_with_the_very_commands() {
    let flows = flows(false);
    for ((name, ours), theirs) in each(&flows).into_iter().zip([
        wolftpm::PLAIN_LOGIN,
        wolftpm::PLAIN_RENEWAL,
        wolftpm::PLAIN_QUOTE,
    ]) {
        for (ours, theirs) in ours.commands.iter().zip(theirs.commands) {
            // Its policy sessions carry a nonce and an HMAC that nobody asks for.
            if ours.name == "ActivateCredential" {
                continue;
            }
            assert_eq!(
                (ours.name.as_str(), ours.command, ours.response),
                (theirs.0, theirs.1, theirs.2),
                "{name}"
            );
        }
    }
}

#[test]
fn the_tables_are_what_was_measured_in_all() {
    for (theirs, sum) in [
        (wolftpm::PLAIN_LOGIN, 8_044),
        (wolftpm::PLAIN_RENEWAL, 1_670),
        (wolftpm::PLAIN_QUOTE, 891),
        (wolftpm::SECURE_LOGIN, 12_107),
        (wolftpm::SECURE_RENEWAL, 2_263),
        (wolftpm::SECURE_QUOTE, 1_243),
    ] {
        assert_eq!(theirs.spi_bytes(), sum);
        assert!(theirs.as_published <= sum);
    }
}

#[test]
fn other_commands_have_nothing_to_compare_with() {
    let commands = commands(false);
    let mut without = commands.clone();
    without.retain(|command| command.name != "ReadClock");
    let mut flows = Flows::of(&without).unwrap();
    wolftpm::compare(&mut flows, false);
    assert_eq!(flows.cold_login.wolftpm, None);
    assert!(flows.warm_quote.wolftpm.is_some());
    // A login alone is not cut.
    let quote = commands.iter().position(|command| command.name == "Quote");
    assert!(Flows::of(&commands[..quote.unwrap() + 2]).is_none());
}
