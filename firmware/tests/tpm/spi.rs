//! Frames of the SPI protocol, down to the byte.

use assay_firmware::bus::{
    Access, BusError, Locality, MAX_WAIT_BYTES, Reg, SPI_MAX_TRANSFER, SpiTis, TisBus, Tracer,
    Traffic,
};
use assay_firmware::tis::Tis;

use crate::bytes::{response, startup};
use crate::model::{Delay, answering};
use crate::slave::{Bus, ChipSelect, SharedSlave, slave};

fn wired(waits: &[u16]) -> (SharedSlave, SpiTis<Bus, ChipSelect>) {
    let fifo = answering(&response(0x8001, 0, &[]));
    fifo.borrow_mut().did_vid = 0x001D_15D1;
    let slave = slave(&fifo);
    slave.borrow_mut().waits = waits.to_vec();
    let bus = SpiTis::new(Bus(slave.clone()), ChipSelect(slave.clone())).unwrap();
    (slave, bus)
}

#[test]
fn frames_are_those_recorded_from_a_real_slb9672() {
    let (slave, mut bus) = wired(&[0]);
    slave.borrow_mut().fifo.borrow_mut().active = true;
    let mut byte = [0; 1];
    let mut word = [0; 4];
    bus.read(Reg::ACCESS, &mut byte).unwrap();
    assert_eq!(byte[0] & 0xA0, 0xA0);
    bus.read(Reg::DID_VID, &mut word).unwrap();
    assert_eq!(word, [0xD1, 0x15, 0x1D, 0x00]);
    bus.read(Reg::RID, &mut byte).unwrap();
    bus.read(Reg::STS, &mut word[..1]).unwrap();
    assert_eq!(word[0], 0x00);
    bus.write(Reg::STS, &[0x40]).unwrap();
    bus.read(Reg::STS, &mut word[..1]).unwrap();
    assert_eq!(word[0], 0xC0);
    let sent: Vec<_> = slave
        .borrow()
        .frames
        .iter()
        .map(|(mosi, _)| mosi.clone())
        .collect();
    assert_eq!(
        sent,
        [
            vec![0x80, 0xD4, 0x00, 0x00],
            vec![0x83, 0xD4, 0x0F, 0x00],
            vec![0x80, 0xD4, 0x0F, 0x04],
            vec![0x80, 0xD4, 0x00, 0x18],
            vec![0x00, 0xD4, 0x00, 0x18, 0x40],
            vec![0x80, 0xD4, 0x00, 0x18],
        ]
    );
}

#[test]
fn the_locality_is_in_the_third_header_byte() {
    let (slave, bus) = wired(&[0]);
    let mut bus = bus.with_locality(Locality::new(3).unwrap());
    bus.read(Reg::DID_VID, &mut [0; 4]).unwrap();
    assert_eq!(slave.borrow().frames[0].0, [0x83, 0xD4, 0x3F, 0x00]);
    assert_eq!(Locality::new(5), None);
    assert_eq!(Reg::new(0x1000), None);
}

#[test]
fn wait_states_are_waited_out_on_reads_and_on_writes() {
    for waits in [1, 2, 5, 50, MAX_WAIT_BYTES] {
        let (slave, mut bus) = wired(&[waits]);
        slave.borrow_mut().fifo.borrow_mut().active = true;
        let mut id = [0; 4];
        bus.read(Reg::DID_VID, &mut id).unwrap();
        assert_eq!(id, [0xD1, 0x15, 0x1D, 0x00], "{waits} waits");
        bus.write(Reg::STS, &[0x40]).unwrap();
        assert_eq!(
            slave.borrow().fifo.borrow().ready_writes,
            1,
            "{waits} waits"
        );
        let traffic = Traffic {
            bytes: 8 + 5 + 2 * u32::from(waits),
            frames: 2,
        };
        assert_eq!(bus.traffic(), traffic);
    }
}

#[test]
fn endless_waits_end_and_chip_select_rises() {
    for waits in [MAX_WAIT_BYTES + 1, u16::MAX] {
        let (slave, mut bus) = wired(&[waits]);
        assert_eq!(bus.read(Reg::STS, &mut [0; 4]), Err(BusError::WaitState));
        assert!(!slave.borrow().selected);
        assert_eq!(bus.write(Reg::STS, &[0x40]), Err(BusError::WaitState));
        assert!(!slave.borrow().selected);
    }
}

#[test]
fn chip_select_rises_after_every_bus_error() {
    for at in 0..3 {
        let (slave, mut bus) = wired(&[1]);
        slave.borrow_mut().fail_transfer_at = Some(at);
        assert_eq!(
            bus.read(Reg::STS, &mut [0; 4]),
            Err(BusError::Overrun),
            "transfer {at}"
        );
        assert!(!slave.borrow().selected, "transfer {at}");
        bus.read(Reg::DID_VID, &mut [0; 4]).unwrap();
    }
}

#[test]
fn a_chip_select_that_fails_is_reported() {
    let (slave, mut bus) = wired(&[0]);
    slave.borrow_mut().cs_low_fails = true;
    assert_eq!(bus.read(Reg::STS, &mut [0; 4]), Err(BusError::ChipSelect));
}

#[test]
fn refuses_frames_of_no_or_too_many_bytes() {
    let (slave, mut bus) = wired(&[0]);
    assert_eq!(bus.read(Reg::DATA_FIFO, &mut []), Err(BusError::Length));
    assert_eq!(
        bus.write(Reg::DATA_FIFO, &[0; SPI_MAX_TRANSFER + 1]),
        Err(BusError::Length)
    );
    assert!(slave.borrow().frames.is_empty());
}

#[test]
fn a_whole_command_goes_over_spi_with_random_waits_and_bursts() {
    let (slave, bus) = wired(&[0, 3, 1, 0, 5, 2]);
    slave.borrow().fifo.borrow_mut().bursts = vec![1, 7, 64, 3, 32];
    let mut tis = Tis::new(bus, Delay::default());
    let mut rsp = [0; 64];
    assert_eq!(
        tis.transmit(&startup(), &mut rsp, 1_000_000).unwrap(),
        response(0x8001, 0, &[])
    );
    let fifo = slave.borrow().fifo.clone();
    assert_eq!(fifo.borrow().executed, [startup()]);
    assert_eq!(fifo.borrow().bad_moves(), [""; 0]);
}

#[test]
fn a_tracer_sees_what_passes_and_changes_nothing() {
    let (_, bus) = wired(&[2]);
    let mut seen = Vec::new();
    let sink = |access: &Access<'_>| seen.push((access.reg.offset(), access.data.len(), access.ok));
    let mut tis = Tis::new(Tracer::new(bus, sink), Delay::default());
    tis.transmit(&startup(), &mut [0; 64], 1_000_000).unwrap();
    let (traced, real) = (tis.bus().counted(), tis.traffic());
    assert_eq!(traced.frames, real.frames);
    assert_eq!(
        traced.bytes + 2 * traced.frames,
        real.bytes,
        "all but the waits"
    );
    assert_eq!(seen.len(), traced.frames as usize);
    assert!(seen.contains(&(0xF00, 4, true)) && seen.iter().all(|(.., ok)| *ok));
}
