//! Our commands against `tpm2-protocol`, a second implementation of the marshalling.
//!
//! Each command that our encoder writes for random arguments must be understood by that crate, give
//! back the arguments, and come out as the same bytes when that crate writes it.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrIndex, PcrMask, PcrSelection};
use assay_common::tpm::properties::PropertyTag;
use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::tpm::{NvPublic, PolicySession, Tpm};
use proptest::collection::vec;
use proptest::prelude::*;
use tpm2_protocol::data::*;
use tpm2_protocol::frame::*;
use tpm2_protocol::{TpmMarshal, TpmUnmarshal, TpmWriter};

use crate::bytes::{hex, response};
use crate::scripted::{Scripted, by, code, rc};

/// The last command that `run` sends to a TPM that starts sessions and refuses everything else.
fn sent(run: impl FnOnce(&mut Tpm<Scripted>)) -> Vec<u8> {
    let (mut tpm, journal) = by(|command| match code(command) {
        0x176 => response(0x8001, 0, &hex("03000005 0000")),
        _ => rc(0x1C4),
    });
    run(&mut tpm);
    journal.borrow_mut().sent.pop().unwrap()
}

/// Has the other crate read `bytes` as a `C` and write it again; its view of handles comes back too.
fn read_back<C: TpmUnmarshalBody + TpmFrame>(bytes: &[u8]) -> (C, Vec<u32>, Vec<TpmsAuthCommand>) {
    let command = TpmCommand::cast(bytes).unwrap();
    command.validate().unwrap();
    let body: C = command.unmarshal().unwrap();
    let mut area = command.auth_area().unwrap();
    let mut auths = Vec::new();
    while !area.is_empty() {
        let (auth, rest) = TpmsAuthCommand::unmarshal(area).unwrap();
        auths.push(auth);
        area = rest;
    }
    let mut again = vec![0; 4096];
    let mut writer = TpmWriter::new(&mut again);
    tpm_marshal_command(&body, command.tag().unwrap(), &auths, &mut writer).unwrap();
    let len = writer.len();
    assert_eq!(again[..len], *bytes, "written again by the other crate");
    let handles = command.handles().unwrap();
    let handles = handles
        .chunks(4)
        .map(|h| u32::from_be_bytes(h.try_into().unwrap()))
        .collect();
    (body, handles, auths)
}

pub fn marshalled(value: &impl TpmMarshal) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut writer = TpmWriter::new(&mut out);
    value.marshal(&mut writer).unwrap();
    let len = writer.len();
    out.truncate(len);
    out
}

fn session(tpm: &mut Tpm<Scripted>) -> PolicySession {
    tpm.start_policy_session(AlgId::SHA256).unwrap()
}

fn is_empty_password(auth: &TpmsAuthCommand) -> bool {
    u32::from(auth.session_handle) == 0x4000_0009 && auth.hmac.is_empty() && auth.nonce.is_empty()
}

pub fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

fn selections() -> impl Strategy<Value = Vec<PcrSelection>> {
    let bank = prop_oneof![Just(AlgId::SHA1), Just(AlgId::SHA256), Just(AlgId::SHA384)];
    let one = (bank, 0u32..1 << 24).prop_map(|(bank, mask)| PcrSelection::new(bank, PcrMask(mask)));
    vec(one, 0..=3).prop_filter("a bank comes once", |list| {
        list.iter()
            .enumerate()
            .all(|(i, a)| list[..i].iter().all(|b| a.bank != b.bank))
    })
}

