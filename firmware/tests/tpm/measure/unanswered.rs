//! Extensions whose answers do not come.

use assay_common::measurement::{BOOT_PCR, Event, IMAGE_PCR, Image, Log, PcrBank};
use assay_common::tpm::alg::AlgId;
use assay_firmware::measure::{MeasureError, MeasuredBoot};
use assay_firmware::tpm::{TpmError, TransportError};

use super::{BOTH, Chip, Fate, IMAGE, agrees, start, tpm};

const NO_ANSWER: MeasureError = MeasureError::Tpm(TpmError::Transport(TransportError::Timeout));

/// It may have been made or not, which the PCR tells at the next login; once more would be one too many.
#[test]
fn an_extension_whose_answer_was_lost_is_made_once_and_the_measurement_goes_on() {
    for fate in [Fate::Made, Fate::Lost] {
        for unanswered in 1..=4 {
            let chip = Chip::new(&BOTH);
            let mut tpm = tpm(&chip);
            chip.borrow_mut().unanswered.insert(unanswered, fate);
            let mut boot = MeasuredBoot::new(IMAGE, Some(7));
            assert_eq!(boot.at_login(&mut tpm, start(false)), Err(NO_ANSWER));
            assert_eq!(boot.log(), None, "it may say more than was extended");
            boot.at_login(&mut tpm, start(true)).unwrap();
            let log = boot.log().unwrap();
            agrees(log, &chip.borrow(), PcrBank::Sha256);
            agrees(log, &chip.borrow(), PcrBank::Sha384);
            assert_eq!(Log::parse(log).unwrap().len(), 2);
            assert_eq!(chip.borrow().extensions, 4, "{fate:?} {unanswered}");
        }
    }
}

#[test]
fn extensions_whose_answers_are_lost_again_and_again_end_in_what_the_log_says() {
    let chip = Chip::new(&BOTH);
    let mut tpm = tpm(&chip);
    let fates = [Fate::Lost, Fate::Made, Fate::Lost, Fate::Lost, Fate::Made];
    chip.borrow_mut().unanswered = (1..).zip(fates).collect();
    let mut boot = MeasuredBoot::new(IMAGE, Some(7));
    for _ in fates {
        assert_eq!(boot.at_login(&mut tpm, start(true)), Err(NO_ANSWER));
    }
    boot.at_login(&mut tpm, start(true)).unwrap();
    let log = boot.log().unwrap();
    agrees(log, &chip.borrow(), PcrBank::Sha256);
    agrees(log, &chip.borrow(), PcrBank::Sha384);
    assert_eq!(chip.borrow().extensions, 4);
}

/// Neither as it was nor as it would be: nobody can say what it holds, so there is no log, and nothing more is extended.
#[test]
fn a_pcr_that_somebody_else_extended_meanwhile_ends_the_measurement() {
    for (unanswered, pcr) in [(1, IMAGE_PCR), (2, BOOT_PCR)] {
        let chip = Chip::new(&[AlgId::SHA256]);
        let mut tpm = tpm(&chip);
        chip.borrow_mut().unanswered.insert(unanswered, Fate::Made);
        let mut boot = MeasuredBoot::new(IMAGE, Some(7));
        assert_eq!(boot.at_login(&mut tpm, start(false)), Err(NO_ANSWER));
        chip.borrow_mut().extend(AlgId::SHA256, pcr.get(), &[9; 32]);
        for _ in 0..2 {
            let error = boot.at_login(&mut tpm, start(true)).unwrap_err();
            assert_eq!(error, MeasureError::Foreign(pcr));
            assert_eq!(boot.check(&mut tpm), Err(error), "for good");
            assert!(error.to_string().contains(&pcr.to_string()), "{error}");
        }
        assert_eq!(boot.log(), None);
        assert_eq!(chip.borrow().extensions, unanswered, "nothing on top of it");
    }
}

/// Its PCRs are as they were before the extension, and by another boot.
#[test]
fn a_tpm_that_is_reset_before_a_lost_extension_is_looked_up_is_found_out() {
    let chip = Chip::new(&[AlgId::SHA256]);
    let mut tpm = tpm(&chip);
    chip.borrow_mut().unanswered.insert(1, Fate::Made);
    let mut boot = MeasuredBoot::new(IMAGE, Some(7));
    assert_eq!(boot.at_login(&mut tpm, start(false)), Err(NO_ANSWER));
    chip.borrow_mut().reset_count += 1;
    chip.borrow_mut().pcrs.clear();
    let again = boot.at_login(&mut tpm, start(false));
    assert_eq!(again, Err(MeasureError::Reset));
    assert_eq!(chip.borrow().extensions, 1);
}

#[test]
fn what_a_boot_loader_measured_counts_when_a_lost_extension_is_looked_up() {
    for fate in [Fate::Made, Fate::Lost] {
        let chip = Chip::new(&[AlgId::SHA256]);
        let mut tpm = tpm(&chip);
        let mut loader = assay_common::measurement::EventLog::<300>::new();
        let image = Event::Image(Image::measure("loader", "1.0.0", b"another"));
        let digests = loader.append(IMAGE_PCR, &image, false).unwrap();
        chip.borrow_mut().extend(AlgId::SHA256, 8, &digests.sha256);
        chip.borrow_mut().unanswered.insert(1, fate);
        let mut boot = MeasuredBoot::after(loader.bytes(), IMAGE, Some(7)).unwrap();
        assert_eq!(boot.at_login(&mut tpm, start(true)), Err(NO_ANSWER));
        boot.at_login(&mut tpm, start(true)).unwrap();
        agrees(boot.log().unwrap(), &chip.borrow(), PcrBank::Sha256);
    }
}
