//! What a policy asks of its entries: pure sets, no attestors and no outcomes.
//!
//! This is the one place that says what the fields of a policy mean:
//!
//! | field | holds when |
//! |---|---|
//! | `requiredAttestors` | every entry counts |
//! | `anyOf`, `minAttestors` | at least `minAttestors` (1 if not given) of the entries of `anyOf` count |
//! | `requiredAttestorCombinations` | for at least one of the combinations, every method in it counts |
//! | `environment` | the document's `environment` is one of these |
//!
//! A policy is satisfied when all of the fields that it has hold. The first two have entries with settings; a
//! combination names entries of the same policy, one of them at least from `anyOf`.
//!
//! An entry **counts** when its proof is accepted and, for a method that stands on another, an entry of that other
//! method counts *in the same policy*. A quote under an EK that only some other policy would let in counts for nothing
//! here.
//!
//! `minAttestors` counts entries of `anyOf` only: what is required anyway would make the number say less than it seems
//! to. Every list is given with at least one element or not at all.
//!
//! # Whose attributes
//!
//! All entries that count and that a rule uses: the required ones, those of every complete combination, and the rest
//! of `anyOf` where `minAttestors` needs more than the combination. More than `minAttestors` can be used; none is
//! picked, so the result does not depend on which proof came first. For the same reason a login waits for every entry
//! that could still be used.

use assay_common::policy::{AttestorKind, AttestorSet};

use super::{MAX_COMBINATIONS, MAX_REQUIRED, PolicyError};

/// An entry as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its method.
    pub kind: AttestorKind,
    /// See [`Attestor::stands_on`](crate::attestor::Attestor::stands_on).
    pub stands_on: AttestorSet,
}

/// A policy's lists as they were given; `None` where a field is absent.
#[derive(Debug, Clone, Default)]
pub struct Lists<E> {
    /// `requiredAttestors`.
    pub required: Option<Vec<E>>,
    /// `anyOf`.
    pub any_of: Option<Vec<E>>,
    /// `minAttestors`.
    pub min_attestors: Option<u64>,
    /// `requiredAttestorCombinations`.
    pub combinations: Option<Vec<Vec<AttestorKind>>>,
}

impl<E> Lists<E> {
    /// Entries of both lists, in order.
    pub fn entries(&self) -> impl Iterator<Item = &E> {
        self.required
            .iter()
            .flatten()
            .chain(self.any_of.iter().flatten())
    }

    /// The same lists with other entries.
    pub fn map<F>(&self, mut each: impl FnMut(&E) -> F) -> Lists<F> {
        let mut list = |list: &Option<Vec<E>>| Some(list.as_ref()?.iter().map(&mut each).collect());
        Lists {
            required: list(&self.required),
            any_of: list(&self.any_of),
            min_attestors: self.min_attestors,
            combinations: self.combinations.clone(),
        }
    }

    /// As [`Self::map`], up to the first error.
    ///
    /// # Errors
    ///
    /// That of `each`.
    pub fn try_map<F, X>(&self, mut each: impl FnMut(&E) -> Result<F, X>) -> Result<Lists<F>, X> {
        let mut list = |list: &Option<Vec<E>>| {
            let list = list
                .as_ref()
                .map(|list| list.iter().map(&mut each).collect());
            list.transpose()
        };
        Ok(Lists {
            required: list(&self.required)?,
            any_of: list(&self.any_of)?,
            min_attestors: self.min_attestors,
            combinations: self.combinations.clone(),
        })
    }
}

/// Checked rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    entries: Vec<Entry>,
    required: AttestorSet,
    any_of: AttestorSet,
    min: usize,
    combinations: Vec<AttestorSet>,
}

impl Rules {
    /// Checks a policy's lists.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with `policy` as the name: an empty list, a method twice or without the one that it stands on,
    /// a number or a combination that cannot be met or that decides nothing.
    pub fn new(policy: &str, lists: &Lists<Entry>) -> Result<Self, PolicyError> {
        let name = || policy.to_owned();
        let empty = |list: &Option<Vec<Entry>>| list.as_ref().is_some_and(Vec::is_empty);
        if empty(&lists.required) || lists.entries().next().is_none() && !empty(&lists.any_of) {
            return Err(PolicyError::Empty(name()));
        }
        if empty(&lists.any_of) {
            return Err(PolicyError::EmptyAnyOf(name()));
        }
        let entries: Vec<Entry> = lists.entries().copied().collect();
        if entries.len() > MAX_REQUIRED {
            return Err(PolicyError::TooManyRequired(name()));
        }
        let mut kinds = AttestorSet::EMPTY;
        for entry in &entries {
            if kinds.contains(entry.kind) {
                return Err(PolicyError::DuplicateAttestor(name(), entry.kind));
            }
            kinds = kinds.with(entry.kind);
        }
        let of = |list: &Option<Vec<Entry>>| list.iter().flatten().map(|e| e.kind).collect();
        let (required, any_of): (AttestorSet, AttestorSet) =
            (of(&lists.required), of(&lists.any_of));
        let rules = Self {
            required,
            any_of,
            min: minimum(policy, lists)?,
            combinations: combinations(policy, lists, required, any_of)?,
            entries,
        };
        let grounded = rules.grounded(kinds);
        if let Some(alone) = rules.entries.iter().find(|e| !grounded.contains(e.kind)) {
            let needs: Vec<_> = alone
                .stands_on
                .iter()
                .map(|kind| kind.to_string())
                .collect();
            return Err(PolicyError::StandsAlone {
                policy: name(),
                kind: alone.kind,
                needs: needs.join(" or "),
            });
        }
        let used = rules.used(kinds);
        match kinds.iter().find(|kind| !used.contains(*kind)) {
            Some(idle) => Err(PolicyError::Unused(name(), idle)),
            None => Ok(rules),
        }
    }

