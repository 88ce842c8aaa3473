//! Payloads and responses that are cut, changed, lengthened, too long, or not there.

use assay_host_verifier::attestor::Fault;

use super::login::Wrong;
use super::{each, name};

/// Bits that are flipped in each byte: its lowest, which makes another digit of a digit; the one of upper and lower case; its
/// highest, which makes no text of a text.
const FLIPS: [u8; 3] = [0x01, 0x20, 0x80];

#[test]
fn a_payload_that_is_cut_is_refused_wherever_it_is_cut() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        for len in 0..sent.payload.len() {
            let result = login.payload(&sent, sent.payload[..len].to_vec());
            login.refused(result, &format!("{}: {len} bytes", name(method)));
        }
    });
}

#[test]
fn no_changed_byte_of_a_payload_proves_anything_else() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let honest = login.payload(&sent, sent.payload.clone()).unwrap();
        for (at, flip) in (0..sent.payload.len()).flat_map(|at| FLIPS.map(|flip| (at, flip))) {
            let mut payload = sent.payload.clone();
            payload[at] ^= flip;
            let what = format!("{}: byte {at} ^ {flip:#x}", name(method));
            login.nothing_else(login.payload(&sent, payload), &honest, &what);
        }
    });
}

#[test]
fn nothing_may_follow_a_payload() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let whole = &sent.payload;
        for rest in [&b"\0"[..], b"x", b"{}", b"]", whole.as_slice()] {
            let result = login.payload(&sent, [whole, rest].concat());
            let what = format!("{}: {} bytes behind it", name(method), rest.len());
            login.refused(result, &what);
        }
    });
}

#[test]
fn an_empty_payload_is_refused_and_noise_too() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let noise = [
            &b""[..],
            b" ",
            b"\0",
            b"{}",
            b"[]",
            b"null",
            b"\"\"",
            b"{\"\":\"\"}",
            b"\xef\xbb\xbf{}",
            &[0; 4096],
            &[0xff; 4096],
        ];
        for payload in noise {
            let what = format!("{}: {payload:?}", name(method));
            let error = login.refused(login.payload(&sent, payload.to_vec()), &what);
            let is_ours = error.fault == Fault::Malformed;
            assert!(is_ours || method.is_opaque(), "{what}: {error}");
        }
    });
}

/// Blanks do not matter, so only the limit refuses the longer one.
#[test]
fn a_payload_is_read_up_to_its_limit_and_not_beyond() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let Some(limit) = method.limit() else {
            let mut payload = sent.payload.clone();
            payload.resize(64 * 1024 + 1, 0);
            login.refused(login.payload(&sent, payload), &name(method));
            return;
        };
        let padded = |len: usize| {
            let mut payload = sent.payload.clone();
            assert!(payload.len() < len, "{}: no room", name(method));
            payload.resize(len, b' ');
            login.payload(&sent, payload)
        };
        padded(limit).unwrap();
        let error = login.refused(padded(limit + 1), &name(method));
        assert_eq!(error.fault, Fault::Malformed, "{error}");
    });
}

#[test]
fn a_response_that_is_cut_or_changed_or_lengthened_is_refused() {
    each(|method, login| {
        let sent = method.prove(&login.transcript);
        let Some(honest) = login.honest().unwrap().response else {
            return;
        };
        let answered = |spoil: &dyn Fn(Vec<u8>) -> Vec<u8>, what: &str| {
            let wrong = Wrong {
                response: spoil,
                ..login.nothing_wrong()
            };
            let result = login.judge(&sent, wrong).map(|done| done.claims);
            login.refused(result, &format!("{}: {what}", name(method)));
        };
        for len in 0..honest.len() {
            let cut = move |mut response: Vec<u8>| {
                response.truncate(len);
                response
            };
            answered(&cut, &format!("{len} bytes"));
        }
        for (at, bit) in (0..honest.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let flipped = move |mut response: Vec<u8>| {
                response[at] ^= 1 << bit;
                response
            };
            answered(&flipped, &format!("byte {at}, bit {bit}"));
        }
        answered(
            &|response| [response, vec![0]].concat(),
            "one byte behind it",
        );
    });
}
