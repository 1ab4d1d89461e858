//! How much a bus or a key uses of its quotas: rates as buckets in atomics, which publishing asks without a lock or an allocation;
//! what it holds; how often it was refused. Shared by all versions of the bus or key; a restart begins anew.

use crate::resources::{BusQuotas, ByteRate, KeyQuotas, Rate};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// When room of a kind that only a person makes is looked for again.
const RETRY_HELD: Duration = Duration::from_secs(30);
/// What a bus stores is added up again this often; what is published meanwhile is added.
const STORED_FRESH: Duration = Duration::from_secs(5);

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which, as the resource names it: `bus.events`, `key.bytes`, …
    pub limit: &'static str,
    /// When there may be room again.
    pub retry_after: Duration,
}

/// What a bus or a key uses.
pub struct Usage {
    epoch: Instant,
    events: Bucket,
    bytes: Bucket,
    connections: AtomicU32,
    stored: AtomicU64,
    /// Nanoseconds since the epoch at which `stored` was added up; 0: never.
    stored_at: AtomicU64,
    refused: AtomicU64,
}

/// It moves while nothing is changed: two that are alike otherwise show alike.
impl fmt::Debug for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Usage")
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            events: Bucket::default(),
            bytes: Bucket::default(),
            connections: AtomicU32::new(0),
            stored: AtomicU64::new(0),
            stored_at: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Usage {
    /// Takes what a request publishes, by the rates of a bus.
    pub fn admit_to_bus(&self, quotas: &BusQuotas, now: Instant, events: u64, bytes: u64) -> Result<(), Exceeded> {
        let names = ["bus.events", "bus.bytes"];
        self.admit((quotas.events, quotas.bytes), names, now, events, bytes)
    }

    /// Takes what a request publishes, by the rates of a key.
    pub fn admit_of_key(&self, quotas: &KeyQuotas, now: Instant, events: u64, bytes: u64) -> Result<(), Exceeded> {
        let names = ["key.events", "key.bytes"];
        self.admit((quotas.events, quotas.bytes), names, now, events, bytes)
    }

    fn admit(
        &self,
        rates: (Option<Rate>, Option<ByteRate>),
        names: [&'static str; 2],
        now: Instant,
        events: u64,
        bytes: u64,
    ) -> Result<(), Exceeded> {
        let now = self.nanos(now);
        let exceeded = |limit| move |retry_after| Exceeded { limit, retry_after };
        let taken = match rates.0 {
            None => Ok(()),
            Some(rate) => self.events.take(now, events, u64::from(rate.count), rate.per),
        };
        let taken = taken.map_err(exceeded(names[0])).and_then(|()| match rates.1 {
            None => Ok(()),
            Some(rate) => self
                .bytes
                .take(now, bytes, rate.bytes, rate.per)
                .map_err(exceeded(names[1])),
        });
        taken.inspect_err(|_| self.count_refused())
    }

    /// Whether a bus may store so many bytes more. `stored` adds up what it stores, now and then.
    pub fn admit_stored(
        &self,
        quotas: &BusQuotas,
        now: Instant,
        bytes: u64,
        stored: impl FnOnce() -> u64,
    ) -> Result<(), Exceeded> {
        let Some(max) = quotas.stored else { return Ok(()) };
        let (now, then) = (self.nanos(now).max(1), self.stored_at.load(Relaxed));
        let is_stale = then == 0 || now.saturating_sub(then) > nanos(STORED_FRESH);
        // One of those who find it stale adds it up.
        if is_stale && self.stored_at.compare_exchange(then, now, Relaxed, Relaxed).is_ok() {
            self.stored.store(stored(), Relaxed);
        }
        if self.stored.load(Relaxed).saturating_add(bytes) > max {
            self.count_refused();
            return Err(Exceeded {
                limit: "bus.stored",
                retry_after: RETRY_HELD,
            });
        }
        self.stored.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Requests that a quota refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Connections that are held now.
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A token bucket that holds one period's worth. It is one number: when it will be full again. Whatever comes moves that time by what
/// it costs; what would move it beyond one period from now is refused, unless the bucket is full: then even more than it holds
/// may go alone, and what follows waits.
#[derive(Debug, Default)]
struct Bucket {
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes an amount, or says how long until there is room for it.
    fn take(&self, now: u64, amount: u64, count: u64, per: Duration) -> Result<(), Duration> {
        let per = nanos(per);
        let cost = u128::from(amount) * u128::from(per) / u128::from(count.max(1));
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let debt = full_at.saturating_sub(now);
            let after = debt.saturating_add(cost);
            if debt > 0 && after > per {
                return Err(Duration::from_nanos(debt.min(after - per)));
            }
            let next = now.saturating_add(after);
            match self.full_at.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(found) => full_at = found,
            }
        }
    }
}

/// What one connection holds of the quotas of the key and the bus that it began with; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Holder {
    key: OnceLock<Held>,
    bus: OnceLock<Held>,
}

