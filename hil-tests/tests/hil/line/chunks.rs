//! Long fields whose chunks do not come as they were sent.

use super::*;

/// Lets `treat` change the list of chunks of an attempt, and says how the attempt ended.
fn with_chunks(
    loopback: &Loopback,
    node: &mut LoopbackNode<'_>,
    treat: impl Fn(Vec<Frame>) -> Vec<Frame> + 'static,
) -> Result<(), Failure> {
    let mut chunks = Vec::new();
    meddled(
        loopback,
        node,
        Box::new(move |frame| {
            if is_chunk(&frame) {
                chunks.push(frame);
                return Vec::new();
            }
            let mut out = treat(std::mem::take(&mut chunks));
            out.push(frame);
            out
        }),
    )
}

fn offset(frame: &Frame) -> (u8, u32) {
    let chunk: Chunk<'_> = decode(&frame.body).unwrap();
    (chunk.blob, chunk.offset)
}

#[test]
fn chunks_out_of_order_doubled_or_altered_make_no_certificate() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        node.attempt().unwrap();
        type Treatment = fn(Vec<Frame>) -> Vec<Frame>;
        let treatments: [(&str, Treatment); 5] = [
            ("reversed", |mut chunks| {
                chunks.reverse();
                chunks
            }),
            ("each twice", |chunks| {
                chunks
                    .into_iter()
                    .flat_map(|chunk| [chunk.clone(), chunk])
                    .collect()
            }),
            ("one without its last byte", |mut chunks| {
                if let Some(frame) = chunks.first_mut() {
                    let chunk: Chunk<'_> = decode(&frame.body).unwrap();
                    let (_, bytes) = chunk.bytes.split_last().unwrap();
                    frame.body = encode(&Chunk { bytes, ..chunk }, &mut [0; 1_024])
                        .unwrap()
                        .to_vec();
                }
                chunks
            }),
            ("one bit changed", |mut chunks| {
                if let Some(frame) = chunks.first_mut() {
                    *frame.body.last_mut().unwrap() ^= 1;
                }
                chunks
            }),
            ("blobs exchanged", |mut chunks| {
                for frame in &mut chunks {
                    let chunk: Chunk<'_> = decode(&frame.body).unwrap();
                    let blob = chunk.blob ^ 1;
                    frame.body = encode(&Chunk { blob, ..chunk }, &mut [0; 1_024])
                        .unwrap()
                        .to_vec();
                }
                chunks
            }),
        ];
        for (name, treat) in treatments {
            let failure = with_chunks(loopback, &mut node, treat).unwrap_err();
            assert!(
                matches!(failure, Failure::Denied { .. }),
                "{name}: {failure}"
            );
            recovers(loopback, &mut node, name);
        }
        // A blob that is sent again from its beginning is the later one.
        let result = with_chunks(loopback, &mut node, |chunks| {
            [chunks.clone(), chunks].concat()
        });
        assert_eq!(result, Ok(()));
        // Blobs may come in any order, each from its beginning.
        let result = with_chunks(loopback, &mut node, |mut chunks| {
            chunks.sort_by_key(|chunk| (u8::MAX - offset(chunk).0, offset(chunk).1));
            chunks
        });
        assert_eq!(result, Ok(()));
    });
}
