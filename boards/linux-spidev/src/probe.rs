//! `probe`: which TPM answers. For a technician with a new cable.

use assay_firmware::bus::TisBus;
use assay_firmware::tis::Tis;
use assay_firmware::tpm::Tpm;
use embedded_hal::delay::DelayNs;

use crate::Problem;
use crate::args::{Args, ChipSelect};

/// Finds the TPM, starts it and lets it test what it has not tested.
pub(crate) fn run(args: &Args, tis: Tis<impl TisBus, impl DelayNs>) -> Result<(), Problem> {
    let select = match &args.chip_select {
        ChipSelect::Kernel => "by the kernel".to_owned(),
        ChipSelect::Gpio { chip, line } => format!("{chip}, line {line}"),
    };
    println!(
        "bus            {}, {} Hz, chip select {select}",
        args.spi, args.speed_hz
    );
    let mut tpm = Tpm::new(tis);
    let start = tpm.start().map_err(|error| {
        let seen = match tpm.transport().chip_id() {
            Some(id) => format!("{:04x}:{:04x} answers, but", id.vendor, id.device),
            None => "no TPM answers:".to_owned(),
        };
        Problem::new(format!("{seen} {error}"), HINT)
    })?;
    if let Some(id) = tpm.transport().chip_id() {
        let family = tpm.transport().chip().name();
        println!(
            "chip           {:04x}:{:04x} revision {:02x} ({family})",
            id.vendor, id.device, id.revision
        );
    }
    let text = |bytes: &[u8]| {
        let shown = bytes.iter().filter(|byte| byte.is_ascii_graphic());
        shown.map(|byte| char::from(*byte)).collect::<String>()
    };
    let identity = start.identity;
    println!(
        "manufacturer   {}",
        text(&identity.manufacturer.to_be_bytes())
    );
    println!("part           {}", text(&identity.vendor_string()));
    println!("firmware       {:016x}", identity.firmware_version());
    let state = if start.already_started {
        "running since before"
    } else {
        "just reset"
    };
    println!(
        "state          {state}, {} objects of earlier software flushed",
        start.flushed
    );
    tpm.self_test().map_err(|error| {
        Problem::new(
            format!("the TPM's self-test: {error}"),
            "replace the module",
        )
    })?;
    println!("self-test      passed");
    let traffic = tpm.traffic();
    println!(
        "traffic        {} bytes in {} frames",
        traffic.bytes, traffic.frames
    );
    Ok(())
}

const HINT: &str = "0xff everywhere is no TPM: power, MISO, CS. A TPM that goes silent in the middle of a frame is a chip select that rises too early: try --chip-select gpio:CHIP:LINE";
