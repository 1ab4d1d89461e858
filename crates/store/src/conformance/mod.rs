//! What every [`Store`] must do, as one suite that every implementation runs.
//!
//! It speaks through the contract only, and panics at the first thing that is not so. What a file adds (damage, a full
//! disk, a crash) is each engine's own to test.

mod audit;
mod deliveries;
mod documents;
mod lanes;
mod replays;

use crate::{
    Dead, DeliveryKey, Ending, Error, LaneRow, Mark, Operation, Parked, Partition, Portion, Range, RangeReason,
    Revision, Store, SubscriptionId,
};
use bytes::Bytes;
use std::{future::Future, sync::Arc};

/// All parked deliveries of a subscription.
const EVERYBODY: Portion = Portion::Except(Vec::new());

/// A store as the suite holds it.
pub type Opened = Arc<dyn Store>;

/// Runs the suite. `open` opens the store of the given name, which is new and empty the first time, and holds what it
/// held when it is opened again after a shutdown.
///
/// # Panics
/// When the store does not keep the contract.
pub async fn run<Open, Opening>(open: Open)
where
    Open: Fn(&'static str) -> Opening,
    Opening: Future<Output = Result<Opened, Error>>,
{
    let new = async |name| open(name).await.expect("a new store opens");
    documents::conditions_decide(&new("conditions").await).await;
    documents::an_apply_is_all_or_nothing(&new("all-or-nothing").await).await;
    documents::steps_see_the_steps_before_them(&new("steps").await).await;
    documents::versions_never_repeat(&new("versions").await).await;
    documents::lists_are_ordered(&new("lists").await).await;
    documents::one_of_many_writers_wins(&new("race").await).await;
    documents::calls_of_one_caller_keep_their_order(&new("order").await).await;
    lanes::positions_are_kept(&new("positions").await).await;
    lanes::marks_go_when_the_position_has_passed(&new("marks").await).await;
    lanes::ranges_are_listed_newest_last(&new("ranges").await).await;
    lanes::discarded_ranges_of_what_is_not_kept_are_forgotten(&new("discarded").await).await;
    lanes::a_topic_is_forgotten(&new("topic").await).await;
    deliveries::parked_come_back_when_due(&new("due").await).await;
    deliveries::parked_are_found_by_order_key_and_by_place(&new("orders").await).await;
    deliveries::dead_letters_are_paged_and_filtered(&new("dead").await).await;
    deliveries::holdings_are_what_the_rows_add_up_to(&new("holdings").await).await;
    deliveries::what_is_held_is_found_by_offset_and_by_version(&new("held").await).await;
    deliveries::a_subscription_is_forgotten(&new("forget").await).await;
    replays::replays_are_told_apart(&new("replays").await).await;
    replays::a_replay_is_counted_and_forgotten(&new("replay").await).await;
    audit::entries_are_chained_and_trimmed(&new("audit").await).await;
    audit::a_refused_call_leaves_no_entry(&new("audit-refused").await).await;
    reopening(&open).await;
}

async fn reopening<Open, Opening>(open: &Open)
where
    Open: Fn(&'static str) -> Opening,
    Opening: Future<Output = Result<Opened, Error>>,
{
    let store = open("reopen").await.expect("a new store opens");
    let before = deliveries::fill(&store, 5).await;
    let state = deliveries::everything(&store, 5).await;
    store.shutdown().await.expect("the first shutdown succeeds");
    store.shutdown().await.expect("shutdown is idempotent");
    assert_eq!(
        store
            .apply(
                1,
                vec![Operation::SaveTail {
                    partition: place(1, 0),
                    position: 9
                }]
            )
            .await,
        Err(Error::Closed)
    );
    assert_eq!(store.tails().await, Err(Error::Closed));
    drop(store);

    let store = open("reopen").await.expect("it opens again");
    assert_eq!(
        deliveries::everything(&store, 5).await,
        state,
        "what was applied is there after reopening"
    );
    let after = applied(
        &store,
        vec![Operation::SaveTail {
            partition: place(1, 0),
            position: 9,
        }],
    )
    .await;
    assert!(after > before, "revisions go on after reopening");
}

async fn applied(store: &Opened, operations: Vec<Operation>) -> Revision {
    store.apply(1, operations).await.expect("the store applies")
}

fn place(topic: u32, index: u32) -> Partition {
    Partition { topic, index }
}

fn key(subscription: SubscriptionId, partition: Partition, offset: u64) -> DeliveryKey {
    DeliveryKey {
        subscription,
        partition,
        offset,
        replay: 0,
    }
}

fn parked(key: DeliveryKey, due: i64) -> Parked {
    Parked {
        key,
        due,
        attempts: 3,
        first_attempt: Some(1_000),
        appended: 900,
        age_from_first_attempt: false,
        version: 7,
        order: None,
        edits: 0,
        reason: "http_503".to_owned(),
        record: Bytes::from_static(b"the record"),
    }
}

fn dead(key: DeliveryKey, reason: &str, event_id: &str) -> Dead {
    Dead {
        delivery: Parked {
            reason: reason.to_owned(),
            ..parked(key, 5_000)
        },
        event_type: "com.example.order.placed".to_owned(),
        event_id: event_id.to_owned(),
        event_source: "/checkout".to_owned(),
        detail: "the endpoint said no".to_owned(),
    }
}

fn mark(key: DeliveryKey, ending: Ending) -> Mark {
    Mark { key, ending }
}

fn lane(subscription: SubscriptionId, partition: Partition, position: u64) -> LaneRow {
    LaneRow {
        subscription,
        partition,
        position,
        floor: 2,
        follows_tail: false,
    }
}

fn range(subscription: SubscriptionId, from: u64, to: u64) -> Range {
    let (partition, reason) = (place(1, 0), RangeReason::Expired);
    Range {
        subscription,
        partition,
        from,
        to,
        matched: Some(to - from),
        reason,
        recorded: 77,
    }
}
