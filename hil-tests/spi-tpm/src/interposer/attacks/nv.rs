//! Certificates in NV.

use super::common::{alter, endless_first_field, flip_last, listen, replay, withhold};
use super::{GET_CAPABILITY, NV_READ, NV_READ_PUBLIC};
use crate::interposer::Stage;
use crate::interposer::mode::{Mode, Operation};
use crate::message::error_response;

pub(in crate::interposer) const CERTIFICATE: &[Mode] = &[
    Mode::new(
        "sniff-certificate",
        Stage::Certificate,
        Operation::Read,
        "reads the EK's certificate",
        || listen(Stage::Certificate),
    ),
    Mode::new(
        "alter-certificate",
        Stage::Certificate,
        Operation::Alter,
        "flips a bit in each piece of the certificate",
        || alter(Stage::Certificate, NV_READ, flip_last),
    ),
    Mode::new(
        "lengths-certificate",
        Stage::Certificate,
        Operation::Alter,
        "has each piece of the certificate announce 65,535 bytes",
        || alter(Stage::Certificate, NV_READ, endless_first_field),
    ),
    Mode::new(
        "size-certificate",
        Stage::Certificate,
        Operation::Alter,
        "says that the certificate has 65,535 bytes",
        || {
            alter(Stage::Certificate, NV_READ_PUBLIC, |parameters| {
                // dataSize is the last field of nvPublic, in front of the Name.
                let size = crate::message::u16_at(parameters, 0).map_or(0, usize::from);
                if let Some(field) = parameters.get_mut(size..size.saturating_add(2)) {
                    field.fill(0xFF);
                }
            })
        },
    ),
    Mode::new(
        "drop-certificate",
        Stage::Certificate,
        Operation::Drop,
        "says that there is no certificate",
        || {
            /// TPM_RC_HANDLE, handle 1: what a TPM says of an index that is not there.
            const NO_INDEX: u32 = 0x18B;
            withhold(Stage::Certificate, NV_READ_PUBLIC, |_| {
                error_response(NO_INDEX)
            })
        },
    ),
    Mode::new(
        "replay-certificate",
        Stage::Certificate,
        Operation::Replay,
        "gives the certificate that was read in the login before",
        || {
            replay(
                Stage::Certificate,
                &[GET_CAPABILITY, NV_READ_PUBLIC, NV_READ],
            )
        },
    ),
    Mode::new(
        "swap-certificate",
        Stage::Certificate,
        Operation::Substitute,
        "gives the certificate of another genuine TPM",
        || {
            Box::new(|turn| {
                if turn.stage == Stage::Certificate {
                    turn.strike("asked another TPM");
                    return turn.pass_to_other();
                }
                turn.pass()
            })
        },
    ),
];
