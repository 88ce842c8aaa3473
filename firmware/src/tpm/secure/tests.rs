//! One session with a software TPM, taken down byte by byte by another program (Python, its own `hmac` and AES) and computed
//! again here: EK P-256, AES-128, SHA-256; `TPM2_GetRandom` of 32 bytes, audited and encrypted.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use super::*;
use crate::crypto::ecdh::Ecdh;
use crate::crypto::hash::kdfe;
use crate::tpm::secure::salt::session_key;
use crate::tpm::{DurationClass, TransportError};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
    bytes.collect()
}

const EK_X: &str = "1dc93105bc28290e4059355be9e934d589e98c830922fe50fb6465d3b0b204d5";
const SCALAR: &str = "90f16002938224822c4144f60420c72f51f34d55c71e76e8e26eb18bca9dc0b1";
const Q_X: &str = "210dca3acfb3d08cdb7f7f6a0992d47272c8448645435d92a4a37fe21ae069fe";
const Q_Y: &str = "d4d2574a13868a82997d89970195d98ebdd37d4ee514d1031b25b4b491319919";
const Z_X: &str = "821228c40bd22d5e3f69e4a113d0051b2c10651ed965be883ceb1a9df8f87bad";
const SALT: &str = "1a6aac0dbdd968d68fa002ad14fdbc27d739067c4485dc69b513c5095a81abea";
const SESSION_KEY: &str = "ae8e1bd98f44ed634b83e00e67151de7c75d7f480c65a412a6fc19ea577edc81";
const CALLER: &str = "12a342bd09db756ad8b3ee76c46b9fc071c1b5a6ffe2288481f3a32e6171b4e5";
const TPM_OLD: &str = "989a0297c59ae03d7cca8ed8fdcbc39010e628dd1370ec19de844e0863cf6020";
const TPM_NEW: &str = "6873009d1871aa5c7abccfae22f08a7fd237d9baf17082fcb551b3323a632cbb";
const COMMAND_HMAC: &str = "1752a2569e10d21fbb8de64b11ff9b76d27e0c0941e011e2c89af43f2a31137b";
const RESPONSE_HMAC: &str = "c4fe928868fbcc51d353ff86b5d003d8b91e5fe206771e4e9d9a0165cc57e92f";
const HIDDEN: &str = "002086e1f035d9ab4fbbe0ffb6dacb4d4b089fa95a36aeac9a768a27829244cf21f9";
const PLAIN: &str = "002050bd7fa8668cd38cdcf5f0dd148ac9475e7e1c07f8921a25dd34e7690c394bda";

/// continueSession, encrypt, audit.
const ATTRIBUTES: u8 = 0xC1;

fn keys() -> Keys {
    let mut session = Digest::zero(Hash::Sha256);
    session.as_mut().copy_from_slice(&hex(SESSION_KEY));
    Keys {
        hash: Hash::Sha256,
        cipher_key: 16,
        session,
    }
}

/// The y that belongs to an x of P-256: the recording has only x.
fn y_of(x: &[u8]) -> Vec<u8> {
    use p256::elliptic_curve::sec1::ToSec1Point;
    let compressed = [&[2][..], x].concat();
    let key = p256::PublicKey::from_sec1_bytes(&compressed).unwrap();
    key.to_sec1_point(false).as_bytes()[33..].to_vec()
}

#[test]
fn the_salt_and_the_key_of_the_recorded_session_come_out() {
    let (scalar, x) = (hex(SCALAR), hex(EK_X));
    // x of the product is the same for both points with this x.
    let agreed = Ecdh::P256.agree(&scalar, [&x, &y_of(&x)]).unwrap();
    assert_eq!(agreed.x[..32], hex(Q_X));
    assert_eq!(agreed.y[..32], hex(Q_Y));
    assert_eq!(agreed.shared[..32], hex(Z_X));
    let salt = kdfe(
        Hash::Sha256,
        &agreed.shared[..32],
        b"SECRET",
        [&agreed.x[..32], &x],
    );
    assert_eq!(salt.as_bytes(), hex(SALT));
    let caller = hex("a4e6b24b5a2ec2311bdf8f4bdf9adb481d3d388eedcb56afccf224e57066802b");
    let tpm = hex("238e7a4b78eb3b8f154e3cb9e9e8ddcd8bb69c924613c458eefe49d0cad07c39");
    let key = session_key(Hash::Sha256, &salt, [&tpm, &caller]);
    assert_eq!(key.as_bytes(), hex(SESSION_KEY));
}

