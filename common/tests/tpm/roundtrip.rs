//! What the builders write the views read back, and no bytes make a parser panic.

use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::attest::{Attest, Attested, CertifyInfo, ClockInfo, QuoteInfo};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::codec::Writer;
use assay_common::tpm::credential::{EccPoint, IdObject};
use assay_common::tpm::name::Name;
use assay_common::tpm::pcr::{PcrMask, PcrSelection, PcrSelections};
use assay_common::tpm::public::{Parameters, Public, Scheme, Symmetric, Unique};
use assay_common::tpm::rc::TpmRc;
use assay_common::tpm::signature::Signature;
use proptest::collection::vec;
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = [0; 2048];
    let mut w = Writer::new(&mut buf);
    write(&mut w);
    w.finish().unwrap().to_vec()
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

fn symmetric() -> impl Strategy<Value = Symmetric> {
    prop_oneof![
        Just(Symmetric::NULL),
        (any::<u16>(), any::<u16>(), any::<u16>())
            .prop_filter("no shape of its own", |(alg, ..)| {
                ![AlgId::NULL.0, AlgId::XOR.0].contains(alg)
            })
            .prop_map(|(alg, key_bits, mode)| Symmetric {
                alg: AlgId(alg),
                key_bits,
                mode: AlgId(mode),
            }),
    ]
}

fn scheme() -> impl Strategy<Value = Scheme> {
    prop_oneof![
        Just(Scheme::NULL),
        Just(Scheme::new(AlgId::RSAES, AlgId::NULL)),
        (
            prop::sample::select(vec![
                AlgId::RSASSA,
                AlgId::RSAPSS,
                AlgId::OAEP,
                AlgId::ECDSA,
                AlgId::ECDH,
                AlgId::SM2
            ]),
            any::<u16>()
        )
            .prop_map(|(alg, hash)| Scheme::new(alg, AlgId(hash))),
    ]
}

fn selections() -> impl Strategy<Value = Vec<PcrSelection>> {
    prop::collection::btree_map(any::<u16>(), 0u32..1 << 24, 0..=16).prop_map(|map| {
        map.into_iter()
            .map(|(bank, mask)| PcrSelection::new(AlgId(bank), PcrMask(mask)))
            .collect()
    })
}

fn clock_info() -> impl Strategy<Value = ClockInfo> {
    (any::<u64>(), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
        |(clock, reset_count, restart_count, safe)| ClockInfo {
            clock,
            reset_count,
            restart_count,
            safe,
        },
    )
}

