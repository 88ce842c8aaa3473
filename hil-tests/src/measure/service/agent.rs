//! A node's half of a login and of a renewal, over requests.

use anyhow::{Context, Result, bail, ensure};
use assay_common::login::{
    Direction, LoginKeys, Transcript, challenge_message, quote_nonce, renewal_nonce, svid_key_nonce,
};
use assay_common::method::svid_key::{Held, Residence, SvidKeyPayload};
use assay_common::method::tpm_ek::{EkChallenge, EkPayload, EkResponse};
use assay_common::method::tpm_quote::{QuotePayload, QuoteRequest};
use assay_common::policy::AttestorKind;
use assay_common::protocol::envelope::{Blob, LoginAnswer, LoginRequest, MAX_STATE};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    AgentMessage, BlobRef, Challenge, Hello, Item, MAX_AGENT_MESSAGE, Proofs, Renew, Renewal,
    SealedGrant, SignedChallenge, SvidGrant, VerifierMessage, decode, encode,
};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::http::Connection;
use super::tpm::SoftwareTpm;

/// The cluster of all nodes.
pub const CLUSTER: &str = "lab";
const PATH: &str = "/v1/login";
const HEADERS: &str = "content-type: application/postcard\r\n";
/// Bytes of one PCR of SHA-256; the software TPM's are all zero.
const PCR: usize = 32;

/// A node: its TPM, its certificate, and the session it has.
pub struct Node {
    tpm: SoftwareTpm,
    certificate: Vec<u8>,
    /// Digest of the certificate, which a message names it by.
    sha256: [u8; 32],
    session: Option<Session>,
}

/// What a node remembers of its session.
struct Session {
    id: [u8; 16],
    renewal_nonce: [u8; 32],
    banks: Vec<(u16, u32)>,
}

impl Node {
    /// A node whose EK has this certificate (DER).
    ///
    /// # Errors
    ///
    /// When a digest is none.
    pub fn new(tpm: SoftwareTpm, certificate: Vec<u8>) -> Result<Self> {
        let sha256 = digest::digest(&digest::SHA256, &certificate);
        Ok(Self {
            tpm,
            sha256: sha256.as_ref().try_into()?,
            certificate,
            session: None,
        })
    }

    /// Id of the session.
    #[must_use]
    pub fn session_id(&self) -> Option<[u8; 16]> {
        self.session.as_ref().map(|session| session.id)
    }

