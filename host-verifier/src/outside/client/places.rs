//! How many requests are under way at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for requests: some in all, few for each host.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    hosts: Arc<Hosts>,
    per_host: usize,
}

/// The hosts that are being asked or waited for, each with its places and how many hold on to it.
type Hosts = Mutex<BTreeMap<String, (Arc<Semaphore>, usize)>>;

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
    _entry: Entry,
}

impl Places {
    pub(super) fn new(all: usize, per_host: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            hosts: Arc::default(),
            per_host,
        }
    }

    /// Waits for a place; in the order of asking. The host's comes first, so that whoever waits for a slow host holds no
    /// place that others could use.
    pub(super) async fn take(&self, host: &str) -> Place {
        let (entry, semaphore) = Entry::of(&self.hosts, host, self.per_host);
        let host = acquire(semaphore).await;
        let all = acquire(self.all.clone()).await;
        Place {
            _all: all,
            _host: host,
            _entry: entry,
        }
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.acquire_owned().await {
        Ok(permit) => permit,
        // It is never closed. Were it, waiting for ever lets nothing through, and the deadline ends it.
        Err(_) => core::future::pending().await,
    }
}

/// One more that holds on to a host's places; the last one removes them, so that the map is no longer than what is asked.
#[derive(Debug)]
struct Entry {
    hosts: Arc<Hosts>,
    host: String,
}

impl Entry {
    fn of(hosts: &Arc<Hosts>, host: &str, places: usize) -> (Self, Arc<Semaphore>) {
        let mut map = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (semaphore, held) = map
            .entry(host.to_owned())
            .or_insert_with(|| (Arc::new(Semaphore::new(places)), 0));
        *held += 1;
        let entry = Self {
            hosts: hosts.clone(),
            host: host.to_owned(),
        };
        (entry, semaphore.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut map = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, held)) = map.get_mut(&self.host) {
            *held -= 1;
            if *held == 0 {
                map.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::Places;

    /// Polls once: what must not wait is there, what must wait is not.
    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_slow_host_holds_its_own_places_only() {
        let places = Places::new(3, 2);
        let first = now(places.take("slow")).unwrap();
        let _second = now(places.take("slow")).unwrap();
        assert!(now(places.take("slow")).is_none());
        let other = now(places.take("other")).unwrap();
        assert!(now(places.take("third")).is_none(), "three in all");
        drop(first);
        assert!(now(places.take("slow")).is_some());
        drop(other);
        assert!(now(places.take("third")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_host_that_nobody_asks() {
        let places = Places::new(3, 1);
        let held = now(places.take("a")).unwrap();
        assert!(now(places.take("a")).is_none());
        assert_eq!(places.hosts.lock().unwrap().len(), 1);
        drop(held);
        assert!(places.hosts.lock().unwrap().is_empty());
    }
}
