//! Parked deliveries and dead letters.

use super::{EVERYBODY, Opened, applied, dead, key, lane, mark, parked, place, range};
use crate::{
    Dead, DeadQuery, DeliveryKey, Document, Ending, Expect, Holdings, Kind, LaneRow, Mark, Operation, Parked,
    Partition, Range, Revision, SubscriptionId,
};
use bytes::Bytes;

pub(super) async fn parked_come_back_when_due(store: &Opened) {
    let here = place(1, 0);
    let rows = [(1, 300), (2, 100), (3, 200), (4, -5)].map(|(offset, due)| parked(key(1, here, offset), due));
    applied(store, rows.iter().cloned().map(Operation::Park).collect()).await;
    applied(store, vec![Operation::Park(parked(key(2, here, 1), 50))]).await;

    assert_eq!(
        due(store, 200, 9).await,
        [4, 2, 3],
        "earliest first, the bound inclusive"
    );
    assert_eq!(due(store, 200, 2).await, [4, 2]);
    assert_eq!(due(store, -6, 9).await, []);
    assert_eq!(due(store, i64::MAX, 0).await, []);
    assert_eq!(
        store.parked(1, EVERYBODY, 100, 9).await.expect("the store reads")[1],
        rows[1],
        "a row comes back as it went"
    );

    applied(
        store,
        vec![Operation::Park(Parked {
            attempts: 4,
            ..parked(key(1, here, 2), 900)
        })],
    )
    .await;
    applied(
        store,
        vec![Operation::Unpark(key(1, here, 4)), Operation::Unpark(key(1, here, 99))],
    )
    .await;
    assert_eq!(due(store, i64::MAX, 9).await, [3, 1, 2], "parking again replaces");
}

async fn due(store: &Opened, until: i64, limit: usize) -> Vec<u64> {
    let parked = store.parked(1, EVERYBODY, until, limit).await.expect("the store reads");
    parked.iter().map(|parked| parked.key.offset).collect()
}

pub(super) async fn parked_are_found_by_order_key_and_by_place(store: &Opened) {
    let here = place(1, 0);
    let with_order = |key, order| Parked {
        order,
        ..parked(key, 10)
    };
    let replayed = DeliveryKey {
        replay: 2,
        ..key(1, here, 5)
    };
    let rows = [
        with_order(key(1, here, 7), Some(u64::MAX)),
        with_order(key(1, here, 6), Some(u64::MAX)),
        with_order(key(1, place(1, 1), 1), Some(u64::MAX)),
        with_order(key(1, here, 5), Some(3)),
        with_order(key(1, here, 4), None),
        with_order(key(2, here, 5), Some(0)),
        with_order(replayed, None),
    ];
    applied(store, rows.iter().cloned().map(Operation::Park).collect()).await;
    let expected = [
        (3, key(1, here, 5)),
        (u64::MAX, key(1, here, 6)),
        (u64::MAX, key(1, here, 7)),
        (u64::MAX, key(1, place(1, 1), 1)),
    ];
    assert_eq!(store.parked_orders(1).await, Ok(expected.to_vec()));
    let found = store.parked_at(here, 5).await.expect("the store reads");
    assert_eq!(found, [rows[3].clone(), rows[6].clone(), rows[5].clone()]);
    assert_eq!(store.parked_at(place(2, 0), 5).await, Ok(vec![]));
}

pub(super) async fn what_is_held_is_found_by_offset_and_by_version(store: &Opened) {
    let (here, there) = (place(1, 0), place(1, 1));
    let row = |key, version| Parked {
        version,
        ..parked(key, 10)
    };
    let dead_row = |key, version| Dead {
        delivery: row(key, version),
        ..dead(key, "timeout", "e")
    };
    let operations = vec![
        Operation::Park(row(key(2, here, 4), 9)),
        Operation::Park(row(key(1, here, 5), 7)),
        Operation::Park(row(key(1, there, 8), 7)),
        Operation::Bury(dead_row(key(1, here, 5), 3)),
        Operation::Bury(dead_row(key(1, here, 3), u64::MAX)),
        Operation::Bury(dead_row(key(3, here, 6), 1)),
    ];
    applied(store, operations).await;
    let from_4 = [key(1, here, 5), key(2, here, 4), key(3, here, 6)];
    assert_eq!(store.held_from(here, 4).await, Ok(from_4.to_vec()));
    assert_eq!(store.held_from(here, u64::MAX).await, Ok(vec![]));
    assert_eq!(store.versions_held(1).await, Ok(vec![3, 7, u64::MAX]));
    assert_eq!(store.versions_held(4).await, Ok(vec![]));
}