proptest! {
    #[test]
    fn public_areas_come_back(
        name_alg in any::<u16>(),
        attributes in any::<u32>(),
        policy in bytes(64),
        symmetric in symmetric(),
        scheme in scheme(),
        (key_bits, exponent, modulus) in (any::<u16>(), any::<u32>(), bytes(512)),
        (curve, kdf, x, y) in (any::<u16>(), any::<u16>(), bytes(66), bytes(66)),
    ) {
        let kdf = match AlgId(kdf) {
            AlgId::NULL => Scheme::NULL,
            alg => Scheme::new(alg, AlgId::SHA256),
        };
        let rsa = (
            Parameters::Rsa { symmetric, scheme, key_bits, exponent },
            Unique::Rsa(&modulus),
        );
        let ecc = (
            Parameters::Ecc { symmetric, scheme, curve: EccCurve(curve), kdf },
            Unique::Ecc { x: &x, y: &y },
        );
        for (parameters, unique) in [rsa, ecc] {
            let (name_alg, attributes) = (AlgId(name_alg), ObjectAttributes(attributes));
            let raw = written(|w| {
                Public::encode(name_alg, attributes, &policy, &parameters, &unique, w);
            });
            let public = Public::parse(&raw).unwrap();
            prop_assert_eq!(public.raw(), &raw);
            prop_assert_eq!(public.name_alg, name_alg);
            prop_assert_eq!(public.attributes, attributes);
            prop_assert_eq!(public.auth_policy, &policy);
            prop_assert_eq!(public.parameters, parameters);
            prop_assert_eq!(public.unique, unique);
        }
    }

    #[test]
    fn attests_come_back(
        signer in bytes(66),
        extra in bytes(66),
        clock in clock_info(),
        firmware in any::<u64>(),
        list in selections(),
        (name, digest, content) in (bytes(66), bytes(64), bytes(600)),
        (number, small, flag) in (any::<u64>(), any::<u16>(), any::<bool>()),
    ) {
        let list = written(|w| PcrSelections::encode(&list, w));
        let bodies = [
            Attested::Quote(QuoteInfo {
                selection: PcrSelections::parse(&list).unwrap(),
                pcr_digest: &digest,
            }),
            Attested::Certify(CertifyInfo { name: &name, qualified_name: &signer }),
            Attested::Creation { object_name: &name, creation_hash: &digest },
            Attested::Nv { index_name: &name, offset: small, contents: &content },
            Attested::NvDigest { index_name: &name, digest: &digest },
            Attested::CommandAudit {
                counter: number,
                digest_alg: AlgId(small),
                audit_digest: &digest,
                command_digest: &digest,
            },
            Attested::SessionAudit { exclusive: flag, digest: &digest },
            Attested::Time { time: number, clock_info: clock, firmware_version: firmware },
        ];
        for body in bodies {
            let raw = written(|w| Attest::encode(&signer, &extra, &clock, firmware, &body, w));
            let attest = Attest::parse(&raw).unwrap();
            prop_assert_eq!(attest.raw(), &raw);
            prop_assert_eq!(Some(attest.kind), body.kind());
            prop_assert_eq!(attest.qualified_signer, &signer);
            prop_assert_eq!(attest.extra_data, &extra);
            prop_assert_eq!(attest.clock_info, clock);
            prop_assert_eq!(attest.firmware_version, firmware);
            prop_assert_eq!(attest.attested, body);
        }
    }

    #[test]
    fn signatures_come_back(hash in any::<u16>(), rsa in bytes(512), r in bytes(66), s in bytes(66)) {
        let hash = AlgId(hash);
        for signature in [
            Signature::Rsassa { hash, sig: &rsa },
            Signature::Rsapss { hash, sig: &rsa },
            Signature::Ecdsa { hash, r: &r, s: &s },
        ] {
            let raw = written(|w| signature.encode(w));
            prop_assert_eq!(Signature::parse(&raw), Ok(signature));
        }
    }

    #[test]
    fn selections_come_back(list in selections()) {
        let raw = written(|w| PcrSelections::encode(&list, w));
        let parsed = PcrSelections::parse(&raw).unwrap();
        prop_assert_eq!(parsed.raw(), &raw);
        prop_assert!(parsed.iter().eq(list.iter().copied()));
        for selection in list.iter().filter(|s| !s.mask.is_empty()) {
            prop_assert_eq!(selection.to_string().parse(), Ok(*selection));
        }
    }

    #[test]
    fn credentials_come_back(
        hmac in prop::sample::select(vec![20, 32, 48, 64]).prop_flat_map(|n| vec(any::<u8>(), n)),
        identity in vec(any::<u8>(), 3..=66),
        (x, y) in (bytes(66), bytes(66)),
    ) {
        let raw = written(|w| IdObject::encode(&hmac, &identity, w));
        let blob = IdObject::parse(&raw).unwrap();
        prop_assert_eq!(blob.integrity_hmac, &hmac);
        prop_assert_eq!(blob.enc_identity, &identity);
        let raw = written(|w| EccPoint::encode(&x, &y, w));
        prop_assert_eq!(EccPoint::parse(&raw), Ok(EccPoint { x: &x, y: &y }));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(input in bytes(300), text in ".{0,40}", code in any::<u32>()) {
        let _ = Public::parse(&input);
        let _ = Public::parse_tpm2b(&input);
        let _ = Attest::parse(&[&[0xff, b'T', b'C', b'G', 0x80, 0x18], &input[..]].concat());
        let _ = Signature::parse(&input);
        let _ = PcrSelections::parse(&input);
        let _ = IdObject::parse(&input);
        let _ = EccPoint::parse(&input);
        let _ = Name::parse(&input);
        let _ = text.parse::<PcrSelection>();
        let _ = text.parse::<AlgId>();
        let _ = TpmRc(code).to_string();
    }
}
