//! Judges a stored login again: offline, at another time, under other policies.
//!
//! Everything that the agent signed is checked as it was in the login: the messages follow from one another, the verifier
//! signed its challenges over what came before, the evidence is what the transcript binds. The result is an
//! [`Authorized`] over [`Assumed`] claims, which no session can be made from.
//!
//! # What cannot be judged again
//!
//! * Whether the TPM answered its challenge: the secret in it is never kept. The record says whether the answer was accepted,
//!   and that is taken over, as an assumption that is named.
//! * What somebody outside answered (a webhook, an API server, a key server, the store of one-time tokens): it is judged as it
//!   was recorded, and each answer that is accepted is named.
//! * What the store knew of the node: rules on counters are judged as for a first login.
//! * A proof that the login did not ask for.

mod outside;

use std::collections::BTreeMap;

use assay_common::login::{Direction, LoginKeys, Transcript, challenge_message};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{
    AgentMessage, Challenge, Chunk, MAX_CHUNK, Proofs, VerifierMessage, decode,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use jiff::Timestamp;

use self::outside::WaitingErrand;
use super::kept::{Kept, Said};
use crate::attestor::run::RequirementId;
use crate::attestor::{AttestError, Claims, Facts, Fault, Judged, LoginContext, Pending};
use crate::blobs::Blobs;
use crate::policy::what_if::Assumed;
use crate::policy::{Authorized, Outcome, Outcomes, PolicySet, Refusal, decide, narrow_to_decide};

/// What a login is judged by now.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The policies.
    pub policies: &'a PolicySet,
    /// When: certificates and modules see this time.
    pub at: Timestamp,
    /// The key that signs challenges, as a SEC1 point; `None`: their signatures are not checked.
    pub challenge_key: Option<&'a [u8]>,
}

/// What became of a check of the login as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It passed; what was seen.
    Passed(String),
    /// It failed; why.
    Failed(String),
    /// It could not be made; why.
    Skipped(String),
}

/// The judgement.
#[derive(Debug)]
pub struct Judgement {
    /// Checks of the login as a whole, by name, in order.
    pub checks: Vec<(&'static str, Check)>,
    /// What the policies make of it; `None` when the login does not hold together.
    pub decision: Option<Result<Authorized<Assumed>, Refusal>>,
    /// The public area of the attestation key that is proven by it.
    pub attestation_key: Option<Vec<u8>>,
}

/// The cluster that a login names.
#[must_use]
pub fn cluster(kept: &Kept) -> Option<String> {
    kept.said.iter().find_map(|said| match said {
        Said::Agent(message) => match decode(message) {
            Ok(AgentMessage::Hello(hello)) => Some(hello.cluster.to_owned()),
            _ => None,
        },
        _ => None,
    })
}

/// Judges a login again.
#[must_use]
pub fn judge(kept: &Kept, question: &Question<'_>) -> Judgement {
    let broken = |check, why| Judgement {
        checks: vec![(check, Check::Failed(why))],
        decision: None,
        attestation_key: None,
    };
    if let Some(lack) = kept.lack {
        return broken("evidence", lack.to_string());
    }
    let mut again = Again {
        kept,
        question,
        transcript: Transcript::new(),
        blobs: Blobs::default(),
        asked: None,
        rounds: 0,
        messages: 0,
        outcomes: Outcomes::assumed(),
        pending: BTreeMap::new(),
        errands: BTreeMap::new(),
        facts: Facts::default(),
        assumed: AttestorSet::EMPTY,
        taken_over: Vec::new(),
    };
    let held = kept.said.iter().try_for_each(|said| again.take(said));
    again.unanswered();
    let mut checks = Vec::new();
    match held {
        Err((check, why)) => return broken(check, why),
        Ok(()) => checks.push((
            "transcript",
            Check::Passed(format!("{} messages", again.messages)),
        )),
    }
    checks.push((
        "challenge-signature",
        match question.challenge_key {
            Some(_) => Check::Passed(format!("{} challenges", again.rounds)),
            None => {
                Check::Skipped("no configuration is named whose key would verify it".to_owned())
            }
        },
    ));
    for kind in again.assumed.iter() {
        let why = format!(
            "the secret of {kind} was never kept: the record says that its response was accepted"
        );
        checks.push(("activation", Check::Skipped(why)));
    }
    let taken_over = again.taken_over.into_iter();
    checks.extend(taken_over.map(|why| ("outside", Check::Skipped(why))));
    let mut outcomes = again.outcomes;
    narrow_to_decide(question.policies, &mut outcomes, question.at);
    let key = again.facts.attestation_key;
    Judgement {
        checks,
        decision: Some(decide(question.policies, &outcomes)),
        attestation_key: key.map(|key| key.public),
    }
}

/// The failed check and why.
type Broken = (&'static str, String);

struct Asked {
    login_id: [u8; 16],
    round: u8,
    requests: BTreeMap<AttestorKind, Vec<u8>>,
}

struct Again<'a> {
    kept: &'a Kept,
    question: &'a Question<'a>,
    transcript: Transcript,
    blobs: Blobs,
    asked: Option<Asked>,
    rounds: u8,
    messages: usize,
    outcomes: Outcomes<Assumed>,
    pending: BTreeMap<RequirementId, Box<dyn Pending>>,
    errands: BTreeMap<RequirementId, WaitingErrand>,
    facts: Facts,
    assumed: AttestorSet,
    /// Which answers from outside were accepted as they were recorded.
    taken_over: Vec<String>,
}

fn torn(why: impl Into<String>) -> Broken {
    ("transcript", why.into())
}

impl Again<'_> {
    fn take(&mut self, said: &Said) -> Result<(), Broken> {
        match said {
            Said::Blob(number, bytes) => self.blob(*number, bytes),
            Said::Outside(answered) => {
                self.answered(answered);
                Ok(())
            }
            Said::Agent(message) => {
                self.agent(message)?;
                self.then(Direction::Agent, message);
                Ok(())
            }
            Said::Verifier(message) => {
                self.verifier(message)?;
                self.then(Direction::Verifier, message);
                Ok(())
            }
        }
    }

