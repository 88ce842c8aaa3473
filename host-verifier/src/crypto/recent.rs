//! What was used of late, and no more of it than fits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values in two generations: when the young one is full, what was not used for the longest is forgotten by the half.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// How many one generation holds.
    generation: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// At most twice as many values as a generation holds.
    pub(crate) fn new(generation: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation,
        }
    }

    /// The value, which counts as used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get(key)
    }

    /// Takes a value in, in the place of the one that the key had.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation {
            self.old = core::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Certificates that a generation of [`Known`] holds. What is kept of one, with its key made ready, takes some 5 KiB.
const CERTIFICATES: usize = 4_096;
/// Longest text that is kept, bytes: certificates have 600 to 3,000 in base64.
const LONGEST: usize = 4_096;
/// How much of a text finds it: the end, which is of the signature.
const END: usize = 32;

type End = [u8; END];
/// The whole, and what it was read as.
type ByEnd<C> = Recent<End, (Box<[u8]>, C)>;

/// Certificates that were read before, by the very text or bytes that a peer sends them as. Reading is a pure function of the text, so
/// what comes out of here is what reading would give, and nothing more is known of it: every judgement of a certificate is
/// made as if it had just been read. Bounded; only what was judged good is to be put in, so that no peer can fill it with
/// what it made up.
#[derive(Debug)]
pub struct Known<C>(Mutex<ByEnd<C>>);

impl<C> Default for Known<C> {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CERTIFICATES)))
    }
}

impl<C: Clone> Known<C> {
    /// What this text was read as.
    #[must_use]
    pub fn get(&self, text: &(impl AsRef<[u8]> + ?Sized)) -> Option<C> {
        let text = text.as_ref();
        let end = text.last_chunk()?;
        let mut recent = self.recent();
        let (known, certificate) = recent.get(end)?;
        (**known == *text).then(|| certificate.clone())
    }

    /// Keeps what a text was read as, unless it is too long.
    pub fn put(&self, text: &(impl AsRef<[u8]> + ?Sized), certificate: &C) {
        let text = text.as_ref();
        if let Some(end) = text.last_chunk()
            && text.len() <= LONGEST
        {
            self.recent().put(*end, (text.into(), certificate.clone()));
        }
    }

    fn recent(&self) -> MutexGuard<'_, ByEnd<C>> {
        // Every change is complete before anything that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{CERTIFICATES, Known, LONGEST, Recent};

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut recent = Recent::new(100);
        recent.put(0, "0".to_owned());
        for number in 1..=300 {
            recent.put(number, number.to_string());
            assert_eq!(recent.get(&0).map(String::as_str), Some("0"), "{number}");
            assert!(recent.len() <= 200, "{}", recent.len());
        }
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.get(&300).map(String::as_str), Some("300"));
    }

    #[test]
    fn a_key_has_one_value_whatever_its_generation() {
        let mut recent = Recent::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (3, 'c'), (1, 'd')] {
            recent.put(key, value);
        }
        assert_eq!(recent.get(&1), Some(&'d'));
        assert_eq!(recent.len(), 3);
    }

    #[test]
    fn only_the_very_same_text_is_known() {
        let known = Known::default();
        let text = format!("{}{}", "A".repeat(40), "z".repeat(40));
        known.put(&text, &7);
        assert_eq!(known.get(&text), Some(7));
        // The end finds, the whole decides.
        assert_eq!(known.get(&text.replacen('A', "B", 1)), None);
        assert_eq!(known.get(&text[1..]), None);
        assert_eq!(known.get(&"z".repeat(40)), None);
        assert_eq!(known.get("short"), None);
    }

    #[test]
    fn certificates_are_bounded_in_number_and_size() {
        let known = Known::default();
        let text = |number: usize| format!("{number:0>64}");
        for number in 0..3 * CERTIFICATES {
            known.put(&text(number), &number);
        }
        let held = known.recent().len();
        assert!(held <= 2 * CERTIFICATES, "{held}");
        assert_eq!(known.get(&text(0)), None);
        let last = 3 * CERTIFICATES - 1;
        assert_eq!(known.get(&text(last)), Some(last));

        let long = "x".repeat(LONGEST + 1);
        known.put(&long, &0);
        assert_eq!(known.get(&long), None);
    }
}
