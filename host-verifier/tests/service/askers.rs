//! How many logins wait for somebody outside at once: what is beyond it is turned away at once, and the others go on.

use std::sync::Arc;

use assay_common::protocol::DenyCode;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::outside::{
    Error, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::server::{RequestLogins, Server, World};
use assay_host_verifier::store::JoinTokenTaken;
use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::agent::Answer;
use crate::desk::{Desk, asked_of};
use crate::without_tpm::{ENTRIES, Host, token};

/// Of one peer, and of one cluster: `server/asking.rs`.
const PER_PEER: usize = 8;
const PER_CLUSTER: usize = 16;

/// Answers about as many tokens as it is told to.
#[derive(Debug)]
struct Held {
    world: World,
    asked: Semaphore,
    answers: Semaphore,
}

#[async_trait]
impl Fetch for Held {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.world.fetch(request).await
    }
}

#[async_trait]
impl Outside for Held {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.world.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        self.asked.add_permits(1);
        self.answers.acquire().await.unwrap().forget();
        self.world.take_join_token(digest, now).await
    }
}

impl Held {
    /// Until so many logins have asked.
    async fn wait_for(&self, logins: usize) {
        let asked = self.asked.acquire_many(u32::try_from(logins).unwrap());
        asked.await.unwrap().forget();
    }
}

/// A login over this link, to its end.
fn begin(desk: &Desk, logins: &Arc<RequestLogins>, host: Host, link: &str) -> JoinHandle<Answer> {
    let (logins, server, link) = (logins.clone(), desk.server.clone(), link.to_owned());
    tokio::spawn(login(logins, server, host, link))
}

async fn login(logins: Arc<RequestLogins>, server: Server, mut host: Host, link: String) -> Answer {
    let turn = |state, message| {
        let (logins, server) = (logins.clone(), server.clone());
        logins.turn_to_its_end(server, link.clone(), state, Blobs::default(), message)
    };
    let hello = host.agent.hello();
    let reply = turn(Vec::new(), hello).await;
    let asked = asked_of(host.agent.hear(&reply.message));
    let proofs = host.answer(&asked);
    let reply = turn(reply.state, proofs).await;
    host.agent.hear(&reply.message)
}

#[tokio::test]
async fn neither_a_peer_nor_a_cluster_has_all_the_room_of_those_who_wait_for_others() {
    let mut desk = Desk::with_template(ENTRIES, "/joined/{{join_token.id}}");
    let held = Arc::new(Held {
        world: World::new(Arc::new(NoOutside), desk.store.clone(), desk.clock.clone()),
        asked: Semaphore::new(0),
        answers: Semaphore::new(0),
    });
    desk.server.outside = held.clone();
    let logins = Arc::new(RequestLogins::default());
    let desk = desk;
    let host = async || Host::new(&desk, token(&desk, None).await);
    let overloaded = |answer: &Answer| matches!(answer, Answer::Denied(DenyCode::OVERLOADED, _));

    let mut waiting = Vec::new();
    for (peer, before) in [("https:192.0.2.1", 0), ("https:192.0.2.2", PER_PEER)] {
        for _ in 0..PER_PEER {
            waiting.push(begin(&desk, &logins, host().await, peer));
        }
        held.wait_for(PER_PEER).await;
        // One more of this peer is turned away while the others wait, and has asked nobody.
        let more = begin(&desk, &logins, host().await, peer).await.unwrap();
        assert!(overloaded(&more), "{before}: {more:?}");
        assert_eq!(held.asked.available_permits(), 0);
    }
    assert_eq!(waiting.len(), PER_CLUSTER);
    let more = begin(&desk, &logins, host().await, "https:192.0.2.3").await;
    let more = more.unwrap();
    assert!(overloaded(&more), "{more:?}");
    assert!(waiting.iter().all(|login| !login.is_finished()));

    // They go on as if nothing had been, and leave their room to others.
    held.answers.add_permits(PER_CLUSTER + 1);
    for login in waiting {
        let answer = login.await.unwrap();
        assert!(matches!(answer, Answer::Granted(_)), "{answer:?}");
    }
    let again = begin(&desk, &logins, host().await, "https:192.0.2.1").await;
    let again = again.unwrap();
    assert!(matches!(again, Answer::Granted(_)), "{again:?}");
}
