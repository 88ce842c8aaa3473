//! Messages: round trips, truncation, trailing bytes, unknown variants.

use assay_common::method::svid_key::{Held, Residence, SvidKeyPayload, SvidKeyRequest};
use assay_common::method::tpm_ek::EkPayload;
use assay_common::method::tpm_quote::{LOG_BLOB, MeasuredQuote, QuotePayload};
use assay_common::policy::AttestorKind;
use assay_common::protocol::message::{DecodeError, Items};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    AgentMessage, BlobRef, Challenge, Denied, DenyCode, Grant, Hello, Item, Proofs, Renew, Renewal,
    SealedGrant, SignedChallenge, SignedRenewal, SvidGrant, Trouble, TroubleCode, VerifierMessage,
    decode, encode,
};
use serde::Serialize;

pub(crate) fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = [0; 4096];
    encode(value, &mut out).unwrap().to_vec()
}

pub(crate) fn hello() -> AgentMessage<'static> {
    AgentMessage::Hello(Hello {
        versions: VersionRange { min: 1, max: 1 },
        cluster: "lab",
        methods: &[1, 2],
        agent_nonce: [0xA5; 32],
        key_share: &[],
        untrusted_board: "stm32f405",
        untrusted_version: "0.1.0",
    })
}

pub(crate) fn items() -> Items<'static> {
    Items::from_slice(&[
        Item {
            kind: AttestorKind::TPM_EK,
            payload: &[],
        },
        Item {
            kind: AttestorKind::TPM_QUOTE,
            payload: &[1, 2, 3],
        },
    ])
    .unwrap()
}

pub(crate) fn challenge() -> Challenge<'static> {
    Challenge {
        version: 1,
        login_id: [1; 16],
        round: 0,
        server_nonce: [2; 32],
        items: items(),
    }
}

pub(crate) fn grant() -> Grant<'static> {
    Grant {
        session_id: [3; 16],
        issued_at: 1_700_000_000,
        expires_at: 1_700_003_600,
        spiffe_id: "spiffe://example.org/node/1",
        sealed_secret: [4; 32],
    }
}

pub(crate) fn svid_grant() -> SvidGrant<'static> {
    SvidGrant {
        grant: grant(),
        renew_after: 1_700_001_800,
        renewal_nonce: [6; 32],
        svid: &[0x30, 0],
    }
}

pub(crate) fn renewal() -> Renewal<'static> {
    Renewal {
        session_id: [3; 16],
        issued_at: 1_700_001_800,
        expires_at: 1_700_005_400,
        renew_after: 1_700_003_600,
        renewal_nonce: [7; 32],
        svid: &[0x30, 0],
    }
}

pub(crate) fn svid_key_request() -> SvidKeyRequest<'static> {
    SvidKeyRequest {
        algorithms: &[SvidKeyRequest::ECDSA_P256, SvidKeyRequest::RSA_2048],
    }
}

pub(crate) fn svid_key_payloads() -> [SvidKeyPayload<'static>; 3] {
    let residence = Residence {
        public: &[1],
        attest: &[2, 2],
        signature: &[3, 3, 3],
    };
    let held = [
        Held::Certified(residence),
        Held::Unshown,
        Held::Signed(&[4, 4]),
    ];
    held.map(|held| SvidKeyPayload {
        csr: &[0x30, 0],
        held,
    })
}

pub(crate) fn measured_quote() -> MeasuredQuote<'static> {
    let quote = QuotePayload {
        pcr_values: &[8; 32],
        attest: &[1, 2, 3],
        signature: &[4, 5],
    };
    let log = BlobRef {
        blob: LOG_BLOB,
        len: 300,
        sha256: [6; 32],
    };
    MeasuredQuote { quote, log }
}

/// The agent's messages that version 2 brought.
pub(crate) fn agent_messages_v2() -> Vec<AgentMessage<'static>> {
    vec![AgentMessage::Renew(Renew {
        session_id: [3; 16],
        agent_nonce: [8; 32],
        quote: &[1, 2, 3],
    })]
}

/// The verifier's messages that version 2 brought.
pub(crate) fn verifier_messages_v2() -> Vec<VerifierMessage<'static>> {
    vec![
        VerifierMessage::SvidGranted(SealedGrant {
            body: &[1, 2, 3],
            tag: [5; 32],
        }),
        VerifierMessage::Renewed(SignedRenewal {
            body: &[1, 2, 3],
            signature: &[9; 64],
        }),
    ]
}

