//! The limits of silicon, in front of a real TPM implementation that has none of them.

use assay_spi_tpm::TpmBackend;
use assay_spi_tpm::chip::{ChipLimits, LimitedTpm};
use assay_spi_tpm::message::{plain_command, u32_at};
use assay_spi_tpm::swtpm::{Swtpm, SwtpmSocket};
use tempfile::TempDir;

use super::host::{STARTUP, rc};
use super::software_tpm::{null_primary, swtpm};

struct Limited {
    _folder: TempDir,
    _process: Swtpm,
    tpm: LimitedTpm<SwtpmSocket>,
}

fn limited() -> Limited {
    let (folder, process) = swtpm();
    let mut tpm = LimitedTpm::new(process.client(), ChipLimits::SILICON);
    tpm.execute(&STARTUP, 0).unwrap();
    Limited {
        _folder: folder,
        _process: process,
        tpm,
    }
}

impl Limited {
    fn run(&mut self, command: &[u8]) -> Vec<u8> {
        self.tpm.execute(command, 0).unwrap()
    }

    fn session(&mut self) -> Vec<u8> {
        // StartAuthSession: unsalted, unbound, HMAC, SHA-256.
        let mut body = vec![0x40, 0, 0, 7, 0x40, 0, 0, 7, 0, 16];
        body.extend_from_slice(&[9; 16]);
        body.extend_from_slice(&[0, 0, 0, 0, 0x10, 0, 0x0B]);
        self.run(&plain_command(0x176, &body))
    }

    fn flush(&mut self, handle: u32) {
        assert_eq!(
            rc(&self.run(&plain_command(0x165, &handle.to_be_bytes()))),
            0
        );
    }
}

#[test]
fn the_fourth_object_is_refused_until_one_is_flushed() {
    let mut limited = limited();
    let mut last = 0;
    for _ in 0..3 {
        let made = limited.run(&null_primary());
        assert_eq!(rc(&made), 0);
        last = u32_at(&made, 10).unwrap();
    }
    assert_eq!(rc(&limited.run(&null_primary())), 0x902);
    limited.flush(last);
    assert_eq!(rc(&limited.run(&null_primary())), 0);
    assert_eq!(rc(&limited.run(&null_primary())), 0x902);
}

#[test]
fn the_fourth_session_is_refused_until_one_is_flushed() {
    let mut limited = limited();
    let mut last = 0;
    for _ in 0..3 {
        let made = limited.session();
        assert_eq!(rc(&made), 0);
        last = u32_at(&made, 10).unwrap();
    }
    assert_eq!(rc(&limited.session()), 0x903);
    limited.flush(last);
    assert_eq!(rc(&limited.session()), 0);
}

#[test]
fn a_reset_empties_the_slots() {
    let mut limited = limited();
    for _ in 0..3 {
        limited.run(&null_primary());
        limited.session();
    }
    limited.tpm.reset().unwrap();
    limited.run(&STARTUP);
    assert_eq!(rc(&limited.run(&null_primary())), 0);
    assert_eq!(rc(&limited.session()), 0);
}

#[test]
fn the_reported_properties_are_the_chips() {
    let mut limited = limited();
    limited.run(&null_primary());
    let mut property = |tag: u32| {
        let mut body = vec![0, 0, 0, 6];
        body.extend_from_slice(&tag.to_be_bytes());
        body.extend_from_slice(&[0, 0, 0, 1]);
        let answer = limited.run(&plain_command(0x17A, &body));
        assert_eq!(u32_at(&answer, 19), Some(tag));
        u32_at(&answer, 23).unwrap()
    };
    assert_eq!(property(0x12C), 768, "NV_BUFFER_MAX");
    assert_eq!(property(0x11E), 1024, "MAX_COMMAND_SIZE");
    assert_eq!(property(0x10E), 3, "HR_TRANSIENT_MIN");
    assert_eq!(property(0x207), 2, "HR_TRANSIENT_AVAIL");
    assert_eq!(property(0x105), 0x4942_4D00, "the manufacturer stays");
}

#[test]
fn without_limits_the_software_tpm_is_more_generous_than_silicon() {
    let (_folder, process) = swtpm();
    let mut tpm = LimitedTpm::new(process.client(), None);
    tpm.execute(&STARTUP, 0).unwrap();
    let long = plain_command(0x17C, &[0; 1100]);
    assert_ne!(
        rc(&tpm.execute(&long, 0).unwrap()),
        0x142,
        "libtpms takes the length"
    );
    let mut limited = limited();
    assert_eq!(rc(&limited.run(&long)), 0x142);
}

#[test]
fn clearing_the_owner_hierarchy_frees_its_slots() {
    let mut limited = limited();
    let mut owner = null_primary();
    owner[10..14].copy_from_slice(&[0x40, 0, 0, 1]);
    for _ in 0..3 {
        assert_eq!(rc(&limited.run(&owner)), 0);
    }
    let mut clear = plain_command(
        0x126,
        &[0x40, 0, 0, 0x0C, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0],
    );
    clear[1] = 2;
    assert_eq!(rc(&limited.run(&clear)), 0);
    assert_eq!(limited.tpm.held().transient(), 0);
    assert_eq!(rc(&limited.run(&owner)), 0);
}