#[derive(Debug)]
struct Held(Arc<Usage>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl Holder {
    /// Counts the connection for the key it began with.
    pub fn hold_key(&self, usage: &Arc<Usage>, quotas: &KeyQuotas) -> Result<(), Exceeded> {
        hold(&self.key, usage, quotas.connections, "key.connections")
    }

    /// Counts the connection for the bus it began with.
    pub fn hold_bus(&self, usage: &Arc<Usage>, quotas: &BusQuotas) -> Result<(), Exceeded> {
        hold(&self.bus, usage, quotas.connections, "bus.connections")
    }
}

fn hold(slot: &OnceLock<Held>, usage: &Arc<Usage>, max: Option<u32>, limit: &'static str) -> Result<(), Exceeded> {
    if slot.get().is_some() {
        return Ok(());
    }
    let before = usage.connections.fetch_add(1, Relaxed);
    let held = Held(usage.clone());
    if max.is_some_and(|max| before >= max) {
        usage.count_refused();
        let retry_after = RETRY_HELD;
        return Err(Exceeded { limit, retry_after });
    }
    // Another request of the connection may have been first: then this one's count goes with `held`.
    let _ = slot.set(held);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_one_period_at_once_and_then_at_its_rate() {
        let bucket = Bucket::default();
        let mut now = 1_000_000_000;
        for _ in 0..10 {
            assert_eq!(bucket.take(now, 1, 10, SECOND), Ok(()));
        }
        assert_eq!(bucket.take(now, 1, 10, SECOND), Err(Duration::from_millis(100)));
        now += 99_999_999;
        assert!(bucket.take(now, 1, 10, SECOND).is_err());
        now += 1;
        assert_eq!(bucket.take(now, 1, 10, SECOND), Ok(()));
        assert!(bucket.take(now, 1, 10, SECOND).is_err());
        now += 60_000_000_000;
        let taken = (0..100).filter(|_| bucket.take(now, 1, 10, SECOND).is_ok()).count();
        assert_eq!(taken, 10, "what was not used is not saved up beyond a period");
    }

    #[test]
    fn more_than_a_bucket_holds_goes_alone_and_what_follows_waits() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(1, 50, 10, SECOND), Ok(()));
        assert_eq!(bucket.take(1, 1, 10, SECOND), Err(Duration::from_millis(4_100)));
        assert!(bucket.take(4_000_000_001, 1, 10, SECOND).is_err());
        assert_eq!(bucket.take(4_100_000_001, 1, 10, SECOND), Ok(()));
    }

    #[test]
    fn many_threads_take_no_more_than_there_is() {
        let bucket = Bucket::default();
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        if bucket.take(1, 1, 500, SECOND).is_ok() {
                            taken.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 500);
    }

    #[test]
    fn a_connection_holds_one_place_and_gives_it_back() {
        let usage = Arc::new(Usage::default());
        let quotas = KeyQuotas {
            connections: Some(1),
            ..KeyQuotas::default()
        };
        let (first, second) = (Holder::default(), Holder::default());
        assert_eq!(first.hold_key(&usage, &quotas), Ok(()));
        assert_eq!(first.hold_key(&usage, &quotas), Ok(()), "the same connection again");
        let refused = second.hold_key(&usage, &quotas).unwrap_err();
        assert_eq!(
            (refused.limit, usage.connections(), usage.refused()),
            ("key.connections", 1, 1)
        );
        drop(first);
        assert_eq!(second.hold_key(&usage, &quotas), Ok(()));
    }

    #[test]
    fn what_is_stored_is_added_up_now_and_then_and_counted_between() {
        let usage = Usage::default();
        let quotas = BusQuotas {
            stored: Some(100),
            ..BusQuotas::default()
        };
        let now = Instant::now();
        assert_eq!(usage.admit_stored(&quotas, now, 10, || 80), Ok(()));
        assert_eq!(
            usage.admit_stored(&quotas, now, 10, || unreachable!("it is fresh")),
            Ok(())
        );
        let full = usage
            .admit_stored(&quotas, now, 1, || unreachable!("it is fresh"))
            .unwrap_err();
        assert_eq!(full.limit, "bus.stored");
        let later = now + STORED_FRESH + SECOND;
        assert_eq!(
            usage.admit_stored(&quotas, later, 1, || 20),
            Ok(()),
            "retention made room"
        );
    }
}
