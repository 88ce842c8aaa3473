//! Responses of a hostile TPM, through every command of the firmware and its keys: an error or a
//! value that keeps its promises, never a panic and never more loaded than a chip holds.
#![no_main]

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::properties::PropertyTag;
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::keys::{Ak, AkTemplate, Certificate, Ek, EkIndices, KeyError, activate, quote};
use assay_firmware::tpm::{DurationClass, NvPublic, Tpm, TpmTransport, TransportError};
use libfuzzer_sys::fuzz_target;

/// Answers with pieces of the input. The first byte of a piece says how much help it gets.
struct Hostile<'a> {
    rest: &'a [u8],
    sent: usize,
}

impl TpmTransport for Hostile<'_> {
    type Error = TransportError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        _: DurationClass,
    ) -> Result<&'r [u8], TransportError> {
        self.sent += 1;
        assert!(command.len() <= 1024 && self.sent < 4096);
        let size = u32::from_be_bytes(command[2..6].try_into().expect("four bytes"));
        assert_eq!(size as usize, command.len());
        let [kind, low, high, rest @ ..] = self.rest else {
            return Err(TransportError::Closed);
        };
        let len = usize::from(u16::from_le_bytes([*low, *high]) % 1100).min(rest.len());
        let (piece, rest) = rest.split_at(len);
        self.rest = rest;
        // Raw; or a body behind a header that is right; or behind the header of an error.
        let answer = match kind % 4 {
            0 => piece.to_vec(),
            1 => {
                let code = piece.first_chunk().copied().unwrap_or([0, 0, 1, 0]);
                [&[0x80, 0x01, 0, 0, 0, 10][..], &code].concat()
            }
            _ => {
                let size = (10 + piece.len() as u32).to_be_bytes();
                [&command[..2], &size, &[0; 4], piece].concat()
            }
        };
        let len = answer.len().min(response.len());
        response[..len].copy_from_slice(&answer[..len]);
        Ok(&response[..len])
    }

    fn pause_ms(&mut self, ms: u32) {
        assert!(ms <= 2_000);
    }
}

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    let mut tpm = Tpm::new(Hostile { rest, sent: 0 });
    one(*choice, &mut tpm);
    assert!(tpm.loaded() <= 6);
});

fn one(choice: u8, t: &mut Tpm<Hostile<'_>>) {
    const KEY: Handle = Handle(0x8000_0000);
    let selections = [
        PcrSelection::new(AlgId::SHA256, PcrMask::ALL),
        PcrSelection::new(AlgId::SHA1, PcrMask(0x81)),
    ];
    match choice % 20 {
        0 => {
            _ = t
                .start()
                .map(|_| assert!(t.nv_chunk() >= 1 && t.nv_chunk() <= 512))
        }
        1 => _ = t.test_result().map(|r| assert!(r.data.len() <= 1024)),
        2 => _ = t.random(&mut [0; 70]),
        3 => {
            _ = t
                .nv_read_public(Handle(7))
                .map(|nv| assert_eq!(nv.index, Handle(7)))
        }
        4 => {
            let nv = NvPublic {
                index: KEY,
                name_alg: AlgId::SHA256,
                attributes: 0,
                data_size: 300,
            };
            _ = t
                .nv_read(&nv, 5, 300)
                .map(|bytes| assert_eq!(bytes.len(), 300));
        }
        5 => {
            let key = t.create_primary(Handle::OWNER, &[&[1]]);
            _ = key.map(|key| assert!(key.handle.is(HandleKind::TRANSIENT)));
        }
        6 => _ = t.read_public(KEY).map(|key| assert!(key.name.len() <= 66)),
        7 => {
            if let Ok(session) = t.start_policy_session(AlgId::SHA256) {
                assert!(session.handle().is(HandleKind::POLICY_SESSION));
                let _ = t.policy_secret(Handle::ENDORSEMENT, &session);
                let _ = t.policy_or(&session, [&[1], &[2]]);
                let _ = t.activate_credential(KEY, KEY, &session, &[1], &[2]);
                let _ = t.end_session(session);
            }
        }
        8 => {
            _ = t
                .quote(KEY, &[1; 32], &selections)
                .map(|q| assert!(!q.signature.is_empty()))
        }
        9 => {
            let mut values = [0xEE; 810];
            match t.pcr_read(&selections, &mut values) {
                Ok(read) => assert_eq!(read.len, 24 * 32 + 2 * 20),
                Err(_) => assert_eq!(values[808..], [0xEE; 2]),
            }
        }
        10 => _ = t.pcr_extend(PcrIndex::new(3).expect("below 24"), AlgId::SHA256, &[0; 32]),
        11 => _ = t.read_clock(),
        12 => _ = t.evict_control(KEY, Handle(0x8101_0000)),
        13 => _ = t.flush_stale(),
        14 => {
            let (first, last) = (PropertyTag::MANUFACTURER, PropertyTag::MODES);
            let _ = t.properties(first, last, &mut |tag, _| {
                assert!(tag >= first && tag <= last)
            });
        }
        15 => _ = t.shutdown().and_then(|()| t.self_test()),
        16 => _ = EkIndices::read(t).map(|indices| assert!(indices.chain().count() <= 256)),
        17 => {
            if let Ok(certificate) = Certificate::open(t, Handle(0x01C0_0002)) {
                let mut total = 0;
                let streamed = certificate.stream(t, &mut |offset, piece| {
                    assert_eq!(usize::from(offset), total);
                    total += piece.len();
                    Ok::<(), KeyError>(())
                });
                _ = streamed.map(|len| assert_eq!(usize::from(len), total));
            }
        }
        _ => login(t, &selections),
    }
}

/// Keys, activation and quote; afterwards everything can be flushed.
fn login(t: &mut Tpm<Hostile<'_>>, selections: &[PcrSelection]) {
    let Ok(indices) = EkIndices::read(t) else {
        return;
    };
    let Ok(ek) = Ek::create(t, &indices, &EkTemplate::ALL, &mut |_| {}) else {
        return assert_eq!(t.loaded(), 0);
    };
    let Ok(ak) = Ak::create(t, &AkTemplate::ALL, &mut |_| {}) else {
        return assert!(t.loaded() <= 1);
    };
    if let Ok(secret) = activate(t, &ek, &ak, &[1; 68], &[2; 70]) {
        assert!(secret.as_bytes().len() <= 64);
    }
    assert!(t.loaded() <= 2, "no session is left behind");
    let mut values = [0; 1024];
    if let Ok(agreed) = quote(t, &ak, &[3; 32], selections, &mut values) {
        assert_eq!(agreed.values.len(), 24 * 32 + 2 * 20);
    }
    let _ = ek.flush(t);
    let _ = ak.flush(t);
    assert_eq!(t.loaded(), 0);
}
