//! Every fault changes something that a host can see, and does so only where its plan says.

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::fault::{FiredFault, Layer};
use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::{Config, Fault, FaultKind, FaultPlan, Phase, SpiTpm};

use super::host::{ACCESS, DID_VID, FIFO, GET_RANDOM, Host, STARTUP, Trouble};

/// What a host saw: outcome of each step, every byte that came back, and the sums.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    outcomes: Vec<Result<Vec<u8>, Trouble>>,
    bytes: Vec<u8>,
    commands: Vec<(Vec<u8>, u8)>,
    resets: (u32, u32),
}

/// Commands of the scenario: the third is the one that faults are aimed at. It and its response are longer
/// than a burst of the chip, and its code is the second's.
fn commands() -> [Vec<u8>; 4] {
    let mut long = vec![0x80, 1, 0, 0, 0, 60, 0, 0, 1, 0x7D];
    long.resize(60, 0xA5);
    [STARTUP.to_vec(), long.clone(), long, GET_RANDOM.to_vec()]
}

fn answer(n: u8) -> Vec<u8> {
    let mut out = vec![0x80, 1, 0, 0, 0, 60, 0, 0, 0, 0];
    out.resize(60, n);
    out
}

/// Identification, locality and a command, four times, with what a host does on trouble: abort and go on.
fn scenario(plan: FaultPlan) -> (Seen, Vec<FiredFault>) {
    scenario_with(plan, None)
}

/// The same, with the third command given up in phase `give_up` and sent again.
fn scenario_with(plan: FaultPlan, give_up: Option<Phase>) -> (Seen, Vec<FiredFault>) {
    let mock = ScriptedTpm::new()
        .then(&[0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0])
        .then(&answer(1))
        .then(&answer(2))
        .always(&answer(3));
    let spare = ScriptedTpm::new().always(&answer(9));
    let journal = mock.journal();
    let config = Config {
        faults: plan,
        ..Config::chip(Personality::ST33)
    };
    let mut host = Host::new(SpiTpm::new(mock, config).with_spare(spare));
    let mut outcomes = Vec::new();
    for (number, command) in commands().iter().enumerate() {
        outcomes.push(host.read::<1>(ACCESS).map(|access| access.to_vec()));
        if number == 2 {
            // Start afresh, so that the faults of identification and locality find their place.
            outcomes.push(host.write(ACCESS, &[0x20]).map(|()| Vec::new()));
        }
        outcomes.push(host.claim().map(|()| Vec::new()));
        outcomes.push(host.read::<4>(DID_VID).map(|id| id.to_vec()));
        let outcome = match give_up {
            Some(phase) if number == 2 => abandon(&mut host, command, phase),
            _ => host.transact(command),
        };
        if outcome.is_err() {
            let _ = host.done();
        }
        outcomes.push(outcome);
    }
    let journal = journal.lock().unwrap();
    let seen = Seen {
        outcomes,
        bytes: host.seen.clone(),
        commands: journal.commands.clone(),
        resets: (journal.resets, journal.power_cycles),
    };
    (seen, host.tpm.fired().to_vec())
}

/// A command that the host gives up; then the same command to its end.
fn abandon(host: &mut Host, command: &[u8], phase: Phase) -> Result<Vec<u8>, Trouble> {
    host.ready()?;
    if phase == Phase::Execution {
        host.send(command)?;
        host.go()?;
    } else {
        host.write(FIFO, &command[..5])?;
    }
    host.done()?;
    host.transact(command)
}

#[test]
fn without_faults_the_scenario_succeeds_and_repeats() {
    let (first, fired) = scenario(FaultPlan::none());
    assert!(fired.is_empty());
    assert!(first.outcomes.iter().all(Result::is_ok), "{first:?}");
    assert_eq!(scenario(FaultPlan::none()).0, first);
}

