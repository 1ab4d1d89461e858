//! Where the server is between starting and having closed, and how many requests are in flight.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{Notify, watch};

/// What the door asks about the server: whether to answer requests at all. Made by the server for every connection.
#[derive(Clone, Default)]
pub struct Drain(Arc<State>);

#[derive(Default)]
struct State {
    draining: AtomicBool,
    in_flight: AtomicUsize,
    settled: Notify,
    begun: Notify,
}

impl Drain {
    /// Whether requests are to be refused because the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Resolves when the server begins to shut down.
    pub(crate) async fn begun(&self) {
        loop {
            let told = self.0.begun.notified();
            if self.0.draining.load(Ordering::SeqCst) {
                return;
            }
            told.await;
        }
    }

    /// Counts a request until the guard goes.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.0.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(self)
    }
}

/// A request in flight.
pub(crate) struct InFlight<'a>(&'a Drain);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let State {
            draining,
            in_flight,
            settled,
            begun: _,
        } = &*self.0.0;
        // Sequentially consistent with `drain` and `settled`: either this sees the draining or those see the count.
        if in_flight.fetch_sub(1, Ordering::SeqCst) == 1 && draining.load(Ordering::SeqCst) {
            settled.notify_waiters();
        }
    }
}

/// The server's own side.
#[derive(Clone)]
pub(super) struct Phases {
    pub(super) drain: Drain,
    closing: Arc<watch::Sender<bool>>,
}

impl Phases {
    pub(super) fn new() -> Self {
        Self {
            drain: Drain::default(),
            closing: Arc::new(watch::Sender::new(false)),
        }
    }

    pub(super) fn drain(&self) {
        self.drain.0.draining.store(true, Ordering::SeqCst);
        self.drain.0.begun.notify_waiters();
    }

    /// Whoever is told of this sees the draining too.
    pub(super) fn close(&self) {
        self.drain();
        self.closing.send_replace(true);
    }

    pub(super) async fn settled(&self) {
        loop {
            let notified = self.drain.0.settled.notified();
            if self.drain.0.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Resolves when the server closes.
    pub(super) fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            // An error means that the sender is gone, which is closing as well.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }
}
