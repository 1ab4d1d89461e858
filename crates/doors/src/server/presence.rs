//! What a connection is at: told by its stream and by the requests on it, asked by who cuts connections that hold a place
//! without using it. A request costs it a look at the clock and no timer.

use super::limits::HEAD_WAIT_MAX;
use http::{Request, Version};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One connection's. What is told here is read where nothing else depends on it, so that no order between the fields is kept.
pub(super) struct Presence {
    opened: Instant,
    /// Requests that have no answer yet, or not the whole of it where it comes by and by.
    served: AtomicUsize,
    /// When something was last written, in milliseconds after it was opened.
    written: AtomicU64,
    /// The head of a request was complete.
    has_begun: AtomicBool,
    /// It speaks HTTP/2, which asks by itself whether the client is still there.
    is_asked: AtomicBool,
    is_awaited: AtomicBool,
}

/// A request that is served, until this is dropped.
pub(super) struct Served(Arc<Presence>);

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            served: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            is_awaited: AtomicBool::new(false),
        }
    }

    /// The head of a request is complete.
    pub(super) fn serve<B>(self: &Arc<Self>, request: &Request<B>) -> Served {
        let is_asked = request.version() == Version::HTTP_2;
        self.has_begun.store(true, Ordering::Relaxed);
        self.is_asked.store(is_asked, Ordering::Relaxed);
        self.is_awaited
            .store(!is_asked && request.method().is_safe(), Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        Served(self.clone())
    }

    /// Whether the request at hand is of no use without somebody who reads its answer: what a client has asked to be done is done
    /// also when it does not wait.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }

    /// The client has taken something.
    pub(super) fn wrote(&self) {
        let after = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.written.store(after, Ordering::Relaxed);
    }

    /// Until when it may be held as it is now.
    pub(super) fn held_until(&self) -> Instant {
        if !self.has_begun.load(Ordering::Relaxed) {
            return self.opened;
        }
        let is_used = self.is_asked.load(Ordering::Relaxed) || self.served.load(Ordering::Relaxed) > 0;
        let since = match is_used {
            true => Instant::now(),
            false => self.opened + Duration::from_millis(self.written.load(Ordering::Relaxed)),
        };
        since + HEAD_WAIT_MAX
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.served.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, version: Version) -> Request<()> {
        Request::builder()
            .method(method)
            .version(version)
            .body(())
            .expect("a request")
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_held_while_it_is_used_and_for_a_while_afterwards() {
        let presence = Arc::new(Presence::new());
        let opened = Instant::now();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(presence.held_until(), opened, "nothing has come");
        let served = presence.serve(&request("POST", Version::HTTP_11));
        tokio::time::advance(Duration::from_secs(70)).await;
        assert_eq!(presence.held_until(), Instant::now() + HEAD_WAIT_MAX, "it is served");
        presence.wrote();
        let written = Instant::now();
        drop(served);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(
            presence.held_until(),
            written + HEAD_WAIT_MAX,
            "the next head may take so long"
        );
        drop(presence.serve(&request("POST", Version::HTTP_2)));
        assert_eq!(
            presence.held_until(),
            Instant::now() + HEAD_WAIT_MAX,
            "HTTP/2 asks by itself"
        );
    }

    #[test]
    fn only_who_reads_is_awaited() {
        let presence = Arc::new(Presence::new());
        for (method, version, is_awaited) in [
            ("GET", Version::HTTP_11, true),
            ("POST", Version::HTTP_11, false),
            ("HEAD", Version::HTTP_10, true),
            ("GET", Version::HTTP_2, false),
            ("DELETE", Version::HTTP_11, false),
        ] {
            drop(presence.serve(&request(method, version)));
            assert_eq!(presence.is_awaited(), is_awaited, "{method} {version:?}");
        }
    }
}
