//! Everything that a host can prove, as the one source that the firmware's login asks.
//!
//! What comes from the TPM is answered by the TPM's own source, a host's methods by their [`Method`]s, and the two keys of
//! a login without a TPM, the session's and the SVID's, from memory.
//!
//! A login needs what one policy of the verifier's asks for, and the challenge asks for what any of them does. So a proof
//! that cannot be made is left out of the answer, and why is kept as a [`Trouble`]; the verifier decides by the others. All
//! proofs are made before the answer is begun, for it says first how many there are.

mod made;
mod proofs;
#[cfg(test)]
mod tests;
mod trouble;

use std::path::PathBuf;

use assay_common::login::{LoginKeys, proof_nonce, svid_key_nonce};
use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode, read};
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::BlobSink;

use self::made::Made;
use self::trouble::tpm_hint;
use crate::method::{Method, MethodError, ProofRequest};
use crate::svid::kept;
use crate::svid::key::{CryptoError, KeyShare, SvidKey};
use crate::tpm::TpmSource;

pub use proofs::Proofs;
pub use trouble::Trouble;

/// What the TPM is called in troubles.
const TPM: &str = "tpm";

/// What can be proven, by whom.
pub struct Evidence {
    tpm: Option<Tpm>,
    methods: Vec<Box<dyn Method>>,
    /// Methods that are ready for the login under way.
    ready: AttestorSet,
    share: Option<KeyShare>,
    svid_key: Option<SvidKey>,
    /// Where the SVID's key is kept; without it, each login makes one.
    key_file: Option<PathBuf>,
    /// Whether the TPM has made the SVID's key of this login.
    resident: bool,
    /// What the verifier has asked for, and got.
    proven: AttestorSet,
    /// The proofs of the challenge under way, until they are written.
    made: Made,
    /// The first proof of the login that could not be made, as the verifier may be told of it.
    left_out: Option<EvidenceError>,
    /// Why a source has no part in the login under way, or ended it.
    troubles: Vec<Trouble>,
    /// What became of all proofs, for whoever watches.
    proofs: Proofs,
}

/// The TPM's source, and what is offered of it.
struct Tpm {
    source: Box<dyn TpmSource>,
    offered: AttestorSet,
    ready: bool,
}

