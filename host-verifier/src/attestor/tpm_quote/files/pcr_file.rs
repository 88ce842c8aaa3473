//! PCR values as `tpm2_quote --pcr` writes them and `tpm2_checkquote --pcr` reads them: the TSS's structures as they
//! lie in memory on a little-endian machine (tpm2-tools 5, `lib/pcr.c`, "serialized").
//!
//! | bytes | what |
//! |---|---|
//! | 4 + 16 × 8 | TPML_PCR_SELECTION: count; per bank algorithm (2), size of the bitmap (1), bitmap (4), padding |
//! | 4 | number of lists |
//! | n × (4 + 8 × 66) | TPML_DIGEST: count; per digest its length (2) and 64 bytes |

use assay_common::tpm::alg::AlgId;

const MAX_BANKS: usize = 16;
const MAX_DIGESTS: usize = 8;
const DIGEST_BYTES: usize = 64;
/// PCRs 0 to 23.
const BITMAP_BYTES: u8 = 3;

/// Writes the values, which are in the order of the quote: bank by bank, rising.
pub(super) fn serialize(pcrs: &[(AlgId, u8, Vec<u8>)]) -> Vec<u8> {
    let mut banks: Vec<(AlgId, u32)> = Vec::new();
    for (bank, index, _) in pcrs {
        match banks.iter_mut().find(|(known, _)| known == bank) {
            Some((_, bitmap)) => *bitmap |= 1 << index,
            None => banks.push((*bank, 1 << index)),
        }
    }
    let mut out = number(banks.len());
    for slot in 0..MAX_BANKS {
        let Some((bank, bitmap)) = banks.get(slot) else {
            out.extend([0; 8]);
            continue;
        };
        out.extend(bank.0.to_le_bytes());
        out.push(BITMAP_BYTES);
        out.extend(bitmap.to_le_bytes());
        out.push(0);
    }
    out.extend(number(pcrs.len().div_ceil(MAX_DIGESTS)));
    for list in pcrs.chunks(MAX_DIGESTS) {
        out.extend(number(list.len()));
        for slot in 0..MAX_DIGESTS {
            let value = list.get(slot).map_or(&[][..], |(_, _, value)| value);
            let mut digest = value.to_vec();
            digest.resize(DIGEST_BYTES, 0);
            out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend(digest);
        }
    }
    out
}

fn number(count: usize) -> Vec<u8> {
    u32::try_from(count)
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec()
}
