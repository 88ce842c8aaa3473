//! The embedded-hal side: what a firmware driver sees.

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::hal::SharedTpm;
use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::{Config, SpiTpm};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiBus;

fn shared() -> SharedTpm {
    SharedTpm::new(SpiTpm::new(
        ScriptedTpm::new(),
        Config::chip(Personality::SLB9672),
    ))
}

#[test]
fn transfers_read_the_tpms_identity() {
    let tpm = shared();
    let (mut bus, mut cs) = (tpm.bus(), tpm.chip_select());
    cs.set_low().unwrap();
    let mut header = [0x83, 0xD4, 0x0F, 0x00];
    bus.transfer_in_place(&mut header).unwrap();
    assert_eq!(header, [0, 0, 0, 1]);
    let mut id = [0; 4];
    bus.read(&mut id).unwrap();
    bus.flush().unwrap();
    cs.set_high().unwrap();
    assert_eq!(id, [0xD1, 0x15, 0x1D, 0x00]);
}

#[test]
fn a_transfer_of_unequal_lengths_clocks_the_longer() {
    let tpm = shared();
    let (mut bus, mut cs) = (tpm.bus(), tpm.chip_select());
    cs.set_low().unwrap();
    let mut read = [0; 8];
    bus.transfer(&mut read, &[0x83, 0xD4, 0x0F, 0x00]).unwrap();
    cs.set_high().unwrap();
    assert_eq!(read, [0, 0, 0, 1, 0xD1, 0x15, 0x1D, 0x00]);
    assert_eq!(tpm.with(|t| t.stats().totals().bytes), 8);
}

#[test]
fn written_bytes_are_lost_when_chip_select_rises_before_the_flush() {
    let tpm = shared();
    let (mut bus, mut cs) = (tpm.bus(), tpm.chip_select());
    let request = [0x00, 0xD4, 0x00, 0x00, 0x02];
    cs.set_low().unwrap();
    bus.write(&request).unwrap();
    cs.set_high().unwrap();
    assert_eq!(tpm.unflushed_bytes(), 5);
    let access = |bus: &mut dyn FnMut(&mut [u8])| {
        let mut frame = [0x80, 0xD4, 0x00, 0x00, 0x00];
        bus(&mut frame);
        frame[4]
    };
    let mut frame = |bytes: &mut [u8]| {
        let (mut bus, mut cs) = (tpm.bus(), tpm.chip_select());
        cs.set_low().unwrap();
        bus.transfer_in_place(bytes).unwrap();
        cs.set_high().unwrap();
    };
    assert_eq!(access(&mut frame), 0x80, "the request was lost");
    cs.set_low().unwrap();
    bus.write(&request).unwrap();
    bus.flush().unwrap();
    cs.set_high().unwrap();
    assert_eq!(access(&mut frame), 0xA0);
}

#[test]
fn a_delay_takes_virtual_time_only_and_bytes_take_theirs() {
    let tpm = shared();
    let started = std::time::Instant::now();
    let mut delay = tpm.delay();
    delay.delay_ms(120_000);
    assert_eq!(delay.clock().now().as_secs(), 120);
    assert!(started.elapsed().as_secs() < 5);
    let before = delay.clock().now_ns();
    let mut cs = tpm.chip_select();
    cs.set_low().unwrap();
    tpm.bus().read(&mut [0; 10]).unwrap();
    cs.set_high().unwrap();
    assert_eq!(delay.clock().now_ns() - before, 8_000, "80 bits at 10 MHz");
}

#[test]
fn the_reset_pin_resets_on_its_rise() {
    let mock = ScriptedTpm::new();
    let journal = mock.journal();
    let tpm = SharedTpm::new(SpiTpm::new(mock, Config::default()));
    let mut pin = tpm.reset_pin();
    pin.set_low().unwrap();
    assert_eq!(journal.lock().unwrap().resets, 0);
    pin.set_high().unwrap();
    assert_eq!(journal.lock().unwrap().resets, 1);
}
