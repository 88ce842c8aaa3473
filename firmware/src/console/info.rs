//! `info`: who this board is.

use core::fmt;

use assay_common::identity::provisioning::{KEY_LEN, MAX_RECORD};
use assay_common::identity::{Pins, Provisioning};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{Board, Console};
use crate::settings::Setting;

/// What stands before a P-256 point in a SubjectPublicKeyInfo (RFC 5480, section 2).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const _: () = assert!(KEY_LEN == 65);

/// Bytes as lower-case hexadecimal digits, as the verifier's tools write digests.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Microseconds as days, hours, minutes and seconds.
struct Uptime(u64);

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000;
        let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
        let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
        write!(f, "{days} d {hours:02}:{minutes:02}:{seconds:02}")
    }
}

impl<H: Board> Console<H> {
    pub(super) fn info(&mut self) -> Result<(), Problem> {
        let about = self.board.about();
        self.row("board", format_args!("{}", about.name));
        self.row("version", format_args!("{}", about.version));
        let Self {
            board, terminal, ..
        } = self;
        // By itself, since the number is the board's.
        if let Some(id) = board.unique_id() {
            let _ =
                fmt::Write::write_fmt(terminal, format_args!("{:<16}{}\n", "unique id", Hex(id)));
        }
        self.boots();
        self.label();
        let uptime = Uptime(self.board.now_us());
        self.row("uptime", format_args!("{uptime}"));
        let mut record = [0; MAX_RECORD];
        self.board.read_record(&mut record);
        match Provisioning::read_pinned(&record) {
            Err(error) => self.row("record", format_args!("none: {error}")),
            Ok((record, pins)) => {
                self.row("record", format_args!("whole"));
                self.show_record(&record, &pins);
            }
        }
        self.show_protection();
        Ok(())
    }

    /// What a record says. Its secret is not among it.
    pub(super) fn show_record(&mut self, record: &Provisioning<'_>, pins: &Pins<'_>) {
        self.row("  cluster", format_args!("{}", record.cluster));
        self.row("  trust domain", format_args!("{}", record.trust_domain));
        // As `assay bundle show` prints it, so that the two can be compared.
        let mut hash = Sha256::new();
        hash.update(P256_SPKI);
        hash.update(record.verifier_key);
        let fingerprint = hash.finalize();
        self.row(
            "  verifier key",
            format_args!("sha256 {}", Hex(&fingerprint)),
        );
        if pins.ek_name.is_empty() {
            self.row("  EK pin", format_args!("none: any TPM will do"));
        } else {
            self.row("  EK pin", format_args!("Name {}", Hex(pins.ek_name)));
        }
        if !pins.secret.is_empty() {
            self.row(
                "  secret",
                format_args!("{} bytes, not shown", pins.secret.len()),
            );
        }
    }

    fn boots(&mut self) {
        let boots = match self.board.settings() {
            None => return,
            Some(settings) => settings.get(Setting::Boots).map(|value| {
                value.and_then(|value| Some(u32::from_be_bytes(value.try_into().ok()?)))
            }),
        };
        match boots {
            Ok(Some(boots)) => self.row("starts", format_args!("{boots}")),
            Ok(None) => self.row("starts", format_args!("never counted")),
            Err(error) => self.row("starts", format_args!("not known: {error}")),
        }
    }
}
