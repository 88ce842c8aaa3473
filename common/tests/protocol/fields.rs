//! The node's field-by-field codec says the same as serde's, about every byte string.

use assay_common::identity::Provisioning;
use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::method::tpm_ek::EkChallenge;
use assay_common::method::tpm_quote::{BankRequest, QuoteRequest};
use assay_common::protocol::{
    AgentMessage, BlobRef, Challenge, Chunk, Grant, Hello, MAX_CHUNK, MessageReader, MessageWriter,
    ReadFields, Renewal, SvidGrant, Trouble, TroubleCode, VerifierMessage, WriteFields, decode,
    read,
};
use core::fmt::Debug;
use proptest::prelude::*;
use serde::Deserialize;

use crate::messages::{
    agent_messages, agent_messages_v2, bytes, challenge, grant, renewal, svid_grant,
    svid_key_request, verifier_messages, verifier_messages_v2,
};

/// Both decoders must say the same; whether they accepted.
fn agree<'a, T>(input: &'a [u8]) -> bool
where
    T: ReadFields<'a> + Deserialize<'a> + PartialEq + Debug,
{
    let ours = read::<T>(input);
    assert_eq!(ours, decode::<T>(input), "{input:02x?}");
    ours.is_ok()
}

fn all_agree(input: &[u8]) -> u32 {
    [
        agree::<VerifierMessage<'_>>(input),
        agree::<Challenge<'_>>(input),
        agree::<Grant<'_>>(input),
        agree::<SvidGrant<'_>>(input),
        agree::<Renewal<'_>>(input),
        agree::<SvidKeyRequest<'_>>(input),
        agree::<EkChallenge<'_>>(input),
        agree::<QuoteRequest>(input),
        agree::<Provisioning<'_>>(input),
    ]
    .map(u32::from)
    .iter()
    .sum()
}

/// One of each, and what is near its limits.
fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<_> = verifier_messages().iter().map(bytes).collect();
    samples.push(bytes(&challenge()));
    samples.extend(verifier_messages_v2().iter().map(bytes));
    samples.push(bytes(&grant()));
    samples.push(bytes(&svid_grant()));
    samples.push(bytes(&renewal()));
    samples.push(bytes(&svid_key_request()));
    samples.push(bytes(&EkChallenge {
        credential_blob: &[0x11; 68],
        encrypted_secret: &[0x22; 256],
    }));
    let bank = BankRequest {
        bank: u16::MAX,
        pcrs: u32::MAX,
    };
    samples.push(bytes(&QuoteRequest {
        banks: heapless::Vec::from_slice(&[bank; 4]).unwrap(),
    }));
    samples.push(bytes(&Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: &[4; 65],
    }));
    samples
}

#[test]
fn both_read_every_message_and_refuse_it_cut_or_lengthened() {
    for sample in samples() {
        assert!(all_agree(&sample) > 0, "{sample:02x?}");
        for cut in 0..sample.len() {
            all_agree(&sample[..cut]);
        }
        for more in [0, 1, 0x80, 0xFF] {
            all_agree(&[&sample[..], &[more]].concat());
        }
    }
}

#[test]
fn both_agree_on_every_message_with_any_byte_changed() {
    for sample in samples() {
        // Lengths, variants and texts are in front or short; beyond that a byte is content.
        for at in 0..sample.len().min(120) {
            for value in 0..=u8::MAX {
                let mut bad = sample.clone();
                bad[at] = value;
                all_agree(&bad);
            }
        }
    }
}

#[test]
fn numbers_are_read_as_postcard_reads_them() {
    // Every length of continuation with every last byte: overlong forms, bits that do not fit, no end.
    for continued in 0..12 {
        for middle in [0x80, 0x81, 0xFF] {
            for last in 0..=u8::MAX {
                let mut input = vec![middle; continued];
                input.push(last);
                let number =
                    |n: Result<u64, postcard::Error>, ours: fn(&mut MessageReader<'_>) -> u64| {
                        let mut reader = MessageReader::new(&input);
                        let value = ours(&mut reader);
                        let ours = reader.finish().ok().map(|()| value);
                        assert_eq!(ours, n.ok(), "{input:02x?}");
                    };
                // `from_bytes` does not mind bytes that follow; here none do unless the number ended early.
                let whole = |used: usize| used == input.len();
                fn take<'a, T: Deserialize<'a> + Into<u64>>(
                    input: &'a [u8],
                    whole: impl Fn(usize) -> bool,
                ) -> Result<u64, postcard::Error> {
                    let (value, rest) = postcard::take_from_bytes::<T>(input)?;
                    if whole(input.len() - rest.len()) {
                        Ok(value.into())
                    } else {
                        Err(postcard::Error::DeserializeBadEncoding)
                    }
                }
                number(take::<u16>(&input, whole), |r| r.u16().into());
                number(take::<u32>(&input, whole), |r| r.u32().into());
                number(take::<u64>(&input, whole), |r| r.u64());
            }
        }
    }
}

