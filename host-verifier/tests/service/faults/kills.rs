//! `kill -9` of a real `assayd` in every message of a login over HTTPS, before the answer, after it, and at moments in
//! between. The next process serves the same data.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use assay_host_verifier::audit;
use serde_json::Value;

use super::house::{Heard, House, Replica, Wire};
use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres;

/// Messages of a login: the hello, and two rounds of proofs.
const MESSAGES: usize = 3;
/// Moments in the last message's time at which the process is killed; half as many in each of the others.
const MOMENTS: u32 = 8;

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
struct Abort {
    /// In which message of the login.
    message: usize,
    /// How long after it was sent; `None` is when its answer has been read.
    after: Option<Duration>,
}

/// What became of a login whose process was killed.
struct Broken {
    /// The last request: (state, message).
    last: (Vec<u8>, Vec<u8>),
    answer: Option<Answer>,
}

struct Fleet {
    house: House,
    tpm: FakeTpm,
    /// Sessions that a node was told of.
    told: BTreeSet<String>,
}

impl Fleet {
    fn new(keys: &str) -> Self {
        let tpm = FakeTpm::new();
        Self {
            house: House::new(&[&tpm], keys),
            tpm,
            told: BTreeSet::new(),
        }
    }

    fn note(&mut self, answer: &Answer) {
        if let Answer::Granted(opened) = answer {
            self.told.insert(hex::encode(opened.session_id));
        }
    }

    /// A whole login; how long its last message took.
    fn login(&mut self, replica: &Replica) -> Duration {
        self.tpm.clock += 1;
        let mut agent = self.house.agent();
        let mut wire = Wire::connect(replica.address).unwrap();
        let mut heard = wire.turn(&[], &agent.hello()).unwrap();
        loop {
            let answer = agent.hear(&heard.message);
            let Answer::Asked(asked) = answer else {
                unreachable!("the last message returns below")
            };
            let proofs = agent.answer(&self.tpm, &asked);
            let began = Instant::now();
            heard = wire.turn(&heard.state, &proofs).unwrap();
            if heard.state.is_empty() {
                let took = began.elapsed();
                let answer = agent.hear(&heard.message);
                self.note(&answer);
                granted(answer);
                return took;
            }
        }
    }

    /// A login until the process is killed.
    fn login_until(&mut self, mut replica: Replica, abort: Abort) -> Broken {
        self.tpm.clock += 1;
        let mut agent = self.house.agent();
        let mut wire = Wire::connect(replica.address).unwrap();
        let mut last = (Vec::new(), agent.hello());
        let mut number = 0;
        loop {
            wire.send(&last.0, &last.1).unwrap();
            let heard: Option<Heard> = match (number == abort.message, abort.after) {
                (false, _) => Some(wire.hear().unwrap()),
                (true, None) => {
                    let heard = wire.hear().unwrap();
                    replica.kill();
                    Some(heard)
                }
                (true, Some(after)) => {
                    let sent = Instant::now();
                    // A moment as the scheduler gives it would be milliseconds late.
                    while sent.elapsed() < after {
                        std::hint::spin_loop();
                    }
                    replica.kill();
                    // What was on its way arrives nevertheless.
                    wire.hear().ok()
                }
            };
            let answer = heard.as_ref().map(|heard| agent.hear(&heard.message));
            if let Some(answer) = &answer {
                self.note(answer);
            }
            if number == abort.message {
                return Broken { last, answer };
            }
            let (Some(heard), Some(Answer::Asked(asked))) = (heard, answer) else {
                panic!("message {number} was answered otherwise")
            };
            last = (heard.state, agent.answer(&self.tpm, &asked));
            number += 1;
        }
    }

