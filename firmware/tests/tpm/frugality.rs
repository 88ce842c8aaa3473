//! What commands cost on the bus: bytes on SPI, headers included, without wait states and busy polls.

use assay_firmware::bus::Traffic;
use assay_firmware::tis::Tis;

use crate::bytes::response;
use crate::model::{Delay, RegisterBus, Shared, fifo};

/// A cold login on a chip with P-256: name, lengths of command and response, and the number of bytes
/// that a careful driver was measured to clock for it with burst count 64.
const COLD_LOGIN: [(&str, usize, usize, u32); 20] = [
    ("Startup", 12, 10, 89),
    ("GetCapability", 22, 27, 129),
    ("GetRandom 16", 12, 28, 120),
    ("NV_ReadPublic", 14, 62, 156),
    ("NV_Read 512", 35, 533, 744),
    ("NV_Read 330", 35, 351, 542),
    ("CreatePrimary EK", 163, 346, 673),
    ("CreatePrimary AK", 65, 312, 517),
    ("StartAuthSession", 43, 32, 155),
    ("PolicySecret", 41, 29, 150),
    ("ActivateCredential", 180, 74, 358),
    ("PCR_Extend", 65, 19, 176),
    ("PCR_Read 8", 20, 300, 448),
    ("Quote P-256", 73, 238, 439),
    ("ReadClock", 10, 35, 125),
    ("ReadPublic", 14, 172, 290),
    ("PCR_Read 8", 20, 300, 448),
    ("Quote P-256", 73, 238, 439),
    ("FlushContext", 14, 10, 92),
    ("FlushContext", 14, 10, 92),
];

fn command(len: usize) -> Vec<u8> {
    let mut out = vec![0x5A; len];
    out[..6].copy_from_slice(&[0x80, 0x01, 0, 0, (len >> 8) as u8, len as u8]);
    out
}

/// Bytes of each command of the login, on a chip that ends commands in this way.
fn costs(idle_after_command: bool, burst: u16) -> Vec<(&'static str, u32, u32)> {
    let mut answers = vec![(12, 10), (12, 10)];
    answers.extend(COLD_LOGIN.map(|(_, c, r, _)| (c, r)));
    let mut answers = answers.into_iter();
    let tpm: Shared = fifo(move |command| {
        let (len, answer) = answers.next().unwrap();
        assert_eq!(command.len(), len);
        response(0x8001, 0, &vec![1; answer - 10])
    });
    tpm.borrow_mut().idle_after_command = idle_after_command;
    tpm.borrow_mut().bursts = vec![burst];
    let mut tis = Tis::new(RegisterBus::new(&tpm), Delay::default());
    // The first command finds and claims the TPM, the second learns how the chip ends commands.
    for _ in 0..2 {
        tis.transmit(&command(12), &mut [0; 16], 1000).unwrap();
    }
    COLD_LOGIN
        .map(|(name, len, _, floor)| {
            let before: Traffic = tis.traffic();
            tis.transmit(&command(len), &mut [0; 1024], 1000).unwrap();
            (name, tis.traffic().since(before).bytes, floor)
        })
        .to_vec()
}

#[test]
fn a_cold_login_stays_below_the_floor() {
    for idles in [false, true] {
        let costs = costs(idles, 64);
        let sum: u32 = costs.iter().map(|(_, bytes, _)| bytes).sum();
        let floor: u32 = costs.iter().map(|(.., floor)| floor).sum();
        assert!(
            sum <= floor,
            "{sum} bytes, floor {floor}, idles {idles}: {costs:?}"
        );
        for (name, bytes, floor) in costs {
            assert!(
                bytes <= floor + 5,
                "{name}: {bytes} bytes, floor {floor}, idles {idles}"
            );
        }
    }
}

#[test]
fn a_short_command_takes_ten_frames() {
    let startup = costs(false, 64)[0].1;
    // Ready 8, eleven bytes 15, Expect 8, last byte 5, whole 8, go 5, answered 8, response 14,
    // drained 8, done 5.
    assert_eq!(startup, 84);
    assert_eq!(costs(true, 64)[0].1, 84 + 5);
}

#[test]
fn a_larger_burst_count_saves_status_reads() {
    let cost = |burst| {
        costs(false, burst)
            .iter()
            .map(|(_, bytes, _)| bytes)
            .sum::<u32>()
    };
    assert!(cost(255) < cost(64) && cost(64) < cost(32) && cost(32) < cost(8));
}

#[test]
fn busy_polls_are_all_that_a_slow_chip_adds() {
    let tpm = fifo(|_| response(0x8001, 0, &[]));
    let mut tis = Tis::new(RegisterBus::new(&tpm), Delay::default());
    tis.transmit(&command(12), &mut [0; 16], 1000).unwrap();
    let before = tis.traffic();
    tis.transmit(&command(12), &mut [0; 16], 1000).unwrap();
    let quick = tis.traffic().since(before).bytes;
    tpm.borrow_mut().busy_polls = 7;
    let before = tis.traffic();
    tis.transmit(&command(12), &mut [0; 16], 1_000_000).unwrap();
    assert_eq!(tis.traffic().since(before).bytes, quick + 7 * 8);
}
