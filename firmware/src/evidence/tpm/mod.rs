//! The TPM's evidence: `tpm_ek`, `tpm_quote`, and the SVID key.
//!
//! EK and AK are made when `tpm_ek` is asked for, the SVID key when it is, and all stay loaded until the login ends: three
//! objects, as many as the smallest chips hold. A login that was granted leaves AK and SVID key loaded for the session's
//! life, to quote for its renewal and to sign for its holder, and with them the session that guards the bus; everything
//! else leaves nothing.
//!
//! With the feature `secure-bus` the EK comes first: a login begins with a session salted to it, and nothing the TPM says
//! counts that did not come through the session.

#[cfg(feature = "host")]
mod devid;
mod errors;
mod identity;
#[cfg(feature = "secure-bus")]
mod mcu;
mod quote;
mod svid;

use assay_common::identity::provisioning::MAX_EK_NAME;
use assay_common::login::LoginKeys;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{MessageWriter, TroubleCode};

use super::{EvidenceError, EvidenceSource, Own, Request};
use crate::fmt::warning;
use crate::keys::{Ak, Ek, KeyError, SvidKey};
#[cfg(feature = "secure-bus")]
use crate::keys::{DerivedKey, EkIndices, McuKey, protect};
use crate::link::BlobSink;
use crate::measure::{MeasureError, MeasuredBoot};
use crate::tpm::{Start, Tpm, TpmError, TpmTransport};

/// A TPM as a source of evidence.
#[derive(Debug)]
pub struct TpmEvidence<T> {
    tpm: Tpm<T>,
    /// The keys of the login under way.
    ek: Option<Ek>,
    ak: Option<Ak>,
    svid_key: Option<SvidKey>,
    /// The EK was shown to the verifier in this login.
    has_endorsed: bool,
    /// The Name that the EK must have; empty for any.
    pinned: heapless::Vec<u8, MAX_EK_NAME>,
    /// Which NV indices the TPM has, as the login's beginning found them.
    #[cfg(feature = "secure-bus")]
    indices: Option<EkIndices>,
    /// The microcontroller's own, if its record has a secret to make it of.
    #[cfg(feature = "secure-bus")]
    mcu_key: Option<DerivedKey>,
    /// The one of its board's key store, which comes before it.
    #[cfg(feature = "secure-bus")]
    key_store: Option<mcu::KeyStore>,
    /// SHA-256 of the login's quote, zeros before there is one.
    #[cfg(feature = "secure-bus")]
    quoted: [u8; 32],
    /// Whether the bus is left unguarded.
    #[cfg(all(feature = "secure-bus", feature = "host"))]
    is_unguarded: bool,
    selections: quote::Selections,
    start: Option<Start>,
    /// What was booted, on a node that measures it.
    boot: Option<Measuring<T>>,
    #[cfg(feature = "host")]
    devid: Option<crate::keys::DevidKey>,
}

