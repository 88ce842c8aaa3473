//! A bus that nothing guards: of an image without `secure-bus`, or of a host that leaves it so. Both go through the same code.

use std::cell::RefCell;
use std::rc::Rc;

use assay_common::identity::Pins;
use assay_common::protocol::TroubleCode;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Own};
use assay_firmware::tpm::TpmTransport;

use crate::scripted::{Journal, Scripted, rc};

fn unguarded<T: TpmTransport>(transport: T) -> TpmEvidence<T> {
    let source = TpmEvidence::new(transport);
    #[cfg(feature = "secure-bus")]
    let source = source.unguarded();
    source
}

fn own(ek_name: &[u8]) -> Own<'_> {
    Own {
        pins: Pins {
            ek_name,
            secret: &[],
        },
        noise: &[],
        counts: [1, 2, 3],
    }
}

/// Whoever answers on such a bus says what they like, so the node cannot hold them to the Name.
#[test]
fn a_record_that_pins_an_ek_is_refused_before_anything_is_sent() {
    let journal = Rc::<RefCell<Journal>>::default();
    // A TPM that refuses everything: with it nothing else ends as the pin does.
    let mut source = unguarded(Scripted::new(|_| rc(0x101), &journal));
    let name = [&[0, 0x0B][..], &[7; 32]].concat();
    let replaced = EvidenceError::new(TroubleCode::TPM_REPLACED);
    for _ in 0..2 {
        source.prepare(&own(&name));
        assert_eq!(source.begin(), Err(replaced));
        assert_eq!(journal.borrow().codes(), []);
    }
    // It is the pin that is refused, and the next record need not have one.
    source.prepare(&own(&[]));
    let refused = source.begin().unwrap_err();
    assert_eq!(refused.code, TroubleCode::TPM_FAILURE_MODE);
    assert!(!journal.borrow().sent.is_empty());
}

#[cfg(feature = "secure-bus")]
mod renewal {
    use assay_common::login::Transcript;
    use assay_common::policy::AttestorKind;
    use assay_common::protocol::MessageWriter;
    use assay_firmware::evidence::Request;
    use assay_firmware::link::{BlobSink, LinkError};
    use assay_firmware::measure::{Measurable, MeasuredBoot};
    use assay_firmware::tpm::TransportError;

    use super::*;
    use crate::scripted::code;
    use crate::swtpm::{Bus, Interposer};

    const QUOTE: u32 = 0x158;
    const READ_CLOCK: u32 = 0x181;

    /// A TPM that was reset alone, started again by somebody who also made the same primary keys by the same handles: all that
    /// tells is its reset count.
    #[derive(Default)]
    struct ResetAlone(bool);

    impl Interposer for ResetAlone {
        fn response(
            &mut self,
            command: &[u8],
            mut answer: Vec<u8>,
        ) -> Result<Vec<u8>, TransportError> {
            if self.0 && code(command) == READ_CLOCK {
                // After the header, time and clock: the last byte of resetCount.
                answer[10 + 16 + 3] += 1;
            }
            Ok(answer)
        }
    }

    struct NoBlobs;

    impl BlobSink for NoBlobs {
        fn chunk(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), LinkError> {
            panic!("this TPM has no certificate")
        }
    }

    fn quotes(bus: &Bus) -> usize {
        let crossed = bus.crossed.borrow();
        let codes = crossed.iter().map(|(command, _)| code(command));
        codes.filter(|code| *code == QUOTE).count()
    }

    /// On a guarded bus the session ends with the reset; here the key would quote for the renewal.
    #[test]
    fn a_measuring_node_whose_tpm_was_reset_alone_quotes_for_no_renewal() {
        let reset = Rc::new(RefCell::new(ResetAlone::default()));
        let bus = Bus::with(reset.clone());
        let image = Measurable {
            name: "rack-node",
            version: "1.2.3",
            bytes: b"what is in the flash",
        };
        let boot = MeasuredBoot::new(image, Some(1));
        let mut source = unguarded(bus.clone()).measuring(boot);
        source.prepare(&own(&[]));
        source.begin().unwrap();
        let transcript = Transcript::new();
        let request = Request {
            kind: AttestorKind::TPM_EK,
            version: 3,
            round: 0,
            payload: &[],
            transcript: &transcript,
        };
        let mut message = [0; 2_048];
        let mut out = MessageWriter::new(&mut message);
        source.prove(&request, &mut NoBlobs, &mut out).unwrap();
        source.keep();

        let mut renew = || {
            let mut message = [0; 1_024];
            source.renew(&[3; 32], &mut MessageWriter::new(&mut message))
        };
        assert_eq!(renew(), Ok(()));
        assert_eq!(quotes(&bus), 1);
        reset.borrow_mut().0 = true;
        let lost = EvidenceError::new(TroubleCode::MEASUREMENT_LOST);
        assert_eq!(renew(), Err(lost));
        // Nor is it forgotten once the TPM shows the old count again.
        reset.borrow_mut().0 = false;
        assert_eq!(renew(), Err(lost));
        assert_eq!(quotes(&bus), 1);
    }
}
