//! Tests of the text form.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::*;

#[test]
fn every_kind_survives_printing_and_parsing() {
    for &kind in FaultKind::ALL {
        for &phase in Phase::ALL {
            let fault = Fault::new(kind).in_phase(phase).with_arg(7).at_code(0x17B);
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
        }
        let bare: Fault = kind.name().parse().unwrap();
        assert_eq!(bare, Fault::new(kind));
    }
}

#[test]
fn the_full_form_reads_as_documented() {
    let plan: FaultPlan = "wait-states=0x10@reception/#3/always; rc-retry@execution/GetRandom/2"
        .parse()
        .unwrap();
    assert_eq!(
        plan.faults,
        [
            Fault::new(FaultKind::WaitStates)
                .with_arg(16)
                .in_phase(Phase::Reception)
                .at_command(3)
                .always(),
            Fault::new(FaultKind::RcRetry)
                .in_phase(Phase::Execution)
                .at_code(0x17B)
                .times(2),
        ]
    );
    assert_eq!(plan.to_string().parse::<FaultPlan>().unwrap(), plan);
    assert!("".parse::<FaultPlan>().unwrap().is_empty());
}

#[test]
fn refuses_each_malformed_field_by_name() {
    let refused = |text: &str| text.parse::<FaultPlan>().unwrap_err();
    assert_eq!(refused("warp"), PlanError::UnknownFault("warp".into()));
    assert_eq!(refused("slow=x"), PlanError::Number("x".into()));
    assert_eq!(
        refused("slow=4294967296"),
        PlanError::Number("4294967296".into())
    );
    assert_eq!(
        refused("slow@later"),
        PlanError::UnknownPhase("later".into())
    );
    assert_eq!(
        refused("slow@any/Fly"),
        PlanError::UnknownCommand("Fly".into())
    );
    assert_eq!(refused("slow@any/#0"), PlanError::ZeroCommand);
    assert_eq!(refused("slow@any/any/0"), PlanError::ZeroCount);
    assert_eq!(
        refused("slow@any/any/1/2"),
        PlanError::TooManyFields("slow@any/any/1/2".into())
    );
}

#[test]
fn names_are_unique_and_need_no_quoting_in_a_plugin_argument() {
    for (i, kind) in FaultKind::ALL.iter().enumerate() {
        assert!(
            kind.name()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
        );
        assert!(!kind.phases().is_empty());
        let twins = FaultKind::ALL.iter().skip(i + 1);
        assert!(twins.clone().all(|other| other.name() != kind.name()));
    }
}
