//! The first state, of a login and of a renewal: nothing said yet.

use assay_common::identity::{Pins, Provisioning, TrustDomain};
use assay_common::login::{Direction, RenewDigest, Transcript, renewal_nonce};
use assay_common::policy::AttestorSet;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, Hello, MessageWriter, WriteFields};

use super::authenticate::PinnedKey;
use super::renewing::{Renewing, Term};
use super::waiting::Waiting;
use super::{Failure, ProtocolError};
use crate::evidence::EvidenceSource;
use crate::platform::BoardInfo;

/// A login, or the renewal of a session, about to begin.
#[derive(Debug)]
pub struct Opening<'p> {
    provisioning: Provisioning<'p>,
    pins: Pins<'p>,
    trust_domain: TrustDomain<'p>,
    key: PinnedKey<'p>,
}

impl<'p> Opening<'p> {
    /// A login for a provisioned node.
    ///
    /// # Errors
    ///
    /// [`Failure::NotProvisioned`] when the record is missing or damaged, [`Failure::UntrustedVerifier`] when its
    /// key is not on the curve.
    pub fn new(record: &'p [u8]) -> Result<Self, Failure> {
        let (provisioning, pins) =
            Provisioning::read_pinned(record).map_err(Failure::NotProvisioned)?;
        let trust_domain = TrustDomain::parse(provisioning.trust_domain).map_err(|_| {
            Failure::NotProvisioned(assay_common::identity::ProvisioningError::Invalid)
        })?;
        let key = PinnedKey::from_sec1(provisioning.verifier_key)?;
        Ok(Self {
            provisioning,
            pins,
            trust_domain,
            key,
        })
    }

    /// What the record ties the node to.
    #[must_use]
    pub const fn pins(&self) -> Pins<'p> {
        self.pins
    }

    /// Writes the hello to `out`, and waits for its answer from then on.
    ///
    /// `key_share` is for a source that can answer `session_key` (see [`assay_common::login::session_key`]); it is empty
    /// where the session is sealed to what a TPM opens.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooLong`] when `out` is too small.
    pub fn hello<'o>(
        self,
        agent_nonce: [u8; 32],
        methods: AttestorSet,
        key_share: &[u8],
        board: BoardInfo,
        out: &'o mut [u8],
    ) -> Result<(&'o [u8], Waiting<'p>), Failure> {
        // As many as a set may hold; collected, one more would be a panic.
        let mut numbers = heapless::Vec::<u8, 32>::new();
        for kind in methods.iter() {
            numbers.push(kind.0).map_err(|_| ProtocolError::TooLong)?;
        }
        let hello = Hello {
            versions: VersionRange::OURS,
            cluster: self.provisioning.cluster,
            methods: &numbers,
            agent_nonce,
            key_share,
            untrusted_board: board.name,
            untrusted_version: board.version,
        };
        let mut writer = MessageWriter::new(out);
        writer.byte(AgentMessage::HELLO);
        hello.write_fields(&mut writer);
        let message = writer.finish().map_err(|_| ProtocolError::TooLong)?;
        let transcript = Transcript::new().then(Direction::Agent, message);
        Ok((
            message,
            Waiting::first(self.key, self.trust_domain, transcript),
        ))
    }

    /// Writes the message that asks for another term to `out`, with a quote of `source`, and waits for its answer from
    /// then on.
    ///
    /// # Errors
    ///
    /// [`Failure::Evidence`] when there is no quote, [`ProtocolError::TooLong`] when it does not fit.
    pub fn renew<'o>(
        self,
        term: Term,
        agent_nonce: [u8; 32],
        source: &mut dyn EvidenceSource,
        out: &'o mut [u8],
    ) -> Result<(&'o [u8], Renewing<'p>), Failure> {
        let mut writer = MessageWriter::new(out);
        writer.byte(AgentMessage::RENEW);
        writer.raw(&term.session_id);
        writer.raw(&agent_nonce);
        let field = writer.begin();
        let nonce = renewal_nonce(&term.session_id, &term.renewal_nonce, &agent_nonce);
        source.renew(&nonce, &mut writer)?;
        writer.end(field);
        let message = writer.finish().map_err(|_| ProtocolError::TooLong)?;
        let asked = RenewDigest::of(message);
        Ok((message, Renewing::asked(self.key, term, asked)))
    }
}
