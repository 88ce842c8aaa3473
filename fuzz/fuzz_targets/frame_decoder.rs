//! Frames out of any bytes: nothing is invented, and after any garbage the next whole frame is found.
#![no_main]

use assay_common::protocol::{FrameDecoder, FrameKind, MAX_AGENT_PACKET, write_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = FrameDecoder::<MAX_AGENT_PACKET>::new();
    for byte in data {
        match decoder.push(*byte) {
            Some(Ok(kind)) => {
                // What was taken for a frame is one: written again, it is read as the same.
                let body = decoder.body().to_vec();
                assert!(body.len() < MAX_AGENT_PACKET);
                assert_eq!(read_one(&frame(kind, &body)), Some((kind, body)));
            }
            Some(Err(_)) | None => assert!(decoder.body().is_empty()),
        }
    }
    let body = data.get(..data.len().min(512)).unwrap_or_default();
    let mut found = None;
    for byte in frame(FrameKind::MESSAGE, body) {
        if let Some(Ok(kind)) = decoder.push(byte) {
            found = Some((kind, decoder.body().to_vec()));
        }
    }
    assert_eq!(found, Some((FrameKind::MESSAGE, body.to_vec())));
});

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
