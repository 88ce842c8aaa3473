//! The envelope and the messages as JSON: the same fields, methods by name, bytes in base64.
//!
//! A message in JSON stands for its postcard bytes, and those are what the transcript is over: an agent in JSON computes
//! them too (`message` of an answer has them at hand in `postcard`). What a method's own data hold is postcard anyway.

use assay_common::policy::AttestorKind;
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    self, AgentMessage, Challenge, DenyCode, Hello, Item, Items, MAX_AGENT_MESSAGE, Proofs, Renew,
    Trouble, TroubleCode, VerifierMessage, decode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Asked, Base64};
use crate::api::object;
use crate::blobs::Blobs;
use crate::server::Reply;

/// What an agent sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct JsonRequest {
    /// From the answer before; left out with a message that begins something.
    #[serde(default)]
    state: Base64,
    /// The long fields that the message names.
    #[serde(default)]
    #[schema(max_items = 8)]
    blobs: Vec<JsonBlob>,
    /// The message.
    message: JsonAgentMessage,
}

/// A long field, whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JsonBlob {
    /// Its number, 0 to 7.
    blob: u8,
    /// At most 16 KiB.
    bytes: Base64,
}

/// What an agent says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum JsonAgentMessage {
    /// Begins a login.
    Hello(JsonHello),
    /// Answers a challenge.
    Proofs(JsonProofs),
    /// Renews a session.
    Renew(JsonRenew),
    /// Says why there is no login now.
    Trouble(JsonTrouble),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonHello {
    /// Oldest and newest protocol version spoken.
    versions: JsonVersions,
    /// The cluster.
    cluster: String,
    /// Methods that can be proven, by name; `svid_key` for a key that an SVID is wanted for.
    methods: Vec<String>,
    /// 32 random bytes.
    agent_nonce: Base64,
    /// Empty where the session is sealed to a TPM.
    #[serde(default)]
    key_share: Base64,
    /// A hint for logs.
    #[serde(default)]
    board: String,
    /// A hint for logs.
    #[serde(default)]
    version: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JsonVersions {
    min: u8,
    max: u8,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonProofs {
    /// Of the challenge, 32 hex digits.
    login_id: String,
    /// Of the challenge.
    round: u8,
    /// One per method asked for.
    #[schema(max_items = 8)]
    items: Vec<JsonItem>,
}

/// One method's data.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JsonItem {
    /// The method's name.
    method: String,
    /// Its postcard.
    payload: Base64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonRenew {
    /// 32 hex digits.
    session_id: String,
    /// 32 random bytes.
    agent_nonce: Base64,
    /// A postcard quote.
    quote: Base64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonTrouble {
    /// The cause's name.
    code: String,
    #[serde(default)]
    detail: u32,
    #[serde(default)]
    command: u32,
    attempt: u32,
    retry_in_ms: u32,
}

impl JsonRequest {
    pub(super) fn read(body: &[u8]) -> Result<Asked, String> {
        let request: Self = object::from_slice(body).map_err(|error| error.to_string())?;
        let mut blobs = Blobs::default();
        for JsonBlob { blob, bytes } in &request.blobs {
            blobs
                .put(*blob, &bytes.0)
                .map_err(|error| error.to_string())?;
        }
        Ok(Asked {
            state: request.state.0,
            blobs,
            message: request.message.postcard()?,
        })
    }
}

impl JsonAgentMessage {
    /// The bytes that it stands for.
    fn postcard(&self) -> Result<Vec<u8>, String> {
        let encode = |message: &AgentMessage<'_>| {
            protocol::encode(message, &mut [0; MAX_AGENT_MESSAGE])
                .map(<[u8]>::to_vec)
                .map_err(|_| format!("a message longer than {MAX_AGENT_MESSAGE} bytes"))
        };
        match self {
            Self::Hello(hello) => {
                let methods: Result<Vec<u8>, String> =
                    hello.methods.iter().map(|name| Ok(kind(name)?.0)).collect();
                encode(&AgentMessage::Hello(Hello {
                    versions: VersionRange {
                        min: hello.versions.min,
                        max: hello.versions.max,
                    },
                    cluster: &hello.cluster,
                    methods: &methods?,
                    agent_nonce: exact("agentNonce", &hello.agent_nonce.0)?,
                    key_share: &hello.key_share.0,
                    untrusted_board: &hello.board,
                    untrusted_version: &hello.version,
                }))
            }
            Self::Proofs(proofs) => {
                let mut items = Items::new();
                for item in &proofs.items {
                    let item = Item {
                        kind: kind(&item.method)?,
                        payload: &item.payload.0,
                    };
                    items.push(item).map_err(|_| "too many items".to_owned())?;
                }
                encode(&AgentMessage::Proofs(Proofs {
                    login_id: from_hex("loginId", &proofs.login_id)?,
                    round: proofs.round,
                    items,
                }))
            }
            Self::Renew(renew) => encode(&AgentMessage::Renew(Renew {
                session_id: from_hex("sessionId", &renew.session_id)?,
                agent_nonce: exact("agentNonce", &renew.agent_nonce.0)?,
                quote: &renew.quote.0,
            })),
            Self::Trouble(trouble) => {
                let code = TroubleCode::ALL.iter().copied();
                let mut code = code.filter(|code| code.name() == Some(&trouble.code));
                encode(&AgentMessage::Trouble(Trouble {
                    code: code
                        .next()
                        .ok_or_else(|| format!("no trouble is called `{}`", trouble.code))?,
                    detail: trouble.detail,
                    command: trouble.command,
                    attempt: trouble.attempt,
                    retry_in_ms: trouble.retry_in_ms,
                }))
            }
        }
    }
}

fn kind(name: &str) -> Result<AttestorKind, String> {
    let own = [AttestorKind::SVID_KEY, AttestorKind::SESSION_KEY];
    if let Some(kind) = own.into_iter().find(|kind| kind.to_string() == name) {
        return Ok(kind);
    }
    AttestorKind::from_name(name).ok_or_else(|| format!("no method is called `{name}`"))
}

fn exact<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], String> {
    let wrong = |_| format!("{field} has {} bytes and not {N}", bytes.len());
    bytes.try_into().map_err(wrong)
}

fn from_hex(field: &str, text: &str) -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    let wrong = |_| format!("{field} has 32 hex digits");
    hex::decode_to_slice(text, &mut bytes).map_err(wrong)?;
    Ok(bytes)
}