pub(super) async fn dead_letters_are_paged_and_filtered(store: &Opened) {
    let mut rows = Vec::new();
    for offset in 0..20 {
        let reason = if offset % 3 == 0 { "timeout" } else { "http_400" };
        rows.push(dead(
            key(1 + offset % 2, place(1, (offset % 4) as u32), offset),
            reason,
            &format!("e{}", offset % 5),
        ));
    }
    applied(store, rows.iter().rev().cloned().map(Operation::Bury).collect()).await;
    rows.sort_by_key(|dead| dead.delivery.key);

    let all = DeadQuery {
        subscriptions: vec![2, 1, 2],
        limit: 3,
        ..DeadQuery::default()
    };
    assert_eq!(pages(store, &all).await, rows);
    let timeouts = DeadQuery {
        reason: Some("timeout".to_owned()),
        ..all.clone()
    };
    let is_timeout = |dead: &&Dead| dead.delivery.reason == "timeout";
    assert_eq!(
        pages(store, &timeouts).await,
        rows.iter().filter(is_timeout).cloned().collect::<Vec<_>>()
    );
    let of_event = DeadQuery {
        event_id: Some("e3".to_owned()),
        ..all.clone()
    };
    let is_event = |dead: &&Dead| dead.event_id == "e3";
    assert_eq!(
        pages(store, &of_event).await,
        rows.iter().filter(is_event).cloned().collect::<Vec<_>>()
    );
    let both = DeadQuery {
        reason: Some("timeout".to_owned()),
        ..of_event
    };
    assert_eq!(
        pages(store, &both).await,
        rows.iter()
            .filter(is_event)
            .filter(is_timeout)
            .cloned()
            .collect::<Vec<_>>()
    );
    let narrowed = [
        (
            DeadQuery {
                reason_prefix: Some("http_4".to_owned()),
                ..all.clone()
            },
            rows.iter()
                .filter(|dead| !is_timeout(dead))
                .cloned()
                .collect::<Vec<_>>(),
        ),
        (
            DeadQuery {
                event_type: Some(rows[0].event_type.clone()),
                reason: Some("timeout".to_owned()),
                ..all.clone()
            },
            rows.iter()
                .filter(|dead| is_timeout(dead) && dead.event_type == rows[0].event_type)
                .cloned()
                .collect(),
        ),
        (
            DeadQuery {
                died_from: Some(rows[0].delivery.due),
                died_to: Some(rows[0].delivery.due + 1),
                event_id: Some("e3".to_owned()),
                ..all.clone()
            },
            rows.iter()
                .filter(|dead| is_event(dead) && dead.delivery.due == rows[0].delivery.due)
                .cloned()
                .collect(),
        ),
        (
            DeadQuery {
                died_to: Some(i64::MIN),
                ..all.clone()
            },
            Vec::new(),
        ),
        (all.clone(), rows.clone()),
    ];
    for (query, expected) in narrowed {
        assert_eq!(pages(store, &query).await, expected, "{query:?}");
        let bytes = expected.iter().map(|dead| dead.delivery.record.len() as u64).sum();
        assert_eq!(store.dead_count(query).await, Ok((expected.len() as u64, bytes)));
    }
    let of_one = rows[0].delivery.record.len() as u64;
    for (bytes_max, length) in [(1, 1), (of_one, 1), (of_one + 1, 2), (2 * of_one, 2), (u64::MAX, 3)] {
        let bounded = DeadQuery {
            bytes_max: Some(bytes_max),
            ..all.clone()
        };
        let page = store.dead(bounded.clone()).await.expect("the store reads");
        assert_eq!(page.len(), length, "{bytes_max} bytes");
        assert_eq!(pages(store, &bounded).await, rows);
    }
    let one = DeadQuery {
        subscriptions: vec![2],
        ..all.clone()
    };
    let is_second = |dead: &&Dead| dead.delivery.key.subscription == 2;
    assert_eq!(
        pages(store, &one).await,
        rows.iter().filter(is_second).cloned().collect::<Vec<_>>()
    );
    assert_eq!(
        store
            .dead(DeadQuery {
                subscriptions: vec![],
                limit: 9,
                ..all.clone()
            })
            .await,
        Ok(vec![]),
        "none is none"
    );

    let first = rows.remove(0);
    applied(
        store,
        vec![
            Operation::Exhume(first.delivery.key),
            Operation::Exhume(key(9, place(1, 0), 0)),
        ],
    )
    .await;
    assert_eq!(pages(store, &all).await, rows);
}

async fn pages(store: &Opened, query: &DeadQuery) -> Vec<Dead> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = store.dead(query.clone()).await.expect("the store reads");
        assert!(page.len() <= query.limit);
        let Some(last) = page.last() else { return found };
        query.after = Some(last.delivery.key);
        found.extend(page);
    }
}