/// A measurement, and how it is made: by pointers, so that an image that measures nothing has nothing of it in its flash.
#[derive(Debug)]
struct Measuring<T> {
    boot: MeasuredBoot<'static>,
    at_login: fn(&mut MeasuredBoot<'static>, &mut Tpm<T>, Start) -> Result<(), MeasureError>,
    check: fn(&mut MeasuredBoot<'static>, &mut Tpm<T>) -> Result<(), MeasureError>,
}

/// Why there is no proof.
enum ProofError {
    /// The TPM; its last command is to blame.
    Tpm(KeyError),
    /// Anything else.
    Other(EvidenceError),
}

impl<E: Into<KeyError>> From<E> for ProofError {
    fn from(error: E) -> Self {
        Self::Tpm(error.into())
    }
}

impl ProofError {
    fn of_measurement(error: MeasureError) -> Self {
        match error {
            MeasureError::Tpm(error) => Self::Tpm(error.into()),
            MeasureError::Reset => Self::new(TroubleCode::MEASUREMENT_LOST),
            MeasureError::Foreign(index) => Self::Other(EvidenceError {
                detail: index.get().into(),
                ..EvidenceError::new(TroubleCode::MEASUREMENT_LOST)
            }),
        }
    }
}

impl ProofError {
    /// A cause without a number.
    const fn new(code: TroubleCode) -> Self {
        Self::Other(EvidenceError::new(code))
    }
}

impl<T: TpmTransport> TpmEvidence<T> {
    /// Evidence from the TPM behind `transport`. Sends nothing yet.
    pub fn new(transport: T) -> Self {
        Self {
            tpm: Tpm::new(transport),
            ek: None,
            ak: None,
            svid_key: None,
            has_endorsed: false,
            pinned: heapless::Vec::new(),
            #[cfg(feature = "secure-bus")]
            indices: None,
            #[cfg(feature = "secure-bus")]
            mcu_key: None,
            #[cfg(feature = "secure-bus")]
            key_store: None,
            #[cfg(feature = "secure-bus")]
            quoted: [0; 32],
            #[cfg(all(feature = "secure-bus", feature = "host"))]
            is_unguarded: false,
            selections: quote::Selections::new(),
            start: None,
            boot: None,
            #[cfg(feature = "host")]
            devid: None,
        }
    }

    /// With a measurement of what was booted, made at the first login; its log travels with the quotes.
    #[must_use]
    pub fn measuring(mut self, boot: MeasuredBoot<'static>) -> Self {
        self.boot = Some(Measuring {
            boot,
            at_login: MeasuredBoot::at_login,
            check: MeasuredBoot::check,
        });
        self
    }

    /// With a key that the board keeps itself, in a secure element or in fuses: it signs for the microcontroller (`mcu_key`), and
    /// no key is made of the record's secret, which goes on to be where the random numbers begin.
    #[cfg(feature = "secure-bus")]
    #[must_use]
    pub fn signing_with(mut self, key: &'static mut (dyn McuKey + Send)) -> Self {
        self.key_store = Some(mcu::KeyStore(key));
        self
    }

    /// The command layer, for counters and bring-up.
    pub const fn tpm(&mut self) -> &mut Tpm<T> {
        &mut self.tpm
    }

    /// How the TPM was found when the last login began.
    pub const fn start(&self) -> Option<Start> {
        self.start
    }

    /// Leaves the bus unguarded, as an image without `secure-bus` does. For hosts, whose kernel stands between this and the
    /// TPM's bus, and to compare. A record that pins an EK is refused then.
    #[cfg(all(feature = "secure-bus", feature = "host"))]
    #[must_use]
    pub const fn unguarded(mut self) -> Self {
        self.is_unguarded = true;
        self
    }

    /// Starts the TPM and the session that guards everything that is asked of it.
    #[cfg(feature = "secure-bus")]
    fn start_guarded(&mut self) -> Result<(), ProofError> {
        #[cfg(feature = "host")]
        if self.is_unguarded {
            return self.start_unguarded();
        }
        self.start = Some(self.tpm.start()?);
        let (ek, indices) = protect(&mut self.tpm, &self.pinned)?;
        self.ek = Some(ek);
        self.indices = Some(indices);
        Ok(())
    }

    #[cfg(not(feature = "secure-bus"))]
    fn start_guarded(&mut self) -> Result<(), ProofError> {
        self.start_unguarded()
    }

    /// Starts the TPM. Who cannot hold it to the pinned EK does not pass over the pin.
    #[cfg(any(not(feature = "secure-bus"), feature = "host"))]
    fn start_unguarded(&mut self) -> Result<(), ProofError> {
        if !self.pinned.is_empty() {
            return Err(ProofError::new(TroubleCode::TPM_REPLACED));
        }
        self.start = Some(self.tpm.start()?);
        Ok(())
    }

    /// Has what was booted measured, on a node that measures it: through the session, where there is one.
    fn measure(&mut self) -> Result<(), ProofError> {
        match (&mut self.boot, self.start) {
            (Some(own), Some(start)) => (own.at_login)(&mut own.boot, &mut self.tpm, start)
                .map_err(ProofError::of_measurement),
            _ => Ok(()),
        }
    }

    /// Says which command an error belongs to, and asks a TPM in failure mode for the reason.
    fn blame(&mut self, error: ProofError) -> EvidenceError {
        match error {
            ProofError::Tpm(error) => {
                let command = self.tpm.last_command();
                let mut told = EvidenceError::from(error);
                if error == KeyError::Tpm(TpmError::FailureMode)
                    && let Ok(result) = self.tpm.test_result()
                {
                    warning!(
                        "TPM self-test: {=u32:x}, {=[u8]:x}",
                        result.rc.0,
                        result.data
                    );
                    told.detail = result.rc.0;
                }
                EvidenceError { command, ..told }
            }
            ProofError::Other(error) => error,
        }
    }
}

impl<T: TpmTransport> EvidenceSource for TpmEvidence<T> {
    fn kinds(&self) -> AttestorSet {
        let own = AttestorSet::EMPTY
            .with(AttestorKind::TPM_EK)
            .with(AttestorKind::TPM_QUOTE)
            .with(AttestorKind::SVID_KEY);
        #[cfg(feature = "secure-bus")]
        let own = if self.key_store.is_some() || self.mcu_key.is_some() {
            own.with(AttestorKind::MCU_KEY)
        } else {
            own
        };
        #[cfg(feature = "host")]
        if self.devid.is_some() {
            return own.with(AttestorKind::TPM_DEVID);
        }
        own
    }

    fn prepare(&mut self, own: &Own<'_>) {
        // Never longer: the record was checked.
        self.pinned = heapless::Vec::from_slice(own.pins.ek_name).unwrap_or_default();
        #[cfg(feature = "secure-bus")]
        {
            let [boots, attempts, now_us] = own.counts.map(u64::to_be_bytes);
            let inputs = [own.pins.secret, own.noise, &boots, &attempts, &now_us];
            self.tpm.drbg().stir(&inputs);
            let secret = own.pins.secret;
            let derives = self.key_store.is_none() && !secret.is_empty();
            self.mcu_key = derives.then(|| DerivedKey::of(secret));
            self.quoted = [0; 32];
        }
    }

    fn begin(&mut self) -> Result<(), EvidenceError> {
        self.ek = None;
        self.ak = None;
        self.svid_key = None;
        self.has_endorsed = false;
        self.selections.clear();
        let begun = self.start_guarded().and_then(|()| self.measure());
        begun.map_err(|error| self.blame(error))
    }

    /// From the generator, into which the TPM's numbers went through the session.
    #[cfg(feature = "secure-bus")]
    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        #[cfg(feature = "host")]
        if self.is_unguarded {
            let filled = self.tpm.random(out);
            return filled.map_err(|error| self.blame(error.into()));
        }
        self.tpm.drbg().fill(out);
        Ok(())
    }

    #[cfg(not(feature = "secure-bus"))]
    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        let filled = self.tpm.random(out);
        filled.map_err(|error| self.blame(error.into()))
    }

    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        let proven = match (request.kind, request.round) {
            (AttestorKind::TPM_EK, 0) => self.identify(request, blobs, out).map(|()| None),
            (AttestorKind::TPM_EK, _) => self.activate(request, out).map(Some),
            #[cfg(feature = "host")]
            (AttestorKind::TPM_DEVID, 0) => self.certify_devid(request, blobs, out).map(|()| None),
            #[cfg(feature = "host")]
            (AttestorKind::TPM_DEVID, _) => self.activate(request, out).map(Some),
            (AttestorKind::TPM_QUOTE, _) => self.quote(request, blobs, out).map(|()| None),
            #[cfg(feature = "secure-bus")]
            (AttestorKind::MCU_KEY, _) => self.sign_by_mcu(request, out).map(|()| None),
            (AttestorKind::SVID_KEY, 0) => self.certify_svid_key(request, out).map(|()| None),
            _ => Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST)),
        };
        proven.map_err(|error| self.blame(error))
    }

    fn renew(
        &mut self,
        qualifying_data: &[u8; 32],
        out: &mut MessageWriter<'_>,
    ) -> Result<(), EvidenceError> {
        let as_it_was = match &mut self.boot {
            Some(own) => {
                (own.check)(&mut own.boot, &mut self.tpm).map_err(ProofError::of_measurement)
            }
            None => Ok(()),
        };
        let quoted = as_it_was.and_then(|()| self.quote_selected(qualifying_data, out));
        quoted.map_err(|error| self.blame(error))
    }

    fn keep(&mut self) {
        // A TPM that has lost it already says so; either way it is gone. What a silent TPM keeps is
        // flushed by the next start.
        if let Some(ek) = self.ek.take() {
            let _ = ek.flush(&mut self.tpm);
        }
    }

    fn end(&mut self) {
        if let Some(ak) = self.ak.take() {
            let _ = ak.flush(&mut self.tpm);
        }
        if let Some(key) = self.svid_key.take() {
            let _ = key.flush(&mut self.tpm);
        }
        self.keep();
        #[cfg(feature = "secure-bus")]
        let _ = self.tpm.unprotect();
    }
}
