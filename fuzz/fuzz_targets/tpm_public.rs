//! Public areas: what parses is written back as the same bytes and has a Name.
#![no_main]

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::name::{Name, NameError};
use assay_common::tpm::public::{Parameters, Public, Unique};
use assay_fuzz::written;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(public) = Public::parse(data) {
        check(&public, data);
        let sized = [&(data.len() as u16).to_be_bytes()[..], data].concat();
        assert!(Public::parse_tpm2b(&sized).is_ok_and(|again| again.raw() == data));
        assert!(Public::parse(&data[..data.len() - 1]).is_err());
    }
    if let Ok(public) = Public::parse_tpm2b(data) {
        check(&public, &data[2..]);
    }
});

fn check(public: &Public<'_>, bytes: &[u8]) {
    assert_eq!(public.raw(), bytes);
    match (&public.parameters, &public.unique) {
        (Parameters::Rsa { .. }, Unique::Rsa(_)) => assert_eq!(public.object_type, AlgId::RSA),
        (Parameters::Ecc { .. }, Unique::Ecc { .. }) => assert_eq!(public.object_type, AlgId::ECC),
        _ => panic!("parameters and unique of different types"),
    }
    let again = written(bytes.len(), |w| {
        Public::encode(
            public.name_alg,
            public.attributes,
            public.auth_policy,
            &public.parameters,
            &public.unique,
            w,
        );
    });
    assert_eq!(again, bytes);
    match Name::of(public) {
        Ok(name) => assert_eq!(Name::parse(name.as_bytes()), Ok(name)),
        Err(error) => assert_eq!(error, NameError::Unsupported(public.name_alg)),
    }
}
