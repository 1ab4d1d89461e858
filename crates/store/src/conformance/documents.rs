//! Documents: conditions, versions, transactions.

use super::{Opened, applied, place};
use crate::{BusId, Document, Error, Expect, Kind, Operation};
use bytes::Bytes;

fn put(name: &str, expect: Expect, body: &'static str) -> Operation {
    put_as(1, Kind::Topic, name, expect, body)
}

fn put_as(bus: BusId, kind: Kind, name: &str, expect: Expect, body: &'static str) -> Operation {
    Operation::PutDocument {
        bus,
        kind,
        name: name.to_owned(),
        expect,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn delete(name: &str, expect: Expect) -> Operation {
    Operation::DeleteDocument {
        bus: 1,
        kind: Kind::Topic,
        name: name.to_owned(),
        expect,
    }
}

fn conflict<T>(name: &str, found: Option<u64>) -> Result<T, Error> {
    Err(Error::Conflict {
        kind: Kind::Topic,
        name: name.to_owned(),
        found,
    })
}

async fn read(store: &Opened, name: &str) -> Option<Document> {
    store.document(1, Kind::Topic, name).await.expect("the store reads")
}

pub(super) async fn conditions_decide(store: &Opened) {
    assert_eq!(read(store, "a").await, None);
    assert_eq!(
        store.apply(1, vec![put("a", Expect::Version(1), "x")]).await,
        conflict("a", None)
    );
    assert_eq!(
        store.apply(1, vec![delete("a", Expect::Version(1))]).await,
        conflict("a", None)
    );
    assert_eq!(
        store.apply(1, vec![delete("a", Expect::Absent)]).await,
        conflict("a", None)
    );
    applied(store, vec![delete("a", Expect::Any)]).await;

    let first = applied(store, vec![put("a", Expect::Absent, "one")]).await;
    let expected = Document {
        bus: 1,
        kind: Kind::Topic,
        name: "a".to_owned(),
        version: first,
        body: "one".into(),
    };
    assert_eq!(read(store, "a").await, Some(expected));
    assert_eq!(
        store.apply(1, vec![put("a", Expect::Absent, "x")]).await,
        conflict("a", Some(first))
    );
    assert_eq!(
        store.apply(1, vec![put("a", Expect::Version(first + 9), "x")]).await,
        conflict("a", Some(first))
    );

    let second = applied(store, vec![put("a", Expect::Version(first), "two")]).await;
    assert_eq!(
        store.apply(1, vec![delete("a", Expect::Version(first))]).await,
        conflict("a", Some(second))
    );
    assert_eq!(read(store, "a").await.expect("it is there").body, "two");
    let third = applied(store, vec![put("a", Expect::Any, "three")]).await;
    applied(store, vec![delete("a", Expect::Version(third))]).await;
    assert_eq!(read(store, "a").await, None);
}

pub(super) async fn an_apply_is_all_or_nothing(store: &Opened) {
    let tail = Operation::SaveTail {
        partition: place(1, 0),
        position: 9,
    };
    let operations = vec![put("a", Expect::Any, "x"), tail, put("b", Expect::Version(1), "x")];
    assert_eq!(store.apply(1, operations).await, conflict("b", None));
    assert_eq!(store.documents().await, Ok(vec![]));
    assert_eq!(store.tails().await, Ok(vec![]));

    let park = |offset| Operation::Park(super::parked(super::key(1, place(1, 0), offset), 5));
    applied(store, vec![park(1)]).await;
    let before = store.holdings().await;
    let operations = vec![
        park(1),
        park(2),
        Operation::ForgetSubscription(1),
        delete("b", Expect::Version(1)),
    ];
    assert_eq!(store.apply(1, operations).await, conflict("b", None));
    assert_eq!(
        store.holdings().await,
        before,
        "a refused apply leaves the holdings as they were"
    );
    assert_eq!(
        store
            .parked(1, super::EVERYBODY, 9, 9)
            .await
            .expect("the store reads")
            .len(),
        1
    );
}

pub(super) async fn steps_see_the_steps_before_them(store: &Opened) {
    let operations = vec![
        put("a", Expect::Absent, "one"),
        delete("a", Expect::Any),
        put("a", Expect::Absent, "two"),
    ];
    applied(store, operations).await;
    assert_eq!(read(store, "a").await.expect("it is there").body, "two");
    let operations = vec![put("b", Expect::Absent, "one"), put("b", Expect::Absent, "two")];
    assert!(matches!(
        store.apply(1, operations).await,
        Err(Error::Conflict { found: Some(_), .. })
    ));
}

pub(super) async fn versions_never_repeat(store: &Opened) {
    let mut last = 0;
    for _ in 0..5 {
        let created = applied(store, vec![put("a", Expect::Absent, "x")]).await;
        assert!(created > last, "a recreated document has a new version");
        last = applied(store, vec![delete("a", Expect::Version(created))]).await;
        assert!(last > created);
    }
}

pub(super) async fn lists_are_ordered(store: &Opened) {
    let places = [
        (2, Kind::Topic, "a"),
        (1, Kind::Subscription, "b"),
        (1, Kind::Topic, "b"),
        (1, Kind::Topic, "B"),
    ];
    for (bus, kind, name) in places.into_iter().chain([(0, Kind::Bus, "one"), (1, Kind::Topic, "ä")]) {
        applied(store, vec![put_as(bus, kind, name, Expect::Absent, "x")]).await;
    }
    let documents = store.documents().await.expect("the store reads");
    let found: Vec<_> = documents
        .iter()
        .map(|found| (found.bus, found.kind, found.name.as_str()))
        .collect();
    let expected = [
        (0, Kind::Bus, "one"),
        (1, Kind::Topic, "B"),
        (1, Kind::Topic, "b"),
        (1, Kind::Topic, "ä"),
    ];
    assert_eq!(found[..4], expected);
    assert_eq!(found[4..], [(1, Kind::Subscription, "b"), (2, Kind::Topic, "a")]);
    assert_eq!(
        store.document(2, Kind::Topic, "b").await,
        Ok(None),
        "a name belongs to its bus"
    );
}

pub(super) async fn one_of_many_writers_wins(store: &Opened) {
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..50 {
        let store = Opened::clone(store);
        racers.spawn(async move { store.apply(racer % 5, vec![put("a", Expect::Absent, "x")]).await });
    }
    let outcomes = racers.join_all().await;
    let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "one creation succeeds");
    let lost = |outcome: &&Result<u64, Error>| **outcome == conflict("a", Some(*won[0]));
    assert_eq!(
        outcomes.iter().filter(lost).count(),
        49,
        "the others learn which version is there"
    );
}

pub(super) async fn calls_of_one_caller_keep_their_order(store: &Opened) {
    let mut callers = tokio::task::JoinSet::new();
    for bus in 1..=4 {
        let store = Opened::clone(store);
        callers.spawn(async move { save_growing_tails(&store, bus).await });
    }
    callers.join_all().await;
    let tails = store.tails().await.expect("the store reads");
    assert_eq!(tails, (1..=4).map(|bus| (place(bus, 0), 49)).collect::<Vec<_>>());
}

async fn save_growing_tails(store: &Opened, bus: BusId) {
    let mut last = 0;
    for position in 0..50 {
        let tail = Operation::SaveTail {
            partition: place(bus, 0),
            position,
        };
        let revision = store.apply(bus, vec![tail]).await.expect("the store applies");
        assert!(revision > last, "revisions grow");
        last = revision;
    }
}
