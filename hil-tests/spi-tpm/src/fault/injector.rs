//! The injector: asked at every place where a fault can show, it answers from the plan, counts
//! down, and remembers what it did.

use super::plan::{Count, FaultPlan};
use super::{FaultKind, Phase};

/// Where the model stands when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// State of the FIFO.
    pub phase: Phase,
    /// Number of the command under way or about to come, from 1.
    pub number: u32,
    /// Its code, once the tenth byte has arrived.
    pub code: Option<u32>,
}

/// A fault that showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiredFault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The argument used.
    pub arg: u32,
    /// When.
    pub context: Context,
}

/// Longest log of fired faults; later ones are only counted.
const LOG_LIMIT: usize = 256;

/// Applies one plan.
#[derive(Debug, Clone, Default)]
pub struct Injector {
    plan: FaultPlan,
    shown: Vec<u32>,
    log: Vec<FiredFault>,
    total: u64,
}

impl Injector {
    /// An injector for `plan`.
    #[must_use]
    pub fn new(plan: FaultPlan) -> Self {
        let shown = vec![0; plan.faults.len()];
        Self {
            plan,
            shown,
            log: Vec::new(),
            total: 0,
        }
    }

    /// Whether a fault of `kind` shows here; if so, its argument. Counts it as shown.
    pub fn fire(&mut self, kind: FaultKind, context: &Context) -> Option<u32> {
        self.fire_if(kind, context, |_| true)
    }

    /// As [`Injector::fire`], for faults that show only with certain arguments.
    pub fn fire_if(
        &mut self,
        kind: FaultKind,
        context: &Context,
        condition: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let faults = self.plan.faults.iter().zip(self.shown.iter_mut());
        for (fault, shown) in faults {
            let left = match fault.count {
                Count::Always => true,
                Count::Times(n) => *shown < n,
            };
            let arg = fault.effective_arg();
            if fault.kind == kind && left && fault.matches(context) && condition(arg) {
                *shown = shown.saturating_add(1);
                self.total = self.total.saturating_add(1);
                if self.log.len() < LOG_LIMIT {
                    self.log.push(FiredFault {
                        kind,
                        arg,
                        context: *context,
                    });
                }
                return Some(arg);
            }
        }
        None
    }

    /// Whether the plan is empty: the fast path of every clocked byte.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.plan.is_empty()
    }

    /// What showed, the first 256.
    #[must_use]
    pub fn log(&self) -> &[FiredFault] {
        &self.log
    }

    /// How many times anything showed.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;

    fn at(phase: Phase, number: u32, code: Option<u32>) -> Context {
        Context {
            phase,
            number,
            code,
        }
    }

    #[test]
    fn shows_as_often_as_planned_and_only_where_planned() {
        let plan: FaultPlan = "slow=9@execution/#2/2".parse().unwrap();
        let mut injector = Injector::new(plan);
        let here = at(Phase::Execution, 2, None);
        assert_eq!(
            injector.fire(FaultKind::Slow, &at(Phase::Execution, 1, None)),
            None
        );
        assert_eq!(
            injector.fire(FaultKind::Slow, &at(Phase::Ready, 2, None)),
            None
        );
        assert_eq!(injector.fire(FaultKind::Rc, &here), None);
        assert_eq!(injector.fire(FaultKind::Slow, &here), Some(9));
        assert_eq!(injector.fire(FaultKind::Slow, &here), Some(9));
        assert_eq!(injector.fire(FaultKind::Slow, &here), None);
        assert_eq!(injector.log().len(), 2);
    }

    #[test]
    fn a_code_matches_only_once_it_is_known() {
        let mut injector = Injector::new("slow@any/0x17b/always".parse().unwrap());
        assert_eq!(
            injector.fire(FaultKind::Slow, &at(Phase::Ready, 1, None)),
            None
        );
        assert!(
            injector
                .fire(FaultKind::Slow, &at(Phase::Ready, 1, Some(0x17B)))
                .is_some()
        );
    }
}
