//! What a replay would do: counts and samples, without delivering anything. Bounded in time: what it has not looked at it says.

use super::{
    document::Document,
    picker::Picker,
    told::{Preview, Sample},
};
use crate::{Error, inner::Inner, settings::CHUNK_BYTES};
use bytes::Bytes;
use control::Subscription;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Events that a preview shows: enough to see whether the filter means what was meant.
const SAMPLES_MAX: usize = 5;
/// A person waits for it.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Looks at a replay's records in turn, until all are looked at or the time is over.
pub async fn preview(
    inner: &Inner,
    document: &Document,
    mut picker: Picker,
    into: Option<Arc<Subscription>>,
) -> Result<Preview, Error> {
    let until = Instant::now() + TIME_MAX;
    let (_, records) = document.progress();
    let mut preview = Preview {
        records,
        ..Preview::default()
    };
    for stretch in &document.stretches {
        let partition = stretch.id(document.bus);
        let mut at = stretch.at;
        preview.looked_at += stretch.at - stretch.from;
        while at < stretch.to && Instant::now() < until {
            let chunk = match inner.journal.read(partition, at, CHUNK_BYTES).await {
                Ok(chunk) => chunk,
                Err(error) => match passed(&error, at) {
                    Some(next) => {
                        preview.looked_at += next.min(stretch.to) - at;
                        at = next;
                        continue;
                    }
                    None => return Err(error.into()),
                },
            };
            for batch in &chunk.batches {
                let inside = journal::records(batch).filter(|record| (at..stretch.to).contains(&record.offset));
                for record in inside {
                    if picker.pick(&record, batch.append_time, into.as_deref()).is_some() {
                        preview.matched += 1;
                        preview.first = Some(
                            preview
                                .first
                                .map_or(batch.append_time, |first| first.min(batch.append_time)),
                        );
                        preview.last = Some(
                            preview
                                .last
                                .map_or(batch.append_time, |last| last.max(batch.append_time)),
                        );
                        if preview.samples.len() < SAMPLES_MAX {
                            let record_body = Bytes::copy_from_slice(record.body);
                            preview.samples.push(Sample {
                                topic: stretch.topic,
                                partition: stretch.partition,
                                offset: record.offset,
                                appended: batch.append_time,
                                record: record_body,
                            });
                        }
                    }
                }
            }
            let next = chunk.next.max(at + 1).min(stretch.to);
            preview.looked_at += next - at;
            at = next;
            tokio::task::yield_now().await;
        }
    }
    preview.is_complete = preview.looked_at >= preview.records;
    Ok(preview)
}

/// Where to read on behind what is gone.
pub fn passed(error: &journal::Error, at: u64) -> Option<u64> {
    match error {
        journal::Error::Damaged(damage) if damage.to > at => Some(damage.to),
        journal::Error::OutOfRange { start, .. } if *start > at => Some(*start),
        _ => None,
    }
}
