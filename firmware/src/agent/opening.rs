//! The first state: nothing said yet.

use assay_common::identity::{Provisioning, TrustDomain};
use assay_common::login::{Direction, Transcript};
use assay_common::policy::AttestorSet;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, Hello, MessageWriter, WriteFields};

use super::authenticate::PinnedKey;
use super::waiting::Waiting;
use super::{Failure, ProtocolError};
use crate::platform::BoardInfo;

/// A login about to begin.
#[derive(Debug)]
pub struct Opening<'p> {
    provisioning: Provisioning<'p>,
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
        let provisioning = Provisioning::read(record).map_err(Failure::NotProvisioned)?;
        let trust_domain = TrustDomain::parse(provisioning.trust_domain).map_err(|_| {
            Failure::NotProvisioned(assay_common::identity::ProvisioningError::Invalid)
        })?;
        let key = PinnedKey::from_sec1(provisioning.verifier_key)?;
        Ok(Self {
            provisioning,
            trust_domain,
            key,
        })
    }

    /// Writes the hello to `out`, and waits for its answer from then on.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TooLong`] when `out` is too small.
    pub fn hello<'o>(
        self,
        agent_nonce: [u8; 32],
        methods: AttestorSet,
        board: BoardInfo,
        out: &'o mut [u8],
    ) -> Result<(&'o [u8], Waiting<'p>), Failure> {
        let numbers: heapless::Vec<u8, 32> = methods.iter().map(|kind| kind.0).collect();
        let hello = Hello {
            versions: VersionRange::OURS,
            cluster: self.provisioning.cluster,
            methods: &numbers,
            agent_nonce,
            key_share: &[],
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
}
