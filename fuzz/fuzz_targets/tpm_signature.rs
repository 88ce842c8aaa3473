//! Signatures: what parses is written back, and the fixed form keeps the numbers.
#![no_main]

use assay_common::tpm::alg::EccCurve;
use assay_common::tpm::signature::Signature;
use assay_fuzz::written;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(signature) = Signature::parse(data) else {
        return;
    };
    assert_eq!(written(data.len(), |w| signature.encode(w)), data);
    assert!(Signature::parse(&data[..data.len() - 1]).is_err());
    for curve in [
        EccCurve::NIST_P256,
        EccCurve::NIST_P384,
        EccCurve::NIST_P521,
        EccCurve(0),
    ] {
        let mut out = [0xEE; 132];
        let Ok(fixed) = signature.ecdsa_fixed(curve, &mut out) else {
            continue;
        };
        let Signature::Ecdsa { r, s, .. } = signature else {
            panic!("a fixed form of no ECDSA signature");
        };
        let (fixed_r, fixed_s) = fixed.split_at(fixed.len() / 2);
        assert_eq!(Some(fixed_r.len()), curve.field_len());
        for (wide, narrow) in [(fixed_r, r), (fixed_s, s)] {
            assert!(wide.ends_with(narrow) && narrow.iter().any(|&byte| byte != 0));
            assert!(
                wide[..wide.len() - narrow.len()]
                    .iter()
                    .all(|&byte| byte == 0)
            );
        }
    }
});
