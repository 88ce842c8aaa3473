//! Load: nodes on keep-alive connections, as fast as they are answered or at a given rate.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::agent::Node;
use super::assayd::{Assayd, Usage};
use super::http::{Connection, Target};

/// What nodes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Full logins.
    Logins,
    /// Renewals of the sessions that they have.
    Renewals,
    /// Requests that ask for nothing: there is no such path.
    Nothing,
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// Each connection begins the next when it has the answer, for so long.
    Time(Duration),
    /// The same, until so many are done.
    Count(u64),
    /// One is due every so often, whether answers have come or not: who waits longer than planned counts all of it.
    Rate {
        /// Of all connections together, per second.
        per_second: f64,
        /// For how long.
        time: Duration,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How many were done.
    pub done: u64,
    /// By the clock, seconds.
    pub seconds: f64,
    /// What the service used before.
    pub before: Usage,
    /// And after.
    pub after: Usage,
    /// How long each took, sorted, seconds; from when it was due.
    pub took: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
impl Outcome {
    /// By the clock.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    /// By the service's own processor time.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.done as f64 / (self.after.cpu - self.before.cpu)
    }

    /// The time that this part of all was not above, milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, percent: usize) -> f64 {
        let at = self.took.len() * percent / 100;
        let at = at.min(self.took.len().saturating_sub(1));
        self.took.get(at).map_or(0.0, |seconds| seconds * 1e3)
    }
}

/// The nodes of one connection.
pub struct Group {
    connection: Connection,
    nodes: Vec<Node>,
}

impl Group {
    /// Deals the nodes out to `connections` connections.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached.
    pub fn deal(nodes: Vec<Node>, connections: usize, target: &Target) -> Result<Vec<Self>> {
        let mut groups = Vec::new();
        for _ in 0..connections {
            groups.push(Self {
                connection: target.connect()?,
                nodes: Vec::new(),
            });
        }
        for (at, node) in nodes.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(at % connections) {
                group.nodes.push(node);
            }
        }
        Ok(groups)
    }

    /// The nodes, for another service.
    #[must_use]
    pub fn nodes(groups: Vec<Self>) -> Vec<Node> {
        groups.into_iter().flat_map(|group| group.nodes).collect()
    }

    /// The session of the connection's first node.
    #[must_use]
    pub fn session_id(&self) -> Option<[u8; 16]> {
        self.nodes.first()?.session_id()
    }

    /// Logs every node in once, and checks the verifier's signatures.
    ///
    /// # Errors
    ///
    /// When a login is not granted.
    pub fn first_logins(groups: &mut [Self], verifier: &[u8]) -> Result<()> {
        for group in groups {
            for node in &mut group.nodes {
                node.log_in(&mut group.connection, Some(verifier))?;
            }
        }
        Ok(())
    }
}

/// Runs the load, one thread per connection.
///
/// # Errors
///
/// When anything is answered otherwise than it must: a figure with failures in it is none.
pub fn run(groups: &mut [Group], assayd: &Assayd, work: Work, amount: Amount) -> Result<Outcome> {
    let plan = Plan::new(amount, groups.len());
    let all = Mutex::new(Vec::new());
    let before = assayd.usage()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = groups
            .iter_mut()
            .enumerate()
            .map(|(at, group)| {
                let (plan, all) = (&plan, &all);
                scope.spawn(move || {
                    let took = plan.follow(group, at, started, work)?;
                    if let Ok(mut all) = all.lock() {
                        all.extend(took);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread of the load has panicked"))?
        })
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let after = assayd.usage()?;
    let mut took = all.into_inner().ok().context("the load's times")?;
    took.sort_by(f64::total_cmp);
    Ok(Outcome {
        done: took.len() as u64,
        seconds,
        before,
        after,
        took,
    })
}

/// What one connection does.
struct Plan {
    /// Until when it begins new ones.
    time: Duration,
    /// How many it begins.
    count: u64,
    /// How far apart they are due, and how far the connections are apart.
    every: Option<(Duration, Duration)>,
}

#[expect(clippy::cast_precision_loss, reason = "some dozen connections")]
impl Plan {
    fn new(amount: Amount, connections: usize) -> Self {
        let mut plan = Self {
            time: Duration::MAX,
            count: u64::MAX,
            every: None,
        };
        match amount {
            Amount::Time(time) => plan.time = time,
            Amount::Count(count) => plan.count = count.div_ceil(connections as u64),
            Amount::Rate { per_second, time } => {
                let apart = Duration::from_secs_f64(1.0 / per_second);
                let every = Duration::from_secs_f64(connections as f64 / per_second);
                (plan.time, plan.every) = (time, Some((every, apart)));
            }
        }
        plan
    }

    fn follow(
        &self,
        group: &mut Group,
        at: usize,
        started: Instant,
        work: Work,
    ) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        let mut due = match self.every {
            Some((_, apart)) => started + apart.mul_f64(at as f64),
            None => started,
        };
        let nodes = group.nodes.len().max(1);
        for number in 0..self.count {
            if self.every.is_some() {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            } else {
                due = Instant::now();
            }
            if due.duration_since(started) >= self.time {
                break;
            }
            let node = group
                .nodes
                .get_mut(usize::try_from(number)? % nodes)
                .context("a connection without a node")?;
            match work {
                Work::Logins => node.log_in(&mut group.connection, None)?,
                Work::Renewals => node.renew(&mut group.connection)?,
                Work::Nothing => nothing(&mut group.connection)?,
            }
            took.push(due.elapsed().as_secs_f64());
            if let Some((every, _)) = self.every {
                due += every;
            }
        }
        Ok(took)
    }
}

fn nothing(connection: &mut Connection) -> Result<()> {
    let (status, _) = connection.send("POST", "/nothing", "", &[7; 2_048])?;
    ensure!(status == 404, "a path that is not there: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(took: Vec<f64>) -> Outcome {
        let usage = |cpu| Usage {
            cpu,
            store: 0.0,
            audit: 0.0,
            resident: 0,
            written: 0,
        };
        Outcome {
            done: took.len() as u64,
            seconds: 10.0,
            before: usage(1.0),
            after: usage(3.0),
            took,
        }
    }

    #[test]
    fn rates_are_by_the_clock_and_by_processor_time() {
        let outcome = outcome(vec![0.001; 100]);
        assert!((outcome.per_second() - 10.0).abs() < 1e-9);
        assert!((outcome.per_cpu_second() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let outcome = outcome((1..=100).map(f64::from).collect());
        assert!((outcome.quantile_ms(50) - 51_000.0).abs() < 1e-6);
        assert!((outcome.quantile_ms(99) - 100_000.0).abs() < 1e-6);
        assert!(self::outcome(Vec::new()).quantile_ms(99).abs() < 1e-9);
    }
}