proptest! {
    #[test]
    fn plain_commands_are_understood(n in 1usize..=32, handle in any::<u32>(), persistent in any::<u32>()) {
        let bytes = sent(|t| { let _ = t.random(&mut vec![0; n]); });
        let (c, ..) = read_back::<TpmGetRandomCommand>(&bytes);
        prop_assert_eq!(u16::from(c.bytes_requested), n as u16);
        let bytes = sent(|t| { let _ = t.flush(Handle(handle)); });
        let (c, handles, _) = read_back::<TpmFlushContextCommand>(&bytes);
        prop_assert_eq!(u32::from(c.flush_handle), handle);
        prop_assert!(handles.is_empty());
        let bytes = sent(|t| { let _ = t.read_public(Handle(handle)); });
        prop_assert_eq!(read_back::<TpmReadPublicCommand>(&bytes).1, [handle]);
        let bytes = sent(|t| { let _ = t.nv_read_public(Handle(handle)); });
        prop_assert_eq!(read_back::<TpmNvReadPublicCommand>(&bytes).1, [handle]);
        let bytes = sent(|t| { let _ = t.evict_control(Handle(handle), Handle(persistent)); });
        let (c, handles, auths) = read_back::<TpmEvictControlCommand>(&bytes);
        prop_assert_eq!(u32::from(c.persistent_handle), persistent);
        prop_assert_eq!(handles, [0x4000_0001, handle]);
        prop_assert!(auths.len() == 1 && is_empty_password(&auths[0]));
    }

    #[test]
    fn nv_reads_are_understood(index in any::<u32>(), offset in any::<u16>(), len in any::<u16>()) {
        let nv = NvPublic { index: Handle(index), name_alg: AlgId::SHA256, attributes: 1 << 18, data_size: len };
        let bytes = sent(|t| { let _ = t.nv_read(&nv, offset, len); });
        let (c, handles, auths) = read_back::<TpmNvReadCommand>(&bytes);
        prop_assert_eq!((u16::from(c.offset), u16::from(c.size)), (offset, len.min(512)));
        prop_assert_eq!(handles, [index, index]);
        prop_assert!(auths.len() == 1 && is_empty_password(&auths[0]));
    }

    #[test]
    fn capability_queries_are_understood(first in any::<u32>(), last in any::<u32>()) {
        let bytes = sent(|t| { let _ = t.handles(Handle(first), Handle(last), &mut |_| ()); });
        let (c, ..) = read_back::<TpmGetCapabilityCommand>(&bytes);
        prop_assert_eq!(c.cap, TpmCap::Handles);
        prop_assert_eq!(u32::from(c.property), first);
        let bytes = sent(|t| {
            let _ = t.properties(PropertyTag(first), PropertyTag(last), &mut |_, _| ());
        });
        let (c, ..) = read_back::<TpmGetCapabilityCommand>(&bytes);
        prop_assert_eq!(c.cap, TpmCap::TpmProperties);
        prop_assert!(u32::from(c.property_count) >= 1);
    }

    #[test]
    fn quotes_are_understood(key in any::<u32>(), nonce in bytes(64), list in selections()) {
        let bytes = sent(|t| { let _ = t.quote(Handle(key), &nonce, &list); });
        let (c, handles, auths) = read_back::<TpmQuoteCommand>(&bytes);
        prop_assert_eq!(&c.qualifying_data[..], &nonce[..]);
        prop_assert_eq!(marshalled(&c.in_scheme), [0, 0x10]);
        prop_assert_eq!(c.pcr_select.len(), list.len());
        for (theirs, ours) in c.pcr_select.iter().zip(&list) {
            prop_assert_eq!(marshalled(&theirs.hash), ours.bank.0.to_be_bytes());
            prop_assert_eq!(&theirs.pcr_select[..], &ours.mask.0.to_le_bytes()[..3]);
        }
        prop_assert_eq!(handles, [key]);
        prop_assert!(auths.len() == 1 && is_empty_password(&auths[0]));
    }

    #[test]
    fn pcr_commands_are_understood(mask in 1u32..1 << 24, index in 0u8..24, digest in any::<[u8; 32]>()) {
        let ask = [PcrSelection::new(AlgId::SHA256, PcrMask(mask))];
        let bytes = sent(|t| { let _ = t.pcr_read(&ask, &mut [0; 1024]); });
        let (c, ..) = read_back::<TpmPcrReadCommand>(&bytes);
        prop_assert_eq!(&c.pcr_selection_in[0].pcr_select[..], &mask.to_le_bytes()[..3]);
        let bytes = sent(|t| {
            let _ = t.pcr_extend(PcrIndex::new(index).unwrap(), AlgId::SHA256, &digest);
        });
        let (c, handles, auths) = read_back::<TpmPcrExtendCommand>(&bytes);
        prop_assert_eq!(handles, [u32::from(index)]);
        prop_assert_eq!(marshalled(&c.digests[0]), [&[0, 0x0B][..], &digest].concat());
        prop_assert!(auths.len() == 1 && is_empty_password(&auths[0]));
    }

    #[test]
    fn credentials_are_understood(
        ak in any::<u32>(), ek in any::<u32>(), blob in bytes(132), secret in bytes(256),
        entity in any::<u32>(), a in bytes(48), b in bytes(48),
    ) {
        let bytes = sent(|t| {
            let s = session(t);
            let _ = t.activate_credential(Handle(ak), Handle(ek), &s, &blob, &secret);
        });
        let (c, handles, auths) = read_back::<TpmActivateCredentialCommand>(&bytes);
        prop_assert_eq!(&c.credential_blob[..], &blob[..]);
        prop_assert_eq!(&c.secret[..], &secret[..]);
        prop_assert_eq!(handles, [ak, ek]);
        prop_assert!(auths.len() == 2 && is_empty_password(&auths[0]));
        prop_assert_eq!(u32::from(auths[1].session_handle), 0x0300_0005);
        prop_assert_eq!(marshalled(&auths[1].session_attributes), [0]);
        let bytes = sent(|t| { let s = session(t); let _ = t.policy_secret(Handle(entity), &s); });
        let (c, handles, _) = read_back::<TpmPolicySecretCommand>(&bytes);
        prop_assert_eq!(handles, [entity, 0x0300_0005]);
        prop_assert_eq!(marshalled(&c.expiration), [0; 4]);
        let bytes = sent(|t| { let s = session(t); let _ = t.policy_or(&s, [&a, &b]); });
        let (c, handles, _) = read_back::<TpmPolicyOrCommand>(&bytes);
        prop_assert_eq!((&c.p_hash_list[0][..], &c.p_hash_list[1][..]), (&a[..], &b[..]));
        prop_assert_eq!(handles, [0x0300_0005]);
    }

    #[test]
    fn primary_keys_are_understood(hierarchy in any::<u32>(), nonce in bytes(32)) {
        for template in [EkTemplate::L1, EkTemplate::L2] {
            let bytes = sent(|t| {
                let _ = t.create_primary(Handle(hierarchy), &template.with_nonce(&nonce).unwrap());
            });
            let (c, handles, auths) = read_back::<TpmCreatePrimaryCommand>(&bytes);
            prop_assert_eq!(&handles[..], &[hierarchy]);
            prop_assert!(c.outside_info.is_empty() && c.creation_pcr.is_empty());
            prop_assert!(auths.len() == 1 && is_empty_password(&auths[0]));
        }
    }
}