fn all_agent_messages() -> Vec<AgentMessage<'static>> {
    [agent_messages(), agent_messages_v2()].concat()
}

fn all_verifier_messages() -> Vec<VerifierMessage<'static>> {
    [verifier_messages(), verifier_messages_v2()].concat()
}

pub(crate) fn agent_messages() -> Vec<AgentMessage<'static>> {
    vec![
        hello(),
        AgentMessage::Proofs(Proofs {
            login_id: [1; 16],
            round: 0,
            items: items(),
        }),
        AgentMessage::Trouble(Trouble {
            code: TroubleCode::TPM_COMMAND,
            detail: 0x1C4,
            command: 0x158,
            attempt: 3,
            retry_in_ms: 4000,
        }),
    ]
}

pub(crate) fn verifier_messages() -> Vec<VerifierMessage<'static>> {
    vec![
        VerifierMessage::Challenge(SignedChallenge {
            body: &[1, 2, 3],
            signature: &[9; 64],
        }),
        VerifierMessage::Granted(SealedGrant {
            body: &[1, 2, 3],
            tag: [5; 32],
        }),
        VerifierMessage::Denied(Denied {
            code: DenyCode::REFUSED,
            reason: "proof refused",
            retry_after_s: 30,
        }),
    ]
}

#[test]
fn every_message_is_read_as_it_was_written() {
    for message in all_agent_messages() {
        assert_eq!(decode::<AgentMessage<'_>>(&bytes(&message)), Ok(message));
    }
    for message in all_verifier_messages() {
        assert_eq!(decode::<VerifierMessage<'_>>(&bytes(&message)), Ok(message));
    }
    assert_eq!(
        decode::<Challenge<'_>>(&bytes(&challenge())),
        Ok(challenge())
    );
    assert_eq!(decode::<Grant<'_>>(&bytes(&grant())), Ok(grant()));
    assert_eq!(decode(&bytes(&svid_grant())), Ok(svid_grant()));
    assert_eq!(decode(&bytes(&renewal())), Ok(renewal()));
    assert_eq!(decode(&bytes(&svid_key_request())), Ok(svid_key_request()));
    for payload in svid_key_payloads() {
        assert_eq!(decode(&bytes(&payload)), Ok(payload));
    }
}

#[test]
fn a_message_cut_at_any_byte_is_refused() {
    for message in all_agent_messages() {
        let whole = bytes(&message);
        for cut in 0..whole.len() {
            assert_eq!(
                decode::<AgentMessage<'_>>(&whole[..cut]),
                Err(DecodeError::Invalid),
                "{message:?} at {cut}"
            );
        }
    }
    for message in all_verifier_messages() {
        let whole = bytes(&message);
        for cut in 0..whole.len() {
            assert_eq!(
                decode::<VerifierMessage<'_>>(&whole[..cut]),
                Err(DecodeError::Invalid),
                "{message:?} at {cut}"
            );
        }
    }
}

#[test]
fn a_byte_after_a_message_is_refused() {
    for message in all_agent_messages() {
        let mut long = bytes(&message);
        long.push(0);
        assert_eq!(
            decode::<AgentMessage<'_>>(&long),
            Err(DecodeError::Trailing)
        );
    }
}

#[test]
fn an_unknown_variant_is_refused() {
    assert_eq!(
        decode::<AgentMessage<'_>>(&[4, 0, 0]),
        Err(DecodeError::Invalid)
    );
    assert_eq!(
        decode::<VerifierMessage<'_>>(&[5, 0, 0]),
        Err(DecodeError::Invalid)
    );
}

#[test]
fn a_list_longer_than_its_limit_is_refused_before_it_is_read() {
    // Proofs with 9 items, and with a length that would be 4 GiB.
    let mut message = vec![1];
    message.extend([0; 16]);
    message.push(0);
    for count in [&[9][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]] {
        let mut long = message.clone();
        long.extend(count);
        long.extend([1, 0].repeat(9));
        assert_eq!(decode::<AgentMessage<'_>>(&long), Err(DecodeError::Invalid));
    }
}

#[test]
fn unknown_codes_and_methods_are_carried_as_numbers() {
    let denied = VerifierMessage::Denied(Denied {
        code: DenyCode(250),
        reason: "",
        retry_after_s: 1,
    });
    assert_eq!(decode::<VerifierMessage<'_>>(&bytes(&denied)), Ok(denied));
    assert_eq!(DenyCode(250).name(), None);
    assert_eq!(AttestorKind(99).to_string(), "method 99");
}

#[test]
fn the_largest_ek_payload_fits_an_agent_message() {
    let blob = BlobRef {
        blob: 7,
        len: u32::MAX,
        sha256: [0xFF; 32],
    };
    let payload = EkPayload {
        ek_public: &[0xFF; 570],
        ak_public: &[0xFF; 280],
        ek_certificate: Some(blob),
        ek_chain: (0..6).map(|_| blob).collect(),
    };
    assert!(bytes(&payload).len() + 64 < assay_common::protocol::MAX_AGENT_MESSAGE);
}

#[test]
fn the_first_proofs_of_a_tpm_that_has_rsa_only_fit_an_agent_message() {
    let blob = BlobRef {
        blob: 6,
        len: 1600,
        sha256: [0xFF; 32],
    };
    let ek = bytes(&EkPayload {
        ek_public: &[0xFF; 314],
        ak_public: &[0xFF; 280],
        ek_certificate: Some(blob),
        ek_chain: (0..6).map(|_| blob).collect(),
    });
    let svid_key = bytes(&SvidKeyPayload {
        csr: &[0xFF; 585],
        held: Held::Certified(Residence {
            public: &[0xFF; 280],
            attest: &[0xFF; 173],
            signature: &[0xFF; 262],
        }),
    });
    let items = [
        (AttestorKind::TPM_EK, &ek),
        (AttestorKind::SVID_KEY, &svid_key),
    ];
    let proofs = AgentMessage::Proofs(Proofs {
        login_id: [0xFF; 16],
        round: 0,
        items: items
            .map(|(kind, payload)| Item { kind, payload })
            .into_iter()
            .collect(),
    });
    assert!(bytes(&proofs).len() <= assay_common::protocol::MAX_AGENT_MESSAGE);
}

#[test]
fn a_message_written_in_pieces_is_the_one_postcard_writes() {
    use assay_common::protocol::MessageWriter;
    for len in [0, 1, 126, 127, 128, 129, 500, 1500] {
        let payload = vec![0x5A; len];
        let items = Items::from_slice(&[
            Item {
                kind: AttestorKind::TPM_EK,
                payload: &payload,
            },
            Item {
                kind: AttestorKind::TPM_QUOTE,
                payload: &[1],
            },
        ])
        .unwrap();
        let whole = bytes(&AgentMessage::Proofs(Proofs {
            login_id: [7; 16],
            round: 1,
            items,
        }));

        let mut buffer = [0; 2048];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.byte(AgentMessage::PROOFS);
        writer.raw(&[7; 16]);
        writer.byte(1);
        writer.number(2);
        writer.byte(AttestorKind::TPM_EK.0);
        let field = writer.begin();
        writer.raw(&payload);
        writer.end(field);
        writer.byte(AttestorKind::TPM_QUOTE.0);
        writer.bytes(&[1]);
        assert_eq!(writer.finish().unwrap(), whole, "{len}");
    }
}

#[test]
fn a_message_that_does_not_fit_is_never_sent_in_part() {
    use assay_common::protocol::MessageWriter;
    let mut buffer = [0; 8];
    let mut writer = MessageWriter::new(&mut buffer);
    let field = writer.begin();
    writer.raw(&[1; 7]);
    writer.end(field);
    writer.raw(&[]);
    assert!(writer.finish().is_err());
}

/// A verifier of version 3 reads what agents of version 2 send, and nothing between the two.
#[test]
fn a_quote_is_read_with_a_log_and_without() {
    let measured = measured_quote();
    let bare = bytes(&measured.quote);
    let without = QuotePayload::decode_any(&bare);
    assert_eq!(without, Ok((measured.quote, None)));
    let whole = bytes(&measured);
    let with_log = QuotePayload::decode_any(&whole);
    assert_eq!(with_log, Ok((measured.quote, Some(measured.log))));
    for cut in (0..whole.len()).filter(|cut| *cut != bare.len()) {
        let cut = QuotePayload::decode_any(&whole[..cut]);
        assert_eq!(cut, Err(DecodeError::Invalid));
    }
    let longer = [whole, vec![0]].concat();
    let longer = QuotePayload::decode_any(&longer);
    assert_eq!(longer, Err(DecodeError::Trailing));
    let longer = [bare, vec![0]].concat();
    let longer = QuotePayload::decode_any(&longer);
    assert_eq!(longer, Err(DecodeError::Invalid));
}
