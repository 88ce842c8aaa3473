//! Leaves those alone whom nobody reaches.
//!
//! What opens it must not be for agents or for other policies to choose, since it shuts everybody out who asks the same. So
//! only what happens before a request is sent counts: afterwards statuses, times and bytes depend on what is asked, which
//! agents have a part in. And a failure counts for those only who trust the same authorities, since a policy with the wrong
//! ones is its own trouble.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{ErrorKind, Request, Response, Target};

/// So many failures one after the other.
const FAILURES: u32 = 5;
/// How long nobody is asked then. Afterwards one failure is enough, until there is an answer.
const REST: Duration = Duration::from_secs(10);
/// How long a connection must have been waited for until that is a failure. Who has less time has chosen so.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most targets that failures are counted of.
const TARGETS: usize = 256;

/// Failures by target.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BTreeMap<Key, State>>);

/// Whom a failure counts for: scheme, name and port, and the authorities that they must come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    origin: String,
    roots: Option<Arc<str>>,
}

impl Key {
    pub(super) fn of(target: &Target, request: &Request) -> Self {
        Self {
            origin: target.origin(),
            roots: request.roots.clone(),
        }
    }
}

/// What one request says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there, whatever it answers.
    Reached,
    /// It could not be asked.
    Unreached,
    /// Nothing.
    Unclear,
}

impl Sign {
    /// `sent`: whether it got as far as sending the request. `tried`: how long it was at it.
    pub(super) fn of(
        answer: &Result<Response, ErrorKind>,
        request: &Request,
        sent: bool,
        tried: Duration,
    ) -> Self {
        match answer {
            _ if sent => Self::Reached,
            Ok(_) => Self::Reached,
            Err(_) if request.repeated => Self::Unclear,
            Err(
                ErrorKind::NameNotFound
                | ErrorKind::Resolver
                | ErrorKind::Connect
                | ErrorKind::Tls(_),
            ) => Self::Unreached,
            Err(ErrorKind::Deadline) if tried >= PATIENCE => Self::Unreached,
            Err(_) => Self::Unclear,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    failures: u32,
    /// Nobody is asked before.
    until: Option<Instant>,
}

impl Breaker {
    /// Whether this target may be asked. After its rest one may: the others wait for what becomes of it.
    pub(super) fn check(&self, target: &Key, now: Instant) -> Result<(), ErrorKind> {
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
    pub(super) fn saw(&self, target: &Key, sign: Sign, now: Instant) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sign {
            Sign::Unclear => return,
            Sign::Reached => {
                states.remove(target);
                return;
            }
            Sign::Unreached => {}
        }
        if !states.contains_key(target) && states.len() >= TARGETS {
            // Operators name a few. Whoever has more is served without this.
            return;
        }
        let state = states.entry(target.clone()).or_insert(State {
            failures: 0,
            until: None,
        });
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Breaker, ErrorKind, FAILURES, Key, PATIENCE, REST, Request, Sign, TARGETS};
    use crate::outside::{AddressClass, Reach, TlsFault};

    const OUT: Sign = Sign::Unreached;

    fn key(origin: &str) -> Key {
        Key {
            origin: origin.to_owned(),
            roots: None,
        }
    }

    #[test]
    fn who_fails_again_and_again_is_left_alone_and_then_asked_once() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let (a, b) = (key("a"), key("b"));
        let pinned = Key {
            roots: Some("pem".into()),
            ..key("a")
        };
        for _ in 1..FAILURES {
            breaker.saw(&a, OUT, now);
        }
        assert_eq!(breaker.check(&a, now), Ok(()));
        breaker.saw(&a, OUT, now);
        assert_eq!(breaker.check(&a, now), Err(ErrorKind::Open));
        assert_eq!(breaker.check(&b, now), Ok(()), "nobody else");
        assert_eq!(breaker.check(&pinned, now), Ok(()), "nor by other roots");
        let later = now + REST;
        let before = later - Duration::from_millis(1);
        assert_eq!(breaker.check(&a, before), Err(ErrorKind::Open));
        assert_eq!(breaker.check(&a, later), Ok(()), "one tries");
        assert_eq!(breaker.check(&a, later), Err(ErrorKind::Open), "one only");
        breaker.saw(&a, OUT, later);
        assert_eq!(breaker.check(&a, later), Err(ErrorKind::Open));
        breaker.saw(&a, Sign::Reached, later);
        assert_eq!(breaker.check(&a, later), Ok(()));
    }

    #[test]
    fn whoever_is_reached_begins_anew_and_what_says_nothing_changes_nothing() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let a = key("a");
        for _ in 0..3 {
            for _ in 1..FAILURES {
                breaker.saw(&a, OUT, now);
            }
            breaker.saw(&a, Sign::Unclear, now);
            assert_eq!(breaker.check(&a, now), Ok(()));
            breaker.saw(&a, Sign::Reached, now);
        }
        for _ in 1..FAILURES {
            breaker.saw(&a, OUT, now);
        }
        breaker.saw(&a, Sign::Unclear, now);
        breaker.saw(&a, OUT, now);
        assert_eq!(breaker.check(&a, now), Err(ErrorKind::Open));
    }

    #[test]
    fn only_what_agents_and_other_policies_have_no_part_in_counts() {
        let request = Request::get("https://hook.example.org/", Reach::OPERATORS);
        let again = Request {
            repeated: true,
            ..request.clone()
        };
        let tls = ErrorKind::Tls(TlsFault::Protocol);
        for kind in [
            ErrorKind::Connect,
            ErrorKind::Resolver,
            ErrorKind::NameNotFound,
            tls,
            ErrorKind::Deadline,
        ] {
            let sign = |request, sent, tried| Sign::of(&Err(kind), request, sent, tried);
            assert_eq!(sign(&request, false, PATIENCE), Sign::Unreached, "{kind}");
            assert_eq!(sign(&again, false, PATIENCE), Sign::Unclear, "{kind}");
            assert_eq!(sign(&request, true, PATIENCE), Sign::Reached, "{kind}");
        }
        let brief = PATIENCE - Duration::from_millis(1);
        for (kind, sent, expected) in [
            (ErrorKind::Deadline, false, Sign::Unclear),
            (ErrorKind::Status(503), true, Sign::Reached),
            (ErrorKind::Malformed, true, Sign::Reached),
            (ErrorKind::Busy, false, Sign::Unclear),
            (ErrorKind::Roots, false, Sign::Unclear),
            (
                ErrorKind::Address(AddressClass::Private),
                false,
                Sign::Unclear,
            ),
        ] {
            let sign = Sign::of(&Err(kind), &request, sent, brief);
            assert_eq!(sign, expected, "{kind}");
        }
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for n in 0..2 * TARGETS {
            breaker.saw(&key(&n.to_string()), OUT, now);
        }
        assert_eq!(
            breaker.0.lock().map(|states| states.len()).ok(),
            Some(TARGETS)
        );
    }
}