#[test]
fn the_hmacs_of_the_recorded_command_and_response_come_out() {
    let keys = keys();
    let code = 0x17Bu32.to_be_bytes();
    let cp = Hash::Sha256.digest(&[&code, &hex("0020")]);
    assert_eq!(
        cp.as_bytes(),
        hex("d12a7ca7730490e4296ad6041aa3fbc75af0f9a612632d54168906df2541591a")
    );
    let nonces = [&hex(CALLER)[..], &hex(TPM_OLD)];
    assert_eq!(
        keys.hmac(&[], &cp, nonces, ATTRIBUTES).as_bytes(),
        hex(COMMAND_HMAC)
    );
    let rp = Hash::Sha256.digest(&[&[0; 4], &code, &hex(HIDDEN)]);
    assert_eq!(
        rp.as_bytes(),
        hex("0f5d6a02de12656db792c964f75f4495bf095233e62bc6b31fcf72104d6d6997")
    );
    let nonces = [&hex(TPM_NEW)[..], &hex(CALLER)];
    assert_eq!(
        keys.hmac(&[], &rp, nonces, ATTRIBUTES).as_bytes(),
        hex(RESPONSE_HMAC)
    );
}

#[test]
fn the_hidden_parameter_of_the_recorded_response_is_read() {
    let mut params = hex(HIDDEN);
    let nonces = [&hex(TPM_NEW)[..], &hex(CALLER)];
    let keys = keys();
    assert!(keys.hide(Direction::Decrypt, &[], nonces, &mut params));
    assert_eq!(params, hex(PLAIN));
    assert!(keys.hide(Direction::Encrypt, &[], nonces, &mut params));
    assert_eq!(params, hex(HIDDEN));
    assert!(!keys.hide(Direction::Decrypt, &[], nonces, &mut [0, 1]));
    assert!(!keys.hide(Direction::Decrypt, &[], nonces, &mut [0]));
}

/// Nothing is sent here: what would have come is put in its place.
struct Nobody;

impl TpmTransport for Nobody {
    type Error = TransportError;

    fn transact<'r>(
        &mut self,
        _: &[u8],
        _: &'r mut [u8],
        _: DurationClass,
    ) -> Result<&'r [u8], TransportError> {
        Err(TransportError::Timeout)
    }

    fn pause_ms(&mut self, _: u32) {}
}

/// An answer to `TPM2_ReadClock` whose HMAC is made with no more than a lost session has left of its secrets: zeros.
fn made_without_a_secret(op: Op) -> Vec<u8> {
    let (clock, nonce) = ([0x5A; 25], [7; 32]);
    let rp = Hash::Sha256.digest(&[&[0; 4], &op.code().to_be_bytes(), &clock]);
    let hmac = Secure::new()
        .keys
        .hmac(&[], &rp, [&nonce, &[0; NONCE]], ATTRIBUTES);
    let mut answer = hex("8002 00000000 00000000 00000019");
    answer.extend(clock);
    answer.extend(hex("0020"));
    answer.extend(nonce);
    answer.push(ATTRIBUTES);
    answer.extend(hex("0020"));
    answer.extend(hmac.as_bytes());
    let len = answer.len() as u32;
    answer[2..6].copy_from_slice(&len.to_be_bytes());
    answer
}

/// A session that was lost between a command and its response has no secrets, so anybody could make the HMAC of one.
#[test]
fn no_answer_is_believed_when_the_session_was_lost_after_its_command() {
    const READ_CLOCK: Op = Op::new(0x181, DurationClass::Medium).audited();
    let judged = |is_lost: bool| {
        let mut tpm = Tpm::new(Nobody);
        tpm.secure.state = State::Standing;
        tpm.begin(READ_CLOCK, &[]);
        assert!(tpm.seal());
        tpm.secure.lose(TpmError::Reset);
        if !is_lost {
            tpm.secure.state = State::Standing;
        }
        let answer = made_without_a_secret(READ_CLOCK);
        let (_, response) = tpm.exchange.buffers();
        response[..answer.len()].copy_from_slice(&answer);
        let code = tpm.exchange.response_code(answer.len());
        assert_eq!(code, Ok(TpmRc::SUCCESS));
        tpm.judge(Ok(()))
    };
    assert_eq!(judged(true), Err(TpmError::Forged));
    // It is the state that tells: the HMAC itself is the one that the zeros give.
    assert_eq!(judged(false), Ok(()));
}