    /// What holds of the store and the trail together; (sessions, records).
    fn check(&self, abort: Abort) -> (usize, usize) {
        let bytes = std::fs::read(self.house.site.path("data").join(audit::FILE)).unwrap();
        let summary = audit::verify(bytes.as_slice(), &[]).unwrap();
        assert_eq!(summary.unfinished, 0, "{abort:?}");
        let records: Vec<Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let grants: Vec<_> = records
            .iter()
            .filter(|record| record["outcome"] == "granted")
            .map(|record| record["session_id"].as_str().unwrap().to_owned())
            .collect();
        let recorded: BTreeSet<_> = grants.iter().cloned().collect();
        assert_eq!(recorded.len(), grants.len(), "{abort:?}: decided once");
        let stored = self.house.site.json(&["session", "list"]);
        let stored = stored.as_array().unwrap();
        let field = |name: &str| -> BTreeSet<String> {
            let values = stored.iter().map(|session| session[name].as_str().unwrap());
            values.map(str::to_owned).collect()
        };
        assert_eq!(
            field("login_id").len(),
            stored.len(),
            "{abort:?}: one session per login"
        );
        let sessions = field("id");
        assert!(
            self.told.is_subset(&recorded),
            "{abort:?}: a told session without a record"
        );
        assert!(
            recorded.is_subset(&sessions),
            "{abort:?}: a recorded session is lost"
        );
        (stored.len(), grants.len())
    }

    /// Kills a process at each of these moments, and looks at what the next one finds.
    fn run(&mut self) {
        let replica = self.house.serve(&[]);
        let mut took: Vec<_> = (0..5).map(|_| self.login(&replica)).collect();
        took.sort();
        let last = took[2];
        drop(replica);
        let (mut cut, mut silent, mut open) = (0, 0, 0);
        let aborts = aborts(last);
        for abort in &aborts {
            let replica = self.house.serve(&[]);
            let broken = self.login_until(replica, *abort);
            let replica = self.house.serve(&[]);
            let (sessions, grants) = self.check(*abort);
            open += usize::from(sessions > grants);
            cut += usize::from(broken.answer.is_none());

            // A challenge is not answered twice, whoever remembers the first time.
            let final_proofs = abort.message == MESSAGES - 1;
            let mut wire = Wire::connect(replica.address).unwrap();
            let mut again = || wire.turn(&broken.last.0, &broken.last.1).unwrap().status;
            if abort.message > 0 {
                let first = again();
                if broken.answer.is_some() {
                    assert_eq!(first, 403, "{abort:?}");
                } else {
                    silent += usize::from(first == 200);
                    assert!(first == 200 || first == 403, "{abort:?}: {first}");
                }
                assert_eq!(again(), 403, "{abort:?}");
                let (after, _) = self.check(*abort);
                let expected = sessions + usize::from(final_proofs && first == 200);
                assert_eq!(after, expected, "{abort:?}");
            }
            self.login(&replica);
        }
        println!(
            "{} kills: {cut} before the answer, of which {silent} went on where they were; {open} with sessions that nobody was told of; last message {last:?}",
            aborts.len()
        );
        assert!(cut > 0 && cut < aborts.len(), "{cut} of {}", aborts.len());
        let verified = self.house.site.json(&["audit", "verify"]);
        assert_eq!(verified["unfinished_bytes"], 0);
    }
}

fn aborts(last: Duration) -> Vec<Abort> {
    let mut aborts = Vec::new();
    for message in 0..MESSAGES {
        aborts.push(Abort {
            message,
            after: None,
        });
        let moments = if message + 1 == MESSAGES {
            MOMENTS
        } else {
            MOMENTS / 4
        };
        for moment in 0..moments {
            aborts.push(Abort {
                message,
                after: Some(last * moment / moments),
            });
        }
    }
    aborts
}

#[test]
fn a_process_may_be_killed_at_any_moment_over_sqlite() {
    Fleet::new("").run();
}

#[test]
fn a_process_may_be_killed_at_any_moment_over_postgresql() {
    let database = postgres::database();
    let url = database.url();
    let keys = format!("datastore:\n  postgres:\n    url: {url}\n    maxConnections: 4\n");
    Fleet::new(&keys).run();
}