#[test]
fn commands_without_arguments_are_understood() {
    let bytes = sent(|t| {
        let _ = t.start();
    });
    assert_eq!(
        read_back::<TpmStartupCommand>(&bytes).0.startup_type,
        TpmSu::Clear
    );
    let bytes = sent(|t| {
        let _ = t.shutdown();
    });
    assert_eq!(
        read_back::<TpmShutdownCommand>(&bytes).0.shutdown_type,
        TpmSu::Clear
    );
    read_back::<TpmSelfTestCommand>(&sent(|t| {
        let _ = t.self_test();
    }));
    read_back::<TpmGetTestResultCommand>(&sent(|t| {
        let _ = t.test_result();
    }));
    read_back::<TpmReadClockCommand>(&sent(|t| {
        let _ = t.read_clock();
    }));
    for (alg, theirs) in [
        (AlgId::SHA256, TpmAlgId::Sha256),
        (AlgId::SHA384, TpmAlgId::Sha384),
    ] {
        let bytes = sent(|t| {
            let _ = t.start_policy_session(alg);
        });
        let (c, handles, _) = read_back::<TpmStartAuthSessionCommand>(&bytes);
        assert_eq!((c.auth_hash, c.session_type), (theirs, TpmSe::Policy));
        assert_eq!(c.nonce_caller.len(), 16);
        assert_eq!(handles, [0x4000_0007, 0x4000_0007]);
    }
    for template in [EkTemplate::H1, EkTemplate::H2, EkTemplate::H3] {
        let bytes = sent(|t| {
            let _ = t.create_primary(Handle::ENDORSEMENT, &[template.bytes()]);
        });
        read_back::<TpmCreatePrimaryCommand>(&bytes);
    }
}