impl core::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Evidence")
            .field("methods", &self.methods)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl Evidence {
    /// Evidence by these methods.
    #[must_use]
    pub fn new(methods: Vec<Box<dyn Method>>) -> Self {
        Self {
            tpm: None,
            methods,
            ready: AttestorSet::EMPTY,
            share: None,
            svid_key: None,
            key_file: None,
            resident: false,
            proven: AttestorSet::EMPTY,
            made: Made::default(),
            left_out: None,
            troubles: Vec::new(),
            proofs: Proofs::default(),
        }
    }

    /// And by a TPM: those of its methods that are `offered`.
    #[must_use]
    pub fn with_tpm(self, source: Box<dyn TpmSource>, offered: AttestorSet) -> Self {
        let tpm = Tpm {
            source,
            offered,
            ready: false,
        };
        Self {
            tpm: Some(tpm),
            ..self
        }
    }

    /// Counting what becomes of each proof; those that are offered are in the page from now on.
    #[must_use]
    pub fn counted(self, proofs: Proofs) -> Self {
        let tpm = self.tpm.iter().flat_map(|tpm| tpm.offered.iter());
        let methods = self.methods.iter().map(|method| method.kind());
        tpm.chain(methods).for_each(|kind| proofs.know(kind));
        Self { proofs, ..self }
    }

    /// With an SVID key that is kept in a file, when it is in memory.
    #[must_use]
    pub fn with_key_file(self, key_file: Option<PathBuf>) -> Self {
        Self { key_file, ..self }
    }

    /// The key share of the login that was begun; empty where only a TPM is offered, which seals the session itself.
    #[must_use]
    pub fn key_share(&self) -> &[u8] {
        self.share.as_ref().map_or(&[], |share| share.public())
    }

    /// The key that the SVID of the last login is for, when it is in memory.
    #[must_use]
    pub const fn svid_key(&self) -> Option<&SvidKey> {
        self.svid_key.as_ref()
    }

    /// The methods that the verifier asked for in the last login and got a proof of. Whether it accepted each is its own secret.
    #[must_use]
    pub const fn proven(&self) -> AttestorSet {
        self.proven
    }

    /// The first proof that the verifier asked for in the last login and that could not be made.
    #[must_use]
    pub const fn left_out(&self) -> Option<EvidenceError> {
        self.left_out
    }

    /// Why sources had no part in the last login, or ended it; the list is empty afterwards.
    pub fn take_troubles(&mut self) -> Vec<Trouble> {
        core::mem::take(&mut self.troubles)
    }

    /// What is offered, by name, as a JSON list.
    #[must_use]
    pub fn offers(&self) -> String {
        let tpm = self.tpm.iter().flat_map(|tpm| tpm.offered.iter());
        let methods = self.methods.iter().map(|method| method.kind());
        let names: Vec<_> = tpm.chain(methods).map(|kind| kind.to_string()).collect();
        serde_json::to_string(&names).unwrap_or_default()
    }

    /// The methods that the last login offered: those that were ready.
    #[must_use]
    pub fn offered(&self) -> Vec<String> {
        let kinds = self.kinds();
        let methods = kinds.iter().filter(|kind| !kind.is_protocol());
        methods.map(|kind| kind.to_string()).collect()
    }

    /// The host's methods.
    #[must_use]
    pub fn methods(&self) -> &[Box<dyn Method>] {
        &self.methods
    }

    fn trouble(&mut self, source: impl ToString, error: MethodError) -> EvidenceError {
        let source = source.to_string();
        self.troubles.push(Trouble { source, error });
        EvidenceError::new(TroubleCode::METHOD)
    }

    /// A trouble of the TPM's source, in words.
    fn tpm_trouble(&mut self, error: EvidenceError) -> EvidenceError {
        let told = MethodError::new(error.to_string(), tpm_hint(error.code));
        self.troubles.push(Trouble {
            source: TPM.to_owned(),
            error: told,
        });
        error
    }

    /// Makes the proof of one method, and counts what came of it.
    fn make(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
    ) -> Result<(), EvidenceError> {
        let made = self.try_make(request, blobs);
        // A method has one proof in a login, whatever it is asked about it later.
        if request.round == 0 || made.is_err() {
            self.proofs.count(request.kind, made.is_ok());
        }
        made
    }

    /// Makes the proof of one method; it is written later.
    fn try_make(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
    ) -> Result<(), EvidenceError> {
        let kind = request.kind;
        let by_tpm = self.tpm.as_mut();
        if let Some(tpm) = by_tpm.filter(|tpm| tpm.ready && tpm.offered.contains(kind)) {
            let proven = self
                .made
                .by(kind, |out| tpm.source.prove(request, blobs, out));
            proven.map_err(|error| self.tpm_trouble(error))?;
            self.resident |= kind == AttestorKind::TPM_EK || kind == AttestorKind::TPM_DEVID;
            return Ok(());
        }
        let nonce = proof_nonce(kind, request.transcript);
        let asked = ProofRequest {
            round: request.round,
            payload: request.payload,
            transcript: request.transcript,
            nonce: &nonce,
        };
        let mut methods = self.methods.iter_mut();
        let Some(method) = methods.find(|method| method.kind() == kind) else {
            return Err(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        match method.prove(&asked) {
            Ok(proof) => {
                self.made.keep(kind, proof.payload, proof.keys);
                Ok(())
            }
            Err(error) => Err(self.trouble(kind, error)),
        }
    }

    /// The proof that the agreed secret is known.
    fn session_key(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        let Some(share) = self.share.take() else {
            return Err(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let keys = share.agree(request.payload);
        let keys = keys.map_err(|_| EvidenceError::new(TroubleCode::PROTOCOL))?;
        out.raw(&keys.proof(request.transcript));
        Ok(Some(keys))
    }

    /// A request for a certificate of a key in memory, which signs the login where the verifier reads that: there is no proof
    /// of where it lives.
    fn request_svid(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        /// The variants of [`Held`](assay_common::method::svid_key::Held).
        const UNSHOWN: u8 = 0;
        const SIGNED: u8 = 2;
        let asked: SvidKeyRequest<'_> =
            read(request.payload).map_err(|_| EvidenceError::new(TroubleCode::PROTOCOL))?;
        let failed = |_: CryptoError| EvidenceError::new(TroubleCode::METHOD);
        let key = match &self.key_file {
            None => SvidKey::generate().map_err(failed)?,
            Some(file) => {
                let kept = kept::key(file);
                kept.map_err(|error| self.trouble("keyFile", error))?
            }
        };
        let key = self.svid_key.insert(key);
        let field = out.begin();
        key.request(out).map_err(failed)?;
        out.end(field);
        if asked.algorithms.contains(&SvidKeyRequest::POSSESSION) {
            let nonce = svid_key_nonce(request.transcript);
            out.byte(SIGNED);
            out.bytes(&key.hold(&nonce).map_err(failed)?);
        } else {
            out.byte(UNSHOWN);
        }
        Ok(())
    }
}

impl EvidenceSource for Evidence {
    fn kinds(&self) -> AttestorSet {
        let tpm = match &self.tpm {
            Some(tpm) if tpm.ready => tpm.offered.intersection(tpm.source.kinds()),
            _ => AttestorSet::EMPTY,
        };
        let kinds = self.ready.union(tpm).with(AttestorKind::SVID_KEY);
        match &self.share {
            Some(_) => kinds.with(AttestorKind::SESSION_KEY),
            None => kinds,
        }
    }

    /// A source that is not ready is left out: a policy may do without it. Without any there is no login.
    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.troubles.clear();
        self.made.clear();
        self.left_out = None;
        self.svid_key = None;
        self.resident = false;
        self.proven = AttestorSet::EMPTY;
        self.ready = AttestorSet::EMPTY;
        let mut first = None;
        for index in 0..self.methods.len() {
            let Some(method) = self.methods.get_mut(index) else {
                continue;
            };
            let kind = method.kind();
            match method.begin() {
                Ok(()) => self.ready = self.ready.with(kind),
                Err(error) => {
                    self.proofs.count(kind, false);
                    let error = self.trouble(kind, error);
                    first = first.or(Some(error));
                }
            }
        }
        if let Some(tpm) = &mut self.tpm {
            let begun = tpm.source.begin();
            // A DevID whose files are of no use is nothing to offer, though the TPM is there.
            let able = tpm.offered.intersection(tpm.source.kinds());
            tpm.ready = begun.is_ok() && !able.is_empty();
            let told = tpm.source.take_troubles().into_iter();
            let told = told.map(|error| Trouble {
                source: TPM.to_owned(),
                error,
            });
            let before = self.troubles.len();
            self.troubles.extend(told);
            if let Err(error) = begun {
                tpm.offered
                    .iter()
                    .for_each(|kind| self.proofs.count(kind, false));
                // What the source has said itself says more than the code.
                let error = match self.troubles.len() == before {
                    true => self.tpm_trouble(error),
                    false => error,
                };
                first = first.or(Some(error));
            } else {
                let lacking = tpm.offered.iter().filter(|kind| !able.contains(*kind));
                lacking.for_each(|kind| self.proofs.count(kind, false));
            }
        }
        let by_tpm = self.tpm.as_ref().is_some_and(|tpm| tpm.ready);
        if self.ready.is_empty() && !by_tpm {
            return Err(first.unwrap_or(EvidenceError::new(TroubleCode::METHOD)));
        }
        self.share = match self.ready.is_empty() {
            true => None,
            false => {
                Some(KeyShare::generate().map_err(|_| EvidenceError::new(TroubleCode::METHOD))?)
            }
        };
        Ok(())
    }

    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        aws_lc_rs::rand::fill(out).map_err(|_| EvidenceError::new(TroubleCode::METHOD))
    }

    /// One method after the other, in the verifier's order. The login's own items are no methods: nothing is decided by them,
    /// and they are answered whatever becomes of the others.
    fn answering(
        &mut self,
        requests: &mut dyn Iterator<Item = Request<'_>>,
        blobs: &mut dyn BlobSink,
    ) -> Result<AttestorSet, EvidenceError> {
        self.made.clear();
        let mut answered = AttestorSet::EMPTY;
        for request in requests {
            let kind = request.kind;
            if kind.is_protocol() || !self.kinds().contains(kind) {
                // What was not offered is refused where it would be written.
                answered = answered.with(kind);
                continue;
            }
            match self.make(&request, blobs) {
                Ok(()) => {
                    answered = answered.with(kind);
                    self.proven = self.proven.with(kind);
                }
                Err(error) => {
                    // What it had proven in an earlier round is worth nothing without this.
                    self.proven = self.proven.iter().filter(|one| *one != kind).collect();
                    self.left_out = self.left_out.or(Some(error));
                }
            }
        }
        match self.left_out {
            Some(error) if self.proven.is_empty() => Err(error),
            _ => Ok(answered),
        }
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        let kind = request.kind;
        if kind == AttestorKind::SESSION_KEY {
            return self.session_key(request, out);
        }
        if kind != AttestorKind::SVID_KEY {
            let unasked = EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST);
            return self.made.write(kind, out).ok_or(unasked);
        }
        // An SVID's key is the TPM's where the TPM has named itself, which it has done by now: all methods' proofs are made
        // before the first item is written.
        match self.tpm.as_mut().filter(|tpm| tpm.ready) {
            Some(tpm) if self.resident => {
                let made = tpm.source.prove(request, blobs, out);
                made.map_err(|error| self.tpm_trouble(error))
            }
            _ => self.request_svid(request, out).map(|()| None),
        }
    }

    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        match &mut self.tpm {
            Some(tpm) if self.resident => {
                let renewed = tpm.source.renew(qualifying_data, out);
                renewed.map_err(|error| self.tpm_trouble(error))
            }
            // Without an attestation key the SVID's own key says that it is the same node.
            _ => {
                let key = self.svid_key.as_ref();
                let key = key.ok_or(EvidenceError::new(TroubleCode::UNSUPPORTED_REQUEST))?;
                let signature = key.renew(qualifying_data);
                let signature = signature.map_err(|_| EvidenceError::new(TroubleCode::METHOD))?;
                out.raw(&signature);
                Ok(())
            }
        }
    }

    fn keep(&mut self) {
        for method in &mut self.methods {
            method.end();
        }
        self.share = None;
        self.made.clear();
        if let Some(tpm) = &mut self.tpm {
            tpm.source.keep();
        }
    }

    fn end(&mut self) {
        self.keep();
        self.svid_key = None;
        if let Some(tpm) = &mut self.tpm {
            tpm.source.end();
        }
    }
}
