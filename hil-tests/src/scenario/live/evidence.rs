//! The evidence of a login, taken off the line, as files that other people's tools read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use assay_common::login::{Direction, Transcript, quote_nonce};
use assay_common::method::tpm_ek::EkPayload;
use assay_common::method::tpm_quote::{QuotePayload, QuoteRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::message::Items;
use assay_common::protocol::{AgentMessage, Challenge, Chunk, FrameKind, VerifierMessage, decode};
use assay_common::tpm::alg::AlgId;

use super::pcr_file;
use super::tap::Seen;

/// What one login sent.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// TPMT_PUBLIC of the EK.
    pub ek_public: Vec<u8>,
    /// TPMT_PUBLIC of the AK.
    pub ak_public: Vec<u8>,
    /// EK certificate, DER; empty when the TPM has none.
    pub ek_certificate: Vec<u8>,
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// (bank, index, value) of each PCR quoted.
    pub pcrs: Vec<(AlgId, u8, Vec<u8>)>,
    /// The quote's qualifyingData.
    pub nonce: [u8; 32],
}

impl Evidence {
    /// Reads the last login on the line.
    ///
    /// # Errors
    ///
    /// When the frames are not a whole login with a quote.
    pub fn of(frames: &[Seen]) -> Result<Self> {
        let begin = frames.iter().rposition(|frame| frame.name() == "hello");
        let frames = begin
            .and_then(|at| frames.get(at..))
            .context("no hello on the line")?;
        let mut evidence = Self::default();
        let mut blobs: [Vec<u8>; 8] = Default::default();
        let mut transcript = Transcript::new();
        let mut wanted = None;
        for frame in frames {
            match frame.kind {
                FrameKind::CHUNK => {
                    let chunk: Chunk<'_> = decode(&frame.body)?;
                    let blob = blobs
                        .get_mut(usize::from(chunk.blob))
                        .context("blob number")?;
                    blob.extend_from_slice(chunk.bytes);
                    continue;
                }
                FrameKind::MESSAGE => {}
                _ => continue,
            }
            let direction = if frame.from_agent {
                Direction::Agent
            } else {
                Direction::Verifier
            };
            if frame.from_agent {
                if let AgentMessage::Proofs(proofs) = decode(&frame.body)? {
                    evidence.nonce = quote_nonce(&transcript);
                    evidence.take(&proofs.items, proofs.round, &blobs, wanted.take())?;
                }
            } else if let VerifierMessage::Challenge(signed) = decode(&frame.body)? {
                let challenge: Challenge<'_> = decode(signed.body)?;
                wanted = item(&challenge.items, AttestorKind::TPM_QUOTE)
                    .map(decode)
                    .transpose()?;
            }
            transcript = transcript.then(direction, &frame.body);
            if !evidence.attest.is_empty() {
                return Ok(evidence);
            }
        }
        bail!("no quote on the line")
    }

    fn take(
        &mut self,
        items: &Items<'_>,
        round: u8,
        blobs: &[Vec<u8>; 8],
        wanted: Option<QuoteRequest>,
    ) -> Result<()> {
        if round == 0
            && let Some(payload) = item(items, AttestorKind::TPM_EK)
        {
            let payload: EkPayload<'_> = decode(payload)?;
            self.ek_public = payload.ek_public.to_vec();
            self.ak_public = payload.ak_public.to_vec();
            if let Some(certificate) = payload.ek_certificate {
                self.ek_certificate = blobs
                    .get(usize::from(certificate.blob))
                    .cloned()
                    .unwrap_or_default();
            }
        }
        if let (Some(payload), Some(wanted)) = (item(items, AttestorKind::TPM_QUOTE), wanted) {
            let payload: QuotePayload<'_> = decode(payload)?;
            self.attest = payload.attest.to_vec();
            self.signature = payload.signature.to_vec();
            let mut rest = payload.pcr_values;
            for bank in wanted.banks {
                let len = AlgId(bank.bank).digest_len().context("bank")?;
                for index in (0..24).filter(|index| bank.pcrs & (1 << index) != 0) {
                    let (value, after) =
                        rest.split_at_checked(len).context("PCR values cut short")?;
                    self.pcrs.push((AlgId(bank.bank), index, value.to_vec()));
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// Writes `attest.bin`, `signature.bin`, `ak.pub` and `ek.pub` (TPM2B_PUBLIC), `ek.der`, `pcrs.txt` (`index hex`
    /// lines), `pcrs.bin` (the same as `tpm2_quote --pcr` writes them), `nonce.hex`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let put = |name: &str, bytes: &[u8]| {
            fs::write(folder.join(name), bytes)
                .with_context(|| folder.join(name).display().to_string())
        };
        put("attest.bin", &self.attest)?;
        put("signature.bin", &self.signature)?;
        put("ak.pub", &sized(&self.ak_public))?;
        put("ek.pub", &sized(&self.ek_public))?;
        if !self.ek_certificate.is_empty() {
            put("ek.der", &self.ek_certificate)?;
        }
        let lines: String = self
            .pcrs
            .iter()
            .map(|(_, index, value)| format!("{index} {}\n", hex::encode(value)))
            .collect();
        put("pcrs.txt", lines.as_bytes())?;
        put("pcrs.bin", &pcr_file::serialize(&self.pcrs))?;
        put(
            "nonce.hex",
            format!("{}\n", hex::encode(self.nonce)).as_bytes(),
        )
    }
}

/// TPM2B_PUBLIC, as the tools want it.
fn sized(public: &[u8]) -> Vec<u8> {
    let len = u16::try_from(public.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], public].concat()
}

fn item<'a>(items: &Items<'a>, kind: AttestorKind) -> Option<&'a [u8]> {
    items
        .iter()
        .find(|item| item.kind == kind)
        .map(|item| item.payload)
}
