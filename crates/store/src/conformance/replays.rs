//! What a replay into a subscription has in the store, apart from the subscription's own.

use super::{EVERYBODY, Opened, applied, dead, key, mark, parked, place};
use crate::{DeliveryKey, Ending, Holdings, Operation, Parked, Portion};

fn replayed(offset: u64, replay: u32) -> DeliveryKey {
    DeliveryKey {
        replay,
        ..key(1, place(1, 0), offset)
    }
}

async fn offsets(store: &Opened, portion: Portion) -> Vec<u64> {
    let rows = store.parked(1, portion, 1_000, 9).await.expect("the store reads");
    rows.iter().map(|row| row.key.offset).collect()
}

pub(super) async fn replays_are_told_apart(store: &Opened) {
    let row = |offset, replay, due| Operation::Park(parked(replayed(offset, replay), due));
    applied(
        store,
        vec![
            row(1, 0, 40),
            row(2, 5, 30),
            row(3, 6, 20),
            row(4, 5, 10),
            row(4, 0, 50),
        ],
    )
    .await;
    assert_eq!(offsets(store, EVERYBODY).await, [4, 3, 2, 1, 4]);
    assert_eq!(offsets(store, Portion::Except(vec![5])).await, [3, 1, 4]);
    assert_eq!(offsets(store, Portion::Except(vec![5, 6])).await, [1, 4]);
    assert_eq!(offsets(store, Portion::Replay(5)).await, [4, 2]);
    assert_eq!(offsets(store, Portion::Replay(7)).await, [0; 0]);
}

pub(super) async fn a_replay_is_counted_and_forgotten(store: &Opened) {
    let rows: Vec<Parked> = [(1, 0, 40), (2, 5, 30), (3, 5, 20), (4, 6, 10)]
        .map(|(offset, replay, due)| parked(replayed(offset, replay), due))
        .to_vec();
    let bytes: Vec<u64> = rows.iter().map(|row| row.record.len() as u64).collect();
    applied(store, rows.into_iter().map(Operation::Park).collect()).await;
    let letter = Operation::Bury(dead(replayed(9, 5), "http_400", "e9"));
    let marks = [0, 5].map(|replay| Operation::Mark(mark(replayed(2, replay), Ending::Parked)));
    applied(store, [letter].into_iter().chain(marks).collect()).await;
    let counted = Holdings {
        parked: 2,
        parked_bytes: bytes[1] + bytes[2],
        next_due: Some(20),
        ..Holdings::default()
    };
    assert_eq!(store.replay_holdings(1, 5).await, Ok(counted));
    assert_eq!(store.replay_holdings(1, 7).await, Ok(Holdings::default()));

    let forget = Operation::ForgetReplay {
        subscription: 1,
        replay: 5,
    };
    applied(store, vec![forget]).await;
    assert_eq!(store.replay_holdings(1, 5).await, Ok(Holdings::default()));
    assert_eq!(offsets(store, EVERYBODY).await, [4, 1]);
    let marks = store.marks(1).await.expect("the store reads");
    assert_eq!(marks, [mark(replayed(2, 0), Ending::Parked)]);
    let holdings = store.holdings().await.expect("the store reads");
    assert_eq!((holdings[0].1.parked, holdings[0].1.dead), (2, 1), "dead letters stay");
    assert_eq!(holdings[0].1.parked_bytes, bytes[0] + bytes[3]);
}
