//! The state in which somebody outside is asked.
//!
//! What an errand uses up or is told depends on when it is run ([`When`]): most run as soon as their payload is read; one that
//! waits for the others runs when nothing else is open in the first policy that can still win.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, Next, Progress, Turn, judging, plan};
use crate::attestor::errand::Answered;
use crate::attestor::run::{AwaitAnswer, RequirementId};
use crate::attestor::{AttestError, ErrandContext, When};
use crate::outside::Outside;
use crate::policy::Outcome;
use crate::policy::engine::{first_open, is_wanted};

/// A login that waits for answers from outside. They are asked for at the same time.
#[derive(Debug)]
pub struct AwaitAnswers {
    progress: Progress,
    errands: Vec<(AwaitAnswer, ErrandContext)>,
}

/// The errands to be run now that need not wait for others.
pub(super) fn at_once(progress: Progress, env: &Env<'_>) -> Result<Turn, Box<Progress>> {
    start(progress, env, |_, errand| errand.when() == When::AtOnce)
}

/// The errands that waited, when nothing else can be asked: those of the first policy that can still win, the last ones last.
pub(super) fn waiting(progress: Progress, env: &Env<'_>) -> Result<Turn, Box<Progress>> {
    let Some(first) = first_open(&progress.policies, &progress.outcomes) else {
        return Err(Box::new(progress));
    };
    let own = |errand: &AwaitAnswer| errand.by().policy == first;
    let next = progress.errands.values().filter(|errand| own(errand));
    let Some(next) = next.map(AwaitAnswer::when).min() else {
        return Err(Box::new(progress));
    };
    start(progress, env, |_, errand| {
        own(errand) && errand.when() == next
    })
}

fn start(
    mut progress: Progress,
    env: &Env<'_>,
    due: impl Fn(&RequirementId, &AwaitAnswer) -> bool,
) -> Result<Turn, Box<Progress>> {
    let Progress {
        errands,
        policies,
        outcomes,
        ..
    } = &mut progress;
    errands.retain(|entry, _| is_wanted(policies, outcomes, *entry));
    let due: Vec<_> = errands
        .extract_if(.., |entry, errand| due(entry, errand))
        .collect();
    if due.is_empty() {
        return Err(Box::new(progress));
    }
    let errands = due
        .into_iter()
        .map(|(_, errand)| {
            let context = context(&progress, &errand, env.now.wall);
            (errand, context)
        })
        .collect();
    Ok(progress.turn(|progress| Next::Inquire(Box::new(AwaitAnswers { progress, errands }))))
}

fn context(progress: &Progress, errand: &AwaitAnswer, now: Timestamp) -> ErrandContext {
    let position = errand.by().policy;
    let policy = progress.policies.policies().get(position);
    let entries = policy.map_or(0, |policy| policy.attestors().len());
    let proven = (0..entries).filter_map(|entry| {
        let id = RequirementId {
            policy: position,
            entry,
        };
        match progress.outcomes.of(id) {
            Some(Outcome::Satisfied(attested)) => {
                let claims = attested.claims();
                Some((claims.kind, claims.attributes.clone()))
            }
            _ => None,
        }
    });
    ErrandContext {
        now,
        login_id: progress.id.to_string(),
        cluster: progress.cluster.clone(),
        trust_domain: progress.verifier.trust_domain.clone(),
        policy: policy.map_or_else(String::new, |policy| policy.name().to_owned()),
        proven: proven.collect(),
        proof_nonce: errand.proof_nonce(),
    }
}

impl AwaitAnswers {
    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    /// The cluster that the agent named, which is one of those that are served.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.progress.cluster
    }

    /// When the login expires, on the monotonic clock.
    #[must_use]
    pub const fn deadline(&self) -> core::time::Duration {
        self.progress.deadline
    }

    /// Which methods ask.
    #[must_use]
    pub fn kinds(&self) -> Vec<AttestorKind> {
        self.errands
            .iter()
            .map(|(errand, _)| errand.kind())
            .collect()
    }

    /// Asks all of them, and waits for the slowest. To be dropped when the login's time is over.
    pub async fn run(&self, outside: &dyn Outside) -> Vec<Result<Vec<u8>, AttestError>> {
        let asked = self
            .errands
            .iter()
            .map(|(errand, cx)| errand.run(outside, cx));
        join_all(asked).await
    }

    /// Goes on with what came, in the order of [`Self::run`]'s result. Also says what is to be kept of it.
    #[must_use]
    pub fn handle(
        self,
        env: &Env<'_>,
        answers: Vec<Result<Vec<u8>, AttestError>>,
    ) -> (Vec<Answered>, Turn) {
        let Self {
            mut progress,
            errands,
        } = self;
        let at = env.now.wall.as_millisecond();
        let mut kept = Vec::with_capacity(errands.len());
        for ((errand, _), answer) in errands.into_iter().zip(answers) {
            let entry = errand.by();
            let number = |position: usize| u16::try_from(position).unwrap_or(u16::MAX);
            let answered = Answered {
                kind: errand.kind().0,
                policy: number(entry.policy),
                entry: number(entry.entry),
                at,
                result: answer.map_err(|error| (error.fault.into(), error.to_string())),
            };
            judging::judge_answer(&mut progress, errand, &answered);
            kept.push(answered);
        }
        (kept, plan::advance(progress, env))
    }

    /// Ends the login because too many others ask. Nobody was asked.
    #[must_use]
    pub fn overloaded(self) -> Turn {
        let detail = "too many logins ask outside at once";
        let mut progress = self.progress;
        progress.steps.push(Step::failed(StepName::Answer, detail));
        let code = assay_common::protocol::DenyCode::OVERLOADED;
        let denied = Denied::new(Some(progress.id), code, detail);
        plan::deny(progress, denied)
    }

    /// Ends the login because its time is over.
    #[must_use]
    pub fn expire(self) -> Turn {
        let methods: Vec<_> = self.kinds().iter().map(ToString::to_string).collect();
        let detail = format!(
            "no answer in time to what {} asked outside",
            methods.join(", ")
        );
        let mut progress = self.progress;
        progress.steps.push(Step::failed(StepName::Answer, &detail));
        let code = assay_common::protocol::DenyCode::UNAVAILABLE;
        let denied = Denied::new(Some(progress.id), code, detail);
        plan::deny(progress, denied)
    }
}

/// Runs futures side by side on this task, and returns their results in their order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    core::future::poll_fn(|context| {
        let mut all = true;
        for (future, result) in &mut running {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    core::task::Poll::Ready(value) => *result = Some(value),
                    core::task::Poll::Pending => all = false,
                }
            }
        }
        if all {
            core::task::Poll::Ready(())
        } else {
            core::task::Poll::Pending
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}