#[test]
fn every_kind_in_every_phase_of_its_own_shows_and_changes_what_the_host_sees() {
    let mut findings = Vec::new();
    for &kind in FaultKind::ALL {
        for &phase in kind.phases() {
            // Some show only when the host gives a command up.
            let give_up = match (kind, phase) {
                (FaultKind::AbortIgnored, Phase::Reception | Phase::Execution) => Some(phase),
                _ => None,
            };
            let (clean, _) = scenario_with(FaultPlan::none(), give_up);
            let fault = Fault::new(kind).in_phase(phase).at_command(3);
            // A burst that is right or a wait that is not drawn would change nothing: make it differ.
            let fault = match kind {
                FaultKind::WaitRandom => fault.times(50),
                _ => fault,
            };
            let (seen, fired) = scenario_with(fault.into(), give_up);
            if fired.is_empty() {
                findings.push(format!("{fault} never showed"));
            }
            let here = |f: &FiredFault| f.context.phase == phase && f.context.number == 3;
            if !fired.iter().all(here) {
                findings.push(format!("{fault} showed elsewhere: {fired:?}"));
            }
            if seen == clean {
                findings.push(format!("{fault} changed nothing"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn a_wrong_identity_shows_where_the_identity_is_read() {
    let (seen, fired) = scenario("wrong-did-vid=0xcafe1234".parse().unwrap());
    assert_eq!(seen.outcomes[2], Ok(vec![0x34, 0x12, 0xFE, 0xCA]));
    assert_eq!(fired.len(), 1);
}

#[test]
fn a_fault_outside_of_its_phases_never_shows() {
    for &kind in FaultKind::ALL {
        for &phase in Phase::ALL
            .iter()
            .filter(|phase| !kind.phases().contains(phase))
        {
            let fault = Fault::new(kind).in_phase(phase).always();
            let (_, fired) = scenario(fault.into());
            assert!(fired.is_empty(), "{fault} showed: {fired:?}");
        }
    }
}

#[test]
fn faults_of_always_end_in_a_clean_failure_or_not_at_all() {
    for &kind in FaultKind::ALL {
        // Bounded patience of the host is the test: this returns.
        let (seen, fired) = scenario(Fault::new(kind).always().into());
        assert!(!fired.is_empty(), "{kind:?}");
        assert_eq!(seen.outcomes.len(), 17, "{kind:?}");
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let plan: FaultPlan = "wait-random@any/any/always;burst-changing=9@any/any/always;miso-flip-fifo=99@completion/#3"
        .parse()
        .unwrap();
    assert_eq!(scenario(plan.clone()).0, scenario(plan).0);
}

fn third(text: &str) -> Result<Vec<u8>, Trouble> {
    let (seen, fired) = scenario(text.parse().unwrap());
    assert!(!fired.is_empty(), "{text} never showed");
    seen.outcomes[12].clone()
}

#[test]
fn the_symptoms_are_the_ones_a_driver_must_tell_apart() {
    assert_eq!(third("wait-endless@ready/#3/once"), Err(Trouble::Wait));
    assert_eq!(
        third("miso-stuck-high@reception/#3/once"),
        Err(Trouble::Absent)
    );
    assert_eq!(third("burst-zero=100000@ready/#3"), Err(Trouble::Burst));
    assert_eq!(third("expect-stuck@reception/#3"), Err(Trouble::Expect));
    assert_eq!(
        third("command-byte-lost@reception/#3"),
        Err(Trouble::Expect)
    );
    assert_eq!(third("go-ignored@reception/#3"), Err(Trouble::Data));
    assert_eq!(third("data-never@execution/#3"), Err(Trouble::Data));
    assert_eq!(third("data-dropped@completion/#3"), Err(Trouble::Data));
    assert_eq!(third("length-tiny@execution/#3"), Err(Trouble::Size(9)));
    assert_eq!(
        third("length-max@execution/#3"),
        Err(Trouble::Size(u32::MAX))
    );
    assert_eq!(third("length-short@execution/#3"), Err(Trouble::Leftover));
    assert_eq!(third("extra-bytes@execution/#3"), Err(Trouble::Leftover));
    assert_eq!(third("length-long@execution/#3"), Err(Trouble::Data));
    assert_eq!(third("retry-needed@completion/#3"), Err(Trouble::Data));
    assert_eq!(third("locality-lost@reception/#3"), Err(Trouble::Absent));
    assert_eq!(third("ready-stuck@idle/#3/always"), Err(Trouble::Ready));
    let code = |text: &str| third(text).map(|response| super::host::rc(&response));
    assert_eq!(code("rc-retry@execution/#3"), Ok(0x922));
    assert_eq!(code("rc=0x12345@execution/#3"), Ok(0x12345));
    assert_eq!(code("cancelled@execution/#3"), Ok(0x909));
    let replayed = third("replay@execution/#3").unwrap();
    assert_eq!(
        replayed,
        answer(1),
        "the answer to the second command again"
    );
    let altered = third("alter-response@execution/#3").unwrap();
    assert_eq!(altered[59], 2 ^ 1);
}

#[test]
fn every_layer_of_the_catalogue_is_there() {
    for layer in [Layer::Bus, Layer::Fifo, Layer::Tpm] {
        let count = FaultKind::ALL
            .iter()
            .filter(|kind| kind.layer() == layer)
            .count();
        assert!(count >= 15, "{layer:?}: {count}");
    }
}
