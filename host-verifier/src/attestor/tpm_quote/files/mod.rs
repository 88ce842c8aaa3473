//! The evidence of a login that was kept, as files that `assay evidence verify` and other people's tools read.
//!
//! Nothing is judged here: what is taken out is what was sent, and only the nonce is computed, from the transcript.

mod pcr_file;

use std::fs;
use std::io;
use std::path::Path;

use assay_common::login::{Direction, Transcript, quote_nonce};
use assay_common::method::tpm_ek::EkPayload;
use assay_common::method::tpm_quote::{QuotePayload, QuoteRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::message::Items;
use assay_common::protocol::{AgentMessage, Challenge, Chunk, MAX_BLOBS, VerifierMessage, decode};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::name::Name;
use assay_common::tpm::public::Public;

/// A piece of a login, as it went over the line.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// A message of the agent.
    Agent(&'a [u8]),
    /// A message of the verifier.
    Verifier(&'a [u8]),
    /// A part of a long field, encoded.
    Chunk(&'a [u8]),
    /// A long field whole, by its number.
    Blob(usize, &'a [u8]),
}

/// Why there is no evidence of a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// A message cannot be read.
    #[error("a {0} that cannot be read")]
    Unreadable(&'static str),
    /// The login ended before a quote came.
    #[error("no quote in this login")]
    NoQuote,
}

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
    /// The event log, CEL-TLV; empty when the node sent none.
    pub event_log: Vec<u8>,
}

impl Evidence {
    /// Reads one login, from its hello to its quote.
    ///
    /// # Errors
    ///
    /// [`FilesError`].
    pub fn of<'a>(pieces: impl IntoIterator<Item = Piece<'a>>) -> Result<Self, FilesError> {
        let mut evidence = Self::default();
        let mut blobs: [Vec<u8>; MAX_BLOBS] = Default::default();
        let mut transcript = Transcript::new();
        let mut wanted = None;
        for piece in pieces {
            let blob = |blobs: &mut [Vec<u8>; MAX_BLOBS], number: usize, bytes: &[u8], anew| {
                let slot = blobs
                    .get_mut(number)
                    .ok_or(FilesError::Unreadable("blob"))?;
                if anew {
                    slot.clear();
                }
                slot.extend_from_slice(bytes);
                Ok(())
            };
            let (direction, message) = match piece {
                Piece::Chunk(encoded) => {
                    let chunk: Chunk<'_> =
                        decode(encoded).map_err(|_| FilesError::Unreadable("chunk"))?;
                    let number = usize::from(chunk.blob);
                    blob(&mut blobs, number, chunk.bytes, chunk.offset == 0)?;
                    continue;
                }
                Piece::Blob(number, bytes) => {
                    blob(&mut blobs, number, bytes, true)?;
                    continue;
                }
                Piece::Agent(message) => (Direction::Agent, message),
                Piece::Verifier(message) => (Direction::Verifier, message),
            };
            match direction {
                Direction::Agent => {
                    let message_of =
                        decode(message).map_err(|_| FilesError::Unreadable("message"))?;
                    if let AgentMessage::Proofs(proofs) = message_of {
                        evidence.nonce = quote_nonce(&transcript);
                        evidence.take(&proofs.items, proofs.round, &blobs, wanted.take())?;
                    }
                }
                Direction::Verifier => {
                    let message_of =
                        decode(message).map_err(|_| FilesError::Unreadable("message"))?;
                    if let VerifierMessage::Challenge(signed) = message_of {
                        let challenge: Challenge<'_> =
                            decode(signed.body).map_err(|_| FilesError::Unreadable("challenge"))?;
                        wanted = item(&challenge.items, AttestorKind::TPM_QUOTE)
                            .map(decode)
                            .transpose()
                            .map_err(|_| FilesError::Unreadable("request"))?;
                    }
                }
            }
            transcript = transcript.then(direction, message);
            if !evidence.attest.is_empty() {
                return Ok(evidence);
            }
        }
        Err(FilesError::NoQuote)
    }

    fn take(
        &mut self,
        items: &Items<'_>,
        round: u8,
        blobs: &[Vec<u8>; MAX_BLOBS],
        wanted: Option<QuoteRequest>,
    ) -> Result<(), FilesError> {
        let unreadable = |_| FilesError::Unreadable("proof");
        if round == 0
            && let Some(payload) = item(items, AttestorKind::TPM_EK)
        {
            let payload: EkPayload<'_> = decode(payload).map_err(unreadable)?;
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
            let (payload, log) = QuotePayload::decode_any(payload).map_err(unreadable)?;
            if let Some(log) = log {
                self.event_log = blobs
                    .get(usize::from(log.blob))
                    .cloned()
                    .unwrap_or_default();
            }
            self.attest = payload.attest.to_vec();
            self.signature = payload.signature.to_vec();
            let mut rest = payload.pcr_values;
            for bank in wanted.banks {
                let len = AlgId(bank.bank)
                    .digest_len()
                    .ok_or(FilesError::Unreadable("bank"))?;
                for index in (0..24).filter(|index| bank.pcrs & (1 << index) != 0) {
                    let (value, after) = rest
                        .split_at_checked(len)
                        .ok_or(FilesError::Unreadable("list of PCR values"))?;
                    self.pcrs.push((AlgId(bank.bank), index, value.to_vec()));
                    rest = after;
                }
            }
        }
        Ok(())
    }

    /// By name: `attest.bin`, `signature.bin`, `ak.pub` and `ek.pub` (TPM2B_PUBLIC), `ek.name.hex`, `ek.der`, `eventlog.cel`, `pcrs.txt`
    /// (`index hex` lines), `pcrs.bin` (the same as `tpm2_quote --pcr` writes them), `nonce.hex`.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let lines: String = self
            .pcrs
            .iter()
            .map(|(_, index, value)| format!("{index} {}\n", hex::encode(value)))
            .collect();
        let mut files = vec![
            ("attest.bin", self.attest.clone()),
            ("signature.bin", self.signature.clone()),
            ("ak.pub", sized(&self.ak_public)),
            ("ek.pub", sized(&self.ek_public)),
        ];
        let ek = Public::parse(&self.ek_public).ok();
        if let Some(name) = ek.and_then(|ek| Name::of(&ek).ok()) {
            let line = format!("{}\n", hex::encode(name.as_bytes()));
            files.push(("ek.name.hex", line.into_bytes()));
        }
        if !self.ek_certificate.is_empty() {
            files.push(("ek.der", self.ek_certificate.clone()));
        }
        if !self.event_log.is_empty() {
            files.push(("eventlog.cel", self.event_log.clone()));
        }
        files.extend([
            ("pcrs.txt", lines.into_bytes()),
            ("pcrs.bin", pcr_file::serialize(&self.pcrs)),
            (
                "nonce.hex",
                format!("{}\n", hex::encode(self.nonce)).into_bytes(),
            ),
        ]);
        files
    }

    /// Writes [`Evidence::files`] into a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The system's, with the file's name.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
        for (name, bytes) in self.files() {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|error| named(&path, error))?;
        }
        Ok(())
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
