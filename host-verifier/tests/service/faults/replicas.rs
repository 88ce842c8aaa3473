//! Two real processes on one PostgreSQL, and agents whose requests come to either of them.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::house::{Heard, House, Replica, Wire};
use super::{next_nonce, renew, renewed_until};
use crate::agent::{Agent, Answer, Opened};
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres::{self, Database};
use crate::replicas::share_key;

/// Rounds of each race.
const RACES: usize = 8;

struct Pair {
    houses: [House; 2],
    replicas: [Replica; 2],
    tpm: FakeTpm,
}

impl Pair {
    fn new(database: &Database<'_>) -> Self {
        let tpm = FakeTpm::new();
        let url = database.url();
        let keys = format!("datastore:\n  postgres:\n    url: {url}\n    maxConnections: 4\n");
        let houses = [House::new(&[&tpm], &keys), House::new(&[&tpm], &keys)];
        let first = houses[0].serve(&[]);
        share_key(&houses[0].site, &houses[1].site);
        let second = houses[1].serve(&[]);
        Self {
            houses,
            replicas: [first, second],
            tpm,
        }
    }

    fn wire(&self, number: usize) -> Wire {
        Wire::connect(self.replicas[number % 2].address).unwrap()
    }

    /// A login whose messages go to one replica and the other, beginning with `first`.
    fn login(&mut self, first: usize) -> Opened {
        let (mut agent, heard, number) = self.until_the_end(first);
        let heard = self.wire(number).turn(&heard.0, &heard.1).unwrap();
        granted(agent.hear(&heard.message))
    }

    /// A login whose last proofs are ready: (agent, (state, proofs), number of the message).
    fn until_the_end(&mut self, first: usize) -> (Agent, (Vec<u8>, Vec<u8>), usize) {
        self.tpm.clock += 1;
        let mut agent = self.houses[0].agent();
        let mut request = (Vec::new(), agent.hello());
        for number in first..first + 2 {
            let heard = self.wire(number).turn(&request.0, &request.1).unwrap();
            let Answer::Asked(asked) = agent.hear(&heard.message) else {
                panic!("not asked: {heard:?}")
            };
            request = (heard.state, agent.answer(&self.tpm, &asked));
        }
        (agent, request, first + 2)
    }

    /// The same request to both at once.
    fn both(&self, state: &[u8], message: &[u8]) -> [Heard; 2] {
        let start = Barrier::new(2);
        let ask = |number| {
            let mut wire = self.wire(number);
            start.wait();
            wire.turn(state, message).unwrap()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| ask(1));
            [ask(0), other.join().unwrap()]
        })
    }
}

/// Of two answers to one request: the one that says yes.
fn winner(answers: [Heard; 2]) -> Heard {
    let statuses: BTreeSet<_> = answers.iter().map(|heard| heard.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 403]));
    let [one, other] = answers;
    if one.status == 200 { one } else { other }
}

#[test]
fn each_message_of_a_login_may_come_to_another_process() {
    let database = postgres::database();
    let mut pair = Pair::new(&database);
    for first in [0, 1] {
        let session = hex::encode(pair.login(first).session_id);
        for house in &pair.houses {
            let shown = house.site.json(&["session", "show", &session]);
            assert_eq!(shown["id"], session.as_str());
        }
    }
    // Who decided has it on its trail: proofs of the first login ended at one, of the second at the other.
    for house in &pair.houses {
        assert_eq!(house.site.json(&["audit", "verify"])["records"], 1);
    }
}

#[test]
fn a_process_that_dies_between_two_messages_is_not_missed() {
    let database = postgres::database();
    for dies_after in 1..=2 {
        let mut pair = Pair::new(&database);
        let mut agent = pair.houses[0].agent();
        let mut request = (Vec::new(), agent.hello());
        let mut number = 0;
        let session = loop {
            let alive = usize::from(number >= dies_after);
            let heard = pair.wire(alive).turn(&request.0, &request.1).unwrap();
            match agent.hear(&heard.message) {
                Answer::Asked(asked) => {
                    request = (heard.state, agent.answer(&pair.tpm, &asked));
                }
                other => break granted(other),
            }
            number += 1;
            if number == dies_after {
                pair.replicas[0].kill();
                pair.replicas[0].process.wait().unwrap();
            }
        };
        assert_eq!(number, 2);
        let stored = pair.houses[1].site.json(&["session", "list"]);
        let id = hex::encode(session.session_id);
        assert!(stored.to_string().contains(&id), "{stored}");
    }
}

/// A day without any verifier, and then one that starts an instant before the other: it changes the keys of login states at
/// once, and nobody has had the time to learn of it.
#[test]
fn a_process_that_changes_the_keys_at_its_start_is_understood_at_once() {
    let database = postgres::database();
    let mut pair = Pair::new(&database);
    let newest = "SELECT max(number) FROM login_state_keys";
    for starts in [0, 1] {
        let before: u64 = database.sql(newest).parse().unwrap();
        database.sql("UPDATE login_state_keys SET made_at = made_at - 86400");
        pair.replicas[starts].kill();
        pair.replicas[starts].process.wait().unwrap();
        pair.replicas[starts] = pair.houses[starts].serve(&[]);
        assert_eq!(database.sql(newest), (before + 2).to_string());
        // The one with the new keys asks first, then the other.
        for first in [starts, starts + 1] {
            pair.login(first);
        }
    }
}

#[test]
fn of_two_processes_that_are_told_one_answer_one_grants() {
    let database = postgres::database();
    let mut pair = Pair::new(&database);
    for race in 0..RACES {
        let (mut agent, (state, proofs), _) = pair.until_the_end(race);
        let won = winner(pair.both(&state, &proofs));
        granted(agent.hear(&won.message));
        assert_eq!(
            database.sql("SELECT count(*) FROM sessions"),
            (race + 1).to_string()
        );
    }
}

#[test]
fn two_processes_that_are_asked_for_one_renewal_renew_once_and_say_the_same() {
    let database = postgres::database();
    let mut pair = Pair::new(&database);
    for race in 0..RACES {
        let session = pair.login(race);
        let (_, nonce, _) = session.renewal.clone().unwrap();
        pair.tpm.clock += 1;
        let message = renew(&pair.tpm, session.session_id, &nonce);
        let [one, other] = pair.both(&[], &message);
        let until = renewed_until(&one.message).expect("a renewal");
        assert_eq!(renewed_until(&other.message), Some(until));
        assert_eq!(next_nonce(&one.message), next_nonce(&other.message));
        let stored = database.sql(&format!(
            "SELECT expires_at FROM sessions WHERE encode(id, 'hex') = '{}'",
            hex::encode(session.session_id)
        ));
        assert_eq!(stored, until.to_string());
    }
}
