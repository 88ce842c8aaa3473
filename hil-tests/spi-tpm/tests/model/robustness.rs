//! Whatever is clocked, in whatever order, under whatever faults: the model answers and never panics. Inside an
//! emulator a panic would end the guest.

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::mock::ScriptedTpm;
use assay_spi_tpm::random::SplitMix;
use assay_spi_tpm::{Config, Fault, FaultKind, FaultPlan, SpiTpm};

/// A header that is often right, so that random traffic gets past it.
fn header(random: &mut SplitMix) -> [u8; 4] {
    const REGISTERS: [u16; 8] = [0x000, 0x018, 0x01B, 0x024, 0x080, 0xF00, 0x030, 0xFFF];
    let pick = usize::try_from(random.between(0, 7)).unwrap();
    let [high, low] = REGISTERS[pick].to_be_bytes();
    let locality = u8::try_from(random.between(0, 20))
        .unwrap()
        .saturating_sub(16)
        << 4;
    let first = u8::try_from(random.between(0, 255)).unwrap() & 0xBF;
    [first, 0xD4, locality | high, low]
}

fn byte(random: &mut SplitMix) -> u8 {
    // Bytes with a meaning come up often: commandReady, tpmGo, responseRetry, requestUse, a command's start.
    const LIKELY: [u8; 8] = [0x40, 0x20, 0x02, 0x08, 0x80, 0x01, 0x00, 0x0C];
    match random.between(0, 2) {
        0 => u8::try_from(random.between(0, 255)).unwrap(),
        _ => LIKELY[usize::try_from(random.between(0, 7)).unwrap()],
    }
}

fn plan(random: &mut SplitMix) -> FaultPlan {
    let last = u32::try_from(FaultKind::ALL.len() - 1).unwrap();
    let faults = (0..random.between(0, 4))
        .map(|_| {
            let kind = FaultKind::ALL[usize::try_from(random.between(0, last)).unwrap()];
            let arg = match random.between(0, 3) {
                0 => u32::MAX,
                1 => 0,
                _ => random.between(0, 300),
            };
            Fault::new(kind).with_arg(arg).times(random.between(1, 50))
        })
        .collect();
    FaultPlan { faults }
}

#[test]
fn random_traffic_under_random_faults_never_panics() {
    for seed in 0..300u64 {
        let random = &mut SplitMix::new(seed);
        let chip = Personality::ALL[usize::try_from(random.between(0, 3)).unwrap()];
        let config = Config {
            faults: plan(random),
            ..Config::chip(chip)
        };
        let text = config.faults.to_string();
        let response_len = usize::try_from(random.between(0, 300)).unwrap();
        let mock = ScriptedTpm::new().always(&vec![0x80; response_len]);
        let mut tpm = SpiTpm::new(mock, config).with_spare(ScriptedTpm::new());
        for _ in 0..200 {
            tpm.cs(random.between(0, 9) > 0);
            for byte in header(random) {
                tpm.xfer(byte);
            }
            for _ in 0..random.between(0, 70) {
                tpm.xfer(byte(random));
            }
            match random.between(0, 60) {
                0 => tpm.reset_line(true),
                1 => tpm.reset_line(false),
                2 => tpm.power_cycle(),
                3 => tpm.clock().advance_ns(10_000_000),
                _ => {}
            }
            tpm.cs(false);
        }
        let stats = tpm.stats().snapshot();
        assert!(stats.totals.chip_selects > 0, "seed {seed}, plan {text}");
    }
}
