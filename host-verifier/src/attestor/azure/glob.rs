//! Patterns of names.

/// Longest pattern, bytes.
const MAX_PATTERN: usize = 128;

/// A name in which `*` stands for any characters, or none, and `?` for any one. Azure's names have no case, and so has this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Reads one. `None`: it is empty, too long, or has what no name of a machine has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '?');
        let fits = !text.is_empty() && text.len() <= MAX_PATTERN && text.chars().all(plain);
        fits.then(|| Self(text.to_lowercase().chars().collect()))
    }

    /// Whether it lets in any name whatever.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.iter().all(|c| *c == '*')
    }

    /// Whether a name is one of these. Takes time in proportion to both lengths: where a star's reach was too short it is
    /// made longer by one, and no earlier star is tried again.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        let (mut at, mut read) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(c) = name.get(read) {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(p) if *p == '?' || p == c => {
                    at += 1;
                    read += 1;
                }
                _ => match star {
                    Some((behind, reach)) => {
                        star = Some((behind, reach + 1));
                        at = behind + 1;
                        read = reach + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(at).all(|c| *c == '*')
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Glob;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, names, others) in [
            (
                "spire-agent-*",
                &["spire-agent-7", "Spire-Agent-", "spire-agent-a-b"][..],
                &["spire-agent", "xspire-agent-7", "spire-agentx-"][..],
            ),
            ("k8s-node-?", &["K8S-NODE-1"], &["k8s-node-", "k8s-node-12"]),
            ("*-prod", &["a-prod", "-prod"], &["a-prod-b"]),
            ("a*b*c", &["abc", "aXbYbZc"], &["ab", "acb"]),
            ("vm", &["VM"], &["vm1", "v", ""]),
            ("*", &["", "anything"], &[]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            for name in names {
                assert!(glob.matches(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!glob.matches(name), "{pattern} {name}");
            }
        }
        for wrong in ["", "a b", "a/b", "[a]", "a\n", &"x".repeat(129)] {
            assert_eq!(Glob::parse(wrong), None, "{wrong}");
        }
        assert!(Glob::parse("**").unwrap().is_everything());
    }

    #[test]
    fn many_stars_cost_no_more_than_few() {
        let glob = Glob::parse(&"*a".repeat(60)).unwrap();
        assert!(!glob.matches(&("a".repeat(4000) + "b")));
    }
}
