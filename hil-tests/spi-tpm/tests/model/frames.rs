//! Frames byte by byte, against traces of real chips.

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::slave::wait::Wait;
use assay_spi_tpm::{Config, SpiTpm};

use super::host::{Host, STS};

fn host(config: Config) -> Host {
    Host::new(SpiTpm::new(ScriptedTpm::new(), config))
}

fn slb9672() -> Host {
    host(Config::chip(Personality::SLB9672))
}

/// A bench trace of an SLB9672: left what was sent, right what came back.
#[test]
fn a_trace_of_a_real_chip_is_reproduced() {
    let mut host = slb9672();
    let mut expect = |sent: &[u8], received: &[u8]| {
        let got = host.raw(sent);
        // What a TPM drives while it is written to has no meaning.
        let compared = if sent[0] & 0x80 == 0 { 4 } else { sent.len() };
        assert_eq!(got[..compared], received[..compared], "{sent:02x?}");
    };
    expect(&[0x00, 0xD4, 0x00, 0x00, 0x02], &[0, 0, 0, 1, 0]);
    expect(&[0x80, 0xD4, 0x00, 0x00, 0x00], &[0, 0, 0, 1, 0xA0]);
    expect(
        &[0x83, 0xD4, 0x00, 0x14, 0, 0, 0, 0],
        &[0, 0, 0, 1, 0x97, 0x06, 0x00, 0x30],
    );
    expect(
        &[0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0],
        &[0, 0, 0, 1, 0xD1, 0x15, 0x1D, 0x00],
    );
    expect(&[0x80, 0xD4, 0x0F, 0x04, 0x00], &[0, 0, 0, 1, 0x26]);
    expect(&[0x80, 0xD4, 0x00, 0x18, 0x00], &[0, 0, 0, 1, 0x00]);
    expect(&[0x00, 0xD4, 0x00, 0x18, 0x40], &[0, 0, 0, 1, 0]);
    expect(&[0x80, 0xD4, 0x00, 0x18, 0x00], &[0, 0, 0, 1, 0xC0]);
}

/// STS of an SLB9670 through a command, from a bench trace.
#[test]
fn an_slb9670_shows_its_own_status_values() {
    let mock = ScriptedTpm::new().always(&[0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]);
    let mut host = Host::new(SpiTpm::new(mock, Config::chip(Personality::SLB9670)));
    host.claim().unwrap();
    host.ready().unwrap();
    let ready: [u8; 4] = host.read(STS).unwrap();
    assert_eq!(
        (ready[0], u16::from_le_bytes([ready[1], ready[2]])),
        (0x40, 0x00FF)
    );
    host.write(0x24, &[0x80, 1, 0, 0, 0, 12]).unwrap();
    assert_eq!(host.status().unwrap().0, 0x88);
    host.write(0x24, &[0, 0, 1, 0x44, 0, 0]).unwrap();
    assert_eq!(host.status().unwrap().0, 0x80);
    host.go().unwrap();
    for _ in 0..Personality::SLB9670.busy_polls {
        assert_eq!(host.status().unwrap().0, 0x80);
    }
    assert_eq!(host.status().unwrap().0, 0x90);
    let mut last = 0;
    for _ in 0..10 {
        last = host.read::<1>(0x24).unwrap()[0];
    }
    assert_eq!(last, 0);
    assert_eq!(host.status().unwrap().0, 0x80);
}

#[test]
fn wait_bytes_come_between_header_and_data_and_the_last_of_them_says_go() {
    for waits in 1..=5 {
        let config = Config {
            wait: Some(Wait::Fixed(waits)),
            ..Config::chip(Personality::SLB9672)
        };
        let mut sent = vec![0x83, 0xD4, 0x0F, 0x00];
        let mut expected = vec![0, 0, 0, 0];
        for i in 1..=waits {
            sent.push(0);
            expected.push(u8::from(i == waits));
        }
        sent.extend_from_slice(&[0; 4]);
        expected.extend_from_slice(&[0xD1, 0x15, 0x1D, 0x00]);
        assert_eq!(host(config).raw(&sent), expected, "{waits} waits");
    }
}

