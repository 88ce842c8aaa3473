//! The one client for requests to others.
//!
//! * A name is resolved once. Every address that it stands for is sorted ([`AddressClass`]); one that the method may not talk
//!   to refuses them all, so that a name cannot be mixed until one gets through. The connection goes to an address that was
//!   looked at, never to the name: nobody resolves a second time.
//! * No proxy, of the environment or otherwise; no redirect; no cookie; no compression; a connection per request.
//! * One deadline over all of it. The body is counted while it is read. Headers are bounded.
//! * Few requests at once to one host, so that a slow one holds up its own askers only; a bounded number in all, and those
//!   that agents aim ([`Reach::is_agents`]) have places of their own.
//! * Who was chosen by an operator and cannot be reached again and again is left alone for a while: logins are then denied at
//!   once, and not after a deadline each.
//!
//! hyper and rustls are what the listener is built on already. A client library above them would resolve, connect, follow
//! and pool by itself, and each of these would have to be turned off and kept off.

mod breaker;
mod exchange;
mod places;
mod resolve;
mod roots;
mod times;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{
    AddressClass, Error, ErrorKind, Fetch, Host, Outbound, PrivateNetwork, Reach, Request,
    Response, Scheme, Target, TargetError,
};
use breaker::{Breaker, Key, Sign};
use places::Places;
use resolve::Names;
use roots::Trust;

/// Most requests at once to targets that operators chose.
const OPERATORS: usize = 128;
/// Most of these at once to one host: an API that a whole region's accounts share, whose callers bound themselves by account.
const OPERATORS_PER_HOST: usize = 32;
/// Most requests at once to targets that agents named. How many of these one peer and one cluster have is limited by who asks.
const AGENTS: usize = 64;
/// Most of these at once to one host.
const AGENTS_PER_HOST: usize = 4;
/// Most addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// How far one request has come.
#[derive(Debug, Default)]
struct Trying {
    /// When it had its place.
    since: OnceLock<Instant>,
    /// Whether the connection stood, and the request went out.
    sent: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    names: Names,
    trust: Trust,
    operators: Places,
    agents: Places,
    breaker: Breaker,
    allow_loopback: bool,
    private_networks: Option<Arc<[PrivateNetwork]>>,
    stand_ins: BTreeMap<IpAddr, IpAddr>,
}

impl Client {
    /// A client. Nothing is asked yet.
    #[must_use]
    pub fn new(outbound: &Outbound) -> Self {
        Self {
            names: Names::new(&outbound.resolvers),
            trust: Trust::default(),
            operators: Places::new(OPERATORS, OPERATORS_PER_HOST),
            agents: Places::new(AGENTS, AGENTS_PER_HOST),
            breaker: Breaker::default(),
            allow_loopback: outbound.allow_loopback,
            private_networks: outbound.private_networks.clone(),
            stand_ins: BTreeMap::new(),
        }
    }

    /// For tests, in which servers at public addresses stand on this machine: an address that was looked at and allowed is
    /// connected to at the other. No configuration says this.
    #[must_use]
    pub fn with_stand_ins(self, stand_ins: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let stand_ins = stand_ins.into_iter().collect();
        Self { stand_ins, ..self }
    }

