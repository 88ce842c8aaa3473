//! Leaves those alone who fail again and again.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::ErrorKind;

/// So many failures one after the other.
const FAILURES: u32 = 5;
/// How long nobody is asked then. Afterwards one failure is enough, until there is an answer.
const REST: Duration = Duration::from_secs(10);
/// Most targets that failures are counted of.
const TARGETS: usize = 256;

/// Failures by target.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BTreeMap<String, State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    failures: u32,
    /// Nobody is asked before.
    until: Option<Instant>,
}

impl Breaker {
    /// Whether this target may be asked. After its rest one may: the others wait for what becomes of it.
    pub(super) fn check(&self, target: &str, now: Instant) -> Result<(), ErrorKind> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.get_mut(target) else {
            return Ok(());
        };
        match state.until {
            Some(until) if now < until => Err(ErrorKind::Open),
            Some(_) => {
                state.until = Some(now + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What came of it.
    pub(super) fn saw(&self, target: &str, error: Option<&ErrorKind>, now: Instant) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !error.is_some_and(is_failure) {
            states.remove(target);
            return;
        }
        if !states.contains_key(target) && states.len() >= TARGETS {
            // Operators name a few. Whoever has more is served without this.
            return;
        }
        let state = states.entry(target.to_owned()).or_insert(State {
            failures: 0,
            until: None,
        });
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.until = Some(now + REST);
        }
    }
}

/// Whether the target is out of order. Who answers, even with a refusal, is not; and that we are busy is no fault of it.
const fn is_failure(error: &ErrorKind) -> bool {
    match error {
        ErrorKind::Status(status) => *status >= 500,
        ErrorKind::Connect
        | ErrorKind::Deadline
        | ErrorKind::Malformed
        | ErrorKind::NameNotFound
        | ErrorKind::Resolver
        | ErrorKind::Tls(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Breaker, ErrorKind, FAILURES, REST, TARGETS};

    const OUT: Option<&ErrorKind> = Some(&ErrorKind::Connect);

    #[test]
    fn who_fails_again_and_again_is_left_alone_and_then_asked_once() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            breaker.saw("a", OUT, now);
        }
        assert_eq!(breaker.check("a", now), Ok(()));
        breaker.saw("a", OUT, now);
        assert_eq!(breaker.check("a", now), Err(ErrorKind::Open));
        assert_eq!(breaker.check("b", now), Ok(()), "nobody else");
        let later = now + REST;
        let before = later - Duration::from_millis(1);
        assert_eq!(breaker.check("a", before), Err(ErrorKind::Open));
        assert_eq!(breaker.check("a", later), Ok(()), "one tries");
        assert_eq!(breaker.check("a", later), Err(ErrorKind::Open), "one only");
        breaker.saw("a", OUT, later);
        assert_eq!(breaker.check("a", later), Err(ErrorKind::Open));
        breaker.saw("a", None, later);
        assert_eq!(breaker.check("a", later), Ok(()));
    }

    #[test]
    fn whoever_answers_is_there() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..3 {
            for _ in 1..FAILURES {
                breaker.saw("a", OUT, now);
            }
            breaker.saw("a", Some(&ErrorKind::Status(404)), now);
        }
        for _ in 0..FAILURES {
            breaker.saw("a", Some(&ErrorKind::Busy), now);
        }
        assert_eq!(breaker.check("a", now), Ok(()));
        for _ in 0..FAILURES {
            breaker.saw("a", Some(&ErrorKind::Status(503)), now);
        }
        assert_eq!(breaker.check("a", now), Err(ErrorKind::Open));
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for n in 0..2 * TARGETS {
            breaker.saw(&n.to_string(), OUT, now);
        }
        assert_eq!(
            breaker.0.lock().map(|states| states.len()).ok(),
            Some(TARGETS)
        );
    }
}
