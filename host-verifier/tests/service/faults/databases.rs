//! A database that is gone in the middle of a login over HTTPS: refused with the word that says "later", and the same
//! request is taken when it is back.

use std::time::{Duration, Instant};

use super::house::{House, Wire};
use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres::Server;

#[test]
fn a_login_goes_on_when_its_database_is_back() {
    let mut server = Server::make();
    server.start();
    let tpm = FakeTpm::new();
    let url = server.database().url();
    let house = House::new(
        &[&tpm],
        &format!("datastore:\n  postgres:\n    url: {url}\n    maxConnections: 4\n"),
    );
    let replica = house.serve(&[]);
    let mut agent = house.agent();
    let mut wire = Wire::connect(replica.address).unwrap();
    let heard = wire.turn(&[], &agent.hello()).unwrap();
    let Answer::Asked(asked) = agent.hear(&heard.message) else {
        panic!("not asked: {heard:?}")
    };
    let proofs = agent.answer(&tpm, &asked);
    server.stop();
    let gone = wire.turn(&heard.state, &proofs).unwrap();
    assert_eq!(gone.status, 503);

    server.start();
    let began = Instant::now();
    let mut reply = loop {
        let reply = wire.turn(&heard.state, &proofs).unwrap();
        if reply.status != 503 {
            break reply;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{reply:?}");
    };
    while let Answer::Asked(asked) = agent.hear(&reply.message) {
        let proofs = agent.answer(&tpm, &asked);
        reply = wire.turn(&reply.state, &proofs).unwrap();
        if reply.state.is_empty() {
            granted(agent.hear(&reply.message));
            return;
        }
    }
    panic!("{reply:?}");
}