    /// Hello to granted, with an SVID for the key in the TPM. `verifier` is the pinned key, whose signatures are checked when
    /// it is given; a load generator that shares its processors with the service checks them once per node.
    ///
    /// # Errors
    ///
    /// When the service answers anything else.
    pub fn log_in(&mut self, connection: &mut Connection, verifier: Option<&[u8]>) -> Result<()> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce)?;
        let methods = [
            AttestorKind::TPM_EK.0,
            AttestorKind::TPM_QUOTE.0,
            AttestorKind::SVID_KEY.0,
        ];
        let mut message = message(&AgentMessage::Hello(Hello {
            versions: VersionRange::OURS,
            cluster: CLUSTER,
            methods: &methods,
            agent_nonce: nonce,
            key_share: &[],
            untrusted_board: "bench",
            untrusted_version: "0",
        }))?;
        let mut login = Login::default();
        let (mut state, mut blobs) = (Vec::new(), Vec::new());
        loop {
            login.transcript = login.transcript.then(Direction::Agent, &message);
            let answer = post(connection, &state, &blobs, &message)?;
            let answer: LoginAnswer<'_> = decode(&answer).context("the service's answer")?;
            match decode(answer.message).context("the verifier's message")? {
                VerifierMessage::Challenge(signed) => {
                    if let Some(key) = verifier {
                        check(key, &login.transcript, &signed)?;
                    }
                    login.transcript = login.transcript.then(Direction::Verifier, answer.message);
                    let challenge = decode(signed.body).context("the challenge")?;
                    message = self.prove(&mut login, &challenge)?;
                    blobs = if challenge.round == 0 {
                        vec![self.certificate.clone()]
                    } else {
                        Vec::new()
                    };
                    state = answer.state.to_vec();
                }
                VerifierMessage::SvidGranted(sealed) => {
                    self.session = Some(granted(&login, &sealed)?);
                    return Ok(());
                }
                other => bail!("the login ended otherwise: {other:?}"),
            }
        }
    }

    fn prove(&self, login: &mut Login, challenge: &Challenge<'_>) -> Result<Vec<u8>> {
        let mut payloads = Vec::new();
        for item in &challenge.items {
            let payload = match item.kind {
                AttestorKind::TPM_EK if challenge.round == 0 => self.ek_payload()?,
                AttestorKind::TPM_EK => self.ek_response(login, item.payload)?,
                AttestorKind::SVID_KEY => self.svid_key(&login.transcript)?,
                AttestorKind::TPM_QUOTE => {
                    let request: QuoteRequest = decode(item.payload).context("quote request")?;
                    login.banks = request.banks.iter().map(|b| (b.bank, b.pcrs)).collect();
                    self.quote(&login.banks, &quote_nonce(&login.transcript))?
                }
                other => bail!("the verifier asks for {other}"),
            };
            payloads.push((item.kind, payload));
        }
        message(&AgentMessage::Proofs(Proofs {
            login_id: challenge.login_id,
            round: challenge.round,
            items: payloads
                .iter()
                .map(|(kind, payload)| Item {
                    kind: *kind,
                    payload,
                })
                .collect(),
        }))
    }

    fn ek_payload(&self) -> Result<Vec<u8>> {
        message(&EkPayload {
            ek_public: self.tpm.ek_public(),
            ak_public: self.tpm.ak_public(),
            ek_certificate: Some(BlobRef {
                blob: 0,
                len: u32::try_from(self.certificate.len())?,
                sha256: self.sha256,
            }),
            ek_chain: Default::default(),
        })
    }

    fn ek_response(&self, login: &mut Login, request: &[u8]) -> Result<Vec<u8>> {
        let challenge: EkChallenge<'_> = decode(request).context("credential")?;
        let tpm = &self.tpm;
        let secret = tpm.activate(challenge.credential_blob, challenge.encrypted_secret)?;
        let keys = login.keys.insert(LoginKeys::new(secret));
        message(&EkResponse {
            mac: keys.proof(&login.transcript),
        })
    }

    fn svid_key(&self, transcript: &Transcript) -> Result<Vec<u8>> {
        let (attest, signature) = self.tpm.certify(&svid_key_nonce(transcript))?;
        message(&SvidKeyPayload {
            csr: &self.tpm.csr()?,
            held: Held::Certified(Residence {
                public: self.tpm.svid_public(),
                attest: &attest,
                signature: &signature,
            }),
        })
    }

    fn quote(&self, banks: &[(u16, u32)], nonce: &[u8]) -> Result<Vec<u8>> {
        let count: u32 = banks.iter().map(|(_, pcrs)| pcrs.count_ones()).sum();
        let values = vec![0; PCR * usize::try_from(count)?];
        let (attest, signature) = self.tpm.quote(banks, &values, nonce)?;
        message(&QuotePayload {
            attest: &attest,
            signature: &signature,
            pcr_values: &values,
        })
    }

    /// Renews the session: one quote, one round trip.
    ///
    /// # Errors
    ///
    /// When there is none, or the service answers anything else.
    pub fn renew(&mut self, connection: &mut Connection) -> Result<()> {
        let session = self.session.as_ref().context("no session")?;
        let mut agent_nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut agent_nonce)?;
        let nonce = renewal_nonce(&session.id, &session.renewal_nonce, &agent_nonce);
        let message = message(&AgentMessage::Renew(Renew {
            session_id: session.id,
            agent_nonce,
            quote: &self.quote(&session.banks, &nonce)?,
        }))?;
        let answer = post(connection, &[], &[], &message)?;
        let answer: LoginAnswer<'_> = decode(&answer).context("the service's answer")?;
        let renewed = match decode(answer.message).context("the verifier's message")? {
            VerifierMessage::Renewed(signed) => decode::<Renewal<'_>>(signed.body),
            other => bail!("the renewal ended otherwise: {other:?}"),
        };
        let renewed = renewed.context("the renewal")?;
        ensure!(!renewed.svid.is_empty(), "a renewal without an SVID");
        if let Some(session) = &mut self.session {
            session.renewal_nonce = renewed.renewal_nonce;
        }
        Ok(())
    }
}

/// A login under way.
#[derive(Default)]
struct Login {
    transcript: Transcript,
    keys: Option<LoginKeys>,
    banks: Vec<(u16, u32)>,
}

fn check(key: &[u8], before: &Transcript, signed: &SignedChallenge<'_>) -> Result<()> {
    let text = challenge_message(before, signed.body).concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
    let verified = key.verify(&text, signed.signature);
    verified.ok().context("a challenge of somebody else")
}

fn granted(login: &Login, sealed: &SealedGrant<'_>) -> Result<Session> {
    let keys = login
        .keys
        .as_ref()
        .context("a grant without a credential")?;
    keys.check_grant(&login.transcript, sealed.body, &sealed.tag)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let grant: SvidGrant<'_> = decode(sealed.body).context("the grant")?;
    ensure!(!grant.svid.is_empty(), "a grant without an SVID");
    Ok(Session {
        id: grant.grant.session_id,
        renewal_nonce: grant.renewal_nonce,
        banks: login.banks.clone(),
    })
}

fn message<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut buffer = [0; MAX_AGENT_MESSAGE];
    let used = encode(value, &mut buffer).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(used.to_vec())
}

fn post(
    connection: &mut Connection,
    state: &[u8],
    blobs: &[Vec<u8>],
    message: &[u8],
) -> Result<Vec<u8>> {
    ensure!(state.len() <= MAX_STATE, "a state of {} bytes", state.len());
    let blobs = blobs.iter().zip(0..);
    let request = LoginRequest {
        state,
        blobs: blobs.map(|(bytes, blob)| Blob { blob, bytes }).collect(),
        message,
    };
    let room = state.len()
        + message.len()
        + 64
        + request
            .blobs
            .iter()
            .map(|b| b.bytes.len() + 8)
            .sum::<usize>();
    let mut buffer = vec![0; room];
    let body = encode(&request, &mut buffer).map_err(|error| anyhow::anyhow!("{error}"))?;
    let (status, answer) = connection.send("POST", PATH, HEADERS, body)?;
    ensure!(
        status == 200,
        "the service answers {status}: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(answer)
}
