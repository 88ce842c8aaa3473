//! What a trail says of one login: the record that decided it, and those that came after it.
//!
//! Anybody can send an answer that was on the line before, or a renewal that names a session. Such records are found
//! here too, and never stand for the decision: a login that was granted was granted, whatever was sent later.
//!
//! Bounded: as many bytes of records as the caller says; the deciding one is kept in any case, of the others that did not
//! fit the number is.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::record::Kind;

/// Name of the member that [`Found::into_record`] adds: the records behind the deciding one.
pub const LATER: &str = "later";
/// Name of the member with the number of records that did not fit.
pub const OMITTED: &str = "later_omitted";

/// The members that tell which login a record belongs to. Tolerant: what older versions wrote has no `kind`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    kind: String,
    outcome: String,
    login_id: String,
    untrusted_login_id: String,
    session_id: String,
    untrusted_session_id: String,
    detail: String,
}

/// The kind of a record, also of one that was written before records had one.
#[must_use]
pub fn kind_of(record: &Map<String, Value>) -> Option<Kind> {
    let text = |name: &str| {
        let text = record.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let names = Names {
        kind: text("kind"),
        outcome: text("outcome"),
        login_id: text("login_id"),
        session_id: text("session_id"),
        detail: text("detail"),
        ..Names::default()
    };
    names.kind()
}

impl Names {
    fn kind(&self) -> Option<Kind> {
        match self.kind.as_str() {
            "login" => return Some(Kind::Login),
            "renewal" => return Some(Kind::Renewal),
            "repeat" => return Some(Kind::Repeat),
            "replay" => return Some(Kind::Replay),
            "svid" => return Some(Kind::Svid),
            "" => {}
            _ => return None,
        }
        match self.outcome.as_str() {
            "granted" => Some(Kind::Login),
            "renewed" => Some(Kind::Renewal),
            "issued" => Some(Kind::Svid),
            // A refused renewal had no login, and the session that it named.
            "denied" if self.login_id.is_empty() => Some(Kind::Renewal),
            "denied" if self.detail == "the challenge was answered before" => Some(Kind::Replay),
            "denied" => Some(Kind::Login),
            _ => None,
        }
    }

    /// How much it has to say on how the login was decided: less is more.
    fn rank(&self) -> u8 {
        match (self.kind(), self.outcome.as_str()) {
            (Some(Kind::Login), "granted") => 0,
            (Some(Kind::Login), _) => 1,
            _ => 2,
        }
    }

    fn names(&self) -> [&str; 4] {
        let Self {
            login_id,
            untrusted_login_id,
            session_id,
            untrusted_session_id,
            ..
        } = self;
        [
            login_id,
            untrusted_login_id,
            session_id,
            untrusted_session_id,
        ]
    }
}

/// A record that belongs to the login.
#[derive(Debug)]
struct Line {
    rank: u8,
    text: Vec<u8>,
}

/// Gathers the records of one login out of a trail, from the first to the last.
#[derive(Debug)]
pub struct Found {
    /// The login and the session that it ended in, as far as they are known.
    wanted: Vec<String>,
    lines: Vec<Line>,
    bytes: usize,
    most: usize,
    omitted: usize,
}

impl Found {
    /// What belongs to a login or to a session, by its name; at most so many bytes of it.
    #[must_use]
    pub fn of(name: &str, most: usize) -> Self {
        Self {
            wanted: vec![name.to_owned()],
            lines: Vec::new(),
            bytes: 0,
            most,
            omitted: 0,
        }
    }

    /// Looks at a line of the trail.
    ///
    /// # Errors
    ///
    /// The line names it, and is no record.
    pub fn take(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let mentions = |name: &String| {
            let name = name.as_bytes();
            !name.is_empty() && line.windows(name.len()).any(|part| part == name)
        };
        if !self.wanted.iter().any(mentions) {
            return Ok(());
        }
        let names: Names = serde_json::from_slice(line)?;
        let belongs = names
            .names()
            .iter()
            .any(|name| !name.is_empty() && self.wanted.iter().any(|wanted| wanted == name));
        if !belongs {
            return Ok(());
        }
        let rank = names.rank();
        if rank == 0 {
            // What is said of its session from here on belongs to the login, and the other way round.
            for name in [&names.login_id, &names.session_id] {
                if !self.wanted.contains(name) {
                    self.wanted.push(name.clone());
                }
            }
        }
        let first = self.lines.iter().all(|line| line.rank > rank);
        if !first && self.bytes.saturating_add(line.len()) > self.most {
            self.omitted += 1;
            return Ok(());
        }
        self.bytes += line.len();
        self.lines.push(Line {
            rank,
            text: line.to_vec(),
        });
        Ok(())
    }

    /// The deciding record, then the others in the order in which they were written; and how many did not fit.
    #[must_use]
    pub fn into_lines(self) -> (Vec<Vec<u8>>, usize) {
        let mut lines = self.lines;
        let best = lines.iter().map(|line| line.rank).min();
        let deciding = lines.iter().position(|line| Some(line.rank) == best);
        if let Some(part) = deciding.and_then(|at| lines.get_mut(..=at)) {
            part.rotate_right(1);
        }
        let texts = lines.into_iter().map(|line| line.text);
        (texts.collect(), self.omitted)
    }

    /// The deciding record, with the others as its member [`LATER`]. `None` when there is none.
    ///
    /// # Errors
    ///
    /// A line is no record.
    pub fn into_record(self) -> serde_json::Result<Option<Map<String, Value>>> {
        let (lines, omitted) = self.into_lines();
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            records.push(serde_json::from_slice::<Map<String, Value>>(&line)?);
        }
        let mut records = records.into_iter();
        let Some(mut record) = records.next() else {
            return Ok(None);
        };
        let later: Vec<_> = records.map(Value::Object).collect();
        if !later.is_empty() {
            record.insert(LATER.to_owned(), Value::Array(later));
        }
        if omitted > 0 {
            record.insert(OMITTED.to_owned(), omitted.into());
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]
mod tests {
    use serde_json::{Value, json};

    use super::Found;

    const LOGIN: &str = "11111111111111111111111111111111";
    const SESSION: &str = "22222222222222222222222222222222";

    fn gathered(name: &str, most: usize, records: &[Value]) -> Vec<u64> {
        let mut found = Found::of(name, most);
        for record in records {
            found.take(record.to_string().as_bytes()).unwrap();
        }
        let (lines, _) = found.into_lines();
        let seq = |line: &Vec<u8>| serde_json::from_slice::<Value>(line).unwrap()["seq"].as_u64();
        lines.iter().map(|line| seq(line).unwrap()).collect()
    }

    #[test]
    fn the_grant_decides_whatever_is_sent_before_or_after_it() {
        let records = [
            json!({"seq": 1, "kind": "replay", "outcome": "denied", "login_id": "", "untrusted_login_id": LOGIN}),
            json!({"seq": 2, "kind": "login", "outcome": "granted", "login_id": LOGIN, "session_id": SESSION}),
            json!({"seq": 3, "kind": "renewal", "outcome": "denied", "login_id": "", "untrusted_session_id": SESSION}),
            json!({"seq": 4, "kind": "login", "outcome": "denied", "login_id": "33333333333333333333333333333333",
                   "detail": LOGIN}),
            json!({"seq": 5, "kind": "renewal", "outcome": "renewed", "login_id": LOGIN, "session_id": SESSION}),
            json!({"seq": 6, "kind": "login", "outcome": "denied", "login_id": LOGIN, "code": "expired"}),
        ];
        assert_eq!(gathered(LOGIN, 10_000, &records), [2, 1, 3, 5, 6]);
        assert_eq!(gathered(SESSION, 10_000, &records), [2, 3, 5, 6]);
    }

    #[test]
    fn records_of_older_versions_are_understood() {
        let records = [
            json!({"seq": 1, "outcome": "granted", "login_id": LOGIN, "session_id": SESSION}),
            json!({"seq": 2, "outcome": "denied", "login_id": LOGIN, "detail": "the challenge was answered before"}),
            json!({"seq": 3, "outcome": "denied", "login_id": "", "session_id": SESSION}),
            json!({"seq": 4, "outcome": "renewed", "login_id": LOGIN, "session_id": SESSION}),
        ];
        for name in [LOGIN, SESSION] {
            assert_eq!(gathered(name, 10_000, &records), [1, 2, 3, 4]);
        }
        // Without the grant, a refusal of the login itself comes before a replay of an answer.
        let refused = [
            records[1].clone(),
            json!({"seq": 7, "outcome": "denied", "login_id": LOGIN, "detail": "no"}),
        ];
        assert_eq!(gathered(LOGIN, 10_000, &refused), [7, 2]);
    }

    #[test]
    fn the_deciding_record_is_kept_however_much_was_sent() {
        let noise =
            json!({"seq": 1, "kind": "replay", "outcome": "denied", "untrusted_login_id": LOGIN});
        let mut records = vec![noise; 100];
        records.push(json!({"seq": 2, "kind": "login", "outcome": "granted", "login_id": LOGIN}));
        records.push(json!({"seq": 3, "kind": "login", "outcome": "denied", "login_id": LOGIN}));
        let kept = gathered(LOGIN, 300, &records);
        assert_eq!(kept[..2], [2, 1]);
        assert!(kept.len() < 6, "{kept:?}");
    }
}