#[test]
fn a_write_is_delayed_by_wait_bytes_too() {
    let config = Config {
        wait: Some(Wait::Fixed(2)),
        ..Config::chip(Personality::SLB9672)
    };
    let mut host = host(config);
    // The byte sent as the second wait byte must not be taken for data.
    host.raw(&[0x00, 0xD4, 0x00, 0x00, 0x20, 0x20, 0x02]);
    let access = host.raw(&[0x80, 0xD4, 0x00, 0x00, 0, 0, 0]);
    assert_eq!(access.last(), Some(&0xA0));
}

#[test]
fn an_endless_wait_never_says_go() {
    let config = Config {
        wait: Some(Wait::Endless),
        ..Config::chip(Personality::SLB9672)
    };
    let mut sent = vec![0x83, 0xD4, 0x0F, 0x00];
    sent.extend_from_slice(&[0; 1000]);
    assert!(host(config).raw(&sent).iter().all(|byte| byte & 1 == 0));
}

#[test]
fn after_the_announced_length_the_line_is_high_and_writes_have_no_effect() {
    let mut host = slb9672();
    let got = host.raw(&[0x80, 0xD4, 0x0F, 0x00, 0, 0, 0]);
    assert_eq!(got[4..], [0xD1, 0xFF, 0xFF]);
    // The second byte is past the announced one and would give the locality up again.
    host.raw(&[0x00, 0xD4, 0x00, 0x00, 0x02, 0x20]);
    assert_eq!(host.raw(&[0x80, 0xD4, 0x00, 0x00, 0])[4], 0xA0);
}

#[test]
fn a_frame_for_another_base_or_with_the_reserved_bit_is_not_answered() {
    let mut host = slb9672();
    assert_eq!(
        host.raw(&[0x83, 0xD3, 0x0F, 0x00, 0, 0, 0, 0])[4..],
        [0xFF; 4]
    );
    assert_eq!(
        host.raw(&[0xC3, 0xD4, 0x0F, 0x00, 0, 0, 0, 0])[4..],
        [0xFF; 4]
    );
}

#[test]
fn chip_select_that_rises_early_ends_the_frame_and_the_next_begins_afresh() {
    let mut host = slb9672();
    for cut in 0..8 {
        let whole = [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0];
        host.raw(&whole[..cut]);
        assert_eq!(
            host.raw(&whole)[4..],
            [0xD1, 0x15, 0x1D, 0x00],
            "cut after {cut}"
        );
    }
}

#[test]
fn without_chip_select_nothing_answers_and_the_bytes_are_counted_as_stray() {
    let mut tpm = SpiTpm::new(ScriptedTpm::new(), Config::default());
    for byte in [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0] {
        assert_eq!(tpm.xfer(byte), 0xFF);
    }
    tpm.cs(true);
    tpm.cs(false);
    let totals = tpm.stats().totals();
    assert_eq!(
        (totals.stray_bytes, totals.bytes, totals.chip_selects),
        (8, 0, 1)
    );
}

#[test]
fn one_read_may_cover_several_registers() {
    let mut host = slb9672();
    let got = host.raw(&[0x84, 0xD4, 0x0F, 0x00, 0, 0, 0, 0, 0]);
    assert_eq!(got[4..], [0xD1, 0x15, 0x1D, 0x00, 0x26]);
}

#[test]
fn every_personality_shows_its_own_identity() {
    for chip in Personality::ALL {
        let mut host = host(Config::chip(*chip));
        let id: [u8; 4] = host.read(super::host::DID_VID).unwrap();
        assert_eq!(u32::from_le_bytes(id), chip.did_vid(), "{}", chip.name);
        assert_eq!(Personality::from_name(chip.name), Some(*chip));
    }
}