    /// The addresses that a request would be sent to: what [`fetch`](Fetch::fetch) does before it connects.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn addresses(&self, url: &str, reach: Reach) -> Result<Vec<IpAddr>, Error> {
        let failed = |kind| Error::new(url, kind);
        let target = Target::parse(url).map_err(|error| failed(error.into()))?;
        check_form(&target, reach).map_err(failed)?;
        self.vetted(&target.host, reach).await.map_err(failed)
    }

    async fn ask(&self, target: &Target, request: &Request) -> Result<Response, ErrorKind> {
        check_form(target, request.reach)?;
        // An agent could otherwise keep the verifier from asking another agent's host.
        if request.reach.is_agents() {
            return self.ask_in_place(target, request, &Trying::default()).await;
        }
        let key = Key::of(target, request);
        self.breaker.check(&key, Instant::now())?;
        let trying = Trying::default();
        let answer = self.ask_in_place(target, request, &trying).await;
        let (now, sent) = (Instant::now(), trying.sent.load(Ordering::Relaxed));
        let since = trying.since.get().copied().unwrap_or(now);
        let sign = Sign::of(&answer, request, sent, now.saturating_duration_since(since));
        self.breaker.saw(&key, sign, now);
        answer
    }

    async fn ask_in_place(
        &self,
        target: &Target,
        request: &Request,
        trying: &Trying,
    ) -> Result<Response, ErrorKind> {
        let begun = Instant::now();
        let places = match request.reach.is_agents() {
            true => &self.agents,
            false => &self.operators,
        };
        let host = target.host.to_string();
        let _place = timeout(request.deadline, places.take(&host))
            .await
            .map_err(|_| ErrorKind::Busy)?;
        let left = request.deadline.saturating_sub(begun.elapsed());
        let _ = trying.since.set(Instant::now());
        timeout(left, self.go(target, request, begun, trying))
            .await
            .unwrap_or(Err(ErrorKind::Deadline))
    }

    async fn go(
        &self,
        target: &Target,
        request: &Request,
        begun: Instant,
        trying: &Trying,
    ) -> Result<Response, ErrorKind> {
        let addresses = self.vetted(&target.host, request.reach).await?;
        let left = || request.deadline.saturating_sub(begun.elapsed());
        let stand_in = |address| self.stand_ins.get(&address).copied().unwrap_or(address);
        let addresses: Vec<_> = addresses.into_iter().map(stand_in).collect();
        let tcp = connect(&addresses, target.port, left).await?;
        match target.scheme {
            Scheme::Http => {
                trying.sent.store(true, Ordering::Relaxed);
                exchange::exchange(tcp, target, request).await
            }
            Scheme::Https => {
                let config = self.trust.config(request.roots.as_ref())?;
                let tls = exchange::handshake(config, tcp, target).await?;
                trying.sent.store(true, Ordering::Relaxed);
                exchange::exchange(tls, target, request).await
            }
        }
    }

    /// The addresses of a host, all of them looked at.
    async fn vetted(&self, host: &Host, reach: Reach) -> Result<Vec<IpAddr>, ErrorKind> {
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.names.resolve(name).await?,
        };
        let refused = found
            .iter()
            .find(|address| !self.allows(reach, **address))
            .map(|address| AddressClass::of(*address));
        match refused {
            Some(class) => Err(ErrorKind::Address(class)),
            None => Ok(found),
        }
    }

    /// This machine itself is never for agents to choose: what listens there trusts whoever is here.
    fn allows(&self, reach: Reach, address: IpAddr) -> bool {
        match AddressClass::of(address) {
            AddressClass::Loopback => self.allow_loopback && !reach.is_agents(),
            class @ AddressClass::Private => {
                let networks = self.private_networks.as_deref();
                reach.allows(class)
                    && networks.is_none_or(|all| all.iter().any(|network| network.has(address)))
            }
            class => reach.allows(class),
        }
    }
}

#[async_trait::async_trait]
impl Fetch for Client {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        let failed = |kind| Error::new(&request.url, kind);
        let target = Target::parse(&request.url).map_err(|error| failed(error.into()))?;
        self.ask(&target, request).await.map_err(failed)
    }
}

/// Whether the method may ask in this form at all.
const fn check_form(target: &Target, reach: Reach) -> Result<(), ErrorKind> {
    match (&target.scheme, &target.host) {
        (Scheme::Http, _) if !reach.plain => Err(ErrorKind::Url(TargetError::Scheme)),
        (_, Host::Address(_)) if !reach.literals => Err(ErrorKind::Url(TargetError::Literal)),
        _ => Ok(()),
    }
}

/// Connects to the first address that answers. The last one gets all the time there is, those before it half of the rest.
async fn connect(
    addresses: &[IpAddr],
    port: u16,
    left: impl Fn() -> Duration,
) -> Result<TcpStream, ErrorKind> {
    let tried = addresses.len().min(ADDRESSES);
    for (n, address) in addresses.iter().take(tried).enumerate() {
        let time = match n + 1 == tried {
            true => left(),
            false => left() / 2,
        };
        if let Ok(Ok(tcp)) = timeout(time, TcpStream::connect((*address, port))).await {
            // A small request in one packet, sent at once; without it, it is only slower.
            let _ = tcp.set_nodelay(true);
            return Ok(tcp);
        }
    }
    match left().is_zero() {
        true => Err(ErrorKind::Deadline),
        false => Err(ErrorKind::Connect),
    }
}
