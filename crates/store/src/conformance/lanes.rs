//! Positions, marks and ranges.

use super::{EVERYBODY, Opened, applied, key, lane, mark, place, range};
use crate::{DeliveryKey, Ending, LaneRow, Mark, Operation, Range, RangeReason};

pub(super) async fn positions_are_kept(store: &Opened) {
    let tail = |topic, index, position| Operation::SaveTail {
        partition: place(topic, index),
        position,
    };
    applied(store, vec![tail(2, 1, 5), tail(1, 0, 7), tail(2, 0, 0), tail(2, 1, 6)]).await;
    assert_eq!(
        store.tails().await,
        Ok(vec![(place(1, 0), 7), (place(2, 0), 0), (place(2, 1), 6)])
    );

    let moved = LaneRow {
        follows_tail: true,
        ..lane(3, place(1, 0), 11)
    };
    let other = lane(2, place(1, 1), 4);
    let rows = [lane(3, place(1, 0), 10), other, moved];
    applied(store, rows.map(Operation::SaveLane).to_vec()).await;
    assert_eq!(store.lanes().await, Ok(vec![other, moved]));
}

pub(super) async fn marks_go_when_the_position_has_passed(store: &Opened) {
    let (here, there) = (place(1, 0), place(1, 1));
    let replayed = mark(
        DeliveryKey {
            replay: 4,
            ..key(1, here, 1)
        },
        Ending::Delivered,
    );
    let other = mark(key(2, here, 1), Ending::Discarded);
    let elsewhere = mark(key(1, there, 1), Ending::Dead);
    let marks = [1, 2, 3].map(|offset| mark(key(1, here, offset), Ending::Parked));
    let all = marks.into_iter().chain([replayed, other, elsewhere]);
    applied(store, all.map(Operation::Mark).collect()).await;
    applied(store, vec![Operation::Mark(mark(key(1, here, 3), Ending::Delivered))]).await;

    let clear_of = |replay, below| Operation::ClearMarks {
        subscription: 1,
        partition: here,
        replay,
        below,
    };
    let clear = |below| clear_of(0, below);
    applied(store, vec![clear(3)]).await;
    let last = mark(key(1, here, 3), Ending::Delivered);
    assert_eq!(
        sorted(store, 1).await,
        [last, replayed, elsewhere].map(sortable),
        "the bound is exclusive"
    );
    applied(store, vec![clear(u64::MAX)]).await;
    assert_eq!(
        sorted(store, 1).await,
        [replayed, elsewhere].map(sortable),
        "replays and other partitions keep theirs"
    );
    assert_eq!(sorted(store, 2).await, [sortable(other)]);
    applied(store, vec![clear_of(4, 1)]).await;
    assert_eq!(sorted(store, 1).await, [replayed, elsewhere].map(sortable));
    applied(store, vec![clear_of(4, 2)]).await;
    assert_eq!(sorted(store, 1).await, [sortable(elsewhere)], "and go as theirs moves");
}

type Sortable = (u32, u32, u32, u64, Ending);

fn sortable(mark: Mark) -> Sortable {
    let DeliveryKey {
        partition,
        offset,
        replay,
        ..
    } = mark.key;
    (partition.topic, partition.index, replay, offset, mark.ending)
}

async fn sorted(store: &Opened, subscription: u64) -> Vec<Sortable> {
    let marks = store.marks(subscription).await.expect("the store reads");
    let mut marks: Vec<_> = marks.into_iter().map(sortable).collect();
    marks.sort_unstable();
    marks
}

pub(super) async fn ranges_are_listed_newest_last(store: &Opened) {
    let unknown = Range {
        matched: None,
        reason: RangeReason::Damaged,
        ..range(1, 20, 30)
    };
    let discarded = Range {
        reason: RangeReason::Discarded,
        ..range(1, 5, u64::MAX)
    };
    let skipped = Range {
        reason: RangeReason::Skipped,
        ..range(1, 30, 40)
    };
    let ranges = [range(1, 10, 20), unknown, discarded, skipped];
    applied(store, ranges[..1].iter().cloned().map(Operation::RecordRange).collect()).await;
    applied(store, ranges[1..].iter().cloned().map(Operation::RecordRange).collect()).await;
    applied(store, vec![Operation::RecordRange(range(2, 0, 1))]).await;
    assert_eq!(store.ranges(1).await, Ok(ranges.to_vec()));
    assert_eq!(store.ranges(3).await, Ok(vec![]));
}

pub(super) async fn discarded_ranges_of_what_is_not_kept_are_forgotten(store: &Opened) {
    let discarded = |subscription, from, to| Range {
        reason: RangeReason::Discarded,
        ..range(subscription, from, to)
    };
    let elsewhere = Range {
        partition: place(9, 0),
        ..discarded(1, 1, 3)
    };
    let kept = [
        range(1, 0, 5),
        discarded(1, 9, 11),
        discarded(1, 5, u64::MAX),
        elsewhere,
    ];
    let gone = [discarded(1, 1, 3), discarded(2, 9, 10)];
    let all = kept.iter().chain(&gone).cloned();
    applied(store, all.map(Operation::RecordRange).collect()).await;
    let (partition, to) = (kept[0].partition, 10);
    applied(store, vec![Operation::ForgetDiscarded { partition, to }]).await;
    assert_eq!(store.ranges(1).await, Ok(kept.to_vec()));
    assert_eq!(store.ranges(2).await, Ok(vec![]));
}

pub(super) async fn a_topic_is_forgotten(store: &Opened) {
    let rows = |topic| {
        let partition = place(topic, 0);
        [
            Operation::SaveTail { partition, position: 3 },
            Operation::SaveLane(lane(1, partition, 3)),
            Operation::Mark(mark(key(1, partition, 4), Ending::Delivered)),
            Operation::Park(super::parked(key(1, partition, 5), 10)),
        ]
    };
    applied(store, rows(1).into_iter().chain(rows(2)).collect()).await;
    applied(store, vec![Operation::ForgetTopic(1)]).await;
    assert_eq!(store.tails().await, Ok(vec![(place(2, 0), 3)]));
    assert_eq!(store.lanes().await, Ok(vec![lane(1, place(2, 0), 3)]));
    assert_eq!(
        store.marks(1).await,
        Ok(vec![mark(key(1, place(2, 0), 4), Ending::Delivered)])
    );
    let parked = store.parked(1, EVERYBODY, 10, 9).await.expect("the store reads");
    assert_eq!(parked.len(), 2, "what is parked has its record with it, and stays");
}