    /// `requiredAttestors`.
    #[must_use]
    pub const fn required(&self) -> AttestorSet {
        self.required
    }

    /// `anyOf`.
    #[must_use]
    pub const fn any_of(&self) -> AttestorSet {
        self.any_of
    }

    /// How many of `anyOf` must count; 0 when there is no `anyOf`.
    #[must_use]
    pub const fn min_attestors(&self) -> usize {
        self.min
    }

    /// `requiredAttestorCombinations`; empty when there are none.
    #[must_use]
    pub fn combinations(&self) -> &[AttestorSet] {
        &self.combinations
    }

    /// The members of `accepted` that count: those with ground to stand on among the others that count. Methods that
    /// stand on each other in a circle do not.
    #[must_use]
    pub fn grounded(&self, accepted: AttestorSet) -> AttestorSet {
        let mut held = AttestorSet::EMPTY;
        loop {
            let next = self.entries.iter().filter(|e| {
                accepted.contains(e.kind)
                    && (e.stands_on.is_empty() || !e.stands_on.intersection(held).is_empty())
            });
            let next: AttestorSet = next.map(|e| e.kind).collect();
            if next == held {
                return held;
            }
            held = next;
        }
    }

    /// Whether at least [`Self::min_attestors`] of `anyOf` are in `counted`.
    #[must_use]
    pub fn enough(&self, counted: AttestorSet) -> bool {
        self.any_of.intersection(counted).iter().count() >= self.min
    }

    /// Whether a combination is complete, or there are none.
    #[must_use]
    pub fn combined(&self, counted: AttestorSet) -> bool {
        self.combinations.is_empty() || self.combinations.iter().any(|c| counted.covers(*c))
    }

    /// Whether all rules hold when `counted` counts. A larger set never holds less.
    #[must_use]
    pub fn hold(&self, counted: AttestorSet) -> bool {
        counted.covers(self.required) && self.enough(counted) && self.combined(counted)
    }

    /// The members of `counted` that a rule uses, and those that they stand on.
    #[must_use]
    pub fn used(&self, counted: AttestorSet) -> AttestorSet {
        let mut used = self.required.intersection(counted);
        let rest = self.any_of.intersection(counted);
        if self.combinations.is_empty() {
            used = used.union(rest);
        }
        for combination in self.combinations.iter().filter(|c| counted.covers(**c)) {
            used = used.union(*combination);
            if !self.enough(*combination) {
                used = used.union(rest);
            }
        }
        loop {
            let stood_on = self.entries.iter().filter(|e| used.contains(e.kind));
            let more = stood_on.fold(used, |set, e| set.union(e.stands_on.intersection(counted)));
            if more == used {
                return used;
            }
            used = more;
        }
    }
}

fn minimum(policy: &str, lists: &Lists<Entry>) -> Result<usize, PolicyError> {
    let policy = policy.to_owned();
    match (&lists.any_of, lists.min_attestors) {
        (None, None) => Ok(0),
        (None, Some(_)) => Err(PolicyError::MinWithoutAnyOf(policy)),
        (Some(_), None) => Ok(1),
        (Some(_), Some(0)) => Err(PolicyError::MinIsZero(policy)),
        (Some(any_of), Some(min)) => usize::try_from(min)
            .ok()
            .filter(|min| *min <= any_of.len())
            .ok_or(PolicyError::MinTooLarge {
                policy,
                min,
                of: any_of.len(),
            }),
    }
}

fn combinations(
    policy: &str,
    lists: &Lists<Entry>,
    required: AttestorSet,
    any_of: AttestorSet,
) -> Result<Vec<AttestorSet>, PolicyError> {
    let Some(given) = &lists.combinations else {
        return Ok(Vec::new());
    };
    let name = || policy.to_owned();
    if given.is_empty() {
        return Err(PolicyError::NoCombinations(name()));
    }
    if given.len() > MAX_COMBINATIONS {
        return Err(PolicyError::TooManyCombinations(name()));
    }
    let mut sets: Vec<AttestorSet> = Vec::with_capacity(given.len());
    for (index, combination) in given.iter().enumerate() {
        let wrong = |why: CombinationError| PolicyError::Combination {
            policy: name(),
            index,
            why,
        };
        let mut set = AttestorSet::EMPTY;
        for kind in combination {
            if set.contains(*kind) {
                return Err(wrong(CombinationError::Twice(*kind)));
            }
            if !required.union(any_of).contains(*kind) {
                return Err(wrong(CombinationError::NoEntry(*kind)));
            }
            set = set.with(*kind);
        }
        if set.is_empty() {
            return Err(wrong(CombinationError::Empty));
        }
        if set.intersection(any_of).is_empty() {
            return Err(wrong(CombinationError::RequiredAnyway));
        }
        if sets.contains(&set) {
            return Err(wrong(CombinationError::Repeated));
        }
        sets.push(set);
    }
    Ok(sets)
}

/// What is wrong with a combination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombinationError {
    /// It would always be complete.
    #[error("is empty")]
    Empty,
    /// A method twice.
    #[error("has `{0}` twice")]
    Twice(AttestorKind),
    /// A method without an entry, so without settings to judge it by.
    #[error("has `{0}`, which is no entry of this policy")]
    NoEntry(AttestorKind),
    /// Nothing in it but what is required: it would always be complete.
    #[error("has nothing from `anyOf`, so it adds nothing to `requiredAttestors`")]
    RequiredAnyway,
    /// The same methods as one before.
    #[error("stands there twice")]
    Repeated,
}
