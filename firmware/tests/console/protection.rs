//! `protect`: what keeps a record as it is, shown, set, and in the way of another record.

use assay_firmware::console::ProtectFault;
use assay_firmware::platform::{Protection, ReadOut, WriteProtection};

use crate::desk::Desk;
use crate::provisioning::record;
use crate::tpm::healthy;

/// A board with a whole record in a flash that is open, and can be closed.
fn desk() -> Desk {
    let desk = Desk::new(&healthy());
    let mut knobs = desk.knobs.borrow_mut();
    knobs.record = record("lab");
    knobs.protects = Some(Ok(()));
    knobs.protection = Protection {
        write: WriteProtection::Open,
        read_out: ReadOut::Level0,
    };
    drop(knobs);
    desk
}

#[test]
fn the_state_is_a_row_of_info_in_every_shape() {
    let desk = &mut desk();
    for (write, read_out, row) in [
        (
            WriteProtection::Open,
            ReadOut::Level0,
            "record not write-protected, read-out level 0",
        ),
        (
            WriteProtection::Protected,
            ReadOut::Level1,
            "record write-protected, read-out level 1",
        ),
        (
            WriteProtection::Protected,
            ReadOut::Level2,
            "record write-protected, read-out level 2",
        ),
        (
            WriteProtection::Unknown,
            ReadOut::Unknown,
            "write protection not known",
        ),
    ] {
        desk.knobs.borrow_mut().protection = Protection { write, read_out };
        let info = desk.asks("info");
        assert!(
            info.ends_with(&format!("\nprotection      {row}\n")),
            "{info}"
        );
    }
}

#[test]
fn selftest_warns_of_an_open_record_and_does_not_fail_for_it() {
    let mut desk = desk();
    let said = desk.asks("selftest");
    assert!(
        said.ends_with(
            "record          ok\n                warning: record not write-protected\n                \
             hint: `protect` closes it, once the record is the right one\nfit to log in\n"
        ),
        "{said}"
    );
    desk.knobs.borrow_mut().protects = None;
    let said = desk.asks("selftest");
    assert!(said.contains("hint: nothing here can close it"), "{said}");
    for write in [WriteProtection::Protected, WriteProtection::Unknown] {
        desk.knobs.borrow_mut().protection.write = write;
        let said = desk.asks("selftest");
        assert!(
            said.ends_with("record          ok\nfit to log in\n"),
            "{said}"
        );
    }
}

#[test]
fn a_record_is_protected_by_force_only_and_shown_first() {
    let mut desk = desk();
    let said = desk.asks("protect");
    assert!(
        said.contains("  cluster       lab\n")
            && said.ends_with(
                "error: this console does not take it back\n\
                 hint: if this record is the right one, and the power stays on: `protect force`\n"
            ),
        "{said}"
    );
    let state = desk.knobs.borrow().protection;
    assert_eq!(state.write, WriteProtection::Open);
    let said = desk.asks("protect force");
    assert!(
        said.starts_with("  cluster       lab\n")
            && said.ends_with(
                "protecting; the board may restart for it\n\
                 protection      record write-protected, read-out level 0\n"
            ),
        "{said}"
    );
    let said = desk.asks("protect");
    assert!(
        said.starts_with("the record is write-protected already\n"),
        "{said}"
    );
    let said = desk.asks("protect now");
    assert!(said.starts_with("error: it is written: "), "{said}");
}

#[test]
fn what_is_no_record_is_not_protected() {
    for unfit in [Vec::new(), record("lab")[..40].to_vec()] {
        let mut desk = desk();
        desk.knobs.borrow_mut().record = unfit;
        for command in ["protect", "protect force"] {
            let said = desk.asks(command);
            assert!(
                said.starts_with("error: there is no record to protect\n"),
                "{said}"
            );
        }
        let state = desk.knobs.borrow().protection;
        assert_eq!(state.write, WriteProtection::Open);
    }
}

#[test]
fn every_way_in_which_a_record_stays_open_is_told() {
    let mut desk = desk();
    for (result, why) in [
        (None, "this board cannot write-protect its record"),
        (
            Some(Err(ProtectFault::NotHere)),
            "this board cannot write-protect its record",
        ),
        (
            Some(Err(ProtectFault::InUse)),
            "the chip has no write protection left",
        ),
        (
            Some(Err(ProtectFault::Refused)),
            "the chip refused the write protection",
        ),
    ] {
        desk.knobs.borrow_mut().protects = result;
        let said = desk.asks("PROTECT Force");
        assert!(said.contains(&format!("error: {why}\nhint: ")), "{said}");
    }
    desk.knobs.borrow_mut().protects = Some(Ok(()));
    desk.knobs.borrow_mut().protects_in_vain = true;
    let said = desk.asks("protect force");
    assert!(
        said.contains("error: the record can still be written\n"),
        "{said}"
    );
}

#[test]
fn a_protected_record_is_told_before_another_is_typed() {
    let mut desk = desk();
    desk.asks("protect force");
    for command in ["provision", "provision force", "provision 41"] {
        assert_eq!(
            desk.asks(command),
            "error: the record is write-protected\nhint: take it back by hand\n"
        );
    }
    assert_eq!(desk.knobs.borrow().record_writes, 0);
}