/// What a verifier answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JsonAnswer {
    /// For the next request; empty at the end.
    state: Base64,
    /// The message.
    message: JsonVerifierMessage,
    /// The message's postcard bytes, which the transcript goes on with.
    postcard: Base64,
}

/// What a verifier says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum JsonVerifierMessage {
    /// Asks for proofs.
    Challenge(JsonChallenge),
    /// The session, sealed to whoever opened the credential.
    Granted(JsonSealed),
    /// The session and the SVID, sealed.
    SvidGranted(JsonSealed),
    /// The session goes on.
    Renewed(JsonSigned),
    /// The refusal.
    Denied(JsonDenied),
    /// A message that cannot be shown.
    Unknown,
}

/// A challenge. Only `body` is signed: the fields beside it are for reading.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct JsonChallenge {
    /// What is signed, postcard.
    body: Base64,
    /// ECDSA P-256, r and s.
    signature: Base64,
    version: u8,
    login_id: String,
    round: u8,
    server_nonce: Base64,
    items: Vec<JsonItem>,
}

#[derive(Debug, Serialize, ToSchema)]
struct JsonSealed {
    /// Postcard.
    body: Base64,
    /// HMAC-SHA-256.
    tag: Base64,
}

#[derive(Debug, Serialize, ToSchema)]
struct JsonSigned {
    /// Postcard.
    body: Base64,
    /// ECDSA P-256, r and s.
    signature: Base64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct JsonDenied {
    /// The category.
    code: String,
    /// In words.
    reason: String,
    /// When to try again, seconds.
    retry_after_s: u32,
}

impl JsonAnswer {
    pub(super) fn new(reply: &Reply) -> Self {
        Self {
            state: Base64(reply.state.clone()),
            message: JsonVerifierMessage::of(&reply.message),
            postcard: Base64(reply.message.clone()),
        }
    }
}

impl JsonVerifierMessage {
    fn of(message: &[u8]) -> Self {
        let bytes = |bytes: &[u8]| Base64(bytes.to_vec());
        match decode::<VerifierMessage<'_>>(message) {
            Ok(VerifierMessage::Challenge(signed)) => {
                let Ok(challenge) = decode::<Challenge<'_>>(signed.body) else {
                    return Self::Unknown;
                };
                let items = challenge.items.iter().map(|item| JsonItem {
                    method: item.kind.to_string(),
                    payload: bytes(item.payload),
                });
                Self::Challenge(JsonChallenge {
                    body: bytes(signed.body),
                    signature: bytes(signed.signature),
                    version: challenge.version,
                    login_id: hex::encode(challenge.login_id),
                    round: challenge.round,
                    server_nonce: bytes(&challenge.server_nonce),
                    items: items.collect(),
                })
            }
            Ok(VerifierMessage::Granted(sealed)) => Self::Granted(JsonSealed {
                body: bytes(sealed.body),
                tag: bytes(&sealed.tag),
            }),
            Ok(VerifierMessage::SvidGranted(sealed)) => Self::SvidGranted(JsonSealed {
                body: bytes(sealed.body),
                tag: bytes(&sealed.tag),
            }),
            Ok(VerifierMessage::Renewed(signed)) => Self::Renewed(JsonSigned {
                body: bytes(signed.body),
                signature: bytes(signed.signature),
            }),
            Ok(VerifierMessage::Denied(denied)) => Self::Denied(JsonDenied {
                code: code(denied.code),
                reason: denied.reason.to_owned(),
                retry_after_s: denied.retry_after_s,
            }),
            Err(_) => Self::Unknown,
        }
    }
}

fn code(code: DenyCode) -> String {
    code.to_string()
}
