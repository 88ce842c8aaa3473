//! How many logins ask outside at once.
//!
//! A login that asks lasts as long as whoever is asked takes, and for some methods that is whom the agent has named. So one
//! peer, or one cluster's agents, must not have so many of them that nobody else is served. Whoever comes then is told to come
//! again at once, and does not wait: waiting would hold the room that requests have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Most in all; below the requests that are served at once unless the operator says otherwise.
const ALL: usize = 64;
/// Most of one cluster.
const PER_CLUSTER: usize = 16;
/// Most of one peer, behind whose address a site may be.
const PER_PEER: usize = 8;

/// The logins that ask now. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Asking(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    clusters: BTreeMap<String, usize>,
    peers: BTreeMap<String, usize>,
}

/// One that asks, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    asking: Asking,
    cluster: String,
    peer: String,
}

impl Asking {
    /// A place for a login of this cluster that came over this link; `None`: there are too many.
    pub(super) fn enter(&self, cluster: &str, link: &str) -> Option<Place> {
        let peer = peer(link);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |counts: &BTreeMap<String, usize>, name: &str| {
            counts.get(name).copied().unwrap_or_default()
        };
        let full = counts.all >= ALL
            || of(&counts.clusters, cluster) >= PER_CLUSTER
            || of(&counts.peers, &peer) >= PER_PEER;
        if full {
            return None;
        }
        counts.all += 1;
        *counts.clusters.entry(cluster.to_owned()).or_default() += 1;
        *counts.peers.entry(peer.clone()).or_default() += 1;
        Some(Place {
            asking: self.clone(),
            cluster: cluster.to_owned(),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.asking.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        leave(&mut counts.clusters, &self.cluster);
        leave(&mut counts.peers, &self.peer);
    }
}

fn leave(counts: &mut BTreeMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// The address that a link comes from, if it has one.
pub(super) fn address(link: &str) -> Option<IpAddr> {
    let address = link.strip_prefix("https:").map(str::parse::<IpAddr>);
    address.and_then(Result::ok).map(|a| a.to_canonical())
}

/// Who is behind a link: an address, of IPv6 the first 64 bits, of which everybody has 2⁶⁴; or the link itself.
fn peer(link: &str) -> String {
    match address(link) {
        Some(IpAddr::V6(v6)) => format!("{:x}", v6.to_bits() >> 64),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        None => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Asking, PER_CLUSTER, PER_PEER};

    fn link(n: usize) -> String {
        format!("https:192.0.2.{n}")
    }

    #[test]
    fn one_peer_has_few_places_whatever_clusters_it_names() {
        let asking = Asking::default();
        let enter = |n: usize, link: &str| asking.enter(&format!("c{n}"), link);
        let mut held: Vec<_> = (0..PER_PEER)
            .filter_map(|n| enter(n, "https:2001:db8::1"))
            .collect();
        assert_eq!(held.len(), PER_PEER);
        // The same network.
        assert!(enter(99, "https:2001:db8::2:3:4:5").is_none());
        assert!(enter(99, "https:2001:db8:0:1::1").is_some());
        held.pop();
        assert!(enter(99, "https:2001:db8::1").is_some());
    }

    #[test]
    fn one_cluster_leaves_room_for_others_and_all_together_are_bounded() {
        let asking = Asking::default();
        let mut held = Vec::new();
        let mut of = |cluster: &str, n: usize| match asking.enter(cluster, &link(n)) {
            Some(place) => {
                held.push(place);
                true
            }
            None => false,
        };
        for n in 0..PER_CLUSTER {
            assert!(of("a", n));
        }
        assert!(!of("a", 200), "its own are taken");
        for n in PER_CLUSTER..ALL {
            assert!(of(&format!("b{n}"), n));
        }
        assert!(!of("c", 201), "all are taken");
    }

    #[test]
    fn nothing_is_kept_of_those_who_have_left() {
        let asking = Asking::default();
        drop((asking.enter("a", "uart0"), asking.enter("b", "uart1")));
        let kept = asking.0.lock().map(|counts| {
            let names = counts.clusters.len() + counts.peers.len();
            (counts.all, names)
        });
        assert_eq!(kept.ok(), Some((0, 0)));
    }
}