proptest! {
    #[test]
    fn both_agree_on_any_bytes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        all_agree(&input);
    }

    #[test]
    fn both_agree_on_any_bytes_that_begin_like_a_message(
        variant in 0..6u8,
        len in 0..60u8,
        rest in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        all_agree(&[&[variant, len][..], &rest].concat());
        all_agree(&[&[len][..], &rest].concat());
    }

    #[test]
    fn numbers_are_written_as_postcard_writes_them(number: u32) {
        let mut out = [0; 8];
        let mut writer = MessageWriter::new(&mut out);
        writer.number(number);
        prop_assert_eq!(writer.finish().unwrap(), bytes(&number));
    }

    #[test]
    fn byte_strings_are_written_as_postcard_writes_them(len in 0..2000usize) {
        let content = vec![0xA7; len];
        let mut out = [0; 2048];
        let mut writer = MessageWriter::new(&mut out);
        writer.bytes(&content);
        prop_assert_eq!(writer.finish().unwrap(), bytes(&content.as_slice()));
    }
}

fn written(variant: Option<u8>, fields: &dyn WriteFields) -> Vec<u8> {
    let mut out = [0; 1024];
    let mut writer = MessageWriter::new(&mut out);
    if let Some(variant) = variant {
        writer.byte(variant);
    }
    fields.write_fields(&mut writer);
    writer.finish().unwrap().to_vec()
}

#[test]
fn what_a_node_writes_are_the_bytes_that_serde_writes() {
    for message in [agent_messages(), agent_messages_v2()].concat() {
        match &message {
            AgentMessage::Hello(hello) => {
                assert_eq!(written(Some(AgentMessage::HELLO), hello), bytes(&message));
            }
            AgentMessage::Trouble(trouble) => {
                assert_eq!(
                    written(Some(AgentMessage::TROUBLE), trouble),
                    bytes(&message)
                );
            }
            AgentMessage::Proofs(_) => assert_eq!(bytes(&message)[0], AgentMessage::PROOFS),
            AgentMessage::Renew(_) => assert_eq!(bytes(&message)[0], AgentMessage::RENEW),
        }
    }
    let long = [b'x'; 200];
    let hello = Hello {
        cluster: core::str::from_utf8(&long).unwrap(),
        methods: &long,
        key_share: &long[..128],
        ..match &agent_messages()[0] {
            AgentMessage::Hello(hello) => hello.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        written(Some(AgentMessage::HELLO), &hello),
        bytes(&AgentMessage::Hello(hello.clone()))
    );
    let trouble = Trouble {
        code: TroubleCode(u8::MAX),
        detail: u32::MAX,
        command: 0x80,
        attempt: 0x7F,
        retry_in_ms: 0,
    };
    assert_eq!(
        written(Some(AgentMessage::TROUBLE), &trouble),
        bytes(&AgentMessage::Trouble(trouble))
    );
    let blob = BlobRef {
        blob: u8::MAX,
        len: 300,
        sha256: [0xC3; 32],
    };
    assert_eq!(written(None, &blob), bytes(&blob));
}

#[test]
fn a_chunk_is_its_head_and_its_content() {
    for (offset, len) in [(0, 0), (0, 127), (128, 128), (u32::MAX, MAX_CHUNK)] {
        let content = vec![0x3C; len];
        let chunk = Chunk {
            blob: 7,
            offset,
            bytes: &content,
        };
        let mut head = [0; Chunk::MAX_HEAD];
        let head = chunk.write_head(&mut head).unwrap();
        assert_eq!([head, &content].concat(), bytes(&chunk));
    }
    let long = vec![0; MAX_CHUNK + 1];
    let chunk = Chunk {
        blob: 0,
        offset: 0,
        bytes: &long,
    };
    assert!(chunk.write_head(&mut [0; 16]).is_err());
}
