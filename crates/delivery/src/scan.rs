//! A catch-up scan: one chunk of one partition, read once for every lane whose position lies in it. It decides nothing about
//! who scans when.

use crate::{
    inbox::Inbox,
    lane::Fed,
    matching::{Rules, Sieve, copy_of, stored},
    settings::CHUNK_BYTES,
};
use bytes::Bytes;
use event::EventView;
use journal::{AppendTime, Chunk, Journal, PartitionId, RecordView};
use std::sync::Arc;
use store::SubscriptionId;

/// A lane that takes part.
#[derive(Debug)]
pub struct Served {
    /// Which.
    pub subscription: SubscriptionId,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// Where it reads on; moved by the scan.
    pub read: u64,
    /// When what stands there was appended, if it is known to be wanted: the lane had no room for it.
    pub refused: Option<AppendTime>,
}

/// What became of a scan.
#[derive(Debug)]
pub struct Scanned {
    /// The partition.
    pub partition: PartitionId,
    /// The lanes, where they read on now.
    pub lanes: Vec<Served>,
    /// Append time of the last record read.
    pub last_append_time: Option<AppendTime>,
    /// Why nothing was read.
    pub error: Option<journal::Error>,
}

/// Reads one chunk and hands out what matches.
pub async fn scan(journal: Arc<dyn Journal>, partition: PartitionId, mut lanes: Vec<Served>) -> Scanned {
    let from = lanes.iter().map(|lane| lane.read).min().unwrap_or_default();
    let (last_append_time, error) = match journal.read(partition, from, CHUNK_BYTES).await {
        Ok(chunk) => {
            serve(partition, &chunk, &mut lanes);
            (chunk.batches.last().map(|batch| batch.append_time), None)
        }
        Err(error) => (None, Some(error)),
    };
    Scanned {
        partition,
        lanes,
        last_append_time,
        error,
    }
}

fn serve(partition: PartitionId, chunk: &Chunk, lanes: &mut [Served]) {
    let mut sieve = Sieve::default();
    let mut fed: Vec<Vec<Fed>> = lanes.iter().map(|_| Vec::new()).collect();
    let first = chunk
        .start
        .max(lanes.iter().map(|lane| lane.read).min().unwrap_or_default());
    for batch in &chunk.batches {
        for record in journal::records(batch).filter(|record| record.offset >= first) {
            let Some(event) = EventView::from_record(record.headers(), record.value) else {
                continue;
            };
            let mut kept = Kept::default();
            for (lane, fed) in lanes
                .iter()
                .zip(&mut fed)
                .filter(|(lane, _)| record.offset >= lane.read)
            {
                let rule = lane.rules.at(stored(partition), record.offset);
                let reads = rule.topics.contains(&partition.topic.topic);
                let is_seen_elsewhere = || copy_of(&record).is_some_and(|primary| rule.topics.contains(&primary));
                if reads && sieve.matches_one(&rule.filter, &event, batch.append_time) && !is_seen_elsewhere() {
                    fed.push(kept.fed(partition, &record, batch.append_time, rule.version));
                }
            }
        }
    }
    for (lane, mut fed) in lanes.iter_mut().zip(fed) {
        if lane.read < chunk.next {
            lane.inbox.push(&mut fed);
            lane.read = fed.first().map_or(chunk.next, |refused| refused.offset);
            lane.refused = fed.first().map(|refused| refused.appended);
        }
    }
}

/// A record's bytes, copied once for all lanes that want it: a slice would hold the whole batch in memory.
#[derive(Debug, Default)]
pub struct Kept(Option<Bytes>);

impl Kept {
    /// What a lane is handed.
    pub fn fed(
        &mut self,
        partition: PartitionId,
        record: &RecordView<'_>,
        appended: AppendTime,
        version: store::Revision,
    ) -> Fed {
        let bytes = self.0.get_or_insert_with(|| Bytes::copy_from_slice(record.body));
        Fed {
            partition: stored(partition),
            offset: record.offset,
            appended,
            version,
            record: bytes.clone(),
        }
    }
}
