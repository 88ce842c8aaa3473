//! Frames out of any bytes: nothing is invented, and after any garbage the next whole frame is found.
//!
//! The input is a list of pieces: a byte that says what the piece is, a length in two bytes, the bytes. Bytes by
//! themselves would hardly ever have the right CRC.
#![no_main]

use assay_common::protocol::{FrameDecoder, FrameKind, MAX_AGENT_PACKET, write_frame};
use libfuzzer_sys::fuzz_target;

/// Longest body that the decoder takes.
const MAX_BODY: usize = MAX_AGENT_PACKET - 5;

/// How a frame is spoilt, by the first byte of its piece.
const SPOILERS: [fn(&mut Vec<u8>, usize); 3] = [
    |frame, at| frame[at] ^= 0x20,
    |frame, at| _ = frame.remove(at),
    |frame, at| frame.insert(at, 0x5A),
];

fuzz_target!(|data: &[u8]| {
    let mut decoder = FrameDecoder::<MAX_AGENT_PACKET>::new();
    let mut rest = data;
    while let Some(([what, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (piece, after) = after.split_at(len);
        rest = after;
        match (what % 5, piece) {
            (0, [kind, body @ ..]) => whole(&mut decoder, FrameKind(*kind), body),
            (spoiler @ 1..=3, [at, body @ ..]) => {
                let mut bytes = frame(FrameKind::CHUNK, body);
                // The zeros around it stay, so that no other frame is torn.
                let at = 1 + usize::from(*at) % (bytes.len() - 2);
                SPOILERS[usize::from(spoiler) - 1](&mut bytes, at);
                push(&mut decoder, &bytes);
            }
            _ => drop(push(&mut decoder, piece)),
        }
    }
    whole(&mut decoder, FrameKind::MESSAGE, rest);
});

/// A whole frame is found, whatever came before it, unless it is too long.
fn whole(decoder: &mut FrameDecoder<MAX_AGENT_PACKET>, kind: FrameKind, body: &[u8]) {
    let found = push(decoder, &frame(kind, body));
    if body.len() <= MAX_BODY {
        assert_eq!(found.last(), Some(&(kind, body.to_vec())));
    }
}

/// All frames that are found in some bytes.
fn push(decoder: &mut FrameDecoder<MAX_AGENT_PACKET>, bytes: &[u8]) -> Vec<(FrameKind, Vec<u8>)> {
    let mut found = Vec::new();
    for byte in bytes {
        match decoder.push(*byte) {
            Some(Ok(kind)) => {
                let body = decoder.body().to_vec();
                assert!(body.len() <= MAX_BODY);
                // What was taken for a frame is one: written again, it is read as the same.
                assert_eq!(read_one(&frame(kind, &body)), Some((kind, body.clone())));
                found.push((kind, body));
            }
            Some(Err(_)) | None => assert!(decoder.body().is_empty()),
        }
    }
    found
}

fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let _: Result<(), ()> = write_frame(kind, body, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    });
    out
}

fn read_one(bytes: &[u8]) -> Option<(FrameKind, Vec<u8>)> {
    let mut decoder = FrameDecoder::<MAX_AGENT_PACKET>::new();
    let kind = bytes.iter().find_map(|byte| decoder.push(*byte))?.ok()?;
    Some((kind, decoder.body().to_vec()))
}
