//! What to do next: ask, or decide.

use std::collections::BTreeMap;

use assay_common::login::Direction;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{
    Challenge, DenyCode, Item, Items, MAX_VERIFIER_MESSAGE, MAX_VERIFIER_MESSAGE_V1,
    SignedChallenge, VerifierMessage, encode, message::MAX_ITEMS,
};

use super::session_key::SessionKey;
use super::step::{Step, StepName};
use super::{
    AwaitProofs, Denied, Env, MAX_ROUNDS, MethodKeys, Next, Progress, SvidKey, Turn, asking,
    denial, grant, session_key, svid_key,
};
use crate::policy::engine::is_wanted;
use crate::policy::{Outcome, Standing, decide, narrow, narrow_to_decide, standing};

/// Most methods in one challenge: the protocol's own items have a place beside them.
const MOST_METHODS: usize = MAX_ITEMS - 2;

/// Goes on with a login whose outcomes are all recorded.
pub(super) fn advance(mut progress: Progress, env: &Env<'_>) -> Turn {
    narrow(&progress.policies, &mut progress.outcomes, env.now.wall);
    if is_open(&progress) {
        progress = match asking::at_once(progress, env) {
            Ok(turn) => return turn,
            Err(progress) => *progress,
        };
        match ask(&mut progress, env) {
            Ok(Asking::Of(message, round, requests, nonce)) => {
                return progress.turn(|progress| {
                    Next::Ask(
                        message,
                        Box::new(AwaitProofs::new(progress, round, requests, nonce)),
                    )
                });
            }
            // Making the challenges settled it.
            Ok(Asking::Settled) => {}
            Ok(Asking::Nothing) => match asking::waiting(progress, env) {
                Ok(turn) => return turn,
                Err(undecided) => {
                    let detail = format!("nothing decided after {} rounds", undecided.round);
                    let denied = Denied::new(Some(undecided.id), DenyCode::INTERNAL, detail);
                    return deny(*undecided, denied);
                }
            },
            Err(denied) => return deny(progress, denied),
        }
    }
    conclude(progress, env)
}

/// Ends a login with a refusal.
pub(super) fn deny(progress: Progress, denied: Denied) -> Turn {
    progress.turn(|_| Next::Denied(Box::new(denied)))
}

fn conclude(mut progress: Progress, env: &Env<'_>) -> Turn {
    narrow_to_decide(&progress.policies, &mut progress.outcomes, env.now.wall);
    match decide(&progress.policies, &progress.outcomes) {
        Ok(authorized) => {
            progress
                .steps
                .push(Step::ok(StepName::Policy).policy(authorized.policy()));
            grant::prepare(progress, authorized, env)
        }
        Err(refusal) => {
            let step = Step::failed(StepName::Policy, refusal.explanation.to_string());
            progress.steps.push(step);
            let denied = Denied::by_policy(progress.id, refusal);
            deny(progress, denied)
        }
    }
}

/// Whether proofs that are still open decide.
fn is_open(progress: &Progress) -> bool {
    standing(&progress.policies, &progress.outcomes) == Standing::Open
}

/// What there is to ask the agent.
enum Asking {
    /// A challenge: the message, its round, what it asks by method, its nonce.
    Of(Vec<u8>, u8, BTreeMap<AttestorKind, Vec<u8>>, [u8; 32]),
    /// Nothing: what fell on the way settled the login.
    Settled,
    /// Nothing, and the login is undecided.
    Nothing,
}

/// Makes the next challenge.
fn ask(progress: &mut Progress, env: &Env<'_>) -> Result<Asking, Denied> {
    let internal = |id, detail: String| Denied::new(Some(id), DenyCode::INTERNAL, detail);
    let id = progress.id;
    let Progress {
        pending,
        policies,
        outcomes,
        ..
    } = &mut *progress;
    pending.retain(|entry, _| is_wanted(policies, outcomes, *entry));
    let mut requests = challenges(progress, env);
    for (kind, request) in new_requests(progress, &requests) {
        let keys = MethodKeys::draw(env.random).map_err(|e| internal(id, e.to_string()))?;
        progress.keys.insert(kind, keys);
        progress.asked = progress.asked.with(kind);
        requests.insert(kind, request);
    }
    narrow(&progress.policies, &mut progress.outcomes, env.now.wall);
    if !is_open(progress) {
        return Ok(Asking::Settled);
    }
    if requests.is_empty() || progress.round >= MAX_ROUNDS {
        return Ok(Asking::Nothing);
    }
    let round = progress.round;
    // In the first round, so that whatever is proven in a later one is proven about these keys too.
    if round == 0 {
        if matches!(progress.svid_key, SvidKey::Available) {
            let request = svid_key::request().map_err(|detail| internal(id, detail))?;
            requests.insert(AttestorKind::SVID_KEY, request);
        }
        if let SessionKey::Offered(share) = &progress.session_key {
            let agreed = session_key::agree_with(share).map_err(|error| {
                Denied::new(Some(id), denial::code_of(error.fault), error.to_string())
            })?;
            let (request, keys) = agreed;
            progress.keys.insert(AttestorKind::SESSION_KEY, keys);
            requests.insert(AttestorKind::SESSION_KEY, request);
        }
    }
    let server_nonce = crate::random::bytes(env.random).map_err(|e| internal(id, e.to_string()))?;
    let message = {
        let mut items = Items::new();
        for (kind, payload) in &requests {
            items
                .push(Item {
                    kind: *kind,
                    payload,
                })
                .map_err(|_| internal(id, "too many methods for one challenge".to_owned()))?;
        }
        let challenge = Challenge {
            version: progress.version,
            login_id: id.0,
            round,
            server_nonce,
            items,
        };
        sign(progress, &challenge).map_err(|detail| internal(id, detail))?
    };
    progress.transcript = progress.transcript.then(Direction::Verifier, &message);
    progress.round += 1;
    let methods: Vec<_> = requests.keys().map(ToString::to_string).collect();
    let step = Step::ok(StepName::Challenge).round(round);
    progress
        .steps
        .push(step.detail(format!("asks for {}", methods.join(", "))));
    Ok(Asking::Of(message, round, requests, server_nonce))
}