pub(super) async fn holdings_are_what_the_rows_add_up_to(store: &Opened) {
    let here = place(1, 0);
    let with_bytes = |offset, due, bytes| {
        let record = Bytes::from(vec![7; bytes]);
        Operation::Park(Parked {
            record,
            ..parked(key(1, here, offset), due)
        })
    };
    assert_eq!(store.holdings().await, Ok(vec![]));
    applied(
        store,
        vec![with_bytes(1, 50, 10), with_bytes(2, 40, 100), with_bytes(1, 60, 1_000)],
    )
    .await;
    applied(store, vec![Operation::Bury(dead(key(2, here, 1), "timeout", "e"))]).await;
    let parked = Holdings {
        parked: 2,
        parked_bytes: 1_100,
        next_due: Some(40),
        ..Holdings::default()
    };
    let buried = Holdings {
        dead: 1,
        dead_bytes: 10,
        ..Holdings::default()
    };
    assert_eq!(store.holdings().await, Ok(vec![(1, parked), (2, buried)]));

    let moved = vec![
        Operation::Unpark(key(1, here, 2)),
        Operation::Bury(dead(key(1, here, 2), "timeout", "e")),
    ];
    applied(store, moved).await;
    let both = Holdings {
        parked: 1,
        parked_bytes: 1_000,
        next_due: Some(60),
        dead: 1,
        dead_bytes: 10,
    };
    assert_eq!(store.holdings().await, Ok(vec![(1, both), (2, buried)]));

    let empty = vec![Operation::Unpark(key(1, here, 1)), Operation::Exhume(key(1, here, 2))];
    applied(store, empty).await;
    assert_eq!(
        store.holdings().await,
        Ok(vec![(2, buried)]),
        "a subscription that holds nothing is not listed"
    );
}

pub(super) async fn a_subscription_is_forgotten(store: &Opened) {
    fill(store, 1).await;
    fill(store, 2).await;
    let other = everything(store, 2).await;
    applied(store, vec![Operation::ForgetSubscription(1)]).await;
    let left = everything(store, 1).await;
    assert_eq!(
        (left.parked, left.orders, left.dead, left.marks),
        (vec![], vec![], vec![], vec![])
    );
    assert_eq!(left.ranges, [range(1, 3, 4)], "its ranges stay: they are what was lost");
    assert!(left.lanes.iter().all(|lane| lane.subscription == 2));
    assert!(left.holdings.iter().all(|(subscription, _)| *subscription == 2));
    let after = everything(store, 2).await;
    assert_eq!(
        (after.parked, after.dead, after.marks),
        (other.parked, other.dead, other.marks)
    );
}

/// Everything the contract lets one read about a subscription.
#[derive(Debug, PartialEq)]
pub(super) struct Everything {
    documents: Vec<Document>,
    tails: Vec<(Partition, u64)>,
    lanes: Vec<LaneRow>,
    marks: Vec<Mark>,
    parked: Vec<Parked>,
    orders: Vec<(u64, DeliveryKey)>,
    dead: Vec<Dead>,
    ranges: Vec<Range>,
    holdings: Vec<(SubscriptionId, Holdings)>,
}

pub(super) async fn everything(store: &Opened, subscription: SubscriptionId) -> Everything {
    let query = DeadQuery {
        subscriptions: vec![subscription],
        limit: 100,
        ..DeadQuery::default()
    };
    Everything {
        documents: store.documents().await.expect("documents are read"),
        tails: store.tails().await.expect("tails are read"),
        lanes: store.lanes().await.expect("lanes are read"),
        marks: store.marks(subscription).await.expect("marks are read"),
        parked: store
            .parked(subscription, EVERYBODY, i64::MAX, 100)
            .await
            .expect("parked ones are read"),
        orders: store.parked_orders(subscription).await.expect("order keys are read"),
        dead: store.dead(query).await.expect("dead ones are read"),
        ranges: store.ranges(subscription).await.expect("ranges are read"),
        holdings: store.holdings().await.expect("holdings are read"),
    }
}

/// A row of every kind.
pub(super) async fn fill(store: &Opened, subscription: SubscriptionId) -> Revision {
    let here = place(1, 0);
    let (name, body) = (format!("s{subscription}"), Bytes::from_static(&[0, 255, 3]));
    let ordered = Parked {
        order: Some(8),
        first_attempt: None,
        ..parked(key(subscription, here, 3), 70)
    };
    let document = Operation::PutDocument {
        bus: 1,
        kind: Kind::Subscription,
        name,
        expect: Expect::Absent,
        body,
    };
    let operations = vec![
        document,
        Operation::SaveTail {
            partition: here,
            position: 5,
        },
        Operation::SaveLane(lane(subscription, here, 4)),
        Operation::Mark(mark(key(subscription, here, 6), Ending::Dead)),
        Operation::Park(ordered),
        Operation::Park(parked(key(subscription, here, 4), 60)),
        Operation::Bury(dead(key(subscription, here, 6), "http_400", "e6")),
        Operation::RecordRange(range(subscription, 3, 4)),
    ];
    applied(store, operations).await
}
