//! Responses that `tpm2-protocol` writes, read by our parsers; and where that crate gives up.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::pcr::{PcrMask, PcrSelection};
use assay_common::tpm::properties::PropertyTag;
use assay_common::tpm::public::templates::{AK_P256, AK_RSA2048};
use assay_firmware::tpm::{NvPublic, TpmError};
use proptest::collection::vec;
use proptest::prelude::*;
use tpm2_protocol::basic::{TpmHandle, TpmUint32, TpmUint64};
use tpm2_protocol::data::*;
use tpm2_protocol::frame::*;
use tpm2_protocol::{TpmUnmarshal, TpmWriter};

use crate::bytes::{created, hex, p256_public};
use crate::differential::{bytes, marshalled};
use crate::scripted::{rc, steps};

/// A response as the other crate writes it, with `auths` acknowledgements.
fn written<R: TpmFrame>(response: &R, auths: usize) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut writer = TpmWriter::new(&mut out);
    let acknowledged = vec![TpmsAuthResponse::default(); auths];
    let success = TpmRc::Fmt0(TpmRcBase::Success);
    tpm_marshal_response(response, success, &acknowledged, &mut writer).unwrap();
    let len = writer.len();
    out.truncate(len);
    out
}

proptest! {
    #[test]
    fn plain_responses_are_read(data in bytes(32), offered in 1u32..0x2000, value in any::<u32>(), clock in any::<[u64; 2]>(), counts in any::<[u32; 2]>(), safe in any::<bool>()) {
        if !data.is_empty() {
            let theirs = TpmGetRandomResponse { handles: [], random_bytes: Tpm2bDigest::try_from(&data[..]).unwrap() };
            let (mut tpm, _) = steps(&[written(&theirs, 0)]);
            let mut out = vec![0; data.len()];
            tpm.random(&mut out).unwrap();
            prop_assert_eq!(&out, &data);
        }
        let theirs = TpmReadClockResponse { handles: [], current_time: TpmsTimeInfo {
            time: TpmUint64::from(clock[0]),
            clock_info: TpmsClockInfo {
                clock: TpmUint64::from(clock[1]),
                reset_count: TpmUint32::from(counts[0]),
                restart_count: TpmUint32::from(counts[1]),
                safe: TpmiYesNo::from(safe),
            },
        }};
        let (mut tpm, _) = steps(&[written(&theirs, 0)]);
        let time = tpm.read_clock().unwrap();
        prop_assert_eq!((time.time_ms, time.clock_info.clock), (clock[0], clock[1]));
        prop_assert_eq!((time.clock_info.reset_count, time.clock_info.restart_count), (counts[0], counts[1]));
        prop_assert_eq!(time.clock_info.safe, safe);
        let handle = TpmHandle::from(0x8000_0000 | offered);
        let mut list = TpmlHandle::new();
        list.try_push(handle).unwrap();
        let theirs = TpmGetCapabilityResponse { handles: [],
            more_data: TpmiYesNo::from(false),
            capability_data: TpmsCapabilityData { capability: TpmCap::Handles, data: TpmuCapabilities::Handles(list) },
        };
        let (mut tpm, _) = steps(&[written(&theirs, 0)]);
        let mut seen = Vec::new();
        tpm.handles(Handle::TRANSIENT_FIRST, Handle(0x80FF_FFFF), &mut |h| seen.push(h.0)).unwrap();
        prop_assert_eq!(seen, [0x8000_0000 | offered]);
        let mut list = TpmlTaggedTpmProperty::new();
        list.try_push(TpmsTaggedProperty { property: TpmPt::NvBufferMax, value: TpmUint32::from(value) }).unwrap();
        let theirs = TpmGetCapabilityResponse { handles: [],
            more_data: TpmiYesNo::from(true),
            capability_data: TpmsCapabilityData { capability: TpmCap::TpmProperties, data: TpmuCapabilities::TpmProperties(list) },
        };
        let (mut tpm, _) = steps(&[written(&theirs, 0)]);
        let mut seen = Vec::new();
        tpm.properties(PropertyTag::NV_BUFFER_MAX, PropertyTag::NV_BUFFER_MAX, &mut |t, v| seen.push((t, v))).unwrap();
        prop_assert_eq!(seen, [(PropertyTag::NV_BUFFER_MAX, value)]);
    }

    #[test]
    fn nv_responses_are_read(data in bytes(512), attributes in any::<u32>(), size in any::<u16>(), policy in bytes(48)) {
        let area = [&hex("01c00002 000b")[..], &attributes.to_be_bytes(), &(policy.len() as u16).to_be_bytes(), &policy, &size.to_be_bytes()].concat();
        // The other crate knows only the attributes of the standard.
        if let Ok((inner, [])) = TpmsNvPublic::unmarshal(&area) {
            let theirs = TpmNvReadPublicResponse { handles: [],
                nv_public: Tpm2bNvPublic { inner },
                nv_name: Tpm2bName::try_from(&[0; 34][..]).unwrap(),
            };
            let (mut tpm, _) = steps(&[written(&theirs, 0)]);
            let nv = tpm.nv_read_public(Handle(0x01C0_0002)).unwrap();
            prop_assert_eq!((nv.attributes, nv.data_size, nv.name_alg), (attributes, size, AlgId::SHA256));
        }
        let theirs = TpmNvReadResponse { handles: [], data: Tpm2bMaxNvBuffer::try_from(&data[..]).unwrap() };
        let (mut tpm, _) = steps(&[written(&theirs, 1)]);
        let nv = NvPublic { index: Handle(1), name_alg: AlgId::SHA256, attributes: 0, data_size: 512 };
        prop_assert_eq!(tpm.nv_read(&nv, 0, data.len() as u16).unwrap(), &data[..]);
    }

    #[test]
    fn key_responses_are_read(x in any::<[u8; 32]>(), y in any::<[u8; 32]>(), n in vec(any::<u8>(), 256), handle in 0x8000_0000u32..0x80FF_FFFF, secret in bytes(64)) {
        let point = TpmuPublicId::Ecc(TpmsEccPoint {
            x: Tpm2bEccParameter::try_from(&x[..]).unwrap(),
            y: Tpm2bEccParameter::try_from(&y[..]).unwrap(),
        });
        let modulus = TpmuPublicId::Rsa(Tpm2bPublicKeyRsa::try_from(&n[..]).unwrap());
        for (template, unique) in [(&AK_P256, point), (&AK_RSA2048, modulus)] {
            let (mut inner, _) = TpmtPublic::unmarshal(template).unwrap();
            inner.unique = unique;
            let public = marshalled(&inner);
            let name = Tpm2bName::try_from(&[&[0, 0x0B][..], &x].concat()[..]).unwrap();
            let (ticket, _) = TpmtTkCreation::unmarshal(&[hex("8021 4000000b 0020"), y.to_vec()].concat()).unwrap();
            let theirs = TpmCreatePrimaryResponse {
                handles: [TpmHandle::from(handle)],
                out_public: Tpm2bPublic { inner: inner.clone() },
                creation_data: Tpm2bCreationData::default(),
                creation_hash: Tpm2bDigest::try_from(&x[..]).unwrap(),
                creation_ticket: ticket,
                name,
            };
            let (mut tpm, _) = steps(&[written(&theirs, 1)]);
            let key = tpm.create_primary(Handle::ENDORSEMENT, &[]).unwrap();
            prop_assert_eq!((key.handle.0, key.public, key.name), (handle, &public[..], &name[..]));
            let theirs = TpmReadPublicResponse { handles: [], out_public: Tpm2bPublic { inner }, name, qualified_name: name };
            let (mut tpm, _) = steps(&[written(&theirs, 0)]);
            let key = tpm.read_public(Handle(handle)).unwrap();
            prop_assert_eq!((key.public, key.name, key.qualified_name), (&public[..], &name[..], &name[..]));
        }
        let nonce = Tpm2bNonce::try_from(&x[..]).unwrap();
        let session = TpmStartAuthSessionResponse { handles: [TpmHandle::from(0x0300_0001)], nonce_tpm: nonce };
        let (ticket, _) = TpmtTkAuth::unmarshal(&hex("8023 4000000b 0000")).unwrap();
        let proven = TpmPolicySecretResponse { handles: [], timeout: Tpm2bTimeout::default(), policy_ticket: ticket };
        let activated = TpmActivateCredentialResponse { handles: [], cert_info: Tpm2bDigest::try_from(&secret[..]).unwrap() };
        let (mut tpm, _) = steps(&[written(&session, 0), written(&proven, 1), written(&activated, 2)]);
        let session = tpm.start_policy_session(AlgId::SHA256).unwrap();
        prop_assert_eq!(session.handle(), Handle(0x0300_0001));
        tpm.policy_secret(Handle::ENDORSEMENT, &session).unwrap();
        let keys = Handle(handle);
        prop_assert_eq!(tpm.activate_credential(keys, keys, &session, &[], &[]).unwrap(), &secret[..]);
    }

    #[test]
    fn quote_and_pcr_responses_are_read(mask in 1u32..0x100, nonce in bytes(32), digest in any::<[u8; 32]>(), r in any::<[u8; 32]>(), counter in any::<u32>()) {
        let selection = [&hex("00000001 000b 03")[..], &mask.to_le_bytes()[..3]].concat();
        let attest = [
            hex("ff544347 8018 0000"), (nonce.len() as u16).to_be_bytes().to_vec(), nonce,
            vec![0; 16], vec![1], vec![0; 8], selection.clone(), hex("0020"), digest.to_vec(),
        ].concat();
        let (inner, _) = TpmsAttest::unmarshal(&attest).unwrap();
        let signature = [hex("0018 000b 0020"), r.to_vec(), hex("0020"), digest.to_vec()].concat();
        let (parsed, _) = TpmtSignature::unmarshal(&signature).unwrap();
        let theirs = TpmQuoteResponse { handles: [], quoted: Tpm2bAttest { inner }, signature: parsed };
        let (mut tpm, _) = steps(&[written(&theirs, 1)]);
        let quote = tpm.quote(Handle(0x8000_0000), &[], &[]).unwrap();
        prop_assert_eq!((quote.attest, quote.signature), (&attest[..], &signature[..]));
        let (list, _) = TpmlPcrSelection::unmarshal(&selection).unwrap();
        let mut values = TpmlDigest::new();
        for n in 0..mask.count_ones() {
            values.try_push(Tpm2bDigest::try_from(&[n as u8; 32][..]).unwrap()).unwrap();
        }
        let theirs = TpmPcrReadResponse { handles: [], pcr_update_counter: TpmUint32::from(counter), pcr_selection_out: list, pcr_values: values };
        let (mut tpm, _) = steps(&[written(&theirs, 0)]);
        let mut out = [0; 256];
        let read = tpm.pcr_read(&[PcrSelection::new(AlgId::SHA256, PcrMask(mask))], &mut out).unwrap();
        prop_assert_eq!((read.len, read.update_counter), (32 * mask.count_ones() as usize, counter));
        prop_assert!(out.chunks(32).zip(0..mask.count_ones()).all(|(v, n)| v == [n as u8; 32]));
    }
}

#[test]
fn our_test_material_is_what_the_other_crate_accepts() {
    let bytes = crate::bytes::authorized(
        Some(0x8000_0000),
        &created(&p256_public(0x0005_0472, &[])),
        1,
    );
    let response = TpmResponse::cast(&bytes).unwrap();
    let key: TpmCreatePrimaryResponse = response.unmarshal().unwrap();
    assert_eq!(
        marshalled(&key.out_public.inner),
        p256_public(0x0005_0472, &[])
    );
}

#[test]
fn response_codes_that_the_other_crate_refuses_are_carried_as_numbers() {
    use assay_common::tpm::rc::TpmRc as Number;
    for number in [0x500, 0xA01, 0x000B_0000, 0x0007_0901] {
        let bytes = rc(number);
        assert!(
            TpmResponse::cast(&bytes).and_then(TpmResponse::rc).is_err(),
            "{number:x}"
        );
        let (mut tpm, _) = steps(&[bytes]);
        assert_eq!(tpm.read_clock().err(), Some(TpmError::Rc(Number(number))));
    }
}