fn sign(progress: &Progress, challenge: &Challenge<'_>) -> Result<Vec<u8>, String> {
    let mut body = [0; MAX_VERIFIER_MESSAGE];
    let body = encode(challenge, &mut body).map_err(|error| error.to_string())?;
    let signature = progress
        .verifier
        .key
        .sign(&progress.transcript, body)
        .map_err(|error| error.to_string())?;
    let signed = VerifierMessage::Challenge(SignedChallenge {
        body,
        signature: &signature,
    });
    to_message(&signed, progress.version)
        .ok_or_else(|| "challenge too long for its agent".to_owned())
}

/// The bytes of a message, unless an agent of this protocol version could not take as many.
pub(super) fn to_message(message: &VerifierMessage<'_>, version: u8) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_VERIFIER_MESSAGE];
    let room = buffer.get_mut(..longest(version))?;
    encode(message, room).map(<[u8]>::to_vec).ok()
}

/// The longest message that an agent of this protocol version takes, bytes.
const fn longest(version: u8) -> usize {
    match version {
        0 | 1 => MAX_VERIFIER_MESSAGE_V1,
        _ => MAX_VERIFIER_MESSAGE,
    }
}

/// One challenge for every method that waits to make one. Entries of one method share the secret, so the
/// first entry that can make a challenge makes it for all.
fn challenges(progress: &mut Progress, env: &Env<'_>) -> BTreeMap<AttestorKind, Vec<u8>> {
    let mut made = BTreeMap::new();
    let Progress {
        pending,
        keys,
        outcomes,
        ..
    } = progress;
    let mut failed = Vec::new();
    for (entry, response) in pending.iter() {
        let kind = response.kind();
        if made.contains_key(&kind) {
            continue;
        }
        let Some(own) = keys.get(&kind) else { continue };
        match response.challenge(&own.secret, env.random) {
            Ok(payload) => {
                made.insert(kind, payload);
            }
            Err(error) => failed.push((*entry, kind, error)),
        }
    }
    for (entry, kind, error) in failed {
        pending.remove(&entry);
        progress.steps.push(
            Step::failed(StepName::Challenge, error.to_string())
                .method(kind)
                .fault(error.fault),
        );
        outcomes.record(entry, Outcome::Failed(error));
    }
    made
}

/// The requests of methods that were not asked for yet and now can be.
fn new_requests(
    progress: &mut Progress,
    this_round: &BTreeMap<AttestorKind, Vec<u8>>,
) -> BTreeMap<AttestorKind, Vec<u8>> {
    // A method may be asked for together with the challenge of the one it stands on: both answers come in one
    // message, and are judged in that order.
    let ground: AttestorSet = this_round.keys().copied().chain(proven(progress)).collect();
    let mut requests: BTreeMap<AttestorKind, Vec<u8>> = BTreeMap::new();
    let mut failed = Vec::new();
    // What does not fit this challenge is asked for in the next one.
    let room = MOST_METHODS.saturating_sub(this_round.len());
    for (entry, attestor) in progress.policies.requirements() {
        let kind = attestor.kind();
        if requests.len() >= room && !requests.contains_key(&kind) {
            continue;
        }
        let stands = attestor.stands_on();
        let ready = stands.is_empty() || !stands.intersection(ground).is_empty();
        let open = is_wanted(&progress.policies, &progress.outcomes, entry)
            && !progress.asked.contains(kind);
        if !(ready && open) {
            continue;
        }
        match attestor.request(requests.get(&kind).map(Vec::as_slice)) {
            Ok(request) => {
                requests.insert(kind, request);
            }
            Err(error) => failed.push((entry, error)),
        }
    }
    for (entry, error) in failed {
        progress.outcomes.record(entry, Outcome::Failed(error));
    }
    requests
}

fn proven(progress: &Progress) -> impl Iterator<Item = AttestorKind> {
    progress
        .policies
        .requirements()
        .filter(|(entry, _)| matches!(progress.outcomes.of(*entry), Some(Outcome::Satisfied(_))))
        .map(|(_, attestor)| attestor.kind())
}