    fn then(&mut self, direction: Direction, message: &[u8]) {
        self.transcript = self.transcript.then(direction, message);
        self.messages = self.messages.saturating_add(1);
    }

    fn blob(&mut self, blob: u8, bytes: &[u8]) -> Result<(), Broken> {
        let mut offset = 0_u32;
        for bytes in bytes.chunks(MAX_CHUNK) {
            let chunk = Chunk {
                blob,
                offset,
                bytes,
            };
            self.blobs.add(&chunk).map_err(|e| torn(e.to_string()))?;
            offset = offset.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn agent(&mut self, message: &[u8]) -> Result<(), Broken> {
        match decode(message).map_err(|e| torn(e.to_string()))? {
            AgentMessage::Hello(hello) if self.messages == 0 => {
                let offered: Vec<_> = hello.methods.iter().copied().map(AttestorKind).collect();
                for (id, attestor) in self.question.policies.requirements() {
                    if !offered.contains(&attestor.kind()) {
                        self.outcomes.record(id, Outcome::NotOffered);
                    }
                }
                Ok(())
            }
            AgentMessage::Proofs(proofs) => self.proofs(&proofs),
            _ => Err(torn("a message of the agent out of its turn")),
        }
    }

    fn verifier(&mut self, message: &[u8]) -> Result<(), Broken> {
        let signed = match decode(message).map_err(|e| torn(e.to_string()))? {
            VerifierMessage::Challenge(signed) => signed,
            _ => return Err(torn("a message of the verifier that is no challenge")),
        };
        if let Some(key) = self.question.challenge_key {
            let over = challenge_message(&self.transcript, signed.body).concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                .verify(&over, signed.signature)
                .map_err(|_| {
                    let why = format!(
                        "challenge {} is not signed by this verifier over what came before it",
                        self.rounds
                    );
                    ("challenge-signature", why)
                })?;
        }
        let challenge: Challenge<'_> = decode(signed.body).map_err(|e| torn(e.to_string()))?;
        let id: String = challenge
            .login_id
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        if id != self.kept.login_id {
            return Err(torn(format!("a challenge of login {id}")));
        }
        if challenge.round != self.rounds || self.asked.is_some() || self.messages == 0 {
            return Err(torn(format!(
                "challenge {} out of its turn",
                challenge.round
            )));
        }
        self.rounds = self.rounds.saturating_add(1);
        let items = challenge.items.iter();
        self.asked = Some(Asked {
            login_id: challenge.login_id,
            round: challenge.round,
            requests: items
                .map(|item| (item.kind, item.payload.to_vec()))
                .collect(),
        });
        Ok(())
    }

    fn proofs(&mut self, proofs: &Proofs<'_>) -> Result<(), Broken> {
        let asked = self
            .asked
            .take()
            .filter(|asked| asked.login_id == proofs.login_id && asked.round == proofs.round);
        let asked = asked.ok_or_else(|| torn("proofs that no challenge asked for"))?;
        let mut answers: BTreeMap<AttestorKind, &[u8]> = BTreeMap::new();
        for item in &proofs.items {
            if !asked.requests.contains_key(&item.kind)
                || answers.insert(item.kind, item.payload).is_some()
            {
                return Err(torn(format!(
                    "a proof by {} that was not asked for",
                    item.kind
                )));
            }
        }
        // What others stand on comes first.
        let stands = |kind: AttestorKind| {
            let mut all = self.question.policies.requirements();
            all.any(|(_, a)| a.kind() == kind && !a.stands_on().is_empty())
        };
        let mut order: Vec<_> = answers.keys().copied().collect();
        order.sort_by_key(|kind| stands(*kind));
        for kind in order {
            if let (Some(request), Some(answer)) = (asked.requests.get(&kind), answers.get(&kind)) {
                self.item(kind, request, answer);
            }
        }
        for kind in asked
            .requests
            .keys()
            .filter(|kind| !answers.contains_key(kind))
        {
            for id in self.entries(*kind) {
                self.outcomes.record(id, Outcome::NotAnswered);
            }
        }
        Ok(())
    }

    fn entries(&self, kind: AttestorKind) -> Vec<RequirementId> {
        let all = self.question.policies.requirements();
        all.filter(|(_, a)| a.kind() == kind)
            .map(|(id, _)| id)
            .collect()
    }

    fn item(&mut self, kind: AttestorKind, request: &[u8], payload: &[u8]) {
        for id in self.entries(kind) {
            let found = match self.pending.remove(&id) {
                Some(pending) => self.response(kind, pending.as_ref()).map(Some),
                None => self.evidence(id, request, payload),
            };
            match found.and_then(|claims| claims.map(|claims| self.settle(claims)).transpose()) {
                Ok(None) => {}
                Ok(Some(claims)) => {
                    let assumed = Outcome::Satisfied(Assumed::new(claims));
                    self.outcomes.record(id, assumed);
                }
                Err(error) => self.outcomes.record(id, Outcome::Failed(error)),
            }
        }
    }

    /// The claims; `None` when a response is still to come.
    fn evidence(
        &mut self,
        id: RequirementId,
        request: &[u8],
        payload: &[u8],
    ) -> Result<Option<Claims>, AttestError> {
        let policies = self.question.policies;
        let Some((_, attestor)) = policies.requirements().find(|(other, _)| *other == id) else {
            return Ok(None);
        };
        // The keys are for responses, which are not judged here.
        let keys = LoginKeys::new([0; 32]);
        let cx = LoginContext {
            now: self.question.at,
            transcript: &self.transcript,
            request,
            blobs: &self.blobs,
            facts: &self.facts,
            last_boot: None,
            keys: &keys,
        };
        Ok(match attestor.judge(&cx, payload)? {
            Judged::Proven(claims) => Some(*claims),
            Judged::Errand(_) => {
                self.wait(id, attestor.clone(), request, payload);
                None
            }
            Judged::Challenge(pending) => {
                self.pending.insert(id, pending);
                None
            }
        })
    }

    fn response(
        &mut self,
        kind: AttestorKind,
        pending: &dyn Pending,
    ) -> Result<Claims, AttestError> {
        let refused = |detail| AttestError::new(Fault::Refused, "response-not-kept", detail);
        if !self.kept.answered.contains(&kind) {
            return Err(refused(
                "the record does not say that its response was accepted",
            ));
        }
        self.assumed = self.assumed.with(kind);
        let claims = pending.if_answered();
        claims
            .ok_or_else(|| refused("nothing can be said without the secret, which was never kept"))
    }

    /// One TPM stands behind one login, as there.
    fn settle(&mut self, claims: Claims) -> Result<Claims, AttestError> {
        let (own, new) = (&mut self.facts, &claims.facts);
        let differs = own.subject.is_some() && new.subject.is_some() && own.subject != new.subject
            || own.attestation_key.is_some()
                && new.attestation_key.is_some()
                && own.attestation_key != new.attestation_key
            || own.boot.is_some() && new.boot.is_some() && own.boot != new.boot;
        if differs {
            let detail =
                "the proof speaks of another TPM or key than one before it in the same login";
            return Err(AttestError::new(Fault::Refused, "facts-differ", detail));
        }
        own.subject = own.subject.take().or_else(|| new.subject.clone());
        own.attestation_key = own
            .attestation_key
            .take()
            .or_else(|| new.attestation_key.clone());
        own.boot = own.boot.or(new.boot);
        Ok(claims)
    }
}
